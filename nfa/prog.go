package nfa

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cepd/cepd/event"
)

// Prog is a compiled pattern. It is immutable.
type Prog struct {
	root   *Node
	states []*state // as compiled, for printing
	flat   []flat   // as run
	preds  []Predicate
	labels []string // of preds
	steps  []StepInfo

	within  event.Duration
	windows bool // some states have windows of their own
	skip    Skip
	skipTo  int
	order   Order
	maxRuns int
	timeout bool

	aggs     []aggregate
	stepAggs [][]int // by step, the aggregates over it
	stepVals []int   // by step, the number of values of their states
	grouped  bool    // steps can alternate without bound: a loop over several

	ungated bool // a linked predicate has no plain one before it

	compact *dfa // nil where only the run machine can run the program
}

type aggregate struct{ step, offset, width int }

// StepNames returns the names of the steps by number.
func (p *Prog) StepNames() []string {
	names := make([]string, len(p.steps))
	for i, s := range p.steps {
		names[i] = s.Name
	}
	return names
}

// Plain returns the plain predicates that the compact machine asks about, by
// the number of the bit that stands for each, nil for a program that the run
// machine runs. They must not be changed.
func (p *Prog) Plain() []int {
	if p.compact == nil {
		return nil
	}
	return p.compact.preds
}

// flat is a state with every edge that can be reached by proceeding from it,
// so that a step over an event is one pass over arcs.
type flat struct {
	arcs    []arc
	window  event.Duration
	pending bool
	wants   []int // the steps that may be taken

	// Where rests is set, a run for which rest holds stays, by the arc stay, in
	// place of what its ignoring arcs say. See findRest.
	rests bool
	rest  cond
	stay  arc
}

type arcKind uint8

const (
	arcTake arcKind = iota
	arcIgnore
	arcStop
)

type arc struct {
	kind arcKind
	on   cond
	to   int
	step int
	// ends holds, for a take, the conditions on which the pattern can be over
	// with the event taken, though the run may go on.
	ends []cond
}

const (
	startState = 0
	finalState = 1
)

// maxArcs bounds the edges of a program after flattening. There are many where
// a great many steps may be left out one after another.
const maxArcs = 100000

// flatten computes the arcs of every state. It returns false if there are too
// many.
func (p *Prog) flatten() bool {
	p.flat = make([]flat, len(p.states))
	total := 0
	for i, s := range p.states {
		f := &p.flat[i]
		f.window, f.pending = s.window, s.kind == statePending
		p.windows = p.windows || f.window > 0 && !f.pending
		if s.kind == stateFinal || s.kind == stateStop {
			continue
		}
		p.flattenFrom(f, s, nil, seen{})
		if total += len(f.arcs); total > maxArcs {
			return false
		}
		for _, a := range f.arcs {
			if a.kind == arcTake && !slices.Contains(f.wants, a.step) {
				f.wants = append(f.wants, a.step)
			}
		}
		slices.Sort(f.wants)
	}
	names := make([]arcNames, len(p.flat))
	for i := range p.flat {
		names[i] = p.flat[i].names()
	}
	for i := range p.flat {
		p.findRest(i, names)
	}
	return true
}

// findRest finds out whether a run may stay in a state that it would leave by
// ignoring an event. Right after an event of a loop, for example, a run waits in
// a state from which it can both go on with the loop and leave it; once it has
// skipped an event these are two states, and the run is two. Where two can do
// together what one can, it stays one, and what it skips leaves it in peace:
// runs with the same events are one to the user anyway.
//
// That is so where the arcs of the state are those of the states that it goes
// to, taken together. Since what kills a run kills it whole, all have to be
// killed by the same.
func (p *Prog) findRest(state int, names []arcNames) {
	f, own := &p.flat[state], names[state]
	if state == startState || f.window > 0 || f.pending {
		return
	}
	var rest cond
	all, ways := map[string]bool{}, 0
	for _, a := range f.arcs {
		if a.kind != arcIgnore {
			continue
		}
		to := &p.flat[a.to]
		if ways++; ways > maxWays || a.to == finalState || a.to == state || to.window > 0 || to.pending || !maps.Equal(names[a.to].stops, own.stops) {
			return
		}
		maps.Copy(all, names[a.to].moves)
		rest = rest.and(a.on)
	}
	if ways == 0 || !maps.Equal(all, own.moves) {
		return
	}
	if rest, possible := rest.normal(); possible {
		f.rests, f.rest, f.stay = true, rest, arc{kind: arcIgnore, to: state, step: -1}
	}
}

