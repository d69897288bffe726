package window

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/cepd/cepd/event"
)

// Profile says which times a baseline keeps apart.
type Profile uint8

// The profiles. Hours and days are those of local time, so a change to or from
// daylight saving time moves no slot: an hour that is skipped learns nothing
// that day, one that is repeated learns twice.
const (
	NoProfile  Profile = iota // all times are alike
	HourOfDay                 // 24 slots
	DayOfWeek                 // 7
	HourOfWeek                // 168
)

var profiles = [...]struct {
	name  string
	slots int
}{{"none", 1}, {"hour_of_day", 24}, {"day_of_week", 7}, {"hour_of_week", 168}}

// ParseProfile returns the profile of that name.
func ParseProfile(name string) (Profile, error) {
	for p := NoProfile; int(p) < len(profiles); p++ {
		if profiles[p].name == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("unknown profile %q; profiles are none, hour_of_day, day_of_week, hour_of_week", name)
}

// String returns the name that rule files use.
func (p Profile) String() string { return profiles[p].name }

// BaselineSpec says what a baseline learns. It never changes and is shared by
// all keys.
type BaselineSpec struct {
	// History is how far back it looks, more than 0. A value loses weight with
	// its age, e^(-2 age/History), so that the mean age of what counts is that
	// of a plain average over History.
	History event.Duration
	Profile Profile
	Zone    *time.Location // of the hours and days; nil: UTC
}

// Baseline is what one key has learned: for each slot of the profile the mean
// of the values, weighted by age. The zero Baseline has learned nothing.
type Baseline struct {
	slots []slot // nil, or one for each slot of the profile
}

// slot is the mean of some values and the sum of their weights, as of the
// latest of them.
type slot struct {
	last         event.Time
	weight, mean float64
}

func (s *BaselineSpec) slot(t event.Time) int {
	if s.Profile == NoProfile {
		return 0
	}
	local := t.Go()
	if s.Zone != nil {
		local = local.In(s.Zone)
	}
	switch s.Profile {
	case HourOfDay:
		return local.Hour()
	case DayOfWeek:
		return int(local.Weekday())
	}
	return int(local.Weekday())*24 + local.Hour()
}

// Usual returns the usual value at t, and false if nothing has been learned for
// its slot. The caller asks before it lets the baseline learn the value of t.
func (b *Baseline) Usual(s *BaselineSpec, t event.Time) (float64, bool) {
	if b.slots == nil {
		return 0, false
	}
	sl := &b.slots[s.slot(t)]
	return sl.mean, sl.weight > 0
}

// Learn takes the value x of t into account, unless it is NaN or infinite. A
// baseline that must not get used to what a rule fires about is not given those
// values: frozen says so. Nor should it be given early answers or updates.
func (b *Baseline) Learn(s *BaselineSpec, t event.Time, x float64, frozen bool) {
	if frozen || math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	if b.slots == nil {
		b.slots = make([]slot, profiles[s.Profile].slots)
	}
	sl := &b.slots[s.slot(t)]
	weight := 1.0
	switch {
	case sl.weight == 0:
		sl.last = t
	case t >= sl.last:
		sl.weight *= s.decay(t.Sub(sl.last))
		sl.last = t
	default:
		weight = s.decay(sl.last.Sub(t))
	}
	sl.weight += weight
	share := weight / sl.weight
	if d := x - sl.mean; !math.IsInf(d, 0) {
		sl.mean += float64(d * share) // leaves a constant as it is
	} else {
		sl.mean = float64(sl.mean*(1-share)) + float64(x*share)
	}
}

// decay returns what is left of a weight after age.
func (s *BaselineSpec) decay(age event.Duration) float64 {
	return math.Exp(-2 * (float64(age) / float64(s.History)))
}

// Empty reports whether nothing has been learned.
func (b *Baseline) Empty() bool { return b.slots == nil }

// AppendBinary appends what has been learned to dst.
func (b *Baseline) AppendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, version), uint64(len(b.slots)))
	for _, sl := range b.slots {
		if sl.weight == 0 {
			dst = append(dst, 0)
			continue
		}
		dst = appendDoubles(appendTime(append(dst, 1), sl.last), sl.weight, sl.mean)
	}
	return dst
}

// ReadBaseline reads what was written under a spec of the same profile.
func ReadBaseline(s *BaselineSpec, r *event.Reader) (*Baseline, error) {
	if v := r.Byte(); r.Err() == nil && v != version {
		return nil, fmt.Errorf("%w: %d, not %d", ErrVersion, v, version)
	}
	b := &Baseline{}
	n := r.Count()
	if n != 0 && n != profiles[s.Profile].slots {
		return nil, fmt.Errorf("reading baseline: %w", event.ErrEncoding)
	}
	if n > 0 {
		b.slots = make([]slot, n)
	}
	for i := range b.slots {
		if r.Byte() == 0 {
			continue
		}
		b.slots[i] = slot{event.Time(r.Varint()), readDouble(r), readDouble(r)}
		if b.slots[i].weight <= 0 {
			b.slots[i] = slot{}
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("reading baseline: %w", err)
	}
	return b, nil
}
