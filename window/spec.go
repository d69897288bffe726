package window

import (
	"fmt"
	"strings"

	"github.com/cepd/cepd/event"
)

// Spec is what [Compile] makes of [Options]: which windows there are, and what
// is computed over each. It never changes and is shared by all keys.
type Spec struct {
	Options
	size, every, offset int64 // of windows, in nanoseconds, or in events for Counted
	rest                int64 // of a window of size that does not fit into whole everys; see paneOf
	multi               bool  // a window may have several panes
	joins               bool  // an event in an open window does nothing but join it
	walked              []int // the aggregates that are not merged ahead; see sweep
	layout              layout
}

// Limits on windows.
const (
	// MaxLength bounds all durations. Event times reach to 1678 and 2261; a
	// window at their ends has to stay within what [event.Time] can hold.
	MaxLength = 3650 * 24 * event.Duration(3600e9)
	// MaxOverlap bounds how many sliding windows one event lies in, since a key
	// keeps up to two panes for each.
	MaxOverlap = 100_000
	// MaxN bounds the events of a window of Counted, for the same reason.
	MaxN = 1_000_000_000
)

// Compile checks o. The mistakes it finds are all that there are.
func Compile(o Options) (*Spec, []Issue) {
	c := checker{o: o}
	c.assigner()
	c.span("lateness", o.Lateness, 0)
	c.span("early", o.Early, 0)
	for i, a := range o.Aggregates {
		c.aggregate(i, a)
	}
	if len(c.issues) > 0 {
		return nil, c.issues
	}
	s := &Spec{Options: o}
	a := &s.Assigner
	switch a.Kind {
	case Tumbling:
		s.size, s.every, s.offset = int64(a.Size), int64(a.Size), int64(a.Offset)
	case Sliding:
		s.size, s.every, s.offset = int64(a.Size), int64(a.Every), int64(a.Offset)
	case Counted:
		if a.Step == 0 {
			a.Step = a.N
		}
		s.size, s.every = int64(a.N), int64(a.Step)
	}
	if s.every > 0 {
		s.rest = s.size % s.every
		s.multi = s.size > s.every
	}
	s.joins = a.Kind == Tumbling || a.Kind == Cron || a.Kind == Sliding
	for i, agg := range o.Aggregates {
		if s.multi && agg.Kind == Collect {
			s.walked = append(s.walked, i)
		}
	}
	s.layout = s.layOut()
	return s, nil
}

type checker struct {
	o      Options
	issues []Issue
}

func (c *checker) bad(field, message, advice string) {
	c.issues = append(c.issues, Issue{Field: field, Aggregate: -1, Message: message, Advice: advice})
}

// span wants least <= d <= MaxLength.
func (c *checker) span(field string, d, least event.Duration) {
	switch {
	case d < least && least == 0:
		c.bad(field, fmt.Sprintf("%s is negative", field), "write a duration such as 30s")
	case d < least:
		c.bad(field, fmt.Sprintf("%s must be longer than 0s", field), "write a duration such as 5m")
	case d > MaxLength:
		c.bad(field, fmt.Sprintf("%s is longer than %s", field, event.FormatDuration(MaxLength)), "write a shorter duration")
	}
}

func (c *checker) assigner() {
	a := &c.o.Assigner
	switch a.Kind {
	case Tumbling:
		c.span("tumbling", a.Size, 1)
		c.offset(a.Size)
	case Sliding:
		c.span("sliding", a.Size, 1)
		c.span("every", a.Every, 1)
		c.offset(a.Every)
		if a.Every > 0 && a.Size/a.Every > MaxOverlap {
			c.bad("every", fmt.Sprintf("each event would lie in %d windows, more than %d", a.Size/a.Every, MaxOverlap),
				"write a longer every: "+event.FormatDuration(roundUp(a.Size/MaxOverlap)))
		}
	case Session:
		c.span("session", a.Gap, 1)
	case Counted:
		c.counted()
	case Cron:
		if a.Ticks == nil {
			c.bad("cron", "a cron window needs its ticks", "write a cron expression")
		}
	default:
		panic(fmt.Sprintf("window: unknown kind of assigner %d", a.Kind))
	}
}

func (c *checker) counted() {
	switch a := &c.o.Assigner; {
	case a.N < 1 || a.N > MaxN:
		c.bad("count", fmt.Sprintf("count must be from 1 to %d", MaxN), "write a number of events such as 100")
	case a.Step < 0:
		c.bad("every", "every is negative", "write a number of events such as 10")
	case a.Step > 0 && a.N/a.Step > MaxOverlap:
		c.bad("every", fmt.Sprintf("each event would lie in %d windows, more than %d", a.N/a.Step, MaxOverlap), "write a larger every")
	}
	if c.o.Lateness != 0 {
		c.bad("lateness", "a window of a number of events has no end in time, so lateness means nothing", "leave it out")
	}
}

func (c *checker) offset(period event.Duration) {
	if o := c.o.Assigner.Offset; o < 0 || period > 0 && o >= period {
		c.bad("offset", "offset must be from 0s to less than the distance between two windows", "write what is left after whole windows")
	}
}

// roundUp returns d rounded up to whole milliseconds, to be read in a message.
func roundUp(d event.Duration) event.Duration { return (d + 1e6) / 1e6 * 1e6 }

func (c *checker) aggregate(i int, a Aggregate) {
	bad := func(message, advice string) {
		c.issues = append(c.issues, Issue{Field: "aggregate", Aggregate: i, Message: message, Advice: advice})
	}
	switch {
	case a.Kind < Count || int(a.Kind) >= len(kinds):
		panic(fmt.Sprintf("window: unknown kind of aggregate %d", a.Kind))
	case a.Kind == Quantile && !(a.Q >= 0 && a.Q <= 1):
		bad(fmt.Sprintf("the quantile %v is not between 0 and 1", a.Q), "write 0.99 for the 99th percentile")
	case a.Kind == TopK && (a.K < 1 || a.K > MaxTopK):
		bad(fmt.Sprintf("topk can list 1 to %d values, not %d", MaxTopK, a.K), "write such a number, as in topk(e.x, 10)")
	}
}

// String prints the spec on one line. Two specs that print alike keep their
// state alike, so the text tells whether a changed rule may keep its state.
func (s *Spec) String() string {
	var b strings.Builder
	a := s.Assigner
	d := event.FormatDuration
	switch a.Kind {
	case Tumbling:
		b.WriteString("tumbling " + d(a.Size))
	case Sliding:
		b.WriteString("sliding " + d(a.Size) + " every " + d(a.Every))
	case Session:
		b.WriteString("session " + d(a.Gap))
	case Counted:
		fmt.Fprintf(&b, "count %d every %d", a.N, a.Step)
	case Cron:
		b.WriteString("cron " + a.Label)
	}
	for _, x := range []struct {
		name string
		d    event.Duration
	}{{"offset", a.Offset}, {"lateness", s.Lateness}, {"early", s.Early}} {
		if x.d != 0 {
			b.WriteString(" " + x.name + " " + d(x.d))
		}
	}
	for i, agg := range s.Aggregates {
		b.WriteString([]string{": ", ", "}[min(i, 1)] + agg.String())
	}
	return b.String()
}

// String prints the aggregate with its parameter, as in quantile(0.99).
func (a Aggregate) String() string {
	switch a.Kind {
	case Quantile:
		return fmt.Sprintf("quantile(%v)", a.Q)
	case TopK:
		return fmt.Sprintf("topk(%d)", a.K)
	}
	return a.Kind.String()
}
