package engine

import (
	"slices"

	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
)

// gate says what must hold of an event for a rule to be shown it.
//
// Most events match nothing. Where the event alone says so of every rule of a
// table, its key need not even be looked up. As with a [ruleIndex], a rule may
// be passed over only where being shown the event would do nothing at all: what
// fails opens the gate, so that the rule counts it.
type gate struct {
	where int32   // must hold; -1 for none
	some  []int32 // of these one must hold; none: what `where` lets pass is shown, nothing without it
}

// maxGate is the number of conditions from which on looking up the key is
// cheaper than asking them all.
const maxGate = 6

// newGates returns the gates of a table's rules for the events of a stream, by
// number of the rule, nil where some rule has none: the key is looked up then in
// any case.
func newGates(t *tablePlan, stream int) []gate {
	if t.usesKey {
		return nil
	}
	gates, read := make([]gate, len(t.rules)), false
	for i, r := range t.rules {
		in := r.inputs[stream]
		if in == nil {
			gates[i].where = -1 // it opens for no event
			continue
		}
		read = true
		g := gate{where: int32(in.Where)}
		if r.Pattern != nil && r.Pattern.Prog.Sleeps() && r.Idle == 0 && r.Keys == 0 {
			for _, c := range in.Plain {
				if c >= 0 && !slices.Contains(g.some, int32(c)) {
					g.some = append(g.some, int32(c))
				}
			}
		}
		if len(g.some) > maxGate {
			g.some = nil
		}
		if g.where < 0 && g.some == nil {
			return nil
		}
		gates[i] = g
	}
	if !read {
		return nil
	}
	return gates
}

// open reports whether a rule is to be shown the event in the frame.
func (g *gate) open(m *memo, f *expr.Frame) bool {
	if g.where >= 0 {
		holds, failed := m.ask(int(g.where), f)
		if failed || !holds || len(g.some) == 0 {
			return failed || holds
		}
	}
	return m.any(g.some, f)
}

// A screen is the conditions of a stream of which one must hold for any rule to
// be shown an event of it. Where an index of guards answers many at a time they
// are asked through a memo; else they are evaluated without keeping the answers,
// of which most events need none.
type screen struct {
	numbers []int32
	direct  *expr.AnyOf // nil where there is an index
	upTo    []uint64    // by place in numbers: a bit for each condition up to there, among the first 64
}

// newScreen returns the screen of a stream, nil where there is none, or none that
// is worth it.
func newScreen(s *streamPlan) *screen {
	numbers := screened(s)
	if numbers == nil {
		return nil
	}
	x := &screen{numbers: numbers}
	if s.guards == nil {
		var programs []*expr.Program
		bits := uint64(0)
		for _, n := range numbers {
			programs = append(programs, s.Conditions[n])
			bits |= 1 << n // nothing from 64 on
			x.upTo = append(x.upTo, bits)
		}
		x.direct = expr.NewAnyOf(programs)
	}
	return x
}

// stops reports whether nobody wants the event in the frame. Where somebody may,
// the memo knows what was asked.
func (x *screen) stops(m *memo, f *expr.Frame) bool {
	return x.direct.Excluded(f.Event.Slots) || x.noneHolds(m, f)
}

// noneHolds is stops for an event of which the fields alone do not show it.
func (x *screen) noneHolds(m *memo, f *expr.Frame) bool {
	m.forget()
	if x.direct == nil {
		return !m.any(x.numbers, f)
	}
	n, t := x.direct.First(f)
	if n < 0 {
		return true
	}
	if number := x.numbers[n]; number < 64 && t.Holds() {
		m.use(0)
		m.answers[0] = answers{known: x.upTo[n], holds: 1 << number}
	}
	return false
}

// fields returns what fields of an event alone tell of the conditions.
func (x *screen) fields() *expr.AnyOf {
	if x == nil {
		return nil
	}
	return x.direct
}

// screened returns the numbers of the conditions.
func screened(s *streamPlan) (screen []int32) {
	for _, targets := range s.keys {
		for i := range targets {
			t := &targets[i]
			if t.always || t.plan.indexes[s.number] != nil {
				return nil
			}
			for j, g := range t.plan.gates[s.number] {
				switch {
				case t.plan.rules[j].inputs[s.number] == nil:
				case g.where >= 0:
					screen = append(screen, g.where)
				default:
					screen = append(screen, g.some...)
				}
			}
		}
	}
	slices.Sort(screen)
	if screen = slices.Compact(screen); len(screen) > maxScreen {
		return nil
	}
	return screen
}

// screenOnly finds out whether the screen says all of what its only target wants.
func (s *streamPlan) screenOnly() {
	var only *target
	for _, targets := range s.keys {
		for i := range targets {
			if only != nil {
				return
			}
			only = &targets[i]
		}
	}
	only.screened = !slices.ContainsFunc(only.plan.gates[s.number], func(g gate) bool { return g.where >= 0 && len(g.some) > 0 })
}

// maxScreen is the number of conditions up to which asking them all before
// anything else pays.
const maxScreen = 64

// sieve says what must hold of an event for a rule to be shown it that has no
// state of the event's key.
type sieve struct{ where, when int32 } // conditions; -1 for none

// needsWhen reports whether an event of a key without state is nothing to the
// rule unless its `when` holds.
func (r *rulePlan) needsWhen(in *rules.Input) bool {
	return r.When && in.When >= 0 && !r.Absent && !r.policy().Remembers()
}

// newSieves returns the sieves of a table's rules for the events of a stream, by
// number of the rule, nil where there are none.
func newSieves(t *tablePlan, stream int) []sieve {
	if t.usesKey {
		return nil
	}
	sieves, any := make([]sieve, len(t.rules)), false
	for i, r := range t.rules {
		sieves[i] = sieve{-1, -1}
		if in := r.inputs[stream]; in != nil && r.needsWhen(in) {
			sieves[i], any = sieve{int32(in.Where), int32(in.When)}, true
		}
	}
	if !any {
		return nil
	}
	return sieves
}

// stops reports whether the event in the frame is nothing to a rule without
// state. What fails is counted by the rule.
func (v *sieve) stops(m *memo, f *expr.Frame) bool {
	if v.when < 0 {
		return false
	}
	if v.where >= 0 {
		if holds, failed := m.ask(int(v.where), f); failed || !holds {
			return !failed
		}
	}
	holds, failed := m.ask(int(v.when), f)
	return !holds && !failed
}

// pass leaves out the rules whose gates the event does not open.
func (s *Shard) pass(t *table, it *item, found []int32) []int32 {
	gates := t.gates[it.stream]
	if gates == nil {
		return found
	}
	s.frame.Event, s.frame.Key = it.event, nil
	m := &s.memos[it.stream]
	s.passed = s.passed[:0]
	for _, rule := range found {
		if gates[rule].open(m, &s.frame) {
			s.passed = append(s.passed, rule)
		}
	}
	return s.passed
}
