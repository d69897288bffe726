package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gorhill/cronexpr"

	"github.com/cepd/cepd/event"
)

// cronTicks are the moments that a cron expression names in a time zone. Its
// own times are of the wall clock: the zone says when a clock on the wall shows
// them. Where a change of the clock skips the time, the tick is at the change;
// where it repeats it, the tick is at the first of the two. So there are never
// more ticks than the expression names, and they have the order of their times
// on the wall.
//
// The library that reads expressions is asked once, for a time without any
// zone, and only forward. What it says is kept as the days and the times of day
// that match, which are independent of each other. Times on the wall are counted
// in seconds since 1970, as if they were UTC.
type cronTicks struct {
	times []int64  // seconds of the day, ascending
	days  []uint64 // a bit for each day since 1970
	zone  *time.Location
}

const (
	secondsPerDay = 24 * 60 * 60
	// The years that the library knows.
	firstYear, lastYear = 1970, 2099
	cronDays            = 130*365 + 32
)

// cronWords stand for whole expressions.
var cronWords = map[string]bool{"@hourly": true, "@daily": true, "@midnight": true, "@weekly": true, "@monthly": true, "@yearly": true, "@annually": true}

// parseCron reads a cron expression: minute, hour, day of month, month, day of
// week; a field before them for seconds and one after them for years may be
// there too, or one word like @daily in place of all.
func parseCron(text string, zone *time.Location) (c *cronTicks, err error) {
	defer func() {
		if recover() != nil { // the library does not check all that it reads
			c, err = nil, errors.New("a field of the expression is out of its range")
		}
	}()
	fields := strings.Fields(text)
	n := len(fields)
	word := n == 1 && strings.HasPrefix(fields[0], "@")
	switch {
	case word && !cronWords[fields[0]]:
		return nil, fmt.Errorf("there is no %s; the words are @hourly, @daily, @weekly, @monthly and @yearly", fields[0])
	case !word && (n < 5 || n > 7):
		return nil, fmt.Errorf("a cron expression has 5 fields, and this one has %d", n)
	}
	years := "*"
	if n > 5 {
		years, fields[n-1] = fields[n-1], "*"
	}
	x, err := cronexpr.Parse(strings.Join(fields, " "))
	if err != nil {
		return nil, err
	}
	inYear, err := cronexpr.Parse("0 0 1 1 * " + years)
	if err != nil {
		return nil, err
	}
	c = &cronTicks{days: make([]uint64, cronDays/64+1), zone: zone}
	months := monthsOf(x)
	found := false
	for year := firstYear; year <= lastYear; year++ {
		start := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		if !inYear.Next(start.Add(-1)).Equal(start) {
			continue
		}
		for month := time.January; month <= time.December; month++ {
			first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
			days := months[kindOfMonth(first)]
			for day := first.Unix() / secondsPerDay; days != 0; day, days = day+1, days>>1 {
				c.days[day/64] |= uint64(days&1) << (day % 64)
				found = true
			}
		}
	}
	if !found {
		return nil, errors.New("no such date ever comes")
	}
	t := x.Next(time.Unix(-1, 0).UTC())
	for day := t.Unix() / secondsPerDay; t.Unix()/secondsPerDay == day; t = x.Next(t) {
		c.times = append(c.times, t.Unix()%secondsPerDay)
	}
	return c, nil
}

// A monthKind is what decides which days of a month match.
type monthKind struct {
	month time.Month
	first time.Weekday
	days  int
}

func kindOfMonth(first time.Time) monthKind {
	return monthKind{first.Month(), first.Weekday(), first.AddDate(0, 1, -1).Day()}
}

// monthsOf asks for the days of each kind of month, as bits. All kinds come in
// 28 years.
func monthsOf(x *cronexpr.Expression) map[monthKind]uint32 {
	months := map[monthKind]uint32{}
	for i := range 28 * 12 {
		first := time.Date(2000, time.January+time.Month(i), 1, 0, 0, 0, 0, time.UTC)
		kind := kindOfMonth(first)
		if _, known := months[kind]; known {
			continue
		}
		days := uint32(0)
		for t := x.Next(first.Add(-1)); !t.IsZero() && t.Month() == first.Month() && t.Year() == first.Year(); {
			days |= 1 << (t.Day() - 1)
			t = x.Next(time.Date(t.Year(), t.Month(), t.Day(), 23, 59, 59, 0, time.UTC))
		}
		months[kind] = days
	}
	return months
}

func (c *cronTicks) matches(day int64) bool {
	return day >= 0 && day < cronDays && c.days[day/64]&(1<<(day%64)) != 0
}

