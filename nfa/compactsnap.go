package nfa

import (
	"encoding/binary"
	"slices"

	"github.com/cepd/cepd/event"
)

// The encoding of a compact machine, all numbers varints:
//
//	version    one byte
//	streams    count, names
//	events     count; each: stream, event
//	vertices   count; each: step + 1, event, before or 0, left, right
//	groups     count; each: whether given, the program states, the list
//	made, live
//
// What is too old is left out, and so are events and vertices that nothing
// leads to; the rest stands in the order in which it came to be. So equal
// machines have equal bytes.
const compactVersion = 2

// AppendBinary implements [Machine].
func (m *compactMachine) AppendBinary(dst []byte) []byte {
	if m.graph != nil {
		return m.graph.appendBinary(dst)
	}
	c := newChains(m.prog)
	if m.first != nil {
		c.begun(m.first, m.state, m.step)
	}
	return c.appendBinary(dst)
}

func (c *chains) appendBinary(dst []byte) []byte {
	c.tidy(&tidyScratch{})
	dst = append(dst, compactVersion)
	dst = c.appendEvents(dst)
	dst = binary.AppendUvarint(dst, uint64(len(c.vertices)))
	for _, v := range c.vertices {
		dst = binary.AppendUvarint(dst, uint64(v.step+1))
		dst = binary.AppendUvarint(dst, uint64(v.a))
		dst = binary.AppendUvarint(dst, uint64(v.b))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.active)))
	for i := range c.active {
		a := &c.active[i]
		s := &c.prog.compact.states[a.state]
		dst = appendFlag(dst, s.given)
		dst = appendNumbers(dst, s.set)
		dst = appendNumbers(dst, c.list(a))
	}
	dst = binary.AppendUvarint(dst, uint64(c.made))
	return binary.AppendUvarint(dst, uint64(c.live))
}

func (c *chains) appendEvents(dst []byte) []byte {
	var streams []string
	for _, x := range c.events {
		if s := x.event.Schema.Stream(); !slices.Contains(streams, s) {
			streams = append(streams, s)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(streams)))
	for _, s := range streams {
		dst = event.AppendText(dst, s)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.events)))
	for _, x := range c.events {
		dst = binary.AppendUvarint(dst, uint64(slices.Index(streams, x.event.Schema.Stream())))
		dst = x.event.AppendBinary(dst)
	}
	return dst
}

func appendFlag(dst []byte, f bool) []byte {
	if f {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendNumbers[T int32 | uint32](dst []byte, numbers []T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(numbers)))
	for _, x := range numbers {
		dst = binary.AppendUvarint(dst, uint64(x))
	}
	return dst
}

// compactReader reads a compact machine.
type compactReader struct {
	reader
	tecs
	last   []uint32 // by vertex: the latest event of its chains
	groups []readGroup
}

type readGroup struct {
	set   []int32
	given bool
	list  []uint32
}

// readCompact reads what follows the version. A program that became one for
// the run machine, because a condition looks at the run now, goes on with the
// chains as runs.
func (d *reader) readCompact(p *Prog) Machine {
	if len(p.aggs) > 0 {
		d.bad("chains, which have no aggregates")
		return nil
	}
	r := &compactReader{reader: *d}
	r.readAll(p)
	if !r.ok() {
		d.err = r.err
		return nil
	}
	if p.compact == nil {
		return r.expand(p)
	}
	c := newChains(p)
	c.vertices, c.events, c.made, c.live = r.vertices, r.events, r.made, r.live
	c.findCut()
	for i, g := range r.groups {
		state, ok := p.compact.index[dstateName(g.set, g.given)]
		if !ok || state == dfaStart {
			d.bad("group %d waits in states %v", i, g.set)
			return nil
		}
		c.restore(state, g.list)
	}
	c.findEnd()
	c.findAsked()
	m := &compactMachine{prog: p}
	if len(c.active) > 0 {
		m.graph = c
		if c.made == 0 && c.live == 1 {
			m.settle(&compactScratch{})
		}
	}
	return m
}

// restore adds the list of a state. Where the state is one of two that cannot
// be told apart, which were kept apart once, it adds to that of the other.
func (c *chains) restore(state int32, list []uint32) {
	i := slices.IndexFunc(c.active, func(a group) bool { return a.state == state })
	if i < 0 {
		i = len(c.active)
		c.active = append(c.active, group{state: state, n: 1, ids: [groupIDs]uint32{list[0]}})
		list = list[1:]
	}
	for _, id := range list {
		c.insert(&c.active[i], id)
	}
}

