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

// A TimeReader reads times one after the other. It remembers the minute of the
// last one, which times that come together mostly share; that affects its
// speed and nothing else. The zero TimeReader remembers none.
type TimeReader struct {
	minute [minuteLength]byte // as it was written
	start  Time               // of that minute, where no zone is meant
	known  bool
}

// minuteLength is that of YYYY-MM-DDThh:mm.
const minuteLength = 16

// Parse is [ParseTime].
func (r *TimeReader) Parse(s string) (Time, error) {
	if len(s) <= minuteLength {
		return ParseTime(s)
	}
	if !r.known || s[:minuteLength] != string(r.minute[:]) {
		start, ok := parseMinute(s)
		if !ok {
			return ParseTime(s)
		}
		copy(r.minute[:], s)
		r.start, r.known = start, true
	}
	if t, ok := parseRest(r.start, s[minuteLength:]); ok {
		return t, nil
	}
	return ParseTime(s)
}

// Minute returns the beginning of the minute that b is, as YYYY-MM-DDThh:mm, if it
// is that of the last time.
func (r *TimeReader) Minute(b *[minuteLength]byte) (Time, bool) {
	return r.start, r.known && *b == r.minute
}

// parseTimeFast reads the forms YYYY-MM-DDThh:mm:ss[.fraction]Z, and with an
// offset like +01:00 in place of the Z. It answers false for everything else,
// valid or not, which is then left to the standard library.
func parseTimeFast(s string) (Time, bool) {
	start, ok := parseMinute(s)
	if !ok {
		return 0, false
	}
	return parseRest(start, s[minuteLength:])
}

// parseMinute reads YYYY-MM-DDThh:mm at the beginning of s.
func parseMinute(s string) (Time, bool) {
	if len(s) < minuteLength || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' {
		return 0, false
	}
	year, month, day := digits(s, 0)*100+digits(s, 2), digits(s, 5), digits(s, 8)
	hour, minute := digits(s, 11), digits(s, 14)
	if year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 {
		return 0, false
	}
	return Time(daysSinceEpoch(year, month, day)*86400+int64(hour)*3600+int64(minute)*60) * 1e9, true
}

// digits returns the number of two digits at s[i], or one that is larger than
// any part of a time.
func digits(s string, i int) int {
	a, b := s[i]-'0', s[i+1]-'0'
	if a > 9 || b > 9 {
		return 1 << 20
	}
	return int(a)*10 + int(b)
}

// parseRest reads what follows the minute that begins at start: the colon, the
// seconds, perhaps a fraction, and the zone.
func parseRest(start Time, s string) (Time, bool) {
	if len(s) < len(":00Z") || s[0] != ':' {
		return 0, false
	}
	sec := digits(s, 1)
	if sec > 59 {
		return 0, false
	}
	end := len(s) - 1
	if s[end] != 'Z' {
		zone, ok := parseZone(s)
		if !ok || start < dayOne || start > lastDay { // with the zone it may be in another year
			return 0, false
		}
		start -= zone
		end = len(s) - len("+00:00")
	}
	nano, ok := parseFraction(s[len(":00"):end])
	return start + Time(sec)*1e9 + nano, ok
}

// dayOne and lastDay are a day inside of what [FromTime] takes.
var (
	dayOne  = Time(daysSinceEpoch(1678, 1, 2) * 86400e9)
	lastDay = Time(daysSinceEpoch(2261, 12, 30) * 86400e9)
)

// parseZone reads an offset at the end of s, which begins with the seconds.
func parseZone(s string) (Time, bool) {
	i := len(s) - len("+00:00")
	if i < len(":00") || s[i] != '+' && s[i] != '-' || s[i+3] != ':' {
		return 0, false
	}
	hour, minute := digits(s, i+1), digits(s, i+4)
	if hour > 23 || minute > 59 {
		return 0, false
	}
	zone := Time(hour*3600+minute*60) * 1e9
	if s[i] == '-' {
		zone = -zone
	}
	return zone, true
}

// parseFraction returns the nanoseconds of a fraction with its point, or of
// nothing.
func parseFraction(s string) (Time, bool) {
	if s == "" {
		return 0, true
	}
	if len(s) < 2 || len(s) > 10 || s[0] != '.' {
		return 0, false
	}
	nano, i, unit := uint64(0), 1, uint64(100_000_000)
	if len(s) > 8 {
		first, ok := eightDigits(s[1:])
		if !ok {
			return 0, false
		}
		nano, i, unit = first*10, 9, 1
	}
	for ; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		nano += uint64(d) * unit
		unit /= 10
	}
	return Time(nano), true
}

// each is one in each of eight bytes.
const each = 0x0101010101010101

// eightDigits returns the number that the first eight bytes of s are.
func eightDigits(s string) (uint64, bool) {
	_ = s[7]
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	// The upper half of a digit is 3, and stays 3 with 6 added.
	if x&(each*0xf0)|(x+each*6)&(each*0xf0)>>4 != each*0x33 {
		return 0, false
	}
	return joinDigits(x - each*'0'), true
}

// joinDigits returns the number whose digits are the bytes of x, the first in the
// lowest: neighbours join to numbers of two, four and eight digits.
func joinDigits(x uint64) uint64 {
	x = x*10 + x>>8
	return ((x&0x000000ff000000ff)*(100+1000000<<32) + (x>>16&0x000000ff000000ff)*(1+10000<<32)) >> 32
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
