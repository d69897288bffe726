package event

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// durationUnits are the units of rule files, longest first.
var durationUnits = []struct {
	name string
	size Duration
}{
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
	{"us", time.Microsecond},
	{"ns", time.Nanosecond},
}

// ParseDuration reads a duration as rule files write it: whole numbers with
// units from long to short, as in 500ms, 5m, 1h30m or 7d; a decimal is allowed,
// as in 1.5s, and a minus in front. A day is always 24 hours.
func ParseDuration(s string) (Duration, error) {
	rest, neg := strings.CutPrefix(s, "-")
	if rest == "0" {
		return 0, nil
	}
	bad := func() (Duration, error) {
		return 0, fmt.Errorf("%q is not a duration like 500ms, 5m, 1h30m or 7d", s)
	}
	if rest == "" {
		return bad()
	}
	total, fits, last := uint64(0), true, -1
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return bad()
		}
		j := i
		for j < len(rest) && (rest[j] < '0' || rest[j] > '9') && rest[j] != '.' {
			j++
		}
		unit := unitIndex(rest[i:j])
		if unit <= last {
			return bad() // unknown, twice, or out of order
		}
		last = unit
		n, ok, err := times(rest[:i], durationUnits[unit].size)
		if err != nil {
			return bad()
		}
		fits = fits && ok && n <= 1<<63-total
		total += n
		rest = rest[j:]
	}
	switch {
	case fits && neg:
		return -Duration(total), nil // also of 2^63, which is its own negative
	case fits && total < 1<<63:
		return Duration(total), nil
	}
	return 0, fmt.Errorf("%q is longer than 292 years", s)
}

// times returns a decimal number times a unit, and whether that is at most
// 2^63 nanoseconds.
func times(number string, unit Duration) (n uint64, ok bool, err error) {
	if whole, err := strconv.ParseUint(number, 10, 64); err == nil {
		high, low := bits.Mul64(whole, uint64(unit))
		return low, high == 0 && low <= 1<<63, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false, err
	}
	if f = math.Round(f * float64(unit)); f > 1<<63 {
		return 0, false, nil
	}
	return uint64(f), true, nil
}

func unitIndex(name string) int {
	for i, u := range durationUnits {
		if u.name == name {
			return i
		}
	}
	return -1
}

// FormatDuration prints d as [ParseDuration] reads it, without weeks: 1d12h,
// 1h30m, 1.5s is 1s500ms.
func FormatDuration(d Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	u := uint64(d)
	if d < 0 {
		b.WriteByte('-')
		u = -u
	}
	for _, unit := range durationUnits[1:] {
		if n := u / uint64(unit.size); n > 0 {
			b.WriteString(strconv.FormatUint(n, 10))
			b.WriteString(unit.name)
			u -= n * uint64(unit.size)
		}
	}
	return b.String()
}
