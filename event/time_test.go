package event

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"},
		{"2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.123456789Z"},
		{"2026-03-01T12:00:00.5+01:30", "2026-03-01T10:30:00.5Z"},
		{"2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"},
		{"2026-03-01T00:00:00.123456-00:30", "2026-03-01T00:30:00.123456Z"}, {"2026-03-01T00:00:00+23:59", "2026-02-28T00:01:00Z"},
		{"1678-01-01T00:00:00+00:01", ""}, {"2261-12-31T23:59:59-00:01", ""}, {"2261-12-31T23:59:59+00:01", "2261-12-31T23:58:59Z"}, {"1678-01-01T00:00:00-00:00", "1678-01-01T00:00:00Z"},
		{"1678-01-01T00:00:00Z", "1678-01-01T00:00:00Z"},
		{"2261-12-31T23:59:59.999999999Z", "2261-12-31T23:59:59.999999999Z"},
		{"2026-03-01T12:00:00.1234567891Z", "2026-03-01T12:00:00.123456789Z"},
		{"2025-02-29T00:00:00Z", ""}, {"2026-13-01T00:00:00Z", ""}, {"2026-00-01T00:00:00Z", ""}, {"2026-01-32T00:00:00Z", ""},
		{"2026-01-01T24:00:00Z", ""}, {"2026-01-01T00:60:00Z", ""}, {"2026-01-01T00:00:60Z", ""},
		{"2026-01-01T00:00:00", ""}, {"2026-01-01 00:00:00Z", ""}, {"2026-01-01", ""}, {"1767225600", ""}, {"", ""}, {"Z", ""},
		{"2026-01-01T1:00:00Z", ""}, {"2026-01-01T00:00:00,5Z", ""}, {"2026-01-01T00:00:00.Z", ""}, {"2026-01-01T00:00:00+25:00", ""},
		{"2026-01-01T00:00:0:Z", ""}, {"2026-01-01T00:00:00.1x3Z", ""}, {"1677-12-31T23:59:59Z", ""}, {"2262-01-01T00:00:00Z", ""}, {"0001-01-01T00:00:00Z", ""},
	} {
		got, err := ParseTime(test.text)
		switch {
		case test.want == "" && err == nil:
			t.Errorf("%q is the time %s", test.text, got)
		case test.want != "" && (err != nil || got.String() != test.want):
			t.Errorf("%q: got %s, %v; want %s", test.text, got, err, test.want)
		}
	}
	if _, err := ParseTime("2262-01-01T00:00:00Z"); !errors.Is(err, ErrTimeRange) {
		t.Error(err)
	}
	var r TimeReader
	r.Parse("2026-03-01T12:00:00Z")
	for _, test := range []struct{ text, want string }{
		{"2026-03-01T12:00:59.25Z", "2026-03-01T12:00:59.25Z"}, {"2026-03-01T12:00:00+01:00", "2026-03-01T11:00:00Z"}, {"2026-03-01T12:01:00Z", "2026-03-01T12:01:00Z"},
		{"2026-03-01T12:01", ""}, {"2026-03-01T12:01:60Z", ""}, {"2026-03-01T12:01:00.123456789Z", "2026-03-01T12:01:00.123456789Z"}, {"2026-03-01T12:0A:00Z", ""},
	} {
		if got, err := r.Parse(test.text); (err != nil) != (test.want == "") || err == nil && got.String() != test.want {
			t.Errorf("%q: got %s, %v; want %s", test.text, got, err, test.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ParseTime("2026-03-01T12:00:00.250Z") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Every day of the years that a Time can hold, and the ends of each.
func TestCalendar(t *testing.T) {
	for day := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2262; day = day.AddDate(0, 0, 1) {
		text := day.Format("2006-01-02") + "T00:00:00Z"
		if got, ok := parseTimeFast(text); !ok || int64(got) != day.UnixNano() {
			t.Fatalf("%s: got %d %v, want %d", text, got, ok, day.UnixNano())
		}
		if next := day.AddDate(0, 0, 1); next.Month() != day.Month() {
			text := day.Format("2006-01-") + string('0'+byte((day.Day()+1)/10)) + string('0'+byte((day.Day()+1)%10)) + "T00:00:00Z"
			if got, ok := parseTimeFast(text); ok {
				t.Fatalf("%s is the time %v", text, got)
			}
		}
	}
}

// FuzzParseTime holds the fast path against the standard library, and what is
// printed against what was read.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-03-01T12:00:00Z", "2026-03-01T12:00:00.5Z", "2026-02-29T12:00:00.123456789Z", "1700-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2026-03-01T12:00:00+01:00", "2026-12-31T23:59:60Z", "2261-12-31T23:59:59.9999999999Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		std, stdErr := time.Parse(time.RFC3339Nano, s)
		if stdErr == nil && (s[13] != ':' || strings.Contains(s, ",")) {
			stdErr = errors.New("not RFC 3339")
		}
		fast, ok := parseTimeFast(s)
		if ok && (stdErr != nil || int64(fast) != std.UnixNano()) {
			t.Fatalf("%q: got %d, the library has %v %v", s, fast, std, stdErr)
		}
		got, err := ParseTime(s)
		for _, before := range []string{"2026-03-01T12:00:00Z", s[:min(len(s), minuteLength)] + ":00Z", s} {
			var r TimeReader
			r.Parse(before)
			if read, readErr := r.Parse(s); read != got || fmt.Sprint(readErr) != fmt.Sprint(err) {
				t.Fatalf("%q behind %q: got %s %v, want %s %v", s, before, read, readErr, got, err)
			}
			if len(s) >= minuteLength {
				minute, known := r.Minute((*[minuteLength]byte)([]byte(s)))
				if want, wantErr := ParseTime(s[:minuteLength] + ":00Z"); known && (wantErr != nil || minute != want) || !known && err == nil {
					t.Fatalf("%q behind itself is of the minute %s %v, want %s %v", s, minute, known, want, wantErr)
				}
			}
		}
		if err != nil {
			if stdErr == nil && std.UTC().Year() >= 1678 && std.UTC().Year() <= 2261 {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if stdErr != nil || !got.Go().Equal(std) {
			t.Fatalf("%q: got %s, the library has %v %v", s, got, std, stdErr)
		}
		if back, err := ParseTime(got.String()); err != nil || back != got {
			t.Fatalf("%q: %s reads back as %s (%v)", s, got, back, err)
		}
	})
}

func TestTimeArithmetic(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, test := range []struct {
		t    Time
		d    Duration
		want Time
	}{{0, 5, 5}, {5, -10, -5}, {MaxTime - 1, 1, MaxTime}, {MaxTime - 1, year, MaxTime}, {MinTime + 1, -year, MinTime}, {MinTime, year, MinTime}, {MaxTime, -year, MaxTime},
		{MinTime + 5, math.MaxInt64, 4}, {MaxTime - 5, math.MinInt64, -6}} {
		if got := test.t.Add(test.d); got != test.want {
			t.Errorf("%d + %d: got %d, want %d", test.t, test.d, got, test.want)
		}
	}
	for _, test := range []struct {
		t, u Time
		want Duration
	}{{7, 5, 2}, {5, 7, -2}, {MaxTime, MinTime, math.MaxInt64}, {MinTime, MaxTime, math.MinInt64}, {MaxTime, -1, math.MaxInt64}, {MinTime, 1, math.MinInt64}, {MinTime, 0, math.MinInt64}, {0, MinTime, math.MaxInt64}, {MaxTime, MaxTime, 0}} {
		if got := test.t.Sub(test.u); got != test.want {
			t.Errorf("%d - %d: got %d, want %d", test.t, test.u, got, test.want)
		}
	}
	if MinTime.String() != "-inf" || MaxTime.String() != "+inf" {
		t.Error(MinTime, MaxTime)
	}
	if _, err := FromTime(time.Time{}); !errors.Is(err, ErrTimeRange) {
		t.Error(err)
	}
	zoned := time.Date(2262, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600))
	if got, err := FromTime(zoned); err != nil || got.String() != "2261-12-31T23:30:00Z" {
		t.Error(got, err)
	}
}

func TestDurations(t *testing.T) {
	for _, test := range []struct {
		text string
		want Duration
		out  string
	}{
		{"0", 0, "0s"}, {"-0", 0, "0s"}, {"0s", 0, "0s"}, {"500ms", 500 * time.Millisecond, "500ms"}, {"5m", 5 * time.Minute, "5m"}, {"1h30m", 90 * time.Minute, "1h30m"},
		{"7d", 168 * time.Hour, "7d"}, {"1w", 168 * time.Hour, "7d"}, {"1.5s", 1500 * time.Millisecond, "1s500ms"}, {"36h", 36 * time.Hour, "1d12h"}, {"90s", 90 * time.Second, "1m30s"},
		{"-1m30s", -90 * time.Second, "-1m30s"}, {"1us1ns", 1001, "1us1ns"}, {"0.5ns", 1, "1ns"}, {".5s", 500 * time.Millisecond, "500ms"},
		{"106751d23h47m16s854ms775us807ns", math.MaxInt64, "106751d23h47m16s854ms775us807ns"},
		{"-106751d23h47m16s854ms775us808ns", math.MinInt64, "-106751d23h47m16s854ms775us808ns"},
	} {
		got, err := ParseDuration(test.text)
		if err != nil || got != test.want || FormatDuration(got) != test.out {
			t.Errorf("%q: got %d %s, %v; want %d %s", test.text, got, FormatDuration(got), err, test.want, test.out)
		}
	}
	for text, want := range map[string]string{
		"": "not a duration", "-": "not a", "5": "not a", "m": "not a", "5 m": "not a", "5M": "not a", "1m1h": "not a", "1m1m": "not a", "1ms1s": "not a", "1..5s": "not a",
		".s": "not a", "+5m": "not a", "--5m": "not a", "1e3s": "not a", "5m\u00b5": "not a", "1y": "not a", "1\u00b5s": "not a", "PT5M": "not a", "0x5m": "not a",
		"106751d23h47m16s854ms775us808ns": "longer", "99999999999999999999s": "longer", "1e": "not a", "20000000000s": "longer", "15250.3w": "longer",
		"15250w9223372036s854775807ns": "longer", "18446744073709551615ns": "longer", "9223372036854775808ns": "longer", "-9223372036854775809ns": "longer",
		"4611686018427387904us": "longer", strings.Repeat("9", 400) + "s": "longer", "1" + strings.Repeat("0", 400) + ".5s": "longer",
	} {
		got, err := ParseDuration(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %d, %v; want %q", text, got, err, want)
		}
	}
}

// FuzzDuration prints every duration as it is read.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"1h30m", "1.5s", "7d", "-5m", "106751d23h47m16s854ms775us807ns", "9223372036.854775807s"} {
		f.Add(s, int64(1))
	}
	f.Add("", int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, s string, n int64) {
		for _, d := range []Duration{Duration(n), Duration(n % 1e12)} {
			if back, err := ParseDuration(FormatDuration(d)); err != nil || back != d {
				t.Fatalf("%d prints as %s, which is %d (%v)", d, FormatDuration(d), back, err)
			}
		}
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if back, err := ParseDuration(FormatDuration(d)); err != nil || back != d {
			t.Fatalf("%q is %d, printed as %s, which is %d (%v)", s, d, FormatDuration(d), back, err)
		}
	})
}
