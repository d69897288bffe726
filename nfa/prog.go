package nfa

import (
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
	skip    Skip
	skipTo  int
	order   Order
	maxRuns int
	timeout bool

	aggs     []aggregate
	stepAggs [][]int // by step, the aggregates over it
	stepVals []int   // by step, the number of values of their states
	grouped  bool    // steps can alternate without bound: a loop over several
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

// flat is a state with every edge that can be reached by proceeding from it,
// so that a step over an event is one pass over arcs.
type flat struct {
	arcs    []arc
	window  event.Duration
	pending bool
	wants   []int // the steps that may be taken
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

// maxArcs bounds the edges of one state after flattening: a state with so many
// is one from which a great many steps may be left out.
const maxArcs = 5000

// flatten computes the arcs of every state. It returns false if a state has
// too many.
func (p *Prog) flatten() bool {
	p.flat = make([]flat, len(p.states))
	for i, s := range p.states {
		f := &p.flat[i]
		f.window, f.pending = s.window, s.kind == statePending
		if s.kind == stateFinal || s.kind == stateStop {
			continue
		}
		if !p.flattenFrom(f, s, nil, make(map[*state]bool)) {
			return false
		}
		for _, a := range f.arcs {
			if a.kind == arcTake && !slices.Contains(f.wants, a.step) {
				f.wants = append(f.wants, a.step)
			}
		}
		slices.Sort(f.wants)
	}
	return true
}

// flattenFrom adds the arcs of s, reached under a condition. path holds the
// states in between, since a group that loops comes back to its head.
func (p *Prog) flattenFrom(f *flat, s *state, on cond, path map[*state]bool) bool {
	if path[s] {
		return true
	}
	path[s] = true
	defer delete(path, s)
	for _, e := range s.edges {
		both, possible := on.and(e.cond).normal()
		if !possible {
			continue
		}
		switch {
		case e.act == actTake:
			ends := p.ends(e.to, nil, map[*state]bool{})
			f.addArc(arc{kind: arcTake, on: both, to: e.to.id, step: e.step, ends: ends})
		case e.act == actIgnore:
			f.addArc(arc{kind: arcIgnore, on: both, to: e.to.id, step: -1})
		case e.to.kind == stateStop:
			f.addArc(arc{kind: arcStop, on: both, to: e.to.id, step: e.step})
		case e.to.kind == stateFinal:
			// The match was given when the last event was taken.
		default:
			if len(f.arcs) > maxArcs || !p.flattenFrom(f, e.to, both, path) {
				return false
			}
		}
	}
	return true
}

func (f *flat) addArc(a arc) {
	for i := range f.arcs {
		if b := &f.arcs[i]; b.kind == a.kind && b.to == a.to && b.step == a.step {
			if equalCond(a.on, b.on) || len(b.on) == 0 {
				return
			}
		}
	}
	f.arcs = append(f.arcs, a)
}

func equalCond(a, b cond) bool {
	return slices.EqualFunc(a, b, func(x, y clause) bool { return slices.Equal(x, y) })
}

// ends returns the conditions on which the pattern can be over in s.
func (p *Prog) ends(s *state, on cond, path map[*state]bool) []cond {
	if path[s] {
		return nil
	}
	path[s] = true
	defer delete(path, s)
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
			all = append(all, p.ends(e.to, both, path)...)
		}
	}
	slices.SortFunc(all, func(a, b cond) int { return len(a) - len(b) })
	if len(all) > 0 && len(all[0]) == 0 {
		return all[:1] // always
	}
	return slices.CompactFunc(all, equalCond)
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
