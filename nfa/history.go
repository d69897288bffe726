package nfa

import (
	"iter"
	"slices"

	"github.com/cepd/cepd/event"
)

// node is an accepted event in a chain that leads back to the first. Chains
// are immutable and share their beginnings: a run that branches costs nothing
// but its new nodes, and nothing is counted or freed by hand. Of one machine,
// two chains are equal exactly if they are the same pointer.
//
// For an event to be found without going through all later ones, a node knows
// three earlier ones:
//
//	same   the event before it of the same step
//	jump   one further back along same, so that any can be reached in O(log n)
//	other  the last event before this stretch of the same step
//
//	     a1 <--same-- a2 <--same-- a3        b4 <--same-- b5
//	                                ^--other--'            |
//	                                '-----------other------'
//
// In a program in which steps can alternate for ever, such as (a -> b)+, every
// 16th stretch also has a table of the last event of each step, so that a look
// back passes at most 16 stretches.
type node struct {
	event *event.Event
	same  *node
	jump  *node
	other *node
	extra *extra

	index   uint32 // among the events of the step
	depth   uint32 // among all
	stretch uint32 // number of the stretch

	// mark and child belong to the machine, and find in one step what was
	// already made or seen: they mean something only while mark is equal to
	// the machine's epoch.
	mark  uint32
	child uint32

	step  uint16
	given bool // the chain that ends here has been given as a match
}

// extra is what few nodes have.
type extra struct {
	values []event.Value // states of the aggregates over the step
	last   []*node       // by step, the last event before this stretch
}

// tableEvery is the number of stretches from one table to the next.
const tableEvery = 16

// extend returns a new chain: prev, then an event of a step. values are left
// to the caller.
func (p *Prog) extend(prev *node, step int, e *event.Event) *node {
	return p.extendAs(&node{}, prev, step, e)
}

// extendAs is extend with a node that is empty.
func (p *Prog) extendAs(n, prev *node, step int, e *event.Event) *node {
	n.event, n.step = e, uint16(step)
	if prev == nil {
		return n
	}
	n.depth = prev.depth + 1
	n.same = prev.find(step)
	if prev.step == n.step {
		n.other, n.stretch = prev.other, prev.stretch
	} else {
		n.other, n.stretch = prev, prev.stretch+1
	}
	if s := n.same; s != nil {
		n.index = s.index + 1
		// Jump lengths follow the skew binary numbers (Myers, "An applicative
		// random-access stack", 1983): two equal jumps in a row make one.
		n.jump = s
		if s.jump != nil && s.jump.jump != nil && s.index-s.jump.index == s.jump.index-s.jump.jump.index {
			n.jump = s.jump.jump
		}
	}
	switch {
	case !p.grouped || n.stretch%tableEvery != 0:
	case n.stretch != prev.stretch:
		last := make([]*node, len(p.steps))
		for i := range last {
			last[i] = prev.find(i)
		}
		n.extra = &extra{last: last}
	case prev.extra != nil:
		n.extra = &extra{last: prev.extra.last}
	}
	return n
}

// prev returns the node before n, of whatever step.
func (n *node) prev() *node {
	if n.same != nil && n.same.stretch == n.stretch {
		return n.same
	}
	return n.other
}

// find returns the last node of a step up to n, nil if there is none.
func (n *node) find(step int) *node {
	for ; n != nil && int(n.step) != step; n = n.other {
		if n.extra != nil && n.extra.last != nil {
			return n.extra.last[step]
		}
	}
	return n
}

// at returns the node of n's step with the given index.
func (n *node) at(index uint32) *node {
	for n.index > index {
		if n.jump.index >= index {
			n = n.jump
		} else {
			n = n.same
		}
	}
	return n
}

// first returns the node that the chain began with.
func (n *node) first() *node {
	for {
		for n.index > 0 && n.jump.stretch == n.stretch {
			n = n.jump
		}
		for n.index > 0 && n.same.stretch == n.stretch {
			n = n.same
		}
		if n.other == nil {
			return n
		}
		n = n.other
	}
}

// History is what a run or a match has accepted, by step.
type History struct {
	prog *Prog
	last *node
}

// Count returns the number of events that a step has accepted.
func (h *History) Count(step int) int {
	if n := h.last.find(step); n != nil {
		return int(n.index) + 1
	}
	return 0
}

// At returns event i of a step, from 0 up to Count.
func (h *History) At(step, i int) *event.Event {
	return h.last.find(step).at(uint32(i)).event
}

// Aggregate returns the state of an aggregate, nil where its step has accepted
// nothing. It must not be changed.
func (h *History) Aggregate(agg int) []event.Value {
	a := h.prog.aggs[agg]
	n := h.last.find(a.step)
	if n == nil || n.extra == nil {
		return nil
	}
	return n.extra.values[a.offset : a.offset+a.width : a.offset+a.width]
}

// Events returns the events of a step, in order.
func (h *History) Events(step int) []*event.Event {
	n := h.last.find(step)
	if n == nil {
		return nil
	}
	events := make([]*event.Event, n.index+1)
	for ; n != nil; n = n.same {
		events[n.index] = n.event
	}
	return events
}

// Steps returns the numbers of the steps that have accepted an event, in
// ascending order.
func (h *History) Steps() []int {
	var steps []int
	for i := range h.prog.steps {
		if h.last.find(i) != nil {
			steps = append(steps, i)
		}
	}
	return steps
}

// Len returns the number of accepted events.
func (h *History) Len() int {
	if h.last == nil {
		return 0
	}
	return int(h.last.depth) + 1
}

// First returns the first accepted event, nil where there is none.
func (h *History) First() *event.Event {
	if h.last == nil {
		return nil
	}
	return h.last.first().event
}

// Last returns the last accepted event, nil where there is none.
func (h *History) Last() *event.Event {
	if h.last == nil {
		return nil
	}
	return h.last.event
}

// All returns the accepted events in order, each with the number of its step.
func (h *History) All() iter.Seq2[int, *event.Event] {
	return func(yield func(int, *event.Event) bool) {
		chain := make([]*node, 0, h.Len())
		for n := h.last; n != nil; n = n.prev() {
			chain = append(chain, n)
		}
		for _, n := range slices.Backward(chain) {
			if !yield(int(n.step), n.event) {
				return
			}
		}
	}
}

// compareChains orders the chains of two matches with the same first event:
// the longer one first, then the one whose events come earlier, then by step.
func compareChains(a, b *node) int {
	if a.depth != b.depth {
		return int(b.depth) - int(a.depth)
	}
	byEvent, byStep := 0, 0
	for ; a != b; a, b = a.prev(), b.prev() {
		if a.event != b.event {
			byEvent = event.Compare(a.event, b.event)
		}
		if a.step != b.step {
			byStep = int(a.step) - int(b.step)
		}
	}
	if byEvent != 0 {
		return byEvent
	}
	return byStep
}
