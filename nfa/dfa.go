package nfa

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// dfa is a program made deterministic, for the compact machine.
//
// A state is the set of program states in which the runs with one chain of
// accepted events wait, and whether that chain has been given as a match. What
// an event does depends on the answers to a few plain predicates, the state's
// asks: the chain stays as it is and goes on to one state, its silent
// successor, and for each step that can take the event there is one longer
// chain, in one state. So of equal runs that came to be on different ways there
// is one from the start, and every chain is in one state only.
//
// It is made when the program is compiled, as a whole, and is part of it.
type dfa struct {
	states []dstate
	index  map[string]int32 // of states by their set
	preds  []int            // by number of a predicate, what the Env calls it
	// asked holds for each state a bit for each predicate that it asks about,
	// and the bit restless if something happens where none of them holds. An
	// event does nothing to a state of whose bits none is set for the event.
	asked []uint64
}

const restless = 1 << 63

// The state where chains begin, and the successor of a chain that ends.
const (
	dfaStart = 0
	dfaNone  = -1
)

type dstate struct {
	set   []int32 // states of the program, sorted
	given bool
	asks  []uint8   // numbers of predicates
	next  []outcome // by the answers, the first of asks in the lowest bit
}

// outcome is what an event does to the chains of a state.
type outcome struct {
	takes  []take
	silent int32
	match  bool // the chain as it is completes: the event is not one that `=> !x` forbids
	quiet  bool // nothing happens: the chains stay in their state, and are no match
}

// take is a step that takes the event.
type take struct {
	step  uint16
	to    int32
	match bool
}

// The limits of a dfa. What is beyond is left to the run machine: a program
// whose choices multiply, such as one with a great many optional steps in a row.
const (
	maxDFAStates   = 1 << 10
	maxDFAOutcomes = 1 << 13
	maxDFAAsks     = 8  // of one state
	maxDFAPreds    = 63 // of a program: the answers for an event are one word, with restless
)

// compactable reports whether the compact machine gives the same matches as
// the run machine for a program with these options. It keeps no account of
// single runs, and so cannot tell of each whose time has ended, nor hold a
// match back until the runs that began before it are gone. What a match skips
// must be nothing or, but for what began after its last event, everything. And
// a low limit of runs is meant to be exact.
func (p *Prog) compactable() bool {
	if len(p.preds) > maxDFAPreds || p.windows || p.timeout || len(p.aggs) > 0 || p.maxRuns < DefaultMaxRuns {
		return false
	}
	for _, q := range p.preds {
		if q.Linked {
			return false
		}
	}
	for _, f := range p.flat {
		if f.pending {
			return false
		}
	}
	return p.skip == SkipNone || p.skip == SkipPastLast && p.order == OrderCompletion
}

// determine makes the program deterministic, nil if that makes it too large.
func (p *Prog) determine() *dfa {
	d := &dfa{index: map[string]int32{}}
	d.state([]int32{startState}, false)
	outcomes := 0
	for i := 0; i < len(d.states); i++ {
		asks := p.asks(d.states[i].set)
		if outcomes += 1 << len(asks); len(asks) > maxDFAAsks || outcomes > maxDFAOutcomes || len(d.states) > maxDFAStates {
			return nil
		}
		next := make([]outcome, 1<<len(asks))
		for bits := range next {
			next[bits] = d.find(p, int32(i), func(pred int) bool {
				return bits&(1<<slices.Index(asks, uint8(pred))) != 0
			})
		}
		d.states[i].asks, d.states[i].next = asks, next
	}
	d.minimise()
	for _, s := range d.states {
		asked := uint64(0)
		for _, pred := range s.asks {
			asked |= 1 << pred
		}
		if !s.next[0].quiet {
			asked |= restless
		}
		d.asked = append(d.asked, asked)
	}
	for _, q := range p.preds {
		d.preds = append(d.preds, q.ID)
	}
	return d
}