func (r *compactReader) readAll(p *Prog) {
	for i := range r.Count() {
		s := r.Uvarint()
		if s >= uint64(len(r.schemas)) {
			r.bad("event %d is of stream %d", i, s)
			return
		}
		e := r.Event(r.schemas[s])
		if !r.ok() {
			return
		}
		if i > 0 && event.Compare(r.events[i-1].event, e) >= 0 {
			r.bad("event %d is out of order", i)
			return
		}
		r.accept(e)
	}
	for i := range r.Count() {
		if r.readVertex(p); !r.ok() {
			r.bad("vertex %d cannot be", i+1)
			return
		}
	}
	for i := range r.Count() {
		if r.readGroup(p); !r.ok() {
			r.bad("group %d cannot be", i)
			return
		}
	}
	made, live := r.Uvarint(), r.Uvarint()
	if made > maxVertices || live > maxVertices {
		r.bad("%d new vertices after %d", made, live)
	}
	r.made, r.live = uint32(made), uint32(live)
}

// maxVertices bounds what is read, which is counted in 32 bits.
const maxVertices = 1 << 30

func (r *compactReader) readVertex(p *Prog) {
	step, a, b := r.Uvarint(), r.Uvarint(), r.Uvarint()
	n := uint64(len(r.vertices))
	switch {
	case !r.ok():
	case step > uint64(len(p.steps)), b > n:
		r.bad("step %d behind vertex %d of %d", step, b, n)
	case step == 0 && (a == 0 || b == 0 || a > n || r.at(uint32(a)).max < r.at(uint32(b)).max):
		r.bad("a union of %d and %d", a, b)
	case step == 0:
		r.join(uint32(a), uint32(b))
		r.last = append(r.last, max(r.last[a-1], r.last[b-1]))
	case a >= uint64(len(r.events)), b > 0 && uint64(r.last[b-1]) >= a:
		r.bad("event %d behind vertex %d", a, b)
	default:
		r.extend(uint32(a), uint16(step-1), uint32(b))
		r.last = append(r.last, uint32(a))
	}
}

func (r *compactReader) readGroup(p *Prog) {
	g := readGroup{given: r.Byte() == 1}
	for range r.Count() {
		s := r.Uvarint()
		if !r.ok() || s >= uint64(len(p.states)) || !p.states[s].kind.waits() || len(g.set) > 0 && int32(s) <= g.set[len(g.set)-1] {
			r.bad("state %d", s)
			return
		}
		g.set = append(g.set, int32(s))
	}
	for i := range r.Count() {
		id := r.Uvarint()
		if !r.ok() || id == 0 || id > uint64(len(r.vertices)) {
			r.bad("vertex %d", id)
			return
		}
		if i > 0 {
			m := r.at(g.list[i-1]).max
			if now := r.at(uint32(id)).max; now > m || now == m && i > 1 {
				r.bad("vertex %d is out of order", id)
				return
			}
		}
		g.list = append(g.list, uint32(id))
	}
	if len(g.set) == 0 || len(g.list) == 0 || r.at(g.list[0]).step == unionStep {
		r.bad("an empty group")
		return
	}
	if n := len(r.groups); n > 0 && r.at(r.groups[n-1].list[0]).max < r.at(g.list[0]).max {
		r.bad("the groups are out of order")
		return
	}
	r.groups = append(r.groups, g)
}

// expand makes runs of the chains, at most as many of each group as a key may
// have.
func (r *compactReader) expand(p *Prog) Machine {
	m := &runSet{prog: p}
	s := &compactScratch{}
	walker := &chains{prog: p, tecs: r.tecs}
	nodes := map[chainKey]*node{}
	var out scratch
	for _, g := range r.groups {
		s.todo = s.todo[:0]
		for _, id := range slices.Backward(g.list) {
			s.todo = append(s.todo, branch{id, 0})
		}
		for left := p.maxRuns; len(s.todo) > 0 && left > 0; left-- {
			next := s.todo[len(s.todo)-1]
			s.todo, s.path = s.todo[:len(s.todo)-1], s.path[:next.path]
			walker.walk(next.id, s)
			var last *node
			for _, x := range slices.Backward(s.path) {
				last = walker.shared(nodes, last, x)
			}
			last.given = g.given
			for _, state := range g.set {
				out.moved = append(out.moved, move{int(state), run{last, r.events[s.path[len(s.path)-1].event].event}})
			}
		}
	}
	m.settle(&out)
	return m.machine()
}

// chainKey names a chain by the one before it, its last event and its step.
type chainKey struct {
	before *node
	pathStep
}

// shared returns the chain of before and one event more, always the same one.
func (c *chains) shared(nodes map[chainKey]*node, before *node, x pathStep) *node {
	k := chainKey{before, x}
	n := nodes[k]
	if n == nil {
		n = c.prog.extend(before, int(x.step), c.events[x.event].event)
		nodes[k] = n
	}
	return n
}