// maxWays bounds the states that findRest looks at from one: there are many
// where a great many steps may be left out one after another.
const maxWays = 8

// arcNames are texts for the arcs of a state, the same for two arcs exactly if
// they are equal.
type arcNames struct{ moves, stops map[string]bool }

func (f *flat) names() arcNames {
	n := arcNames{map[string]bool{}, map[string]bool{}}
	for _, a := range f.arcs {
		if a.kind == arcStop {
			n.stops[fmt.Sprint(a)] = true
		} else {
			n.moves[fmt.Sprint(a)] = true
		}
	}
	return n
}

// seen holds the conditions under which each state has been reached.
type seen map[*state][]cond

// again reports whether a state has been reached under a condition that is no
// stronger, and notes that it is reached now. Many ways can lead to one state,
// and a group that loops leads back to its head.
func (v seen) again(s *state, on cond) bool {
	if slices.ContainsFunc(v[s], func(c cond) bool { return c.weaker(on) }) {
		return true
	}
	v[s] = append(v[s], on)
	return false
}

// flattenFrom adds the arcs of s, reached under a condition.
func (p *Prog) flattenFrom(f *flat, s *state, on cond, v seen) {
	if v.again(s, on) || len(f.arcs) > maxArcs {
		return
	}
	for _, e := range s.edges {
		both, possible := on.and(e.cond).normal()
		if !possible {
			continue
		}
		switch {
		case e.act == actTake:
			f.addArc(arc{kind: arcTake, on: both, to: e.to.id, step: e.step, ends: p.ends(e.to, nil, seen{})})
		case e.act == actIgnore:
			f.addArc(arc{kind: arcIgnore, on: both, to: e.to.id, step: -1})
		case e.to.kind == stateStop:
			f.addArc(arc{kind: arcStop, on: both, to: e.to.id, step: e.step})
		case e.to.kind == stateFinal:
			// The match was given when the last event was taken.
		default:
			p.flattenFrom(f, e.to, both, v)
		}
	}
}

func (f *flat) addArc(a arc) {
	for i := range f.arcs {
		if b := &f.arcs[i]; b.kind == a.kind && b.to == a.to && b.step == a.step && b.on.weaker(a.on) {
			return
		}
	}
	f.arcs = append(f.arcs, a)
}

// ends returns the conditions on which the pattern can be over in s.
func (p *Prog) ends(s *state, on cond, v seen) []cond {
	if v.again(s, on) {
		return nil
	}
	var all []cond
	for _, e := range s.edges {
		if e.act != actProceed || e.to.kind == stateStop {
			continue
		}
		both, possible := on.and(e.cond).normal()
		switch {
		case !possible:
		case e.to.kind == stateFinal:
			all = append(all, both)
		default:
			all = append(all, p.ends(e.to, both, v)...)
		}
	}
	slices.SortStableFunc(all, func(a, b cond) int { return len(a) - len(b) })
	if len(all) > 0 && len(all[0]) == 0 {
		return all[:1] // always
	}
	return all
}

// waitsForEver reports whether a run can skip events without end.
func (p *Prog) waitsForEver() bool {
	for i, f := range p.flat {
		if i == startState || f.window > 0 || f.pending {
			continue
		}
		for _, a := range f.arcs {
			if a.kind == arcIgnore && a.to == i {
				return true
			}
		}
	}
	return false
}

// Sleeps reports whether an event for which no plain predicate holds moves no
// run and begins none, so that a machine need not be shown it.
func (p *Prog) Sleeps() bool {
	if p.compact != nil {
		return !slices.ContainsFunc(p.compact.asked, func(asked uint64) bool { return asked&restless != 0 })
	}
	if p.ungated || p.windows {
		return false
	}
	none := func(int) bool { return false }
	todo, seen := []int{startState}, map[int]bool{startState: true, finalState: true}
	for len(todo) > 0 {
		i := todo[0]
		todo = todo[1:]
		f := &p.flat[i]
		resting := f.rests && f.rest.holds(none)
		stays := i == startState || resting
		for j := range p.flat[i].arcs {
			a := &p.flat[i].arcs[j]
			if a.kind != arcStop && (i != startState || a.kind == arcTake) && !seen[a.to] {
				seen[a.to] = true
				todo = append(todo, a.to)
			}
			switch {
			case !a.on.holds(none):
			case i == startState && a.kind != arcTake: // nothing has begun
			case resting && a.kind == arcIgnore: // the run stays instead
			case !a.stays(i):
				return false
			default:
				stays = true
			}
		}
		if !stays {
			return false
		}
	}
	return true
}
