package daemon

import (
	"sync"
	"time"

	"github.com/cepd/cepd/event"
)

// clock stamps records. It never goes back, and never runs slower than
// monotonic time: a wall clock that is set back makes it run on from where it
// was, one that is set forward is followed.
type clock struct {
	wall func() time.Time

	mu   sync.Mutex
	read time.Time // last reading of wall, with its monotonic part
	last event.Time
}

func newClock(wall func() time.Time) *clock {
	c := &clock{wall: wall, last: event.MinTime}
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
	if c.last != event.MinTime {
		now = max(now, c.last.Add(max(t.Sub(c.read), 0)))
	}
	c.read, c.last = t, now
	return now
}
