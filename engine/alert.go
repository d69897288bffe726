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

// alertState is the alert of one rule and key while there is anything to
// remember of it.
type alertState struct {
	alerting.Instance
	alerting.Gate
	// kept is the last event on which the condition held, while pending; where
	// silence matters, the last event.
	kept *event.Event
	// said is what is told of the alert from its raise to its clear. Its
	// evidence is there until it is told: what is kept for the clear must not
	// grow with the match.
	said  *alerting.Transition
	first event.Position // of the events that it was raised on
	// forgotten says that the key fell silent for so long that nothing of it is
	// kept but how often its alert has changed.
	forgotten bool
	// quiet says that the last event was one that the broker had kept.
	quiet  bool
	paused event.Duration // of the lane, when the key was last heard of
	extra  *alertExtra    // nil for most
}

// alertExtra is what few rules need of an alert.
type alertExtra struct {
	// scored is what the rule's detector said of the kept event; nil without one.
	scored *event.Event
	// Where keys have a time of their own, silence goes by that of the lane, so
	// that what sinks are told of one alert could go back in time. It does not:
	// floor is when they were last told, and heard, while an event is judged, what
	// the lane's time was when the key was last heard of.
	floor, heard event.Time
}

// noAlertExtra is what an alert has that needs none. It must not be changed.
var noAlertExtra alertExtra

// rare returns what few rules need to read.
func (a *alertState) rare() *alertExtra {
	if a.extra == nil {
		return &noAlertExtra
	}
	return a.extra
}

// more returns what few rules need, made if need be.
func (a *alertState) more() *alertExtra {
	if a.extra == nil {
		a.extra = &alertExtra{}
	}
	return a.extra
}

// copy returns an alert of which what is told can be changed.
func (a *alertState) copy() *alertState {
	b := *a
	if a.extra != nil {
		x := *a.extra
		b.extra = &x
	}
	return &b
}

// keep keeps an event, and what the rule's detector said of it.
func (a *alertState) keep(e, scored *event.Event) {
	if a.kept = e; scored != nil || a.extra != nil {
		a.more().scored = scored
	}
}

func (r *rulePlan) policy() alerting.Policy {
	return alerting.Policy{
		For: r.For, ClearFor: r.ClearFor, ClearAfter: r.ClearAfter,
		NoData: r.NoData, Silence: alerting.Silence(r.Silence), Forget: r.Forget,
	}
}

// policyOf is the policy for the alert of one key. One that a table lists is
// never forgotten as long as it does: the table says that it is there. While a
// source is disconnected its keys cannot be heard, and are not silent for it.
func (r *rulePlan) policyOf(ks *keyState, a *alertState) alerting.Policy {
	p := r.policy()
	missed := max(ks.table.lane.paused.soFar()-a.paused, 0)
	if p.NoData > 0 {
		p.NoData += missed
	}
	if p.Forget > 0 {
		p.Forget += missed
	}
	switch {
	case a.forgotten:
		p = alerting.Policy{}
	case r.listed[ks.key]:
		p.Forget = 0
	}
	return p
}

func (r *rulePlan) flap() alerting.Flap { return alerting.Flap(r.Flap) }

// judgeLevel judges an event by the rule's condition.
func (s *Shard) judgeLevel(l *lane, ks *keyState, rule int, it *item) {
	v, e := &s.env, it.event
	r, in, st := v.rule, v.input, ks.look(rule)
	holds := in.When >= 0 && v.holds(in.When)
	if s.options.tracer != nil {
		s.options.tracer.Held(r.Name, ks.key, e, holds)
	}
	if holds && in.Emit != nil {
		s.emit(r, ks, in.Emit, e.Time, e.Pos)
	}
	remembers := r.policy().Remembers()
	if r.Alert == nil && !r.Absent || !holds && !remembers && st.alert == nil {
		return
	}
	clears := !holds && (in.Clear < 0 || v.holds(in.Clear))
	a := st.alert
	if a == nil {
		a = &alertState{}
	}
	a.hear(s, l, it.at)
	d := s.decided(ks, r.policyOf(ks, a).Level(&a.Instance, holds, clears, it.at))
	if remembers || a.Phase == alerting.Pending {
		a.kept = v.Keep()
	}
	of := grounds{last: e.Pos, first: e.Pos}
	if d.Change != 0 {
		of.event = v.Keep()
	}
	s.judged(l, ks, rule, alertMain, a, d, of)
}

