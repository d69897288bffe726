package window

import (
	"slices"
	"sort"

	"github.com/cepd/cepd/event"
)

// State holds the open windows of one key, and those that still take late
// events.
type State struct {
	spec    *Spec
	panes   []*pane // in order, none empty; of Session the sessions
	next    event.Time
	early   event.Time // when an early answer is due; MaxTime: none
	seq     event.Time // Counted: the number of the next event
	pending bool       // there is an open window, and the first to close ends at next
	spare   *pane      // one to be used again
	sweep   *sweep     // multi only: of the windows that close one after another
	late    *sweep     // multi only: of those that are answered again; memory, no state

	// Baselines is for the caller: what it has learned of the windows of the key,
	// nil where it learns nothing. It is not part of what AppendBinary writes.
	Baselines []*Baseline
}

// Empty reports whether there is nothing to remember: the state is like a new
// one.
func (s *State) Empty() bool {
	for _, b := range s.Baselines {
		if b != nil && !b.Empty() {
			return false
		}
	}
	return len(s.panes) == 0 && s.seq == 0
}

// Read reads what Add would, to bring it nearer. What it returns means nothing.
func (s *State) Read() uint64 {
	p := s.spare
	if n := len(s.panes); n > 0 {
		p = s.panes[n-1]
	}
	read := uint64(s.next)
	if p != nil {
		read += uint64(p.n)
		if n := len(p.parts); n > 0 && p.parts[n-1] != nil {
			read++
		}
	}
	return read
}

// Panes returns the number of panes that are kept, as a measure of size.
func (s *State) Panes() int { return len(s.panes) }

// Deadline returns the earliest time at which Advance has something to do:
// answer a window, or forget one. It is [event.MaxTime] if there is nothing to
// do before the end of time; then too an Advance to MaxTime answers every
// window that is open, except that one of Counted never closes before it is
// full.
func (s *State) Deadline() event.Time {
	d := s.early
	if s.spec.Assigner.Kind == Counted {
		return d
	}
	if s.pending {
		d = min(d, s.next)
	}
	if len(s.panes) > 0 {
		d = min(d, s.spec.lastEnd(s.panes[0]).Add(s.spec.Lateness))
	}
	return d
}

// Join folds an event into the open windows that it falls into, where nothing more
// is to be done: no answer is due and no deadline moves. It reports whether it did;
// what it has left undone, Add does. Its arguments are those of Add.
func (s *State) Join(now, t event.Time, pos event.Position, args []event.Value, out *Out) bool {
	n := len(s.panes)
	if n == 0 || !s.spec.joins {
		return false
	}
	p := s.panes[n-1]
	if t < p.start || max(now, t) >= p.end || s.spec.Early > 0 && s.early == event.MaxTime {
		return false
	}
	if s.spec.multi { // the first of its windows that ends is waited for, since it has events
		s.sweep.changed(p)
	} else if !p.open {
		return false
	}
	p.add(stamp{t, pos}, args, out)
	return true
}

// OnlyOpens reports whether an event that is judged at its own time answers no window:
// at most it opens one.
func (s *Spec) OnlyOpens() bool { return s.joins }

// Add folds an event of time t into its windows. Now is the watermark at which
// the event is judged, to which the state has been advanced: t itself, or later
// for a late event. args holds the value of each aggregate's argument: missing
// where the event lacks it or does not pass the aggregate's filter. An argument
// of Count is true where it counts everything.
func (s *State) Add(now, t event.Time, pos event.Position, args []event.Value, out *Out) Outcome {
	now = max(now, t)
	at := stamp{t, pos}
	switch {
	case s.spec.Assigner.Kind == Session:
		return s.addSession(now, at, args, out)
	case s.spec.Assigner.Kind == Counted:
		return s.addCounted(now, at, args, out)
	}
	return s.addAt(t, now, now, at, args, out)
}

// addAt folds an event into the pane of x, its place on the axis, all windows
// that end at or before axis being closed.
func (s *State) addAt(x, axis, now event.Time, at stamp, args []event.Value, out *Out) Outcome {
	var p *pane
	i := len(s.panes) - 1
	if i >= 0 && s.panes[i].start <= x && x < s.panes[i].end {
		p = s.panes[i]
	} else {
		start, end, ok := s.spec.paneOf(x)
		if !ok {
			return Outside
		}
		fresh := pane{start: start, end: end}
		if s.spec.gone(s.spec.lastEnd(&fresh), axis) {
			return TooLate
		}
		p = s.paneAt(start, end)
	}
	p.add(at, args, out)
	if s.spec.multi {
		s.touched(p, axis, now, out)
	} else {
		s.judge(p, axis, now, out)
	}
	return Taken
}

// paneAt returns the pane that begins at start, a new one if there is none.
func (s *State) paneAt(start, end event.Time) *pane {
	i := s.search(start)
	if i < len(s.panes) && s.panes[i].start == start {
		return s.panes[i]
	}
	p := s.spare
	if s.spare = nil; p == nil {
		p = s.spec.newPane()
	}
	p.start, p.end = start, end
	s.panes = slices.Insert(s.panes, i, p)
	return p
}

// search returns the number of the first pane that begins at x or later.
func (s *State) search(x event.Time) int {
	if n := len(s.panes); n == 0 || s.panes[n-1].start < x {
		return n
	}
	return sort.Search(len(s.panes), func(i int) bool { return s.panes[i].start >= x })
}

// judge sees to the window that is the pane p, which has a new event.
func (s *State) judge(p *pane, axis, now event.Time, out *Out) {
	if p.end <= axis {
		s.spec.answer(&p.fold, Result{Start: p.start, End: p.end, At: now, Update: p.answered}, out)
		p.answered = true
		return
	}
	p.open = true
	s.closes(p.end)
	s.askEarly(now)
}

