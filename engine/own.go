package engine

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// What the engine alerts of itself, by the names that stand in place of a
// rule's. No rule's name has a colon.
const (
	ruleSourceDown   = "cepd:source-down"
	ruleSessionLost  = "cepd:session-lost"
	ruleClock        = "cepd:clock"
	ruleStateDamaged = "cepd:state-damaged"
	ruleMemory       = "cepd:memory"
)

// RuleDeadLetters stands in place of a rule's name where a sink does not get what
// it should. What becomes of this alert itself is no cause of another.
const RuleDeadLetters = "cepd:dead-letters"

// What alerts are about where memory was used up.
const (
	memoryEvicted = "evicted" // state of keys was dropped
	memoryHeld    = "held"    // events were judged that were held back
)

// ownClear is how long an alert stays whose cause is over at once, but not what
// came of it: long enough to be seen.
const ownClear = time.Hour

// ownID names an alert: a source or what else it is about is its key.
type ownID struct{ rule, about string }

// ownAlert is an alert of the engine itself, or something that may become one.
// It is decided by the arrival times of records, and so by nothing but the log.
type ownAlert struct {
	since event.Time // that its cause has been there
	pos   event.Position
	until event.Time           // when it clears by itself; MaxTime: never
	told  *alerting.Transition // its raise; nil: nobody was told
}

// own holds the alerts of the engine itself. It is small: a few for each source.
type own map[ownID]*ownAlert

// sorted returns the alerts in the order in which they are judged.
func (o own) sorted() []ownID {
	return slices.SortedFunc(maps.Keys(o), func(a, b ownID) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.about, b.about))
	})
}

// watched reports whether a source is one whose connection is worth an alert.
func (e *Engine) watched(source string) bool {
	set := e.plan.set.Own
	return set != nil && slices.Contains(set.Sources, source) && len(e.router.sources[source]) > 0
}

// ownDown notes that a source is not connected.
func (e *Engine) ownDown(rec *event.Record, source string) {
	id := ownID{ruleSourceDown, source}
	if e.own[id] == nil && rec.Arrival != 0 && e.watched(source) {
		e.own[id] = &ownAlert{since: rec.Arrival, pos: rec.Pos, until: event.MaxTime}
	}
}

// ownStart gives sources that nobody was alerted of their time anew: while cepd
// was away it could not connect them.
func (e *Engine) ownStart(rec *event.Record) {
	for id, a := range e.own { // each by itself
		if id.rule == ruleSourceDown && a.told == nil {
			delete(e.own, id)
		}
	}
	e.ownMissing(rec)
}

// ownMissing notes the sources that should be connected and are not.
func (e *Engine) ownMissing(rec *event.Record) {
	if set := e.plan.set.Own; set != nil {
		for _, source := range set.Sources {
			if !e.router.clock.up[source] {
				e.ownDown(rec, source)
			}
		}
	}
}

// ownUp judges that a source is connected, and what the broker says of the
// session.
func (e *Engine) ownUp(rec *event.Record) {
	e.ownOver(ownID{ruleSourceDown, rec.Source}, rec.Arrival, rec.Pos, alerting.ReasonClear)
	if rec.Flags.Lost() && e.watched(rec.Source) {
		e.ownRaise(ownID{ruleSessionLost, rec.Source}, rec, rec.Arrival.Add(ownClear), ownText{
			"warning", "source", fmt.Sprintf("the broker had forgotten the session of source %s: events may be lost", rec.Source),
			"What was sent while cepd was not connected may not have been kept. Let the broker keep sessions across its restarts, and for " +
				"as long as cepd may be away: cepd doctor says how.",
		})
	}
}

// ownRules lets go of what a new rule set does not ask for any more.
func (e *Engine) ownRules(rec *event.Record) {
	for _, id := range e.own.sorted() {
		switch id.rule {
		case ruleSourceDown, ruleSessionLost:
			if !e.watched(id.about) {
				e.ownOver(id, rec.Arrival, rec.Pos, alerting.ReasonRuleRemoved)
			}
		default:
			if a := e.own[id]; e.plan.set.Own == nil && a.told != nil {
				e.ownTell(id, a, alerting.Decision{Change: alerting.Cleared, Reason: alerting.ReasonRuleRemoved, Time: rec.Arrival}, rec.Pos)
			}
		}
	}
	e.ownMissing(rec)
}

// ownDue judges what is due by the clock.
func (e *Engine) ownDue(now event.Time) {
	if len(e.own) == 0 {
		return
	}
	for _, id := range e.own.sorted() {
		a := e.own[id]
		switch due := e.ownDueAt(id, a); {
		case due > now:
		case a.until <= now:
			e.ownOver(id, a.until, event.Position{}, alerting.ReasonClearAfter)
		default:
			a.told = e.ownSay(id, a, ownText{
				"critical", "source", fmt.Sprintf("source %s has been disconnected since %s", id.about, a.since),
				"Nothing comes in from it, and rules that wait for silence stand still. See that the broker runs and can be reached; cepd " +
					"connects again by itself. Its log says why it cannot.",
			})
			e.ownTell(id, a, alerting.Decision{Change: alerting.Raised, Reason: alerting.ReasonFor, Time: due}, a.pos)
		}
	}
}