// hear notes that the key is heard of at a time. By then, and not by the clock,
// its sources have been disconnected for so long: what the clock is when an event is
// judged depends on what comes with it.
func (a *alertState) hear(s *Shard, l *lane, now event.Time) {
	a.forgotten, a.quiet, a.paused = false, s.quiet, l.paused.at(now)
	if kc := l.current; kc != nil {
		x := a.more()
		if x.heard = kc.heard; a.Silent {
			x.floor = max(x.floor, x.heard)
		}
	}
}

// expireAlert makes the changes of an alert that time brings.
func (s *Shard) expireAlert(l *lane, ks *keyState, rule int, slot alertSlot, now event.Time) {
	a := ks.look(rule).at(slot)
	if a == nil {
		return
	}
	r := s.env.rule
	switch p := r.policyOf(ks, a); {
	case p.DueSteady(&a.Instance) == now, ks.clock() == nil && p.DueSilent(&a.Instance) == now:
		s.expireInstance(l, ks, rule, slot, a, now, false)
		return
	case r.flap().Due(&a.Gate) == now:
		d := r.flap().Settle(&a.Gate, a.Phase == alerting.Firing, s.hold(ks, now), now)
		s.tell(ks, slot, a, d, grounds{atEnd: l.atEnd(now)})
	case a.Phase == alerting.Firing && !a.Told: // what held it back may be over
		s.release(l, ks, slot, a, now)
	default:
		l.putOff(ks, rule, timerAlert+timerKind(slot), r.due(ks, a, now))
		return
	}
	s.setAlert(l, ks, rule, slot, a, now)
}

// expireSilence does what the silence of a key is for, where keys have a time of
// their own. An event that waits for the time of its key is no silence.
func (s *Shard) expireSilence(l *lane, ks *keyState, rule int, now event.Time) {
	a := ks.look(rule).alert
	if a == nil {
		return
	}
	p := s.env.rule.policyOf(ks, a)
	if p.DueSilent(&a.Instance) == now && s.waits(ks, rule) {
		a.Seen = max(a.Seen, ks.clock().heard)
	}
	if p.DueSilent(&a.Instance) == now {
		s.expireInstance(l, ks, rule, alertMain, a, now, true)
		return
	}
	l.putOff(ks, rule, timerSilence, p.DueSilent(&a.Instance))
}

// waits reports whether an event of a key waits that is one for the rule.
func (s *Shard) waits(ks *keyState, rule int) bool {
	r := ks.table.rules[rule]
	for i := range ks.clock().waiting.items {
		it := &ks.clock().waiting.items[i]
		in := r.inputs[it.stream]
		if in == nil {
			continue
		}
		s.frame.Event = it.event
		passes := in.Where < 0
		if !passes {
			passes, _ = in.Stream.Conditions[in.Where].Bool(&s.frame) // a failure is counted when it is judged
		}
		if s.frame.Event = nil; passes {
			return true
		}
	}
	return false
}

// expireInstance does what the deadlines of the alert itself are for; with
// silent, those of silence alone.
func (s *Shard) expireInstance(l *lane, ks *keyState, rule int, slot alertSlot, a *alertState, now event.Time, silent bool) {
	r := s.env.rule
	of := grounds{atEnd: l.atEnd(now)}
	if a.kept != nil {
		of.event, of.first, of.last, of.scored = a.kept, a.kept.Pos, a.kept.Pos, a.rare().scored
	}
	s.quiet = a.quiet && a.Phase == alerting.Pending
	decide := r.policyOf(ks, a).Expire
	if silent {
		decide = r.policyOf(ks, a).ExpireSilent
	}
	d := s.decided(ks, decide(&a.Instance, now))
	switch d.Reason {
	case alerting.ReasonForgotten:
		a.forgotten = true
	case alerting.ReasonNoData:
		if r.Absent && r.Emit != nil {
			s.frame.Event = r.lastOf(a)
			s.emit(r, ks, r.input(s.frame.Event).Emit, now, of.last)
			s.frame.Event = nil
		}
	}
	s.judged(l, ks, rule, slot, a, d, of)
	s.quiet = false
}

