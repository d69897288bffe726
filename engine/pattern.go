package engine

import (
	"slices"
	"strings"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/nfa"
)

// stepPattern shows an event to the runs of a key.
func (s *Shard) stepPattern(l *lane, ks *keyState, rule int, e *event.Event) {
	m := ks.look(rule).machine()
	if m == nil {
		m = s.spareMachine(ks.table, rule)
	}
	s.traceRun(ks.table.rules[rule].Name, ks.key)
	m.Step(e, &s.env, &s.result)
	s.setMachine(l, ks, rule, m)
}

// expireRuns ends the runs of a key whose time has come.
func (s *Shard) expireRuns(l *lane, ks *keyState, rule int, now event.Time) {
	m := ks.look(rule).machine()
	if m == nil {
		return
	}
	s.traceRun(ks.table.rules[rule].Name, ks.key)
	m.Advance(now, &s.result)
	s.setMachine(l, ks, rule, m)
}

// spareMachine returns a machine without runs for an event that may begin one.
func (s *Shard) spareMachine(t *table, rule int) nfa.Machine {
	if t.spares[rule] == nil {
		if prog := t.rules[rule].Pattern.Prog; s.options.tracer != nil {
			t.spares[rule] = nfa.NewTracedMachine(prog)
		} else {
			t.spares[rule] = nfa.NewMachine(prog)
		}
	}
	return t.spares[rule]
}

// setMachine keeps a machine as long as it has something to remember, arms its
// next deadline, and tells what it found.
func (s *Shard) setMachine(l *lane, ks *keyState, rule int, m nfa.Machine) {
	t := ks.table
	switch st, empty := ks.look(rule), m.Empty(); {
	case empty && st.kept != nil:
		st.kept = nil
		if t.rules[rule].Pattern.Prog.Makes(m) {
			t.spares[rule] = m
		}
	case empty: // it is the spare one
	case st.kept == nil:
		ks.at(rule).kept = m
		t.spares[rule] = nil
	}
	l.arm(ks, rule, timerRuns, m.Deadline())
	res := &s.result
	if len(res.Matches)+len(res.Timeouts)+res.Evicted == 0 {
		return
	}
	r := t.rules[rule]
	s.out.stats.Matches.add(r.Name, "", int64(len(res.Matches)))
	s.out.stats.Timeouts.add(r.Name, "", int64(len(res.Timeouts)))
	s.out.stats.Evictions.add(r.Name, "runs", int64(res.Evicted))
	for i := range res.Matches {
		s.matched(l, ks, rule, &res.Matches[i])
	}
	for i := range res.Timeouts {
		s.timedOut(l, ks, rule, &res.Timeouts[i])
	}
	res.Reset()
}

// matched does what the rule says of a match.
func (s *Shard) matched(l *lane, ks *keyState, rule int, m *nfa.Match) {
	r := ks.table.rules[rule]
	s.record(ks, r, m, false)
	s.report(l, ks, rule, alertMain, m, r.Emit != nil, alerting.ReasonMatch)
}

// timedOut does what the rule says of a partial match that time ended.
func (s *Shard) timedOut(l *lane, ks *keyState, rule int, m *nfa.Match) {
	r := ks.table.rules[rule]
	s.record(ks, r, m, true)
	s.report(l, ks, rule, alertTimeout, m, r.Pattern.Timeout.Emit != nil, alerting.ReasonTimeout)
}

// record puts a match out for those who ask for matches rather than alerts.
func (s *Shard) record(ks *keyState, r *rulePlan, m *nfa.Match, timeout bool) {
	if s.options.matches {
		s.out.matches = append(s.out.matches, Match{
			Rule: r.Name, Key: strings.Clone(ks.key), Names: r.KeyNames, Timeout: timeout, Time: m.End, Steps: evidence(r, m),
		})
	}
}

// report emits and alerts on a match.
func (s *Shard) report(l *lane, ks *keyState, rule int, slot alertSlot, m *nfa.Match, emits bool, reason string) {
	r := ks.table.rules[rule]
	live := s.frame.Event
	s.frame.Event, s.frame.History = nil, &m.History
	first, last := span(m)
	if emits {
		spec := r.Emit
		if slot == alertTimeout {
			spec = r.Pattern.Timeout.Emit
		}
		s.emit(r, ks, spec, m.End, last)
	}
	if r.spec(slot) != nil {
		a := ks.look(rule).at(slot)
		if a == nil {
			a = &alertState{}
		}
		a.hear(s, l, m.End)
		d := s.decided(ks, r.policy().Match(&a.Instance, m.End, reason))
		of := grounds{first: first, last: last, atEnd: l.atEnd(m.End)}
		if d.Change != 0 {
			of.steps = evidence(r, m)
		}
		s.judged(l, ks, rule, slot, a, d, of)
	}
	s.frame.Event, s.frame.History = live, nil
}

// span returns the positions of the first and the last event of a match.
func span(m *nfa.Match) (first, last event.Position) {
	if m.Len() == 0 {
		return
	}
	return m.First().Pos, m.Last().Pos
}

// evidence lists the events of a match by step, in the order of the pattern.
func evidence(r *rulePlan, m *nfa.Match) []alerting.Step {
	names := r.Pattern.Prog.StepNames()
	var steps []alerting.Step
	for _, i := range m.Steps() {
		steps = append(steps, alerting.Step{Name: names[i], Events: slices.Clone(m.Events(i))})
	}
	return steps
}
