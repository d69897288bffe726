package window

import (
	"bytes"
	"math"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

const week = 7 * 24 * time.Hour

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func at(t *testing.T, text string) event.Time {
	t.Helper()
	x, err := event.ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestBaselineDST: in Oslo it is 08:00 at 07:00 UTC in winter and at 06:00 UTC
// in summer. What was learned in March for eight o'clock holds in April.
func TestBaselineDST(t *testing.T) {
	spec := &BaselineSpec{History: week, Profile: HourOfDay, Zone: zone(t, "Europe/Oslo")}
	var b Baseline
	for day := at(t, "2026-03-20T00:00:00Z"); day < at(t, "2026-03-28T00:00:00Z"); day += event.Time(24 * time.Hour) {
		b.Learn(spec, day+event.Time(7*time.Hour), 100, false)
		b.Learn(spec, day+event.Time(6*time.Hour), 1, false)
	}
	for text, want := range map[string]float64{
		"2026-03-27T07:30:00Z": 100, // before the change
		"2026-04-01T06:30:00Z": 100, // after it
		"2026-04-01T05:30:00Z": 1,
	} {
		if got, ok := b.Usual(spec, at(t, text)); !ok || got != want {
			t.Errorf("usual value at %s is %v (%v), want %v", text, got, ok, want)
		}
	}
	if _, ok := b.Usual(spec, at(t, "2026-04-01T07:30:00Z")); ok {
		t.Error("nothing has been learned for nine o'clock")
	}
}

// TestBaselineSlots: each profile keeps apart what it says.
func TestBaselineSlots(t *testing.T) {
	monday9 := at(t, "2026-03-02T09:10:00Z")
	tests := []struct {
		profile Profile
		after   time.Duration
		same    bool
	}{
		{NoProfile, 100 * time.Hour, true},
		{HourOfDay, 30 * time.Minute, true},
		{HourOfDay, time.Hour, false},
		{HourOfDay, 48 * time.Hour, true},
		{DayOfWeek, 10 * time.Hour, true},
		{DayOfWeek, 24 * time.Hour, false},
		{DayOfWeek, week, true},
		{HourOfWeek, 24 * time.Hour, false},
		{HourOfWeek, time.Hour, false},
		{HourOfWeek, 2 * week, true},
	}
	for _, tt := range tests {
		spec := &BaselineSpec{History: week, Profile: tt.profile}
		var b Baseline
		b.Learn(spec, monday9, 5, false)
		if _, same := b.Usual(spec, monday9.Add(tt.after)); same != tt.same {
			t.Errorf("%s: %s later is the same slot: %v, want %v", tt.profile, tt.after, same, tt.same)
		}
	}
	for p := NoProfile; p <= HourOfWeek; p++ {
		if got, err := ParseProfile(p.String()); err != nil || got != p {
			t.Errorf("%v is read as %v, %v", p, got, err)
		}
	}
	if _, err := ParseProfile("month"); err == nil {
		t.Error("month is no profile")
	}
}

// TestBaselineProperties: the usual value lies among those learned; it is the
// mean weighted by age, whatever the order in which values come; a constant
// stays what it is; what is frozen, NaN or infinite changes nothing; and bytes
// bring it back.
func TestBaselineProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := &BaselineSpec{History: time.Duration(rapid.Int64Range(1e9, int64(4*week)).Draw(t, "history")),
			Profile: Profile(rapid.IntRange(0, 3).Draw(t, "profile"))}
		var b Baseline
		type value struct {
			t event.Time
			x float64
		}
		var all []value
		low, high := math.Inf(1), math.Inf(-1)
		now := event.Time(0)
		for range rapid.IntRange(1, 40).Draw(t, "n") {
			now += event.Time(rapid.Int64Range(-int64(time.Hour), int64(36*time.Hour)).Draw(t, "gap"))
			x := rapid.Float64Range(-1e6, 1e6).Draw(t, "x")
			b.Learn(spec, now, x, false)
			all = append(all, value{now, x})
			low, high = min(low, x), max(high, x)

			before := b.AppendBinary(nil)
			b.Learn(spec, now, 1e9, true)
			b.Learn(spec, now, math.NaN(), false)
			b.Learn(spec, now, math.Inf(1), false)
			read, err := ReadBaseline(spec, event.NewReader(before))
			if err != nil || !bytes.Equal(read.AppendBinary(nil), before) || !bytes.Equal(b.AppendBinary(nil), before) {
				t.Fatalf("%x becomes %x, read as %x: %v", before, b.AppendBinary(nil), read.AppendBinary(nil), err)
			}
			b = *read
		}
		got, ok := b.Usual(spec, now)
		latest := event.MinTime
		for _, v := range all {
			if spec.slot(v.t) == spec.slot(now) {
				latest = max(latest, v.t)
			}
		}
		sum, weights := 0.0, 0.0
		for _, v := range all {
			if spec.slot(v.t) == spec.slot(now) {
				w := math.Exp(-2 * float64(latest-v.t) / float64(spec.History))
				sum += w * v.x
				weights += w
			}
		}
		if want := sum / weights; !ok || math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) || got < low-1e-6 || got > high+1e-6 {
			t.Fatalf("usual value %v (%v), want %v, between %v and %v", got, ok, want, low, high)
		}
	})
}

// TestBaselineForgets: after a change, the new value has won after a few
// histories; and after one, most of the way is done.
func TestBaselineForgets(t *testing.T) {
	spec := &BaselineSpec{History: week}
	var b Baseline
	for h := range 24 * 7 * 10 {
		b.Learn(spec, event.Time(h)*event.Time(time.Hour), 10, false)
	}
	for h := 24 * 7 * 10; h < 24*7*11; h++ {
		b.Learn(spec, event.Time(h)*event.Time(time.Hour), 20, false)
	}
	got, _ := b.Usual(spec, 0)
	if want := 20 - 10*math.Exp(-2); math.Abs(got-want) > 0.05 {
		t.Errorf("after one history the usual value is %v, want about %v", got, want)
	}
}
