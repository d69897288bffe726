package nfa

import (
	"slices"

	"github.com/cepd/cepd/event"
)

// compactMachine is the machine for programs whose predicates are all plain.
// What an event costs does not depend on the number of partial matches: they
// lie in a graph, and an event does to all chains of one deterministic state
// the same.
type compactMachine struct {
	tecs
	prog   *Prog
	active []group  // by falling max of their first vertex
	lists  []uint32 // of the active states, one after the other
}

// group is a deterministic state with chains.
type group struct {
	state int32
	n     uint32 // length of its list
}

func newCompactMachine(p *Prog) *compactMachine { return &compactMachine{prog: p} }

// Empty implements [Machine].
func (m *compactMachine) Empty() bool { return len(m.active) == 0 }

// Deadline implements [Machine]: the end of the match that began last, which
// is when the last chain goes.
func (m *compactMachine) Deadline() event.Time {
	if len(m.active) == 0 || m.prog.within == 0 {
		return event.MaxTime
	}
	return m.events[m.at(m.lists[0]).max].Time.Add(m.prog.within)
}

// Advance implements [Machine].
func (m *compactMachine) Advance(t event.Time, _ *Result) {
	t = min(t, event.MaxTime-1) // MaxTime is the deadline of what never ends
	if len(m.active) > 0 && m.Deadline() <= t {
		m.drop()
	}
}

// drop drops all chains.
func (m *compactMachine) drop() {
	m.tecs.clear()
	m.active, m.lists = m.active[:0], m.lists[:0]
}

// compactScratch is the memory of one step.
type compactScratch struct {
	env          Env
	known, holds uint64 // answers, by predicate
	outcomes     []*outcome
	targets      []target
	slot         []uint32 // by deterministic state: index+1 into targets
	now          uint32   // number of the event at hand, once kept
	kept         bool
	found        []completion
	path         []pathStep
	todo         []branch
	best         []best
}

// target is a state with the chains that the event brings there.
type target struct {
	state int32
	list  []uint32
}

// completion is chains that complete: those of before, with the event at hand if a
// step takes it.
type completion struct {
	before uint32 // 0: none
	step   int32  // -1: the event is not taken
}

// Step implements [Machine].
func (m *compactMachine) Step(e *event.Event, env Env, out *Result) {
	s, d := &out.compact, m.prog.compact
	s.env, s.known, s.holds = env, 0, 0
	begins := s.outcome(m.prog, dfaStart)
	if len(m.active) == 0 && begins.quiet {
		return
	}
	m.expire(m.prog.within, e.Time)
	s.outcomes = s.outcomes[:0]
	quiet := begins.quiet
	for _, a := range m.active {
		o := s.outcome(m.prog, a.state)
		s.outcomes = append(s.outcomes, o)
		quiet = quiet && o.quiet
	}
	if quiet {
		return
	}
	if len(s.slot) < len(d.states) {
		s.slot = make([]uint32, len(d.states))
	}
	s.kept = false
	m.begin(begins, s)
	m.move(s)
	m.install(s)
	if len(s.found) > 0 {
		m.complete(e.Time, out)
		s.found = s.found[:0]
	}
	if m.untidy() {
		m.reduce(out)
	}
}

// outcome returns what the event does to the chains of a state.
func (s *compactScratch) outcome(p *Prog, state int32) *outcome {
	d := &p.compact.states[state]
	bits := 0
	for i, pred := range d.asks {
		bit := uint64(1) << pred
		if s.known&bit == 0 {
			s.known |= bit
			if s.env.Holds(p.preds[pred].ID) {
				s.holds |= bit
			}
		}
		if s.holds&bit != 0 {
			bits |= 1 << i
		}
	}
	return &d.next[bits]
}

// keep returns the number of the event at hand, which a chain accepts.
func (m *compactMachine) keep(s *compactScratch) uint32 {
	if !s.kept {
		s.kept, s.now = true, uint32(len(m.events))
		m.events = append(m.events, s.env.Keep())
	}
	return s.now
}

