package daemon

import (
	"sync"
	"time"

	"github.com/cepd/cepd/event"
)

// maxBehind is how far the wall clock may be behind the last record before it
// is called wrong: more than what keeping time in step takes.
const maxBehind = 10 * time.Second

// maxStep is how far the wall clock may be set forward at once without a word:
// as far as events may be ahead of it, where rules do not say.
const maxStep = 5 * time.Minute

// clock stamps records. It never goes back, and never runs slower than
// monotonic time: a wall clock that is set back makes it run on from where it
// was, one that is set forward is followed.
type clock struct {
	wall    func() time.Time
	elapsed func(now, before time.Time) time.Duration // by monotonic time

	mu   sync.Mutex
	read time.Time // last reading of wall, with its monotonic part
	last event.Time
	lag  time.Duration // how far wall is behind
	leap time.Duration // how far wall was set forward, in steps that are too large to be nothing
}

func newClock(wall func() time.Time) *clock {
	c := &clock{wall: wall, elapsed: time.Time.Sub, last: event.MinTime}
	c.now()
	return c
}

func (c *clock) now() event.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.wall()
	now, err := event.FromTime(t)
	if err != nil { // a clock outside of all years we know is no clock
		now = c.last
	}
	wall := now
	if c.last != event.MinTime {
		runsOn := c.last.Add(max(c.elapsed(t, c.read), 0))
		if step := now.Sub(runsOn); step > maxStep {
			c.leap += step
		}
		now = max(now, runsOn)
	}
	c.read, c.last, c.lag = t, now, now.Sub(wall)
	return now
}

// reached tells the clock of a time that has been, such as that of the last
// record of a log: it goes on from there.
func (c *clock) reached(t event.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, t)
}

// leapt returns how far the wall clock was set forward since it was last asked.
func (c *clock) leapt() time.Duration {
	c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.leap
	c.leap = 0
	return d
}

// behind returns how far the wall clock is behind the time that records get.
func (c *clock) behind() time.Duration {
	c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lag
}
