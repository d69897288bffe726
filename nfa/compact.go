package nfa

import (
	"math"
	"slices"

	"github.com/cepd/cepd/event"
)

// compactMachine is the machine for programs whose predicates are all plain.
// What an event costs does not depend on the number of partial matches: they
// lie in a graph, and an event does to all chains of one deterministic state
// the same.
//
// Most keys that have any chain have one of one event. That lies in the machine
// itself, which has no graph then.
type compactMachine struct {
	prog  *Prog
	first *event.Event // of the only chain; nil for none, or where there is a graph
	state int32        // in which that chain waits
	step  int32        // that has taken its event
	graph *chains      // nil for none
}

// chains holds the chains of a key by the deterministic states in which they wait.
type chains struct {
	tecs
	prog   *Prog
	active []group    // by falling max of their first vertex
	long   [][]uint32 // lists that do not fit into their group
	ends   event.Time // when the last chain goes
	asked  uint64     // what decides about the chains and about what begins, see [dfa]
}

// group is a deterministic state with the list of its chains. A list is longer
// than a few hardly ever. If it is it lies in long, and ids has its number there.
type group struct {
	state int32
	n     uint32 // length of the list, which is not empty
	ids   [groupIDs]uint32
}

const groupIDs = 3

// notAccepted is the number of an event that no chain of a graph has.
const notAccepted = math.MaxUint32

func newCompactMachine(p *Prog) *compactMachine { return &compactMachine{prog: p} }

// Empty implements [Machine].
func (m *compactMachine) Empty() bool { return m.first == nil && m.graph == nil }

// Deadline implements [Machine]: the end of the match that began last, which
// is when the last chain goes.
func (m *compactMachine) Deadline() event.Time {
	switch {
	case m.prog.within == 0:
	case m.first != nil:
		return m.first.Time.Add(m.prog.within)
	case m.graph != nil:
		return m.graph.ends
	}
	return event.MaxTime
}

// Advance implements [Machine].
func (m *compactMachine) Advance(t event.Time, out *Result) {
	t = min(t, event.MaxTime-1) // MaxTime is the deadline of what never ends
	if !m.Empty() && m.Deadline() <= t {
		m.drop(&out.compact)
	}
}

// drop drops all chains.
func (m *compactMachine) drop(s *compactScratch) {
	m.first = nil
	if m.graph != nil {
		s.spare, m.graph = m.graph, nil
		s.spare.drop()
	}
}

// compactScratch is the memory of one step.
type compactScratch struct {
	env   Env
	holds uint64       // the predicates that hold, of those that decide
	next  []group      // the active states to be, from number from on
	from  int          // the active states before stay where they are
	came  int          // of next, those to which chains came from another state, at most
	left  bool         // chains have left an active state
	place []uint32     // by deterministic state: where it was last put
	kept  *event.Event // what is kept of the event at hand, once a chain accepts it
	now   uint32       // its number in the graph; notAccepted
	found []completion
	path  []pathStep
	nodes []node // of the matches that were found; see [compactScratch.take]
	todo  []branch
	best  []best
	tidy  tidyScratch
	spare *chains // empty
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
	s.env, s.kept, s.now = env, nil, notAccepted
	if m.graph == nil {
		if m.stepFirst(e, s) {
			return
		}
		m.inflate(s)
	} else {
		m.graph.expire(e.Time)
		if s.ask(d, m.graph.asked); s.holds&m.graph.asked == 0 {
			m.settle(s) // time may have left one chain
			return
		}
	}
	g := m.graph
	if begins := d.outcome(dfaStart, s.holds); !begins.quiet {
		g.step(begins, 0, e.Time, out)
	} else if i := g.mover(d, s.holds); i < len(g.active) {
		g.step(begins, i, e.Time, out)
	}
	s.kept = nil
	m.settle(s)
}

// ask finds out which of a set of predicates hold.
func (s *compactScratch) ask(d *dfa, asked uint64) {
	asked &^= restless
	s.holds = restless | s.env.HoldAll(d.preds, asked)
}

// stepFirst is Step for a machine without a graph. It returns false if the
// event makes one necessary.
func (m *compactMachine) stepFirst(e *event.Event, s *compactScratch) bool {
	d := m.prog.compact
	if m.first != nil && m.Deadline() <= e.Time {
		m.first = nil
	}
	asked := d.asked[dfaStart]
	if m.first != nil {
		asked |= d.asked[m.state]
	}
	if s.ask(d, asked); s.holds&asked == 0 {
		return true
	}
	begins := d.outcome(dfaStart, s.holds)
	if m.first != nil {
		return begins.quiet && d.outcome(m.state, s.holds).quiet
	}
	if !begins.quiet {
		t := begins.takes[0]
		if len(begins.takes) > 1 || t.match || t.to == dfaNone {
			return false
		}
		m.first, m.state, m.step = s.keep(), t.to, int32(t.step)
	}
	return true
}

