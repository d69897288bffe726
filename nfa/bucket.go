package nfa

import (
	"cmp"
	"slices"

	"github.com/cepd/cepd/event"
)

// settle puts the moved runs into their buckets. Of equal runs in the same
// state, which came there on different ways, one is kept.
func (m *runSet) settle(s *scratch) {
	if len(s.moved) > 1 {
		slices.SortStableFunc(s.moved, func(a, b move) int {
			return cmp.Or(cmp.Compare(a.state, b.state), compareFirst(a.first, b.first))
		})
	}
	for from := 0; from < len(s.moved); {
		to := from + 1
		for to < len(s.moved) && s.moved[to].state == s.moved[from].state {
			to++
		}
		m.insert(s.moved[from:to], s.kept)
		from = to
	}
}

func compareFirst(a, b *event.Event) int {
	if a == b {
		return 0
	}
	return event.Compare(a, b)
}

// insert merges sorted runs into the bucket of their state. kept is the event
// at hand, if any run has accepted it.
func (m *runSet) insert(moved []move, kept *event.Event) {
	b := m.bucket(moved[0].state)
	if len(b.runs) == 0 {
		b.due, b.byLast = event.MaxTime, true
	}
	m.tick()
	from := b.after(moved[0].first, false)
	for _, r := range b.runs[from:] {
		r.last.mark = m.epoch
	}
	n := 0
	for _, r := range moved {
		if r.last.mark != m.epoch {
			r.last.mark = m.epoch
			moved[n] = r
			n++
		}
	}
	moved = moved[:n]
	f := &m.prog.flat[b.state]
	for _, r := range moved {
		if f.window > 0 {
			b.due = min(b.due, m.deadlineOfRun(f, r.run))
		}
		b.runs = append(b.runs, r.run)
	}
	m.count += uint32(n)
	if n > 0 {
		m.merge(b, moved)
	}
}

// merge sorts the runs at the end of b that were appended from moved into
// place, from behind, so that what is before all of them is not touched.
func (m *runSet) merge(b *bucket, moved []move) {
	i, j := len(b.runs)-len(moved)-1, len(moved)-1
	if b.byLast && i >= 0 {
		b.byLast = b.runs[i].last.event.Time <= moved[0].last.event.Time
	}
	for k := 1; k < len(moved) && b.byLast; k++ {
		b.byLast = moved[k-1].last.event.Time <= moved[k].last.event.Time
	}
	for k := len(b.runs) - 1; i >= 0 && j >= 0; k-- {
		if compareFirst(b.runs[i].first, moved[j].first) > 0 {
			b.runs[k] = b.runs[i]
			b.byLast = false
			i--
		} else {
			b.runs[k] = moved[j].run
			j--
		}
	}
	for ; j >= 0; j-- {
		b.runs[j] = moved[j].run
	}
}

// bucket returns the bucket of a state.
func (m *runSet) bucket(state int) *bucket {
	i, ok := slices.BinarySearchFunc(m.buckets, uint32(state), func(b bucket, s uint32) int { return cmp.Compare(b.state, s) })
	if !ok {
		m.buckets = slices.Insert(m.buckets, i, bucket{state: uint32(state)})
	}
	return &m.buckets[i]
}

// after returns how many runs of b began before an event, or up to it.
func (b *bucket) after(first *event.Event, inclusive bool) int {
	n := len(b.runs)
	if n > 0 && compareFirst(b.runs[n-1].first, first) < 0 {
		return n // in most cases, all of them
	}
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if c := compareFirst(b.runs[mid].first, first); c < 0 || inclusive && c == 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// truncate keeps the first n runs of a bucket.
func (m *runSet) truncate(b *bucket, n int) {
	if n < len(b.runs) {
		m.count -= uint32(len(b.runs) - n)
		clear(b.runs[n:])
		b.runs = b.runs[:n]
		m.tidy(b)
	}
}

// cut drops the first n runs of a bucket.
func (m *runSet) cut(b *bucket, n int) {
	m.count -= uint32(n)
	clear(b.runs[:n])
	b.runs = b.runs[n:]
	m.tidy(b)
}

// tidy gives back memory after a burst, and finds out when the first of the
// runs that are left ends.
func (m *runSet) tidy(b *bucket) {
	if len(b.runs) < cap(b.runs)/4 && cap(b.runs) > 32 {
		b.runs = slices.Clone(b.runs)
	}
	f := &m.prog.flat[b.state]
	if f.window == 0 || b.byLast {
		return
	}
	b.due = event.MaxTime
	for _, r := range b.runs {
		b.due = min(b.due, m.deadlineOfRun(f, r))
	}
}

// sweep drops empty buckets.
func (m *runSet) sweep() {
	m.buckets = slices.DeleteFunc(m.buckets, func(b bucket) bool { return len(b.runs) == 0 })
}

// deadline returns the time at which a run in a state ends if no event comes
// before, by the times of its first and its last event. A state's window decides
// alone, as in Flink: a run that is past the window of its pattern only is given
// up with the next event, see lapse.
func (p *Prog) deadline(f *flat, first, last event.Time) event.Time {
	d := event.MaxTime
	if f.window > 0 {
		d = last.Add(f.window)
	}
	if p.within > 0 && (f.window == 0 || f.pending) {
		d = min(d, first.Add(p.within))
	}
	return d
}

func (m *runSet) deadlineOfRun(f *flat, r run) event.Time {
	return m.prog.deadline(f, r.first.Time, r.last.event.Time)
}

// deadlineOf returns a time before which no run of a bucket ends.
func (m *runSet) deadlineOf(b *bucket) event.Time {
	f := &m.prog.flat[b.state]
	if f.window > 0 && !b.byLast {
		return b.due
	}
	return m.deadlineOfRun(f, b.runs[0])
}

// deadline returns the earliest end of a run.
func (m *runSet) deadline() event.Time {
	d := event.MaxTime
	for i := range m.buckets {
		d = min(d, m.deadlineOf(&m.buckets[i]))
	}
	return d
}
