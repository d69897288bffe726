package engine

import (
	"strings"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
)

// alertSlot numbers the alerts that one rule can have for one key.
type alertSlot uint8

const (
	alertMain    alertSlot = iota // of the rule's `alert`
	alertTimeout                  // of its `timeout: {alert: …}`
	alertSlots
)

// alertState is the alert of one rule and key while it is not inactive.
type alertState struct {
	alerting.Instance
	kept   *event.Event         // the last event on which the condition held, while pending
	raised *alerting.Transition // what was said at the raise, while firing
}

func (r *rulePlan) policy() alerting.Policy {
	return alerting.Policy{For: r.For, ClearFor: r.ClearFor, ClearAfter: r.ClearAfter}
}

// judgeLevel judges an event by the rule's condition.
func (s *Shard) judgeLevel(l *lane, ks *keyState, rule int, e *event.Event) {
	v := &s.env
	r, in, st := v.rule, v.input, &ks.states[rule]
	holds := v.holds(in.When)
	if s.options.tracer != nil {
		s.options.tracer.Held(r.Name, ks.key, e, holds)
	}
	if holds && r.Emit != nil {
		s.emit(r, ks, r.Emit, e.Time, e.Pos)
	}
	if r.Alert == nil || !holds && st.alerts[alertMain] == nil {
		return
	}
	clears := !holds && (in.Clear < 0 || v.holds(in.Clear))
	a := st.alerts[alertMain]
	if a == nil {
		a = &alertState{}
	}
	d := s.decided(ks, r.policy().Level(&a.Instance, holds, clears, e.Time))
	if a.Phase == alerting.Pending {
		a.kept = v.Keep()
	}
	switch d.Change {
	case alerting.Raised:
		k := v.Keep()
		s.raise(ks, alertMain, a, d, raiseOf{event: k, first: e.Pos, last: e.Pos})
	case alerting.Cleared:
		s.clear(ks, alertMain, a, d, []alerting.Step{{Events: []*event.Event{v.Keep()}}}, e.Pos)
	}
	s.setAlert(l, ks, rule, alertMain, a)
}

// expireAlert makes the change of an alert that time brings.
func (s *Shard) expireAlert(l *lane, ks *keyState, rule int, slot alertSlot, now event.Time) {
	a := ks.states[rule].alerts[slot]
	if a == nil {
		return
	}
	d := s.decided(ks, s.env.rule.policy().Expire(&a.Instance, now))
	if d.Change == alerting.Raised {
		s.raise(ks, slot, a, d, raiseOf{event: a.kept, first: a.kept.Pos, last: a.kept.Pos, atEnd: l.atEnd(now)})
	} else {
		a.raised.AtEnd = l.atEnd(now)
		s.clear(ks, slot, a, d, nil, event.Position{})
	}
	s.setAlert(l, ks, rule, slot, a)
}

// decided shows a decision to the tracer.
func (s *Shard) decided(ks *keyState, d alerting.Decision) alerting.Decision {
	if s.options.tracer != nil {
		s.options.tracer.Decided(s.env.rule.Name, ks.key, d)
	}
	return d
}

// setAlert keeps the alert while it lives, and arms its next deadline.
func (s *Shard) setAlert(l *lane, ks *keyState, rule int, slot alertSlot, a *alertState) {
	st := &ks.states[rule]
	st.alerts[slot] = a
	if a.Phase == alerting.Inactive {
		st.alerts[slot] = nil
	}
	if a.Phase != alerting.Pending {
		a.kept = nil
	}
	l.arm(ks, rule, timerAlert+timerKind(slot), ks.table.rules[rule].policy().Due(&a.Instance))
}

// atEnd reports whether a decision at t was made only because the input ended.
func (l *lane) atEnd(t event.Time) bool { return l.ended && t > l.latest }

// raiseOf is what an alert is raised on: one event, or a match.
type raiseOf struct {
	event       *event.Event // nil for a match
	steps       []alerting.Step
	first, last event.Position
	atEnd       bool
}

