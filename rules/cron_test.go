package rules

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/zone"
)

var allYears = flag.Bool("all-years", false, "try changes of the clock from 1970 to 2037, not of a few years only")

// dailyTimes are cron expressions and what they mean on any day.
var dailyTimes = []struct {
	cron    string
	matches func(hour, minute int) bool
}{
	{"*/15 * * * *", func(_, m int) bool { return m%15 == 0 }},
	{"30 0-3,23 * * *", func(h, m int) bool { return m == 30 && (h <= 3 || h == 23) }},
	{"0 0 * * *", func(h, m int) bool { return h == 0 && m == 0 }},
	{"59 1,2 * * *", func(h, m int) bool { return m == 59 && (h == 1 || h == 2) }},
}

// TestChangesOfTheClock asks for the ticks around every change of the clock of
// every zone, and compares them with what one sees who looks at a clock on the
// wall every minute: a tick is when it shows a time for the first time, or has
// gone past it.
func TestChangesOfTheClock(t *testing.T) {
	from, to := 2021, 2027
	if *allYears {
		from, to = 1970, 2038
	}
	data, err := os.ReadFile("testdata/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	var ticks []*cronTicks
	for _, d := range dailyTimes {
		c, err := parseCron(d.cron, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		ticks = append(ticks, c)
	}
	changes := 0
	seen := map[string]bool{}
	for _, name := range strings.Fields(string(data)) {
		z, err := zone.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).In(z) }
		for _, change := range changesOf(z, year(from), year(to)) {
			_, before := change.Add(-time.Second).Zone()
			_, after := change.Zone()
			same := fmt.Sprint(change.Unix(), before, after)
			if seen[same] || before%60 != 0 || after%60 != 0 {
				continue // an alias, or a clock of before the hours of zones
			}
			seen[same] = true
			changes++
			for i, d := range dailyTimes {
				c := *ticks[i]
				c.zone = z
				aroundChange(t, name+", "+d.cron, change, &c, d.matches)
			}
		}
	}
	if changes < 100 {
		t.Errorf("only %d changes of the clock", changes)
	}
	t.Logf("%d changes of the clock", changes)
}

// changesOf returns when a zone changes its offset.
func changesOf(z *time.Location, from, to time.Time) []time.Time {
	var out []time.Time
	for at := from; ; {
		_, end := at.ZoneBounds()
		if !end.IsZero() && !end.After(at) { // see instant
			at = at.Add(48 * time.Hour)
			continue
		}
		if end.IsZero() || !end.Before(to) {
			return out
		}
		_, before := at.Zone()
		if _, after := end.Zone(); after != before {
			out = append(out, end)
		}
		at = end
	}
}

const aroundHours = 28 // more than any clock was ever set forward or back

func aroundChange(t *testing.T, name string, change time.Time, c *cronTicks, matches func(hour, minute int) bool) {
	start := change.Add(-aroundHours * time.Hour).Truncate(time.Minute)
	var want []event.Time
	wall := func(at time.Time) int64 { _, offset := at.Zone(); return at.Unix()/60 + int64(offset)/60 }
	shown := wall(start)
	for at := start.Add(time.Minute); at.Before(change.Add(aroundHours * time.Hour)); at = at.Add(time.Minute) {
		due := false
		for ; shown < wall(at); shown++ {
			m := int((shown + 1) % (24 * 60))
			due = due || matches(m/60, m%60)
		}
		if due {
			want = append(want, event.Time(at.UnixNano()))
		}
	}
	var got []event.Time
	end := event.Time(change.Add(aroundHours * time.Hour).UnixNano())
	for at := c.Next(event.Time(start.UnixNano())); at < end; at = c.Next(at) {
		got = append(got, at)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s, %s:\n got %v\nwant %v", name, change, got, want)
		return
	}
	for i, at := range want {
		if c.Prev(at) != at || i > 0 && (c.Prev(at-1) != want[i-1] || c.Next(want[i-1]) != at || c.Next(at-1) != at) {
			t.Errorf("%s: %v has the wrong neighbours", name, at)
		}
	}
}

