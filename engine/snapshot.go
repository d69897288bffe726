package engine

import (
	"slices"

	"github.com/cepd/cepd/event"
)

// A Snapshot is the engine's state at a position of the log, as rows that
// differ from those of the last one that was committed. The engine may go on
// stepping while it is written: it stays what it was when it was taken.
//
// State is of three kinds, and what a feature adds becomes one of them:
//
//   - State of a key that changes with its events: part of [ruleState], or a
//     unit of its own that a [journal] follows. It costs what has changed.
//   - Events that are held back, and what waits with them in a lane. They do
//     not change: those that came are written, and the names of those that left.
//   - The rest, which is small: [Engine.globals] encodes all of it each time,
//     while the engine stands still, and what is as before is left out.
//
// All but the last wait to be encoded until Next asks for them.
type Snapshot struct {
	// Position is that of the last record that the state knows.
	Position event.Position
	// Full says that the rows are the whole state and not what has changed: what
	// was stored before is void.
	Full bool

	engine  *Engine
	void    bool              // a reload has since made some of what is stored useless
	rows    []Row             // encoded when it was taken
	small   map[string]string // all of them, by name
	taken   []*taken
	held    []heldBack
	leavers map[*lane][][]byte // what lanes gave of names, until the snapshot is over
	seen    map[string]bool    // rows of what is held back: shards and tables may share one
}

// heldBack is what a lane of a shard holds back, as far as it is not stored.
type heldBack struct {
	lane  *lane
	items []item   // that came
	left  [][]byte // names of rows of those that were stored and have left
}

// Snapshot takes the engine's state: what has changed since the last snapshot
// that was committed, or, with full, all of it; so it is too where there is
// none to build on. There may be one snapshot at a time: it must be committed
// or abandoned before the next.
func (e *Engine) Snapshot(full bool) *Snapshot {
	if e.snapshot != nil {
		panic("engine: a snapshot is under way")
	}
	full = full || e.whole
	s := &Snapshot{Position: e.position, Full: full, engine: e, small: map[string]string{}, leavers: map[*lane][][]byte{}, seen: map[string]bool{}}
	e.globals(func(name, value []byte) {
		s.small[string(name)] = string(value)
		if old, ok := e.small[string(name)]; full || !ok || old != string(value) {
			s.rows = append(s.rows, Row{Name: name, Value: value})
		}
	})
	for name := range e.small { // a store puts rows in order
		if _, ok := s.small[name]; !ok && !full {
			s.rows = append(s.rows, Row{Name: []byte(name)})
		}
	}
	for _, sh := range e.shards {
		since := sh.journal.base
		if full {
			since = 0
		}
		for _, l := range sh.lanes {
			s.held = append(s.held, l.takeHeld(since))
			s.leavers[l] = l.left
			l.left = nil
		}
		every := sh.every
		if !full {
			every = nil
		}
		s.taken = append(s.taken, sh.journal.take(every))
	}
	every := e.router.every
	if !full {
		every = nil
	}
	s.taken = append(s.taken, e.router.journal.take(every))
	e.snapshot = s
	return s
}

// takeHeld copies what the lane holds back and is not stored.
func (l *lane) takeHeld(since uint32) heldBack {
	h := heldBack{lane: l, left: l.left}
	n := 0
	for it := range l.waiting.all() {
		if it.gen > since {
			n++
		}
	}
	h.items = make([]item, 0, n) // to grow it would take longer than to count
	for it := range l.waiting.all() {
		if it.gen > since {
			h.items = append(h.items, *it)
		}
	}
	return h
}

// every visits the units of the shard.
func (s *Shard) every(visit func(unit)) {
	for _, l := range s.lanes {
		for _, t := range l.tables {
			for ks := range t.keys.all() { // a store puts rows in order
				visit(ks)
			}
			for _, kc := range t.clocks {
				visit(kc)
			}
		}
	}
}

// Next returns up to max rows that were not returned yet, in no order, and
// whether they are the last. A row without a value says that there is none of
// its name any more. It is called where Step is, between steps.
func (s *Snapshot) Next(max int) (rows []Row, done bool) {
	n := min(max, len(s.rows))
	rows = slices.Clone(s.rows[:n])
	s.rows = s.rows[n:]
	for _, t := range s.taken {
		rows = append(rows, t.next(max-len(rows))...)
	}
	for len(rows) < max {
		row, ok := s.nextHeld()
		if !ok {
			return rows, true
		}
		rows = append(rows, row)
	}
	return rows, false
}

// nextHeld returns the next row of what was held back.
func (s *Snapshot) nextHeld() (Row, bool) {
	for ; len(s.held) > 0; s.held = s.held[1:] {
		h := &s.held[0]
		for n := len(h.items); n > 0; n = len(h.items) {
			it := &h.items[n-1]
			h.items = h.items[:n-1]
			if name := h.lane.heldName(it); !s.seen[string(name)] {
				s.seen[string(name)] = true
				return Row{name, it.heldValue()}, true
			}
		}
		for len(h.left) > 0 && !s.Full {
			name := h.left[0]
			h.left = h.left[1:]
			if !s.seen[string(name)] {
				s.seen[string(name)] = true
				return Row{Name: name}, true
			}
		}
	}
	return Row{}, false
}

// Committed says that everything that Next returned is durable: the next
// snapshot builds on this one.
func (s *Snapshot) Committed() {
	e := s.end()
	e.small = s.small
	if s.Full && !s.void {
		e.whole = false
	}
	for _, t := range s.taken {
		t.commit()
	}
}

// Abandoned says that the snapshot was not stored: the next one takes what it
// took.
func (s *Snapshot) Abandoned() {
	s.end()
	for _, t := range s.taken {
		t.abandon()
	}
	for l, left := range s.leavers {
		l.left = append(left, l.left...)
	}
}

func (s *Snapshot) end() *Engine {
	e := s.engine
	if e.snapshot != s {
		panic("engine: the snapshot is over")
	}
	e.snapshot = nil
	return e
}