// judged tells sinks of a change that was judged, as far as the rule lets it
// through.
func (s *Shard) judged(l *lane, ks *keyState, rule int, slot alertSlot, a *alertState, d alerting.Decision, of grounds) {
	r := s.env.rule
	if r.spec(slot) != nil {
		if d.Change == alerting.Raised && !a.Told {
			a.said, a.first = s.compose(ks, slot, a, d, of), of.first
		}
		hold := s.hold(ks, d.Time)
		told := r.flap().Judged(&a.Gate, d, hold)
		if d.Change != 0 && told.Change == 0 {
			s.decided(ks, told)
		}
		s.tell(ks, slot, a, told, of)
		if d.Change == 0 && d.Reason == alerting.ReasonFiring && hold == "" {
			// What held it back may be over without a moment of its own.
			s.tell(ks, slot, a, s.decided(ks, a.Release(true, d.Time)), of)
		}
	}
	s.setAlert(l, ks, rule, slot, a, d.Time)
}

// hold returns the reason for which a raise of the rule at hand is held back
// at a time, empty for none.
func (s *Shard) hold(ks *keyState, now event.Time) string {
	r := s.env.rule
	if s.quiet {
		return alerting.ReasonRetained
	}
	if r.Active != nil {
		if open, _ := r.Active.Open(now); !open {
			return alerting.ReasonOutsideHours
		}
	}
	if r.Unless != nil && s.parentFires(ks, r) {
		return alerting.ReasonUnless
	}
	return ""
}

// release tells of an alert that was held back, if nothing holds it back now.
func (s *Shard) release(l *lane, ks *keyState, slot alertSlot, a *alertState, now event.Time) {
	if s.hold(ks, now) == "" {
		s.tell(ks, slot, a, s.decided(ks, a.Release(a.Phase == alerting.Firing, now)), grounds{atEnd: l.atEnd(now)})
	}
}

// decided shows a decision to the tracer.
func (s *Shard) decided(ks *keyState, d alerting.Decision) alerting.Decision {
	if s.options.tracer != nil {
		s.options.tracer.Decided(s.env.rule.Name, ks.key, d)
	}
	return d
}

// setAlert keeps the alert as long as there is anything to remember, and arms
// its next deadline.
func (s *Shard) setAlert(l *lane, ks *keyState, rule int, slot alertSlot, a *alertState, now event.Time) {
	r, st := ks.table.rules[rule], ks.at(rule)
	remembers := r.policy().Remembers() && !a.forgotten
	st.put(slot, a)
	if x := a.extra; x != nil {
		if x.heard != 0 && r.policy().Listens() {
			a.Seen = max(a.Seen, x.heard)
		}
		x.heard = 0
	}
	if a.Phase == alerting.Inactive && a.Gate.Idle() && !remembers && (ks.clock() == nil || a.rare().floor <= ks.clock().mark) {
		st.put(slot, nil)
	}
	if a.Phase != alerting.Pending && !remembers {
		a.keep(nil, nil)
	}
	if a.Phase == alerting.Inactive && !a.Told {
		a.said = nil
	}
	l.armAlert(ks, rule, slot, a, now)
}

// armAlert arms the deadlines of an alert.
func (l *lane) armAlert(ks *keyState, rule int, slot alertSlot, a *alertState, now event.Time) {
	r := ks.table.rules[rule]
	l.arm(ks, rule, timerAlert+timerKind(slot), r.due(ks, a, now))
	if ks.clock() != nil && slot == alertMain && r.Pattern == nil {
		l.arm(ks, rule, timerSilence, r.policyOf(ks, a).DueSilent(&a.Instance))
	}
}

// due returns the next time at which time alone changes an alert; silence is
// left out where it goes by another time.
func (r *rulePlan) due(ks *keyState, a *alertState, now event.Time) event.Time {
	p := r.policyOf(ks, a)
	due := min(p.DueSteady(&a.Instance), r.flap().Due(&a.Gate))
	if ks.clock() == nil {
		due = min(due, p.DueSilent(&a.Instance))
	}
	if r.Active != nil && a.Phase == alerting.Firing && !a.Told {
		if open, until := r.Active.Open(now); !open {
			due = min(due, until)
		}
	}
	return due
}

// atEnd reports whether a decision at t was made only because the input ended.
func (l *lane) atEnd(t event.Time) bool { return l.ended && t > l.latest }

// grounds are what a change of an alert rests on: one event, a match, or
// nothing but time.
type grounds struct {
	event       *event.Event
	scored      *event.Event    // what the rule's detector said of it
	steps       []alerting.Step // of a match
	first, last event.Position
	atEnd       bool
}