// spec returns what the rule says about an alert.
func (r *rulePlan) spec(slot alertSlot) *rules.Alert {
	if slot == alertTimeout {
		return r.Pattern.Timeout.Alert
	}
	return r.Alert
}

// raise says that an alert was raised, and remembers what it said.
func (s *Shard) raise(ks *keyState, slot alertSlot, a *alertState, d alerting.Decision, of raiseOf) {
	r := s.env.rule
	spec := r.spec(slot)
	if of.event != nil {
		of.steps = []alerting.Step{{Events: []*event.Event{of.event}}}
	}
	live := s.frame.Event
	s.frame.Event, s.frame.Key = of.event, ks.values()
	said := alerting.Transition{
		Change: alerting.Raised, Reason: d.Reason, Rule: r.Name, Key: strings.Clone(ks.key), KeyNames: r.KeyNames,
		Severity: spec.Severity, StartsAt: d.Time, Time: d.Time, Matches: a.Matches, To: spec.To,
		Labels:  s.labels(ks, slot, spec),
		Summary: s.render(spec.Summary), Description: s.render(spec.Description), Runbook: s.render(spec.Runbook),
		Position: of.last, AtEnd: of.atEnd,
	}
	s.frame.Event = live
	said.Fingerprint = alerting.Fingerprint(r.Name, said.Labels)
	s.tell(slot, said, of.steps, of.first, of.last)
	a.raised = &said // without the evidence: what is kept must not grow with the match
	s.out.stats.Raised.add(r.Name, "", 1)
}

// clear says that an alert was cleared, in the words in which it was raised.
func (s *Shard) clear(ks *keyState, slot alertSlot, a *alertState, d alerting.Decision, evidence []alerting.Step, at event.Position) {
	t := *a.raised
	t.Change, t.Reason, t.Time, t.EndsAt = alerting.Cleared, d.Reason, d.Time, d.Time
	t.Matches, t.Position = a.Matches, at
	a.raised = nil
	s.tell(slot, t, evidence, at, at)
	s.out.stats.Cleared.add(t.Rule, d.Reason, 1)
}

// tell gives a transition its id and its evidence, and puts it out. The slot
// tells changes of a rule's two alerts apart that are equal in all else.
func (s *Shard) tell(slot alertSlot, t alerting.Transition, evidence []alerting.Step, first, last event.Position) {
	t.Evidence = evidence
	t.ID = alerting.TransitionID(alerting.Identity{
		Log: s.options.logID, Rule: t.Rule, Started: s.options.started[t.Rule], Key: t.Key, Change: t.Change,
		Time: t.Time, First: first, Last: last, Ordinal: int(slot),
	})
	s.out.transitions = append(s.out.transitions, t)
}

// labels renders the labels of an alert: the rule's name, the parts of the
// key, the severity, and what the rule adds or puts in their place.
func (s *Shard) labels(ks *keyState, slot alertSlot, spec *rules.Alert) []alerting.Label {
	r := s.env.rule
	labels := []alerting.Label{{Name: "alertname", Value: r.Name}}
	if spec.Severity != "" {
		labels = append(labels, alerting.Label{Name: "severity", Value: spec.Severity})
	}
	for i, v := range ks.values() {
		if i < len(r.KeyLabels) {
			labels = append(labels, alerting.Label{Name: r.KeyLabels[i], Value: strings.Clone(v.Text())})
		}
	}
	if slot == alertTimeout {
		labels = append(labels, alerting.Label{Name: "timeout", Value: "true"})
	}
	for _, l := range spec.Labels {
		labels = append(labels, alerting.Label{Name: l.Name, Value: s.render(l.Value)})
	}
	return alerting.SortLabels(labels)
}

// render fills in a text. What fails in it prints ? and is counted.
func (s *Shard) render(t *expr.Text) string {
	if t == nil {
		return ""
	}
	out, failed := t.Append(nil, &s.frame)
	s.out.stats.EvalErrors.add(s.env.rule.Name, "text", int64(failed))
	return string(out)
}