func TestCron(t *testing.T) {
	tests := []struct {
		cron, zone, after string
		want              string // the next ticks
	}{
		{"0 9 * * 1-5", "Asia/Tokyo", "2026-03-06T00:00:00Z", "2026-03-09T00:00:00Z 2026-03-10T00:00:00Z"},
		{"0 9 * * MON-FRI", "UTC", "2026-03-06T09:00:00Z", "2026-03-09T09:00:00Z"},
		{"@daily", "UTC", "2026-03-06T00:00:00Z", "2026-03-07T00:00:00Z"},
		{"0 0 L * *", "UTC", "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z 2026-03-31T00:00:00Z"},
		{"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z"},
		{"0 0 1W * *", "UTC", "2026-07-15T00:00:00Z", "2026-08-03T00:00:00Z"},
		{"0 0 * * 5#2", "UTC", "2026-03-01T00:00:00Z", "2026-03-13T00:00:00Z 2026-04-10T00:00:00Z"},
		{"*/20 0 12 * * * *", "UTC", "2026-03-01T12:00:20Z", "2026-03-01T12:00:40Z 2026-03-02T12:00:00Z"},
		{"0 12 1 1 * 2030", "UTC", "2026-03-01T12:00:20Z", "2030-01-01T12:00:00Z none"},
		// Oslo sets its clocks from 2:00 to 3:00 on 29 March, and from 3:00 to 2:00 on 25 October.
		{"30 2 * * *", "Europe/Oslo", "2026-03-28T00:00:00Z", "2026-03-28T01:30:00Z 2026-03-29T01:00:00Z 2026-03-30T00:30:00Z"},
		{"30 2 * * *", "Europe/Oslo", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"},
		{"0 3 * * *", "Europe/Oslo", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T01:00:00Z"},
		{"0 * * * *", "Europe/Oslo", "2026-10-24T22:30:00Z", "2026-10-24T23:00:00Z 2026-10-25T00:00:00Z 2026-10-25T02:00:00Z"},
		// Samoa went without 30 December 2011.
		{"0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-29T22:00:00Z 2011-12-30T10:00:00Z 2011-12-30T22:00:00Z"},
	}
	for _, test := range tests {
		z, err := zone.Load(test.zone)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseCron(test.cron, z)
		if err != nil {
			t.Error(test.cron, err)
			continue
		}
		at, err := event.ParseTime(test.after)
		if err != nil {
			t.Fatal(err)
		}
		for want := range strings.FieldsSeq(test.want) {
			at = c.Next(at)
			got := at.String()
			if at == event.MaxTime {
				got = "none"
			}
			if got != want {
				t.Errorf("%s in %s: got %s, want %s", test.cron, test.zone, got, want)
			}
		}
	}
}

func TestCronMistakes(t *testing.T) {
	for _, cron := range []string{"", "* * * *", "0 0 31 2 *", "0 24 * * *", "61 * * * *", "a b c d e", "* * * * * * * *", "@sometimes", "@every 5m", "@daily 5", "*/0 * * * *",
		"5-1 * * * *", "0 0 0 * *", "0 0 * * 9", "0 0 * * * 1900", "0 0 1 1 * 2100"} {
		if c, err := parseCron(cron, time.UTC); err == nil {
			t.Errorf("%q is taken: %v", cron, c.Next(0))
		}
	}
}

// TestTicksAgree asks at random times whether Next and Prev say the same.
func TestTicksAgree(t *testing.T) {
	var ticks []*cronTicks
	for _, name := range []string{"UTC", "Europe/Oslo", "Australia/Lord_Howe", "America/St_Johns", "Antarctica/Troll", "Africa/Casablanca"} {
		z, err := zone.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, cron := range []string{"* * * * *", "0 * * * *", "13 2 * * *", "0 0 1 1 *", "* 30 1-3 * * * *"} {
			c, err := parseCron(cron, z)
			if err != nil {
				t.Fatal(err)
			}
			ticks = append(ticks, c)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(ticks).Draw(t, "ticks")
		// To the second, near the days on which clocks change in many zones.
		day := rapid.SampledFrom([]string{"2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01", "1969-12-31", "2099-12-31"}).Draw(t, "day")
		base, _ := event.ParseTime(day + "T00:00:00Z")
		at := base.Add(time.Duration(rapid.Int64Range(-int64(30*time.Hour), int64(30*time.Hour)).Draw(t, "offset")))
		prev, next := c.Prev(at), c.Next(at)
		if prev > at || next <= at {
			t.Fatalf("%s lies outside of %s and %s", at, prev, next)
		}
		if next != event.MaxTime && (c.Prev(next) != next || c.Prev(next-1) != prev) {
			t.Fatalf("%s: before %s comes %s, not %s", at, next, c.Prev(next-1), prev)
		}
		if prev != event.MinTime && (c.Next(prev) != next || c.Next(prev-1) != prev) {
			t.Fatalf("%s: after %s comes %s, not %s", at, prev, c.Next(prev), next)
		}
	})
}

func TestHours(t *testing.T) {
	z, err := zone.Load("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCron("0 8 * * 1-5", z)
	if err != nil {
		t.Fatal(err)
	}
	h := &openHours{ticks: c, length: 10 * time.Hour}
	for _, test := range []struct {
		at    string
		open  bool
		until string
	}{
		{"2026-03-06T06:59:59Z", false, "2026-03-06T07:00:00Z"},
		{"2026-03-06T07:00:00Z", true, "2026-03-06T17:00:00Z"},
		{"2026-03-06T17:00:00Z", false, "2026-03-09T07:00:00Z"},
		{"2026-03-30T06:00:00Z", true, "2026-03-30T16:00:00Z"},
	} {
		at, _ := event.ParseTime(test.at)
		if open, until := h.Open(at); open != test.open || until.String() != test.until {
			t.Errorf("%s: got %v until %s, want %v until %s", test.at, open, until, test.open, test.until)
		}
	}
	// Hours that touch are one stretch.
	daily, _ := parseCron("0 0,8 * * *", time.UTC)
	h = &openHours{ticks: daily, length: 8 * time.Hour}
	if open, until := h.Open(0); !open || until.String() != "1970-01-01T16:00:00Z" {
		t.Error(open, until)
	}
}

// FuzzCron wants an error or ticks in order, for any text.
func FuzzCron(f *testing.F) {
	for _, d := range dailyTimes {
		f.Add(d.cron)
	}
	f.Add("0 0 L-3W * 5#2 2030")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCron(text, time.UTC)
		if err != nil {
			return
		}
		at := c.Next(event.MinTime)
		for range 5 {
			next := c.Next(at)
			if next <= at && next != event.MaxTime || next != event.MaxTime && c.Prev(next) != next {
				t.Fatalf("%q: after %s comes %s", text, at, next)
			}
			at = next
		}
	})
}

func BenchmarkParseCron(b *testing.B) {
	for _, cron := range []string{"0 9 * * 1-5", "* * * * *", "* * * * * * *"} {
		b.Run(cron, func(b *testing.B) {
			for b.Loop() {
				if _, err := parseCron(cron, time.UTC); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTicks(b *testing.B) {
	z, err := zone.Load("Europe/Oslo")
	if err != nil {
		b.Fatal(err)
	}
	c, err := parseCron("0 9 * * 1-5", z)
	if err != nil {
		b.Fatal(err)
	}
	at, _ := event.ParseTime("2026-03-06T17:00:00Z")
	for b.Loop() {
		c.Prev(at)
		c.Next(at)
	}
}
