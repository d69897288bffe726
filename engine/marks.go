package engine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// clock is what the log says of the world: the arrival time of its last record
// and the sources that are disconnected.
type clock struct {
	now  event.Time            // MinTime before the first record with an arrival time
	down map[string]event.Time // sources that are disconnected, and since when
	up   map[string]bool       // sources that said they are connected

	wrong bool // the shell says that its clock cannot be believed
}

func (c *clock) isDown(source string) bool {
	if len(c.down) == 0 {
		return false
	}
	_, down := c.down[source]
	return down
}

// partition is one partition of one source, as a stream sees it.
type partition struct {
	source  string
	number  uint32
	highest event.Time // highest event time seen
	arrived event.Time // when its last message arrived, or its source came up
}

// marks keeps the watermark of one stream. It never goes back.
type marks struct {
	policy  rules.Watermark
	clocked bool // the stream has no event time of its own: arrival is its time
	parts   []partition
	mark    event.Time
	latest  event.Time     // highest event time over all partitions
	paused  event.Duration // how long its sources have been disconnected, in all
	up      event.Time     // when a source was last connected
}

func newMarks(s *rules.Stream) *marks {
	return &marks{policy: s.Watermark, clocked: s.Time == nil, mark: event.MinTime, latest: event.MinTime, up: event.MinTime}
}

// observe takes in the time of an event, and moves the watermark.
func (m *marks) observe(rec *event.Record, t event.Time, c *clock) {
	number := rec.Partition
	if m.policy.PerKey {
		number = 0 // the stream's time is the highest of its keys', wherever they come from
	}
	p := m.partition(rec.Source, number)
	p.highest = max(p.highest, t)
	p.arrived = rec.Arrival
	m.latest = max(m.latest, t)
	if len(m.parts) == 1 { // the common case
		m.raise(p.highest.Add(-m.policy.Lag))
		return
	}
	m.tick(c)
}

func (m *marks) partition(source string, number uint32) *partition {
	for i := range m.parts {
		if p := &m.parts[i]; p.number == number && p.source == source {
			return p
		}
	}
	m.parts = append(m.parts, partition{source: source, number: number, highest: event.MinTime, arrived: event.MinTime})
	slices.SortFunc(m.parts, func(a, b partition) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.number, b.number))
	})
	return m.partition(source, number)
}

// tick moves the watermark to what the clock allows: partitions that are idle
// are left out; when all are, event time runs on with the clock. The time of a
// source that is down stands still.
func (m *marks) tick(c *clock) {
	if m.clocked {
		if c.now != event.MinTime {
			m.raise(c.now.Add(-m.policy.Lag))
		}
		return
	}
	low, idle := event.MaxTime, event.MinTime
	for i := range m.parts {
		p := &m.parts[i]
		at := p.highest.Add(-m.policy.Lag)
		if m.idle(p, c) {
			if p.highest != event.MinTime {
				idle = max(idle, at.Add(c.now.Sub(p.arrived)))
			}
			continue
		}
		low = min(low, at)
	}
	if low == event.MaxTime {
		low = idle
	}
	m.raise(low)
}

func (m *marks) idle(p *partition, c *clock) bool {
	return m.policy.Idle > 0 && c.now != event.MinTime && p.arrived != event.MinTime &&
		!c.isDown(p.source) && c.now.Sub(p.arrived) >= m.policy.Idle
}

// unheard reports whether the stream has no event yet and, as far as the clock
// knows, need not be waited for.
func (m *marks) unheard(c *clock) bool {
	for i := range m.parts {
		if p := &m.parts[i]; p.highest != event.MinTime || !m.idle(p, c) {
			return false
		}
	}
	return len(m.parts) > 0
}

func (m *marks) raise(t event.Time) { m.mark = max(m.mark, t) }

// sourceUp starts the idle time of a source's partitions anew.
func (m *marks) sourceUp(source string, now event.Time) {
	if m.up = max(m.up, now); m.clocked {
		return
	}
	known := false
	for i := range m.parts {
		if m.parts[i].source == source {
			m.parts[i].arrived, known = now, true
		}
	}
	if !known {
		m.partition(source, 0).arrived = now
	}
}

// due returns the arrival time at which a tick would move the watermark to t
// or beyond, [event.MaxTime] where no clock does. Partitions that are there
// already hold nothing back; the others must fall idle.
func (m *marks) due(t event.Time, c *clock) event.Time {
	if m.clocked {
		return t.Add(m.policy.Lag)
	}
	if m.policy.Idle == 0 || len(m.parts) == 0 {
		return event.MaxTime
	}
	last, runs, ahead := event.MinTime, event.MaxTime, false
	for i := range m.parts {
		p := &m.parts[i]
		at := p.highest.Add(-m.policy.Lag)
		if p.highest != event.MinTime && at >= t {
			ahead = true
			continue
		}
		if c.isDown(p.source) || p.arrived == event.MinTime {
			return event.MaxTime
		}
		last = max(last, p.arrived.Add(m.policy.Idle))
		if p.highest != event.MinTime {
			runs = min(runs, p.arrived.Add(t.Sub(at)))
		}
	}
	if ahead {
		return last
	}
	if runs == event.MaxTime { // it has no event, and so no time that could run on
		return runs
	}
	return max(last, runs)
}

// leftOut returns the arrival time at which a stream without any event is
// waited for no more, [event.MaxTime] if that never comes.
func (m *marks) leftOut(c *clock) event.Time {
	if m.policy.Idle == 0 || len(m.parts) == 0 {
		return event.MaxTime
	}
	at := event.MinTime
	for i := range m.parts {
		if p := &m.parts[i]; c.isDown(p.source) || p.arrived == event.MinTime {
			return event.MaxTime
		} else {
			at = max(at, p.arrived.Add(m.policy.Idle))
		}
	}
	return at
}

// heard reports whether any partition has had an event.
func (m *marks) heard() bool {
	return slices.ContainsFunc(m.parts, func(p partition) bool { return p.highest != event.MinTime })
}

// StreamTime is how far the time of a stream has come, with what is needed to
// say how far the clock takes it if nothing else comes.
type StreamTime struct {
	marks marks
	down  map[string]event.Time
}

// At returns the watermark that the stream would have if a tick came now.
func (t StreamTime) At(now event.Time) event.Time {
	m := t.marks // its partitions are only read
	m.tick(&clock{now: now, down: t.down})
	return m.mark
}

// StreamTimes returns how far the streams have come that have a watermark of
// their own, by name. It may be used while the engine goes on.
func (e *Engine) StreamTimes() map[string]StreamTime {
	all := map[string]StreamTime{}
	down := maps.Clone(e.router.clock.down)
	for _, rt := range e.router.streams {
		if rt.marked() && rt.marks.mark != event.MinTime {
			t := StreamTime{*rt.marks, down}
			t.marks.parts = slices.Clone(rt.marks.parts)
			all[rt.Name] = t
		}
	}
	return all
}
