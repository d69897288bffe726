package window

import "github.com/cepd/cepd/event"

// Windows and panes lie on an axis: event time, or for Counted the number of
// the event, from 0. Both are held in an event.Time.
//
// A pane is a stretch of the axis within which no window begins or ends. With
// windows of 10 that begin every 4 there are two panes for each beginning, as
// in J. Li et al., "Semantics and evaluation techniques for window aggregates
// in data streams" (SIGMOD 2005), paired as in S. Krishnamurthy et al.,
// "On-the-fly sharing for streamed aggregation" (SIGMOD 2006):
//
//	axis     0   4   8   12  16  20
//	windows  |---------|
//	             |---------|
//	                 |---------|
//	panes    |-|-|-|-|-|-|-|-|-|-|
//
// There are never more than two panes per window that an event lies in,
// however odd size and every are.

// floor returns the last start of a window at or before x.
func (s *Spec) floor(x event.Time) event.Time {
	m := (int64(x) - s.offset) % s.every
	if m < 0 {
		m += s.every
	}
	return x.Add(-event.Duration(m))
}

// paneOf returns the pane of x, and false if no window covers x.
func (s *Spec) paneOf(x event.Time) (start, end event.Time, ok bool) {
	switch {
	case s.Assigner.Kind == Cron:
		start, end = s.Assigner.Ticks.Prev(x), s.Assigner.Ticks.Next(x)
		if start > x || end <= x {
			panic("window: the ticks of a cron window do not surround " + x.String())
		}
		return start, end, true
	case s.Assigner.Kind == Session:
		return x, x.Add(s.Assigner.Gap), true
	}
	start = s.floor(x)
	end = start.Add(event.Duration(s.every))
	cut := start.Add(event.Duration(s.rest))
	switch {
	case s.rest == 0:
		return start, end, true
	case x < cut:
		return start, cut, true
	case s.size < s.every:
		return cut, end, false
	}
	return cut, end, true
}

// Stretch returns how long windows at a time take, or the pieces that they are made
// of where they overlap: the time in which a key that is heard of regularly comes
// again. It is 0 for Counted.
func (s *Spec) Stretch(t event.Time) event.Duration {
	if s.Assigner.Kind == Counted {
		return 0
	}
	start, end, _ := s.paneOf(t)
	return end.Sub(start)
}

// firstEnd returns the end of the first window that covers the pane p, and
// lastEnd that of the last one. Between two windows that both cover it, ends
// are s.every apart.
func (s *Spec) firstEnd(p *pane) event.Time {
	if !s.multi {
		return p.end
	}
	from := p.end.Add(-event.Duration(s.size))
	start := s.floor(from)
	if start < from {
		start = start.Add(event.Duration(s.every))
	}
	if s.Assigner.Kind == Counted {
		start = max(start, 0) // the first window is a full one
	}
	return start.Add(event.Duration(s.size))
}

func (s *Spec) lastEnd(p *pane) event.Time {
	if !s.multi {
		return p.end
	}
	return s.floor(p.start).Add(event.Duration(s.size))
}

// gone reports whether the window that ends at end takes no event any more.
func (s *Spec) gone(end, now event.Time) bool { return end.Add(s.Lateness) <= now }

// nextEarly returns when an early answer is due that an event at now asks for:
// at the next whole multiple of Early since the epoch.
func (s *Spec) nextEarly(now event.Time) event.Time {
	m := int64(now) % int64(s.Early)
	if m < 0 {
		m += int64(s.Early)
	}
	return now.Add(s.Early - event.Duration(m))
}
