package nfa

import (
	"cmp"
	"slices"

	"github.com/cepd/cepd/event"
)

// before says which runs a match skips: those that began before an event, or
// up to it.
type before struct {
	event     *event.Event // nil: none
	inclusive bool
}

func (c before) drops(first *event.Event) bool {
	if c.event == nil {
		return false
	}
	d := compareFirst(first, c.event)
	return d < 0 || c.inclusive && d == 0
}

// skipped returns what a match skips.
func (p *Prog) skipped(w waiting) before {
	switch p.skip {
	case SkipPastLast:
		return before{w.last.event, true}
	case SkipToNext:
		return before{w.first, true}
	case SkipToFirst, SkipToLast:
		n := w.last.find(p.skipTo)
		if n == nil {
			break // the match lacks the step, and skips nothing
		}
		if p.skip == SkipToFirst {
			n = n.at(0)
		}
		return before{n.event, false}
	}
	return before{}
}

func compareWaiting(a, b waiting) int {
	if c := compareFirst(a.first, b.first); c != 0 {
		return c
	}
	return compareChains(a.last, b.last)
}

// complete decides about the matches that completed just now, and those that
// wait: which are given, and what they skip.
func (m *runSet) complete(out *Result) {
	s := &out.scratch
	if len(s.done) > 1 {
		slices.SortFunc(s.done, compareWaiting)
	}
	if m.prog.skip != SkipNone && m.prog.order == OrderStart {
		m.wait(s)
		m.release(out)
	} else {
		var past before
		for _, w := range s.done {
			if past.drops(w.first) {
				m.trace(out, ChangePruned, w.end, -1, w.run, finalState)
				continue
			}
			m.give(w, out)
			if c := m.prog.skipped(w); c.event != nil {
				m.prune(c, w.end, out)
				if past.event == nil || compareFirst(c.event, past.event) > 0 {
					past = c
				}
			}
		}
	}
	clear(s.done)
	s.done = s.done[:0]
}

func (m *runSet) give(w waiting, out *Result) {
	m.trace(out, ChangeMatched, w.end, -1, w.run, finalState)
	out.Matches = append(out.Matches, Match{w.first.Time, w.end, History{m.prog, w.last}})
}

// wait adds the completed matches to those that wait, in order.
func (m *runSet) wait(s *scratch) {
	for _, w := range s.done {
		i, _ := slices.BinarySearchFunc(m.waiting, w, compareWaiting)
		m.waiting = slices.Insert(m.waiting, i, w)
	}
}

// release gives the waiting matches that no earlier-started run holds back.
func (m *runSet) release(out *Result) {
	n := 0
	for ; n < len(m.waiting); n++ {
		w := m.waiting[n]
		if w.run.last == nil {
			continue // skipped by one before
		}
		if first := m.earliest(&out.scratch); first != nil && compareFirst(w.first, first) > 0 {
			break
		}
		m.give(w, out)
		if c := m.prog.skipped(w); c.event != nil {
			m.prune(c, w.end, out)
			for i := n + 1; i < len(m.waiting) && c.drops(m.waiting[i].first); i++ {
				m.trace(out, ChangePruned, w.end, -1, m.waiting[i].run, finalState)
				m.waiting[i].run = run{first: m.waiting[i].first}
			}
		}
	}
	m.waiting = slices.Delete(m.waiting, 0, n)
	if len(m.waiting) == 0 {
		m.waiting = nil
	}
}

// earliest returns the first event of the earliest-started run, among those in
// the buckets and those that are ending.
func (m *runSet) earliest(s *scratch) *event.Event {
	var first *event.Event
	for i := range m.buckets {
		if r := m.buckets[i].runs[0]; first == nil || compareFirst(r.first, first) < 0 {
			first = r.first
		}
	}
	for _, x := range s.ended {
		if first == nil || compareFirst(x.first, first) < 0 {
			first = x.first
		}
	}
	return first
}

// prune drops the runs that a match skips.
func (m *runSet) prune(c before, at event.Time, out *Result) {
	emptied := false
	for i := range m.buckets {
		b := &m.buckets[i]
		n := b.after(c.event, c.inclusive)
		if out.Trace != nil {
			for _, r := range b.runs[:n] {
				m.trace(out, ChangePruned, at, -1, r, int(b.state))
			}
		}
		if n > 0 {
			m.cut(b, n)
		}
		emptied = emptied || len(b.runs) == 0
	}
	if emptied {
		m.sweep()
	}
	s := &out.scratch
	s.ended = slices.DeleteFunc(s.ended, func(x ended) bool { return c.drops(x.first) })
}

