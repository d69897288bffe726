package event

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Time is a point in event time, in nanoseconds since the Unix epoch.
type Time int64

// Duration is a length of event time in nanoseconds.
type Duration = time.Duration

const (
	// MinTime is before every event. It is the watermark of a stream that has
	// seen nothing.
	MinTime Time = math.MinInt64
	// MaxTime is the end of time: after every event. A replay ends there.
	MaxTime Time = math.MaxInt64
)

// ErrTimeRange is returned for a time that nanoseconds in 64 bits cannot hold.
var ErrTimeRange = errors.New("time outside of the years 1678 to 2261")

// FromTime converts t, which must lie in the years 1678 to 2261.
func FromTime(t time.Time) (Time, error) {
	// The bounds are whole years, a little inside of what int64 can hold, so
	// that a lag added to or taken from an event's time stays in range.
	if y := t.UTC().Year(); y < 1678 || y > 2261 {
		return 0, fmt.Errorf("%s: %w", t.UTC().Format(time.RFC3339), ErrTimeRange)
	}
	return Time(t.UnixNano()), nil
}

// ParseTime reads an RFC 3339 text such as 2026-03-01T12:00:00.5+01:00.
func ParseTime(s string) (Time, error) {
	if t, ok := parseTimeFast(s); ok {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || s[13] != ':' || strings.IndexByte(s, ',') >= 0 { // the library takes 1:00:00,5 as well
		return 0, fmt.Errorf("%q is not a time like 2026-03-01T12:00:00Z (RFC 3339)", s)
	}
	return FromTime(t)
}

// parseTimeFast reads the common form YYYY-MM-DDThh:mm:ss[.fraction]Z. It
// answers false for everything else, valid or not, which is then left to the
// standard library.
func parseTimeFast(s string) (Time, bool) {
	if len(s) < 20 || len(s) > 30 || s[4] != '-' || s[7] != '-' || s[10] != 'T' ||
		s[13] != ':' || s[16] != ':' || s[len(s)-1] != 'Z' {
		return 0, false
	}
	bad := false
	two := func(i int) int {
		a, b := s[i]-'0', s[i+1]-'0'
		bad = bad || a > 9 || b > 9
		return int(a)*10 + int(b)
	}
	year := two(0)*100 + two(2)
	month, day := two(5), two(8)
	hour, minute, sec := two(11), two(14), two(17)
	if bad || year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour > 23 || minute > 59 || sec > 59 {
		return 0, false
	}
	nano := int64(0)
	if frac := s[19 : len(s)-1]; frac != "" {
		if frac[0] != '.' || len(frac) == 1 {
			return 0, false
		}
		unit := int64(100_000_000)
		for i := 1; i < len(frac); i++ {
			d := frac[i] - '0'
			if d > 9 {
				return 0, false
			}
			nano += int64(d) * unit
			unit /= 10
		}
	}
	secs := daysSinceEpoch(year, month, day)*86400 + int64(hour)*3600 + int64(minute)*60 + int64(sec)
	return Time(secs*1e9 + nano), true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSinceEpoch counts days of the proleptic Gregorian calendar from
// 1970-01-01. Years begin in March, so that the leap day is the last one
// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400 // year is positive here
	yoe := year - era*400
	doy := (153*((month+9)%12)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

// Go returns t as a time.Time in UTC.
func (t Time) Go() time.Time { return time.Unix(0, int64(t)).UTC() }

// Add returns t+d, held at the ends of time.
func (t Time) Add(d Duration) Time {
	switch s := t + Time(d); {
	case t == MinTime || t == MaxTime:
		return t
	case d > 0 && s < t:
		return MaxTime
	case d < 0 && s > t:
		return MinTime
	default:
		return s
	}
}

// Sub returns t-u, held at the longest duration there is.
func (t Time) Sub(u Time) Duration {
	d := t - u
	switch {
	case t > u && d < 0:
		return math.MaxInt64
	case t < u && d > 0:
		return math.MinInt64
	}
	return Duration(d)
}

// String prints t in RFC 3339, UTC, with as many decimals as it needs.
func (t Time) String() string {
	switch t {
	case MinTime:
		return "-inf"
	case MaxTime:
		return "+inf"
	}
	return string(t.Append(nil))
}

// Append appends t in RFC 3339, UTC, to dst.
func (t Time) Append(dst []byte) []byte { return t.Go().AppendFormat(dst, time.RFC3339Nano) }