// closes says that there is an open window that ends at end.
func (s *State) closes(end event.Time) {
	if !s.pending || end < s.next {
		s.pending, s.next = true, end
	}
}

func (s *State) askEarly(now event.Time) {
	if s.spec.Early > 0 && s.early == event.MaxTime {
		s.early = s.spec.nextEarly(now)
	}
}

// addSession folds an event into the session that it belongs to, which may
// join two.
func (s *State) addSession(now event.Time, at stamp, args []event.Value, out *Out) Outcome {
	start, end, _ := s.spec.paneOf(at.t)
	// Sessions that the event's own, [start, end), overlaps. An event exactly a
	// gap after another begins a new session.
	i := sort.Search(len(s.panes), func(i int) bool { return s.panes[i].end > start })
	j := i
	for j < len(s.panes) && s.panes[j].start < end {
		j++
	}
	if i < j {
		end = max(end, s.panes[j-1].end)
	}
	if s.spec.gone(end, now) {
		return TooLate
	}
	if i == j {
		p := s.paneAt(start, end)
		p.add(at, args, out)
		s.judge(p, now, now, out)
		return Taken
	}
	p := s.panes[i]
	p.add(at, args, out)
	for _, q := range s.panes[i+1 : j] {
		p.merge(&q.fold)
		p.answered = p.answered || q.answered
	}
	s.panes = slices.Delete(s.panes, i+1, j)
	p.start, p.end, p.open = min(p.start, start), end, false
	s.reopen()
	s.judge(p, now, now, out)
	return Taken
}

// reopen finds the open session or window that closes first.
func (s *State) reopen() {
	s.pending = false
	for _, p := range s.panes {
		if p.open {
			s.closes(p.end)
			return // later panes end later
		}
	}
}

func (s *State) addCounted(now event.Time, at stamp, args []event.Value, out *Out) Outcome {
	x := s.seq
	s.seq++
	o := s.addAt(x, x, now, at, args, out)
	for s.pending && s.next <= s.seq {
		s.close(now, out)
	}
	s.forget(s.seq)
	if len(s.panes) == 0 && int64(s.seq)%s.spec.every == 0 {
		s.seq = 0 // the next window begins here, as the first one did
	}
	return o
}

// Advance answers the windows that end at or before now, the watermark, and
// forgets those that take no late events any more.
func (s *State) Advance(now event.Time, out *Out) {
	if s.alone() { // as most are
		if now >= s.next {
			s.end(out)
		}
		return
	}
	if now < s.Deadline() {
		return
	}
	counted := s.spec.Assigner.Kind == Counted
	for {
		switch {
		case s.pending && !counted && s.next <= now && s.next <= s.early:
			s.close(s.next, out)
		case s.early <= now && s.early != event.MaxTime:
			s.answerEarly(out)
		default:
			if !counted {
				s.forget(now)
			}
			return
		}
	}
}

// alone reports whether there is one window, which is answered once, at its end, and
// gone then.
func (s *State) alone() bool {
	return len(s.panes) == 1 && s.pending && s.spec.joins && !s.spec.multi && s.spec.Lateness == 0 && s.early == event.MaxTime
}

// end ends the window that is alone.
func (s *State) end(out *Out) {
	p := s.panes[0]
	s.spec.answer(&p.fold, Result{Start: p.start, End: p.end, At: s.next, Update: p.answered}, out)
	s.pending = false
	s.drop(p)
	s.panes[0], s.panes = nil, s.panes[:0]
}

// drop keeps the memory of a pane that is gone.
func (s *State) drop(p *pane) {
	p.reset()
	p.open, p.answered = false, false
	s.spare = p
}

// close answers the open window that ends at s.next and finds the one after.
func (s *State) close(at event.Time, out *Out) {
	if s.spec.multi {
		s.closeMulti(at, out)
		return
	}
	for _, p := range s.panes {
		if p.open {
			s.spec.answer(&p.fold, Result{Start: p.start, End: p.end, At: at, Update: p.answered}, out)
			p.open, p.answered = false, true
			break
		}
	}
	s.reopen()
}

// answerEarly answers the open window that closes first.
func (s *State) answerEarly(out *Out) {
	at := s.early
	s.early = event.MaxTime
	if !s.pending {
		return
	}
	r := Result{End: s.next, At: at, Early: true}
	if s.spec.multi {
		r.Start = s.next.Add(-event.Duration(s.spec.size))
		s.spec.answer(s.peek(r.Start, r.End), r, out)
		return
	}
	for _, p := range s.panes {
		if p.open {
			r.Start, r.Update = p.start, p.answered
			s.spec.answer(&p.fold, r, out)
			return
		}
	}
}

// forget drops the panes of which no window takes events any more.
func (s *State) forget(now event.Time) {
	n := 0
	for n < len(s.panes) && s.spec.gone(s.spec.lastEnd(s.panes[n]), now) {
		n++
	}
	if n == 0 {
		return
	}
	s.drop(s.panes[0])
	rest := s.panes[n:]
	clear(s.panes[:n])
	if len(rest) > 0 {
		s.panes = rest
		return
	}
	// A state without panes is as good as new, so that it makes no difference
	// whether the caller keeps it: early answers are asked for again by the next
	// event, and for the same time.
	s.panes = s.panes[:0] // the memory from its beginning
	s.early = event.MaxTime
	if s.sweep != nil {
		s.sweep.restart()
		s.late = nil
	}
}