// wallAfter returns the first time on the wall after w, and false for none.
func (c *cronTicks) wallAfter(w int64) (int64, bool) {
	day, second := splitDay(w)
	if c.matches(day) {
		if i, _ := slices.BinarySearch(c.times, second+1); i < len(c.times) {
			return day*secondsPerDay + c.times[i], true
		}
	}
	for day = max(day+1, 0); day < cronDays; day++ {
		if c.matches(day) {
			return day*secondsPerDay + c.times[0], true
		}
	}
	return 0, false
}

// wallUntil returns the last time on the wall at or before w, and false for
// none.
func (c *cronTicks) wallUntil(w int64) (int64, bool) {
	day, second := splitDay(w)
	if c.matches(day) {
		if i, _ := slices.BinarySearch(c.times, second+1); i > 0 {
			return day*secondsPerDay + c.times[i-1], true
		}
	}
	for day = min(day-1, cronDays-1); day >= 0; day-- {
		if c.matches(day) {
			return day*secondsPerDay + c.times[len(c.times)-1], true
		}
	}
	return 0, false
}

func splitDay(w int64) (day, second int64) {
	day, second = w/secondsPerDay, w%secondsPerDay
	if second < 0 {
		day, second = day-1, second+secondsPerDay
	}
	return day, second
}

// wall returns what a clock on the wall shows at t, without its fraction of a
// second.
func (c *cronTicks) wall(t event.Time) int64 {
	g := t.Go().In(c.zone)
	_, offset := g.Zone()
	return g.Unix() + int64(offset)
}

// maxOffset is more than any zone has ever been away from UTC.
const maxOffset = secondsPerDay

// instant returns when a clock on the wall first shows w, or the change that
// skips it. It looks at the offset from hour to hour, since no two changes are
// closer, and not at Time.ZoneBounds: with a database that leaves the future to
// a rule, that names the last day of a leap year as its own end.
func (c *cronTicks) instant(w int64) event.Time {
	for t := w - maxOffset; ; {
		next := t + secondsPerHour
		before, after := c.offset(t), c.offset(next)
		if before != after {
			next = c.change(t, next)
		}
		if at := w - before; at < next {
			return fromSeconds(max(at, t)) // t: the clock went past w at the change
		}
		t = next
	}
}

const secondsPerHour = 3600

// offset returns how far the zone is from UTC at a time, both in seconds.
func (c *cronTicks) offset(t int64) int64 {
	_, offset := time.Unix(t, 0).In(c.zone).Zone()
	return int64(offset)
}

// change returns the first second after lo, up to hi, that has another offset
// than lo. The offset at hi is another.
func (c *cronTicks) change(lo, hi int64) int64 {
	for before := c.offset(lo); hi-lo > 1; {
		if mid := lo + (hi-lo)/2; c.offset(mid) == before {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

func fromSeconds(s int64) event.Time { return event.Time(s * int64(time.Second)) }

// shown returns the earliest time on the wall of which no tick up to t can be
// known from what the wall shows at t: t's own, or where a change has set the
// clock back to show an hour again, the end of that hour.
func (c *cronTicks) shown(t event.Time) int64 {
	w := c.wall(t)
	if c.zone == time.UTC || c.instant(w) >= fromSeconds(t.Go().Unix()) {
		return w
	}
	for hi := t.Go().Unix(); ; hi -= secondsPerHour { // the change was within a day
		if lo := hi - secondsPerHour; c.offset(lo) != c.offset(hi) {
			return max(w, c.change(lo, hi)+c.offset(lo)-1)
		}
	}
}

// Next implements [window.Ticks].
func (c *cronTicks) Next(t event.Time) event.Time {
	for w := c.shown(t); ; {
		next, ok := c.wallAfter(w)
		if !ok {
			return event.MaxTime
		}
		if at := c.instant(next); at > t {
			return at
		}
		w = next
	}
}

// Prev implements [window.Ticks].
func (c *cronTicks) Prev(t event.Time) event.Time {
	for w := c.shown(t); ; {
		last, ok := c.wallUntil(w)
		if !ok {
			return event.MinTime
		}
		if at := c.instant(last); at <= t {
			return at
		}
		w = last - 1
	}
}

// openHours are hours that begin at ticks and are of one length. They implement
// [Hours].
type openHours struct {
	ticks  *cronTicks
	length event.Duration
}

// maxJoined bounds how many stretches of hours that touch each other are
// taken for one.
const maxJoined = 1000

// Open implements [Hours].
func (h *openHours) Open(t event.Time) (open bool, until event.Time) {
	start := h.ticks.Prev(t)
	next := h.ticks.Next(t)
	if start == event.MinTime || start.Add(h.length) <= t {
		return false, next
	}
	end := start.Add(h.length)
	for range maxJoined {
		if next > end {
			return true, end
		}
		end = next.Add(h.length)
		next = h.ticks.Next(next)
	}
	return true, end
}
