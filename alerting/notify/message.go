package notify

import (
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

// Message is what a sink is told: a change of an alert, or an event that a rule
// emitted. One of the two is set.
type Message struct {
	Transition *alerting.Transition
	Derived    *alerting.Derived
}

// Changed returns the message of a change of an alert.
func Changed(t alerting.Transition) Message { return Message{Transition: &t} }

// Emitted returns the message of a derived event, of which the id is known from
// here on: whoever delivers it asks more than once.
func Emitted(d alerting.Derived) Message {
	d.KnownID = d.ID()
	return Message{Derived: &d}
}

// Messages returns what there is to tell of a step of the engine, in order of
// event time, changes of alerts before events of the same time. Both lists must
// be in that order. An event that goes to no sink is left out.
func Messages(ts []alerting.Transition, ds []alerting.Derived) []Message {
	var out []Message
	for _, d := range ds {
		if len(d.To) == 0 {
			continue
		}
		for len(ts) > 0 && ts[0].Time <= d.Time {
			out, ts = append(out, Changed(ts[0])), ts[1:]
		}
		out = append(out, Emitted(d))
	}
	for _, t := range ts {
		out = append(out, Changed(t))
	}
	return out
}

// Identity returns the id of the change or event, the same on every try and
// every replay.
func (m Message) Identity() string {
	if m.Derived != nil {
		return m.Derived.ID()
	}
	return m.Transition.ID
}

// Sinks returns the names of the sinks that m goes to.
func (m Message) Sinks() []string {
	if m.Derived != nil {
		return m.Derived.To
	}
	return m.Transition.To
}

// toSinks returns m on its way to other sinks.
func (m Message) toSinks(to []string) Message {
	if slices.Equal(to, m.Sinks()) {
		return m
	}
	if m.Derived != nil {
		d := *m.Derived
		d.To = to
		return Emitted(d)
	}
	t := *m.Transition
	t.To = to
	return Changed(t)
}

// Rule returns the name of the rule that m comes from.
func (m Message) Rule() string {
	if m.Derived != nil {
		return m.Derived.Rule
	}
	return m.Transition.Rule
}

// Time returns the event time of the change or event.
func (m Message) Time() event.Time {
	if m.Derived != nil {
		return m.Derived.Time
	}
	return m.Transition.Time
}

// subject is what m is about: messages about the same are told in order. It is
// one alert, or what one rule emits for one key.
type subject struct{ alert, rule, key string }

func (m Message) subject() subject {
	if d := m.Derived; d != nil {
		return subject{rule: d.Rule, key: d.Key}
	}
	return subject{alert: m.Transition.Fingerprint}
}
