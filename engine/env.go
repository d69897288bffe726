package engine

import (
	"errors"
	"math/bits"
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/rules"
)

// memo remembers the answers of a stream's conditions for the event at hand,
// so that each is evaluated at most once however many rules ask.
type memo struct {
	conditions expr.Conditions
	answers    []answers // of 64 conditions each
	used       []int32   // of these, those that are not empty, where they are several
	errs       []error   // of those that failed
	guards     *guardIndex
	looked     uint64 // fields of guards, of which each is looked at once
}

// answers are those of 64 conditions, a bit for each.
type answers struct{ known, holds, failed uint64 }

func (m *memo) init(s *streamPlan) {
	m.conditions, m.guards = expr.NewConditions(s.Conditions), s.guards
	m.answers = apart[answers]((len(s.Conditions) + 63) / 64)
	m.used = apart[int32](len(m.answers))[:0]
	m.errs = apart[error](len(s.Conditions))
}

func (m *memo) forget() {
	if len(m.answers) == 1 {
		m.answers[0], m.looked = answers{}, 0
		return
	}
	for _, i := range m.used {
		m.answers[i] = answers{}
	}
	m.used, m.looked = m.used[:0], 0
}

// first returns which of the first 64 conditions were answered, and which of
// those hold. Failures are asked for again, since each rule counts them.
func (m *memo) first() (known, holds uint64) {
	if len(m.answers) == 0 {
		return 0, 0
	}
	a := &m.answers[0]
	return a.known &^ a.failed, a.holds
}

// begin forgets all but the answers that an item brings.
func (m *memo) begin(it *item) {
	m.forget()
	if it.known != 0 {
		m.use(0)
		m.answers[0] = answers{known: it.known, holds: it.holds}
	}
}

// use notes that there are answers of a number from now on.
func (m *memo) use(i int) {
	if len(m.answers) > 1 {
		m.used = append(m.used, int32(i))
	}
}

// env answers what a machine asks about the event at hand. It implements
// [nfa.Env].
type env struct {
	shard *Shard
	rule  *rulePlan
	input *rules.Input // nil when a timer is at work
	memo  *memo
	event *event.Event
	kept  *event.Event // the rule's projection of event, once asked for

	// What one judgment of a rule has put out so far, to tell apart what is
	// equal in all else. Nothing here depends on what came before.
	told, emitted int
	counted       []int // conditions whose failure was counted for the rule
}

func (v *env) begin(r *rulePlan, in *rules.Input, m *memo, e *event.Event) {
	v.rule, v.input, v.memo, v.event, v.kept = r, in, m, e, nil
	v.told, v.emitted, v.counted = 0, 0, v.counted[:0]
}

// ask answers one of a stream's conditions for the event in the frame.
func (m *memo) ask(condition int, f *expr.Frame) (holds, failed bool) {
	a, bit := &m.answers[condition/64], uint64(1)<<(condition%64)
	if a.known&bit == 0 {
		if m.guards != nil {
			m.look(condition, f.Event)
		}
		if a.known&bit == 0 {
			m.note(condition, a, bit, m.conditions.Ask(condition, f))
		}
	}
	return a.holds&bit != 0, a.failed&bit != 0
}

// any reports whether one of a list of conditions holds or fails for the event
// in the frame.
func (m *memo) any(list []int32, f *expr.Frame) bool {
	for _, c := range list {
		if holds, failed := m.ask(int(c), f); holds || failed {
			return true
		}
	}
	return false
}

// note keeps an answer.
func (m *memo) note(condition int, a *answers, bit uint64, t expr.Truth) {
	if a.known == 0 {
		m.use(condition / 64)
	}
	a.known |= bit
	switch {
	case t.Holds():
		a.holds |= bit
	case t.Failed():
		a.failed |= bit
		m.errs[condition] = t.Err()
	}
}

// holds answers a condition of the stream.
func (v *env) holds(condition int) bool {
	holds, failed := v.memo.ask(condition, &v.shard.frame)
	if failed && !slices.Contains(v.counted, condition) {
		// Rules share the answer; each that asks counts the failure, once.
		v.counted = append(v.counted, condition)
		v.shard.evalError(v.rule.Name, v.memo.errs[condition])
	}
	return holds
}

// Holds answers a plain predicate of the rule's pattern.
func (v *env) Holds(pred int) bool {
	c := v.input.Plain[pred]
	return c >= 0 && v.holds(c)
}

// HoldAll answers several plain predicates of the rule's pattern.
func (v *env) HoldAll(_ []int, asked uint64) (holds uint64) {
	for i := range v.input.Sets {
		holds |= v.holdSet(&v.input.Sets[i], asked)
	}
	return holds
}

// fewAsked is the number of conditions up to which to ask each is cheaper than
// to look up the value of the field that may decide all of them.
const fewAsked = 3

// holdSet answers those of a set whose conditions lie in one word of a memo.
func (v *env) holdSet(set *rules.PredicateSet, asked uint64) uint64 {
	if asked &= set.Predicates; asked == 0 {
		return 0
	}
	m, f := v.memo, &v.shard.frame
	a := &m.answers[set.Word]
	asked = bits.RotateLeft64(asked, set.Shift)
	for unknown := asked &^ a.known; unknown != 0; unknown = asked &^ a.known {
		bit := bits.TrailingZeros64(unknown)
		c := set.Word*64 + bit
		if m.guards != nil && bits.OnesCount64(unknown) > fewAsked && m.look(c, f.Event) {
			continue
		}
		m.note(c, a, 1<<bit, m.conditions.Ask(c, f))
	}
	for failed := asked & a.failed; failed != 0; failed &= failed - 1 {
		v.holds(set.Word*64 + bits.TrailingZeros64(failed)) // counts it
	}
	return bits.RotateLeft64(asked&a.holds, -set.Shift)
}

// Linked answers a predicate that looks at what a run has accepted.
func (v *env) Linked(pred int, h *nfa.History) bool {
	p := v.input.Linked[pred]
	if p == nil {
		return false
	}
	v.shard.frame.History = h
	ok, err := p.Bool(&v.shard.frame)
	if err != nil {
		v.shard.evalError(v.rule.Name, err)
	}
	return ok
}

// Fold folds the event at hand into an aggregate that the rule keeps.
func (v *env) Fold(agg int, state []event.Value) {
	v.rule.Pattern.Aggregates.Fold(agg, &v.shard.frame, state)
}

// Keep returns what the rule keeps of the event at hand.
func (v *env) Keep() *event.Event {
	if v.kept == nil {
		raw := v.shard.options.matches || v.rule.keepRaw
		v.kept = v.input.Keep.Keep(v.event, raw, &v.shard.texts)
	}
	return v.kept
}

// isNoField reports whether an expression failed for a field that the event
// lacks.
func isNoField(err error) bool {
	var e *expr.EvalError
	return errors.As(err, &e) && e.Reason() == expr.ReasonNoSuchField
}

// evalError counts an expression that failed, by the reason it gives.
func (s *Shard) evalError(rule string, err error) {
	reason := "other"
	var e *expr.EvalError
	if errors.As(err, &e) {
		reason = e.Reason().String()
	}
	s.out.stats.EvalErrors.add(rule, reason, 1)
	if s.options.tracer != nil {
		s.options.tracer.Failed(rule, reason)
	}
}