// ended is a run whose time is over.
type ended struct {
	run
	at    event.Time
	state int
}

// advance is [Machine.Advance], to a deadline.
func (m *runSet) advance(t event.Time, out *Result) {
	m.expire(t, &out.scratch)
	m.endAll(out)
}

// endAll ends the runs in ended, in the order of their deadlines. They are sorted
// the other way round, so that those that are done are cut off at the end.
func (m *runSet) endAll(out *Result) {
	s := &out.scratch
	if len(s.ended) > 1 {
		slices.SortFunc(s.ended, func(a, b ended) int {
			return cmp.Or(cmp.Compare(b.at, a.at), compareWaiting(waiting{run: b.run}, waiting{run: a.run}), b.state-a.state)
		})
	}
	for len(s.ended) > 0 {
		m.endFirst(out)
	}
	s.release()
}

// expire moves the runs that end up to t out of the buckets.
func (m *runSet) expire(t event.Time, s *scratch) {
	for i := range m.buckets {
		b := &m.buckets[i]
		if t < m.deadlineOf(b) {
			continue
		}
		f := &m.prog.flat[b.state]
		if f.window == 0 || b.byLast {
			n := 0
			for ; n < len(b.runs) && m.deadlineOfRun(f, b.runs[n]) <= t; n++ {
				s.ended = append(s.ended, ended{b.runs[n], m.deadlineOfRun(f, b.runs[n]), int(b.state)})
			}
			m.cut(b, n)
			continue
		}
		kept := 0
		for _, r := range b.runs {
			if d := m.deadlineOfRun(f, r); d <= t {
				s.ended = append(s.ended, ended{r, d, int(b.state)})
			} else {
				b.runs[kept] = r
				kept++
			}
		}
		m.truncate(b, kept)
		m.tidy(b)
	}
	m.sweep()
}

// lapses reports whether the runs that wait in a state end with the next event
// once they are past the window of the pattern.
func (p *Prog) lapses(f *flat) bool { return p.within > 0 && f.window > 0 && !f.pending }

// lapse ends the runs that wait in a state with a window of its own and are
// past the window of the pattern when an event comes.
func (m *runSet) lapse(t event.Time, out *Result) {
	s := &out.scratch
	for i := range m.buckets {
		b := &m.buckets[i]
		if !m.prog.lapses(&m.prog.flat[b.state]) {
			continue
		}
		n := 0
		for ; n < len(b.runs); n++ {
			d := b.runs[n].first.Time.Add(m.prog.within)
			if d > t {
				break
			}
			s.ended = append(s.ended, ended{b.runs[n], d, int(b.state)})
		}
		if n > 0 {
			m.cut(b, n)
		}
	}
	if len(s.ended) > 0 {
		m.sweep()
		m.endAll(out)
	}
}

// endFirst ends the runs with the earliest deadline among those that are
// ending. What completes by it may skip others that would have ended later.
func (m *runSet) endFirst(out *Result) {
	s := &out.scratch
	last := len(s.ended) - 1
	at, from := s.ended[last].at, last
	for from > 0 && s.ended[from-1].at == at {
		from--
	}
	first := s.ended[from:]
	if m.prog.timeout {
		m.tick()
		for _, x := range first {
			x.last.mark = 0 // tick knows only of runs that are in buckets
		}
	}
	for _, x := range slices.Backward(first) {
		if m.prog.flat[x.state].pending {
			m.finish(x.run, at, s)
			continue
		}
		m.trace(out, ChangeExpired, at, -1, x.run, x.state)
		// Runs with the same events in different states are one to the user.
		if m.prog.timeout && x.last.mark != m.epoch {
			x.last.mark = m.epoch
			out.Timeouts = append(out.Timeouts, Match{x.first.Time, at, History{m.prog, x.last}})
		}
	}
	clear(first)
	s.ended = s.ended[:from]
	if len(s.done) > 0 || len(m.waiting) > 0 {
		m.complete(out)
	}
}

// evict drops the oldest runs of a key that has too many.
func (m *runSet) evict(at event.Time, out *Result) {
	for m.size() > m.prog.maxRuns && m.count > 0 {
		oldest := &m.buckets[0]
		for i := range m.buckets {
			if b := &m.buckets[i]; compareFirst(b.runs[0].first, oldest.runs[0].first) < 0 {
				oldest = b
			}
		}
		m.trace(out, ChangeEvicted, at, -1, oldest.runs[0], int(oldest.state))
		m.cut(oldest, 1)
		out.Evicted++
		if len(oldest.runs) == 0 {
			m.sweep()
		}
		if len(m.waiting) > 0 {
			m.release(out)
		}
	}
}