// minimise makes one state of those that cannot be told apart: all that can
// happen to their chains is the same. A loop that may end after each of its
// events, for example, waits in one state right after an event and in another
// once it has skipped one, which often do the same; only as one do they leave
// alone what they skip.
//
// States are in one class at first, and those of a class are parted as long as
// an event brings them to different ones (Moore). Only states are looked at again
// of which a successor has got a class of its own, which the smaller part of a
// class gets (Hopcroft): what a loop of a thousand counted rounds takes grows with
// the rounds, and not with their square. States that ask about different
// predicates stay apart, so that no more and no fewer are asked than the pattern
// says.
func (d *dfa) minimise() {
	class, size := make([]int32, len(d.states)), []int{len(d.states)}
	before, look := d.predecessors(), make([]int32, len(d.states))
	for i := range look {
		look[i] = int32(i)
	}
	for len(look) > 0 {
		alike := d.alike(look, class)
		look = nil
		for _, states := range alike {
			c := class[states[0]]
			if len(states) == size[c] {
				continue // all that is left of the class
			}
			size[c] -= len(states)
			for _, i := range states {
				class[i] = int32(len(size))
				look = append(look, before[i]...)
			}
			size = append(size, len(states))
		}
		look = sorted(look)
	}
	if len(size) < len(d.states) {
		d.fold(inOrder(class), len(size))
	}
}

// predecessors returns for each state those from which an event leads there.
func (d *dfa) predecessors() [][]int32 {
	before := make([][]int32, len(d.states))
	add := func(from int, to int32) {
		if to != dfaNone {
			before[to] = append(before[to], int32(from))
		}
	}
	for i, s := range d.states {
		for _, o := range s.next {
			add(i, o.silent)
			for _, t := range o.takes {
				add(i, t.to)
			}
		}
	}
	return before
}

// alike parts states into lists of those that cannot be told apart by the classes
// as they are, the shortest first.
func (d *dfa) alike(states []int32, class []int32) (lists [][]int32) {
	index := map[string]int{}
	for _, i := range states {
		name := d.describe(int(i), class)
		k, ok := index[name]
		if !ok {
			k = len(lists)
			index[name], lists = k, append(lists, nil)
		}
		lists[k] = append(lists[k], i)
	}
	slices.SortStableFunc(lists, func(a, b []int32) int { return len(a) - len(b) })
	return lists
}

// inOrder numbers classes in the order of their first states.
func inOrder(class []int32) []int32 {
	number, out := map[int32]int32{}, make([]int32, len(class))
	for i, c := range class {
		if _, ok := number[c]; !ok {
			number[c] = int32(len(number))
		}
		out[i] = number[c]
	}
	return out
}

// describe says what happens in a state, by the classes of states: it is one
// text for two states of one class exactly if they cannot be told apart yet.
func (d *dfa) describe(i int, class []int32) string {
	of := func(state int32) uint64 {
		if state == dfaNone {
			return 0
		}
		return uint64(class[state]) + 1
	}
	s := &d.states[i]
	b := appendFlag(nil, i == dfaStart)
	b = binary.AppendUvarint(b, uint64(class[i]))
	b = binary.AppendUvarint(b, uint64(len(s.asks)))
	b = append(b, s.asks...)
	for _, o := range s.next {
		b = appendFlag(b, o.match)
		b = binary.AppendUvarint(b, of(o.silent))
		b = binary.AppendUvarint(b, uint64(len(o.takes)))
		for _, t := range o.takes {
			b = binary.AppendUvarint(b, uint64(t.step))
			b = binary.AppendUvarint(b, of(t.to))
			b = appendFlag(b, t.match)
		}
	}
	return string(b)
}

// fold leaves of each class the first of its states. The sets of the others
// lead to it, so that what was stored of them is read.
func (d *dfa) fold(class []int32, classes int) {
	all := d.states
	d.states = make([]dstate, 0, classes)
	for i, s := range all {
		if int(class[i]) == len(d.states) {
			d.states = append(d.states, s)
		}
	}
	of := func(state int32) int32 {
		if state == dfaNone {
			return dfaNone
		}
		return class[state]
	}
	for i := range d.states {
		for j := range d.states[i].next {
			o := &d.states[i].next[j]
			o.silent = of(o.silent)
			for k := range o.takes {
				o.takes[k].to = of(o.takes[k].to)
			}
			o.quiet = len(o.takes) == 0 && !o.match && (i == dfaStart || o.silent == int32(i))
		}
	}
	for name, state := range d.index {
		d.index[name] = class[state]
	}
}

// outcome returns what an event does to the chains of a state, by the
// predicates that hold for it.
func (d *dfa) outcome(state int32, holds uint64) *outcome {
	s, bits := &d.states[state], 0
	for i, pred := range s.asks {
		bits |= int(holds>>pred&1) << i
	}
	return &s.next[bits]
}