// inflate makes a graph of the only chain, if there is one.
func (m *compactMachine) inflate(s *compactScratch) {
	c := s.spare
	if s.spare = nil; c == nil {
		c = newChains(m.prog)
	} else {
		c.prog, c.within = m.prog, m.prog.within
	}
	if m.first != nil {
		c.begun(m.first, m.state, m.step)
	}
	c.findAsked()
	m.first, m.graph = nil, c
}

// newChains returns an empty graph, in one piece of memory with room for a few
// chains.
func newChains(p *Prog) *chains {
	few := &struct {
		chains
		vertices [4]vertex
		events   [4]accepted
		active   [2]group
	}{}
	c := &few.chains
	c.prog, c.within, c.cut, c.ends = p, p.within, event.MaxTime, event.MaxTime
	c.vertices, c.events, c.active = few.vertices[:0], few.events[:0], few.active[:0]
	return c
}

// begun adds the chain of one event, in place of any other.
func (c *chains) begun(e *event.Event, state, step int32) {
	id := c.extend(c.accept(e), uint16(step), 0)
	c.active = append(c.active, group{state: state, n: 1, ids: [groupIDs]uint32{id}})
	c.made, c.live = 0, 1
	c.findEnd()
}

// findEnd finds out when the last chain goes.
func (c *chains) findEnd() {
	c.ends = event.MaxTime
	if c.within > 0 && len(c.active) > 0 {
		c.ends = c.events[c.at(c.list(&c.active[0])[0]).max].time.Add(c.within)
	}
}

// settle does without a graph where that has no more than one chain of one
// event.
func (m *compactMachine) settle(s *compactScratch) {
	g := m.graph
	if len(g.active) > 1 {
		return
	}
	if len(g.active) == 1 {
		a := &g.active[0]
		list := g.fresh(g.list(a))
		v := g.at(g.bare(list[0]))
		if len(list) > 1 || v.step == unionStep || v.b != 0 {
			return
		}
		m.first, m.state, m.step = g.events[v.a].event, a.state, v.step
	}
	g.drop()
	s.spare, m.graph = g, nil
}

// drop drops all chains.
func (c *chains) drop() {
	c.tecs.clear()
	c.active = c.active[:0]
	c.long = nil
	c.ends = event.MaxTime
}

// findAsked finds out what decides about the chains and about what begins.
func (c *chains) findAsked() {
	d := c.prog.compact
	c.asked = d.asked[dfaStart]
	for i := range c.active {
		c.asked |= d.asked[c.active[i].state]
	}
}

// mover returns the number of the first active state to which the event does
// something.
func (c *chains) mover(d *dfa, holds uint64) int {
	for i := range c.active {
		if state := c.active[i].state; d.asked[state]&holds != 0 && !d.outcome(state, holds).quiet {
			return i
		}
	}
	return len(c.active)
}

// expire drops what is too old at a time, as far as it can be seen: what is
// behind something younger goes when that is looked at.
func (c *chains) expire(now event.Time) {
	if now < c.cut {
		return
	}
	c.tecs.expire(now)
	c.dropDead()
}

// dropDead drops the states whose chains are all too old. They are the last.
func (c *chains) dropDead() {
	n := len(c.active)
	for n > 0 && !c.alive(c.list(&c.active[n-1])[0]) {
		n--
		c.release(&c.active[n])
	}
	if n < len(c.active) {
		c.active = c.active[:n]
		c.findAsked()
	}
}

// step brings the chains to where the event takes them. The active states
// before number from stay as they are, and so do those behind the last that the
// event moves, unless what comes from another adds to them.
func (c *chains) step(begins *outcome, from int, at event.Time, out *Result) {
	s, d := &out.compact, c.prog.compact
	if len(s.place) < len(d.states) {
		s.place = make([]uint32, len(d.states))
	}
	for i := range c.active[:from] {
		s.place[c.active[i].state] = uint32(i)
	}
	s.next, s.from, s.came, s.left = s.next[:0], from, 0, false
	c.begin(begins, s)
	moved := from
	for i := from; i < len(c.active); i++ {
		state := c.active[i].state
		if d.asked[state]&s.holds == 0 {
			continue
		}
		if o := d.outcome(state, s.holds); !o.quiet {
			for ; moved < i; moved++ {
				c.pass(s, &c.active[moved], 0)
			}
			c.move(o, &c.active[i], s)
			moved++
		}
	}
	for i := range s.next {
		c.asked |= d.asked[s.next[i].state]
	}
	c.replace(s, moved)
	if len(s.found) > 0 {
		c.complete(at, out)
		s.found = s.found[:0]
	}
	if c.untidy() {
		c.reduce(out)
	}
	c.findEnd()
	if s.left || len(c.active) == 0 {
		c.findAsked()
	}
}

// replace puts the active states to be in the place of those that were looked
// at, up to number to. What is behind stays, or is added to one of them.
func (c *chains) replace(s *compactScratch, to int) {
	for i := to; i < len(c.active) && s.came > 0; i++ {
		if a := &c.active[i]; c.target(s, a.state) != nil {
			c.pass(s, a, 0)
			c.active = slices.Delete(c.active, i, i+1)
			i--
			s.came--
		}
	}
	if len(s.next) == to-s.from {
		copy(c.active[s.from:], s.next)
		return
	}
	c.active = slices.Replace(c.active, s.from, to, s.next...)
}