// evidence lists the events for people to see.
func (g *grounds) evidence() []alerting.Step {
	if g.event == nil {
		return g.steps
	}
	steps := []alerting.Step{{Events: []*event.Event{g.event}}}
	if g.scored != nil {
		steps = append(steps, alerting.Step{Name: "detect", Events: []*event.Event{g.scored}})
	}
	return steps
}

// spec returns what the rule says about an alert.
func (r *rulePlan) spec(slot alertSlot) *rules.Alert {
	if slot == alertMain {
		return r.Alert
	}
	if r.Pattern == nil || r.Pattern.Timeout == nil {
		return nil
	}
	return r.Pattern.Timeout.Alert
}

// compose writes what is to be said of an alert.
func (s *Shard) compose(ks *keyState, slot alertSlot, a *alertState, d alerting.Decision, of grounds) *alerting.Transition {
	r := s.env.rule
	spec := r.spec(slot)
	live, vars := s.frame.Event, s.frame.Vars
	s.frame.Event, s.frame.Key = of.event, s.keyOf(ks)
	if r.Detect != nil {
		s.frame.Vars = of.scoredVars()
	}
	switch {
	case r.Pattern != nil:
		s.blank = len(of.steps) == 0 // the match is gone
	case r.Window != nil:
		s.frame.Event, s.frame.Vars = nil, make([]event.Value, len(r.Window.Vars.Fields()))
		if of.event != nil {
			s.frame.Vars = of.event.Slots
		}
	case of.event == nil:
		s.frame.Event = r.lastOf(a)
	default:
		spec = r.input(of.event).Alert
	}
	said := &alerting.Transition{
		Change: alerting.Raised, Rule: r.Name, Key: strings.Clone(ks.key), KeyNames: r.KeyNames,
		Severity: spec.Severity, To: spec.To, Repeat: spec.Repeat, Labels: s.labels(ks, slot, spec),
		Summary: s.render(spec.Summary), Description: s.render(spec.Description), Runbook: s.render(spec.Runbook),
		Position: of.last, Evidence: of.evidence(),
	}
	said.Fingerprint = alerting.Fingerprint(r.Name, said.Key, said.Labels)
	s.frame.Event, s.frame.Vars, s.blank = live, vars, false
	return said
}

// tell puts out what sinks are told of an alert. A clear is told in the words
// of its raise.
func (s *Shard) tell(ks *keyState, slot alertSlot, a *alertState, d alerting.Decision, of grounds) {
	switch {
	case d.Change == 0, d.Change == alerting.Cleared && a.said == nil:
		return
	case a.said == nil: // the rule had nothing to say when it was raised
		a.said, a.first = s.compose(ks, slot, a, d, of), of.first
	}
	decided := d.Time
	if ks.clock() != nil {
		x := a.more()
		d.Time = max(d.Time, x.floor)
		x.floor = d.Time
	}
	t := *a.said
	t.Change, t.Reason, t.Time, t.AtEnd = d.Change, d.Reason, d.Time, of.atEnd
	t.Matches = max(int(a.Matches), 1)
	first, last := a.first, t.Position
	if d.Change == alerting.Raised {
		t.StartsAt = d.Time
		a.said.StartsAt, a.said.Evidence = d.Time, nil
		s.out.stats.Raised.add(t.Rule, "", 1)
	} else {
		first, last = of.last, of.last
		t.EndsAt, t.Evidence, t.Position = d.Time, of.evidence(), of.last
		a.said = nil
		s.out.stats.Cleared.add(t.Rule, d.Reason, 1)
	}
	// The slot tells changes of a rule's two alerts apart that are equal in all
	// else, and the number those of one judgment.
	t.ID = alerting.TransitionID(alerting.Identity{
		Log: s.options.logID, Rule: t.Rule, Started: s.options.issuer(t.Rule).Started, Key: t.Key, Change: t.Change,
		Time: decided, First: first, Last: last, Ordinal: int(slot) + int(alertSlots)*s.env.told,
	})
	t.Shadow = s.env.rule.Shadow
	s.out.transitions = append(s.out.transitions, t)
	s.announce(ks, slot, d)
	s.env.told++
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
	if s.blank {
		return "?"
	}
	out, failed := t.Append(nil, &s.frame)
	s.out.stats.EvalErrors.add(s.env.rule.Name, "text", int64(failed))
	return string(out)
}
