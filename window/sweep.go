package window

import "github.com/cepd/cepd/event"

// A sweep merges the panes of one sliding window after another. It is a queue
// made of two stacks (K. Tangwongsan, M. Hirzel, S. Schneider, K.-L. Wu,
// "General incremental sliding-window aggregation", VLDB 2015):
//
//	panes    1   2   3   4 | 5   6   7
//	front    1-4 2-4 3-4 4 |              merges up to the pivot
//	back                   | 5-7          one merge, from the pivot on
//
// The window from pane 2 to pane 7 is the front's 2-4 merged with the back.
// When the window begins at the pivot or later, its panes become a new front.
// So a pane is merged once into a back and once into a front, and nothing is
// ever subtracted, which would leave rounding errors behind.
//
// What the sweep holds follows from its three places and the panes, bit for
// bit; only the places are stored.
type sweep struct {
	from  event.Time // where the last window began: the front is good from here
	pivot event.Time
	upTo  event.Time // where the last window ended: the back holds panes up to here
	built bool       // front and back are good
	apart event.Time // panes from here to the pivot need no entries of their own in the front
	front []merged   // the last pane first, so that the first is at the end and easily dropped
	back  fold
	whole fold // of the window asked for
}

type merged struct {
	start event.Time // of the first pane in it
	fold
}

func newSweep(s *Spec) *sweep {
	w := &sweep{back: fold{parts: s.parts()}, whole: fold{parts: s.parts()}}
	w.restart()
	w.apart = event.MaxTime
	return w
}

// restart makes the sweep like a new one, but for memory to be used again.
func (w *sweep) restart() {
	w.from, w.pivot, w.upTo, w.built = event.MinTime, event.MinTime, event.MinTime, false
}

// window returns the fold of the window [start, end). It is good until the next
// call.
func (w *sweep) window(s *State, start, end event.Time) *fold {
	if start < w.from || start >= w.pivot || end < w.upTo {
		w.from, w.pivot, w.upTo, w.built = start, end, end, false
	}
	w.build(s)
	w.drop(start)
	w.push(s, &w.back, w.upTo, end)
	w.upTo = end
	return w.merge(s)
}

// build makes front and back from the panes.
func (w *sweep) build(s *State) {
	if w.built {
		return
	}
	w.built = true
	w.front = w.front[:0]
	from, pivot := s.search(w.from), s.search(w.pivot)
	apart := min(s.search(w.apart), pivot)
	if apart < pivot {
		w.push(s, &w.grow(s.spec, s.panes[apart].start).fold, s.panes[apart].start, w.pivot)
	}
	for i := apart - 1; i >= from; i-- {
		top := w.grow(s.spec, s.panes[i].start)
		top.merge(&s.panes[i].fold)
		if n := len(w.front); n > 1 {
			top.merge(&w.front[n-2].fold)
		}
	}
	w.back.reset()
	w.push(s, &w.back, w.pivot, w.upTo)
}

// grow adds an empty entry to the front, using the memory of an old one.
func (w *sweep) grow(s *Spec, start event.Time) *merged {
	n := len(w.front)
	if n < cap(w.front) {
		w.front = w.front[:n+1]
	} else {
		w.front = append(w.front, merged{})
	}
	top := &w.front[n]
	if top.start = start; top.parts == nil {
		top.parts = s.parts()
	} else {
		top.reset()
	}
	return top
}

// drop takes the panes before start out of the front.
func (w *sweep) drop(start event.Time) {
	w.from = start
	n := len(w.front)
	for n > 0 && w.front[n-1].start < start {
		n--
	}
	w.front = w.front[:n]
}

// push merges the panes of [from, to) into f.
func (w *sweep) push(s *State, f *fold, from, to event.Time) {
	for i := s.search(from); i < len(s.panes) && s.panes[i].start < to; i++ {
		f.merge(&s.panes[i].fold)
	}
}

// empty resets the fold of the window asked for.
func (w *sweep) empty(s *State) *fold {
	for _, k := range s.spec.walked {
		w.whole.parts[k] = nil // see walk
	}
	w.whole.reset()
	return &w.whole
}

func (w *sweep) merge(s *State) *fold {
	w.empty(s)
	if n := len(w.front); n > 0 {
		w.whole.merge(&w.front[n-1].fold)
	}
	w.whole.merge(&w.back)
	return &w.whole
}

// peek returns the fold of the window [start, end), the last panes of which are
// still open.
func (s *State) peek(start, end event.Time) *fold {
	w := s.sweep
	if start < w.from || start >= w.pivot || end < w.upTo {
		w.push(s, w.empty(s), start, end)
	} else {
		w.build(s)
		w.drop(start)
		w.push(s, w.merge(s), w.upTo, end)
	}
	return s.walk(&w.whole, start, end)
}

// walk computes the aggregates that are not merged ahead: lists, of which a
// copy for each pane of the front would be large and save nothing.
func (s *State) walk(f *fold, start, end event.Time) *fold {
	for _, k := range s.spec.walked {
		to := s.search(end)
		from, n := to, 0
		for from > 0 && s.panes[from-1].start >= start && n < MaxCollect {
			from--
			n += s.panes[from].parts[k].(*collect).len()
		}
		list := new(collect)
		for _, p := range s.panes[from:to] {
			list.merge(p.parts[k])
		}
		f.parts[k] = list
	}
	return f
}

// touched sees to the windows of the pane p, which has a new event.
func (s *State) touched(p *pane, axis, now event.Time, out *Out) {
	if s.sweep == nil {
		s.sweep = newSweep(s.spec)
	}
	s.sweep.changed(p)
	end, last := s.spec.firstEnd(p), s.spec.lastEnd(p)
	if end <= axis {
		end = s.again(end, last, now, out)
	}
	if end > axis && end <= last {
		s.closes(end)
		if s.next.Add(-event.Duration(s.spec.size)) <= p.start {
			s.askEarly(now)
		}
	}
}

// changed says that a pane has a new event.
func (w *sweep) changed(p *pane) {
	if p.start >= w.from && p.start < w.upTo {
		w.built = false
	}
}

// again answers the windows that end from end to last and at or before now, for
// a late event in all of them. It returns the end of the next window. Most of
// their panes they have in common, so these are merged into one.
func (s *State) again(end, last, now event.Time, out *Out) event.Time {
	if s.late == nil {
		s.late = newSweep(s.spec)
	}
	s.late.restart()
	size, every := event.Duration(s.spec.size), event.Duration(s.spec.every)
	s.late.apart = min(last, s.spec.floor(now.Add(-size)).Add(size)).Add(-size)
	for end <= last && end <= now && end < event.MaxTime {
		if !s.spec.gone(end, now) {
			start := end.Add(-size)
			f := s.walk(s.late.window(s, start, end), start, end)
			s.spec.answer(f, Result{Start: start, End: end, At: now, Update: f.n > 1}, out)
		}
		end = end.Add(every)
	}
	return end
}

// closeMulti answers the open window that ends at s.next and finds the next one
// that holds an event.
func (s *State) closeMulti(at event.Time, out *Out) {
	start := s.next.Add(-event.Duration(s.spec.size))
	f := s.walk(s.sweep.window(s, start, s.next), start, s.next)
	s.spec.answer(f, Result{Start: start, End: s.next, At: at}, out)

	start = start.Add(event.Duration(s.spec.every))
	i := s.search(start)
	if s.pending = i < len(s.panes) && s.next < event.MaxTime; s.pending {
		s.next = max(s.next.Add(event.Duration(s.spec.every)), s.spec.firstEnd(s.panes[i]))
	}
}