// keep returns what is kept of the event at hand.
func (s *compactScratch) keep() *event.Event {
	if s.kept == nil {
		s.kept = s.env.Keep()
	}
	return s.kept
}

// keep returns the number of the event at hand, which a chain accepts.
func (c *chains) keep(s *compactScratch) uint32 {
	if s.now == notAccepted {
		s.now = c.accept(s.keep())
	}
	return s.now
}

// begin lets the event begin chains. They come before all others, since they
// began last.
func (c *chains) begin(o *outcome, s *compactScratch) {
	for _, t := range o.takes {
		if t.match {
			c.keep(s)
			s.found = append(s.found, completion{0, int32(t.step)})
		}
		if t.to != dfaNone {
			c.put(s, t.to, c.extend(c.keep(s), t.step, 0))
		}
	}
}

// move brings the chains of an active state to where they go. States come in
// falling order of max, so that their successors do as well.
func (c *chains) move(o *outcome, a *group, s *compactScratch) {
	all := uint32(0)
	if len(o.takes) > 0 || o.match {
		all = c.mergeGroup(a)
	}
	if o.match {
		s.found = append(s.found, completion{all, -1})
	}
	for _, t := range o.takes {
		if t.match {
			c.keep(s)
			s.found = append(s.found, completion{all, int32(t.step)})
		}
		if t.to != dfaNone {
			c.put(s, t.to, c.extend(c.keep(s), t.step, all))
		}
	}
	if o.silent != a.state {
		s.left = true
		s.came++
	}
	if o.silent == dfaNone {
		c.release(a)
		return
	}
	a.state = o.silent
	c.pass(s, a, all)
}

// target returns the active state to be, nil if nothing has come there yet.
func (c *chains) target(s *compactScratch, state int32) *group {
	i := int(s.place[state])
	if i < s.from {
		if a := &c.active[i]; a.state == state {
			return a
		}
	} else if i -= s.from; i < len(s.next) {
		if a := &s.next[i]; a.state == state {
			return a
		}
	}
	return nil
}

// put adds a vertex to a state.
func (c *chains) put(s *compactScratch, state int32, id uint32) {
	if a := c.target(s, state); a != nil {
		c.insert(a, id)
		return
	}
	s.came++
	s.add(group{state: state, n: 1, ids: [groupIDs]uint32{id}})
}

// pass adds the chains of a group to its state. all is their union if that has
// been made.
func (c *chains) pass(s *compactScratch, a *group, all uint32) {
	to := c.target(s, a.state)
	if to == nil {
		s.add(*a)
		return
	}
	if all == 0 {
		all = c.mergeGroup(a)
	}
	c.release(a)
	c.insert(to, all)
}

func (s *compactScratch) add(a group) {
	s.place[a.state] = uint32(s.from + len(s.next))
	s.next = append(s.next, a)
}

// list returns the list of a group.
func (c *chains) list(a *group) []uint32 {
	if a.n <= groupIDs {
		return a.ids[:a.n]
	}
	return c.long[a.ids[0]]
}

// shorten cuts the list of a group.
func (c *chains) shorten(a *group, n int) {
	if n == int(a.n) {
		return
	}
	list := c.list(a)
	if a.n > groupIDs {
		c.long[a.ids[0]] = list[:n]
		if n <= groupIDs {
			c.release(a)
			copy(a.ids[:], list[:n])
		}
	}
	a.n = uint32(n)
}

// release gives up the memory of a group's list.
func (c *chains) release(a *group) {
	if a.n > groupIDs {
		c.long[a.ids[0]] = c.long[a.ids[0]][:0]
	}
}

// insert adds a vertex to the list of a group, whose first is not earlier.
func (c *chains) insert(a *group, id uint32) {
	list, latest := c.list(a), c.at(id).max
	i := 1
	for ; i < len(list); i++ {
		if m := c.at(list[i]).max; m == latest {
			list[i] = c.union(list[i], id)
			return
		} else if m < latest {
			break
		}
	}
	switch {
	case a.n < groupIDs:
		copy(a.ids[i+1:], a.ids[i:])
		a.ids[i] = id
	case a.n > groupIDs:
		c.long[a.ids[0]] = slices.Insert(list, i, id)
	default:
		at := slices.IndexFunc(c.long, func(l []uint32) bool { return len(l) == 0 })
		if at < 0 {
			at = len(c.long)
			c.long = append(c.long, nil)
		}
		c.long[at] = slices.Insert(append(c.long[at], list...), i, id)
		a.ids[0] = uint32(at)
	}
	a.n++
}

// mergeGroup returns the union of the chains of a group. Its list is shortened
// to two, so that the next merge is short.
func (c *chains) mergeGroup(a *group) uint32 {
	c.shorten(a, len(c.fresh(c.list(a))))
	all, short := c.merge(c.list(a))
	c.shorten(a, len(short))
	return all
}