// ownDueAt returns when the clock alone changes an alert.
func (e *Engine) ownDueAt(id ownID, a *ownAlert) event.Time {
	if id.rule == ruleSourceDown && a.told == nil && e.watched(id.about) {
		return a.since.Add(e.plan.set.Own.SourceDown)
	}
	return a.until
}

// ownDeadline returns the next time at which the clock alone changes anything.
func (e *Engine) ownDeadline() event.Time {
	at := event.MaxTime
	for id, a := range e.own {
		at = min(at, e.ownDueAt(id, a))
	}
	return at
}

// ownRaise raises an alert at a record, or, where it fires already, lets it fire
// on. Where nobody wants to be told it is known nonetheless.
func (e *Engine) ownRaise(id ownID, rec *event.Record, until event.Time, text ownText) {
	if a := e.own[id]; a != nil {
		a.until = until
		return
	}
	a := &ownAlert{since: rec.Arrival, pos: rec.Pos, until: until}
	e.own[id] = a
	if e.plan.set.Own != nil {
		a.told = e.ownSay(id, a, text)
		e.ownTell(id, a, alerting.Decision{Change: alerting.Raised, Reason: alerting.ReasonHolds, Time: rec.Arrival}, rec.Pos)
	}
}

// ownOver ends what may be an alert; pos is that of the record that ended it.
func (e *Engine) ownOver(id ownID, at event.Time, pos event.Position, reason string) {
	a := e.own[id]
	if a == nil {
		return
	}
	delete(e.own, id)
	if a.told != nil {
		e.ownTell(id, a, alerting.Decision{Change: alerting.Cleared, Reason: reason, Time: at}, pos)
	}
}

// ownText is what an alert says.
type ownText struct {
	severity string
	label    string // name of the label that holds what it is about; empty: none
	summary  string
	advice   string
}

// ownSay composes the raise of an alert.
func (e *Engine) ownSay(id ownID, a *ownAlert, text ownText) *alerting.Transition {
	t := &alerting.Transition{
		Change: alerting.Raised, Rule: id.rule, Severity: text.severity, Summary: text.summary, Description: text.advice,
		To: e.plan.set.Own.To, Position: a.pos,
	}
	t.Labels = append(t.Labels, alerting.Label{Name: "alertname", Value: id.rule}, alerting.Label{Name: "severity", Value: text.severity})
	if text.label != "" {
		t.Labels = append(t.Labels, alerting.Label{Name: text.label, Value: id.about})
		key, err := event.AppendKey(nil, event.String(id.about))
		if err != nil {
			panic("engine: a text is no key: " + err.Error())
		}
		t.Key = string(key)
	}
	t.Labels = alerting.SortLabels(t.Labels)
	t.Fingerprint = alerting.Fingerprint(t.Rule, t.Key, t.Labels)
	return t
}

// ownTell puts a change of an alert out. Its id follows from the records that it
// rests on.
func (e *Engine) ownTell(id ownID, a *ownAlert, d alerting.Decision, pos event.Position) {
	t := *a.told
	t.Change, t.Reason, t.Time, t.Matches = d.Change, d.Reason, d.Time, 1
	if d.Change == alerting.Raised {
		t.StartsAt = d.Time
		a.told.StartsAt = d.Time
		e.router.stats.Raised.add(t.Rule, "", 1)
	} else {
		t.Time = max(d.Time, t.StartsAt)
		t.EndsAt, t.Position = t.Time, pos
		a.told = nil
		e.router.stats.Cleared.add(t.Rule, d.Reason, 1)
	}
	t.ID = alerting.TransitionID(alerting.Identity{
		Log: e.options.logID, Rule: t.Rule, Key: t.Key, Change: t.Change, Time: t.Time, First: a.pos, Last: pos,
	})
	e.out.Transitions = append(e.out.Transitions, t)
}

// appendRows puts a row for each alert.
func (o own) appendRows(put func(name, value []byte)) {
	for id, a := range o { // the caller sorts
		v := binary.AppendVarint(a.pos.AppendBinary([]byte{rowVersion}), int64(a.since))
		v = append(binary.AppendVarint(v, int64(a.until)), flag(a.told != nil))
		if a.told != nil {
			v = appendTransition(v, a.told)
		}
		put(event.AppendText(event.AppendText([]byte{rowOwn}, id.rule), id.about), v)
	}
}

func (e *Engine) restoreOwn(name, value *event.Reader) {
	id := ownID{name.Text(), name.Text()}
	a := &ownAlert{pos: value.Position(), since: event.Time(value.Varint()), until: event.Time(value.Varint())}
	if value.Byte() == 1 {
		a.told = (&rulePlan{Rule: &rules.Rule{}}).readTransition(value) // without evidence, and so without streams
	}
	if value.Err() == nil && name.Err() == nil {
		e.own[id] = a
	}
	e.router.clock.wrong = e.own.clockWrong()
}
