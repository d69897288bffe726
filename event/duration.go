package event

import (
	"fmt"
	"math"
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
	total, last := float64(0), -1
	exact := Duration(0)
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
		size := durationUnits[unit].size
		if n, err := strconv.ParseInt(rest[:i], 10, 64); err == nil {
			total += float64(n) * float64(size)
			exact += Duration(n) * size
		} else {
			f, err := strconv.ParseFloat(rest[:i], 64)
			if err != nil {
				return bad()
			}
			total += f * float64(size)
			exact += Duration(math.Round(f * float64(size)))
		}
		rest = rest[j:]
	}
	if total >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is longer than 292 years", s)
	}
	if neg {
		exact = -exact
	}
	return exact, nil
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