// begin lets the event begin chains. They come before all others, since they
// began last.
func (m *compactMachine) begin(o *outcome, s *compactScratch) {
	for _, t := range o.takes {
		if t.match {
			m.keep(s)
			s.found = append(s.found, completion{0, int32(t.step)})
		}
		if t.to != dfaNone {
			m.put(s, t.to, m.extend(m.keep(s), t.step, 0))
		}
	}
}

// move brings the chains of the active states to where they go. States come in
// falling order of max, so that their successors do as well.
func (m *compactMachine) move(s *compactScratch) {
	from := m.lists
	for i, a := range m.active {
		list := m.fresh(from[:a.n])
		from = from[a.n:]
		o := s.outcomes[i]
		if len(list) == 0 {
			continue
		}
		all := uint32(0)
		if len(o.takes) > 0 || o.match {
			all, list = m.merge(list)
		}
		if o.match {
			s.found = append(s.found, completion{all, -1})
		}
		for _, t := range o.takes {
			if t.match {
				m.keep(s)
				s.found = append(s.found, completion{all, int32(t.step)})
			}
			if t.to != dfaNone {
				m.put(s, t.to, m.extend(m.keep(s), t.step, all))
			}
		}
		if o.silent != dfaNone {
			m.pass(s, o.silent, list)
		}
	}
}

// target returns the list of a state, empty if nothing came there before.
func (s *compactScratch) target(state int32) *target {
	i := s.slot[state]
	if i == 0 {
		if len(s.targets) < cap(s.targets) { // with the memory of its list
			s.targets = s.targets[:len(s.targets)+1]
		} else {
			s.targets = append(s.targets, target{})
		}
		i = uint32(len(s.targets))
		s.slot[state] = i
		t := &s.targets[i-1]
		t.state, t.list = state, t.list[:0]
	}
	return &s.targets[i-1]
}

// put adds a vertex to a state.
func (m *compactMachine) put(s *compactScratch, state int32, id uint32) {
	t := s.target(state)
	t.list = m.insert(t.list, id)
}

// pass adds the chains of a list to a state.
func (m *compactMachine) pass(s *compactScratch, state int32, list []uint32) {
	t := s.target(state)
	if len(t.list) == 0 {
		t.list = append(t.list, list...)
		return
	}
	all, _ := m.merge(list)
	t.list = m.insert(t.list, all)
}

// install makes the targets the active states.
func (m *compactMachine) install(s *compactScratch) {
	m.active, m.lists = m.active[:0], m.lists[:0]
	for i := range s.targets {
		t := &s.targets[i]
		s.slot[t.state] = 0
		m.active = append(m.active, group{t.state, uint32(len(t.list))})
		m.lists = append(m.lists, t.list...)
	}
	s.targets = s.targets[:0]
}

// trim drops what is too old from the lists.
func (m *compactMachine) trim() {
	states, ids, from := m.active[:0], m.lists[:0], m.lists
	for _, a := range m.active {
		list := m.fresh(from[:a.n])
		from = from[a.n:]
		if len(list) > 0 {
			states = append(states, group{a.state, uint32(len(list))})
			ids = append(ids, list...)
		}
	}
	m.active, m.lists = states, ids
}

// reduce drops what no chain needs, and if there are more chains than the
// limit of runs allows, those that began first.
func (m *compactMachine) reduce(out *Result) {
	m.trim()
	m.tidy(m.lists)
	out.Evicted += m.evict()
	m.made, m.live = 0, uint32(len(m.vertices))
}

// evict drops the oldest chains of a key that has too many, and returns how
// many at least that were. A graph has at least one chain for each list and one
// more for each union, so there were as many runs.
//
// The latest start that a union adds is that of its right side; so many stay
// as three quarters of the limit, lest the next one be too many again.
func (m *compactMachine) evict() int {
	var starts []uint32
	for _, id := range m.lists {
		starts = append(starts, m.at(id).max)
	}
	for _, v := range m.vertices {
		if v.step == unionStep {
			starts = append(starts, m.at(v.b).max)
		}
	}
	if len(starts) <= m.prog.maxRuns {
		return 0
	}
	slices.Sort(starts)
	m.floor = starts[len(starts)-m.prog.maxRuns*3/4-1] + 1
	kept, _ := slices.BinarySearch(starts, m.floor)
	m.trim()
	m.tidy(m.lists)
	return kept
}