// asks returns the predicates that decide about any of a set of states.
func (p *Prog) asks(set []int32) []uint8 {
	var asks []uint8
	add := func(on cond) {
		for _, cl := range on {
			for _, l := range cl {
				asks = append(asks, uint8(l.pred()))
			}
		}
	}
	for _, s := range set {
		for _, a := range p.flat[s].arcs {
			add(a.on)
			for _, end := range a.ends {
				add(end)
			}
		}
	}
	slices.Sort(asks)
	return slices.Compact(asks)
}

// state returns the number of a state, dfaNone for the empty set.
func (d *dfa) state(set []int32, given bool) int32 {
	if len(set) == 0 {
		return dfaNone
	}
	name := dstateName(set, given)
	i, ok := d.index[name]
	if !ok {
		i = int32(len(d.states))
		d.index[name] = i
		d.states = append(d.states, dstate{set: set, given: given})
	}
	return i
}

func dstateName(set []int32, given bool) string {
	var b []byte
	if given {
		b = append(b, '!')
	}
	for _, s := range set {
		b = binary.AppendUvarint(b, uint64(s)<<1)
	}
	return string(b)
}

// holds evaluates a condition by the answers to plain predicates.
func (c cond) holds(answer func(pred int) bool) bool {
	for _, cl := range c {
		if !slices.ContainsFunc(cl, func(l literal) bool { return answer(l.pred()) != l.negated() }) {
			return false
		}
	}
	return true
}

// find finds out what happens in a state given the answers: to each of its
// program's states what runMachine.stepRun does.
func (d *dfa) find(p *Prog, from int32, answer func(pred int) bool) outcome {
	begins, given := from == dfaStart, d.states[from].given
	var silent []int32
	match := false
	taken := map[int]*dstate{} // by step; given says that it is a match
	for _, s := range d.states[from].set {
		arcs := slices.DeleteFunc(slices.Clone(p.flat[s].arcs), func(a arc) bool { return !a.on.holds(answer) })
		killed := !begins && slices.ContainsFunc(arcs, func(a arc) bool { return a.kind == arcStop })
		for _, a := range arcs {
			switch {
			case a.kind == arcTake:
				t := taken[a.step]
				if t == nil {
					t = &dstate{}
					taken[a.step] = t
				}
				t.given = t.given || a.to == finalState || slices.ContainsFunc(a.ends, func(c cond) bool { return c.holds(answer) })
				if a.to != finalState && !killed {
					t.set = append(t.set, int32(a.to))
				}
			case a.kind == arcStop, begins:
			case a.to == finalState:
				match = true
			case !killed:
				silent = append(silent, int32(a.to))
			}
		}
	}
	o := outcome{silent: d.state(sorted(silent), given || match), match: match && !given}
	for step := range p.steps {
		if t := taken[step]; t != nil {
			o.takes = append(o.takes, take{uint16(step), d.state(sorted(t.set), t.given), t.given})
		}
	}
	o.quiet = len(o.takes) == 0 && !o.match && (begins || o.silent == from)
	return o
}

func sorted(set []int32) []int32 {
	slices.Sort(set)
	return slices.Compact(set)
}

// Compact reports whether the compact machine runs the program.
func (p *Prog) Compact() bool { return p.compact != nil }

// CompactString lists the deterministic states of a program for the compact
// machine, each with what its chains do on every combination of answers.
func (p *Prog) CompactString() string {
	if p.compact == nil {
		return "the run machine\n"
	}
	var b strings.Builder
	for i, s := range p.compact.states {
		fmt.Fprintf(&b, "%d  {%s}", i, strings.Trim(fmt.Sprint(s.set), "[]"))
		if s.given {
			b.WriteString(" given")
		}
		b.WriteByte('\n')
		for bits, o := range s.next {
			var when []string
			for k, pred := range s.asks {
				when = append(when, map[bool]string{true: "", false: "!"}[bits&(1<<k) != 0]+p.labels[pred])
			}
			fmt.Fprintf(&b, "   %-16s %s\n", strings.Join(when, " "), p.outcomeText(i, o))
		}
	}
	return b.String()
}

func (p *Prog) outcomeText(from int, o outcome) string {
	var parts []string
	for _, t := range o.takes {
		text := "take " + p.steps[t.step].Name
		if t.match {
			text += ", match"
		}
		if t.to != dfaNone {
			text += fmt.Sprintf(" -> %d", t.to)
		}
		parts = append(parts, text)
	}
	if o.match {
		parts = append(parts, "match")
	}
	switch {
	case from == dfaStart:
	case o.silent != dfaNone:
		parts = append(parts, fmt.Sprintf("keep -> %d", o.silent))
	default:
		parts = append(parts, "end")
	}
	return strings.Join(parts, "; ")
}
