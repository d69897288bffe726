package alerting

import "github.com/cepd/cepd/event"

// Derived is an event that a rule emitted, complete in itself: whoever sends it
// needs neither the input log nor the engine's state.
type Derived struct {
	Rule     string // or the stream, with Late
	Late     bool   // not emitted, but an event of a stream that came too late for its watermark
	Key      string // encoded; empty for a rule without `by`
	KeyNames []string
	Time     event.Time
	Position event.Position // of the last source event involved
	Fields   []event.Entry  // in the order of the rule's `emit`
	To       []string       // sinks; none: it is for rules and people only

	// What its id is made of, beside key, time and position.
	Issuer  *Issuer
	Ordinal int    // among events that are equal in all else
	KnownID string // the id itself, where it is known, as of an event that the outbox holds
}

// ID returns what names the event: the same on every try and every replay. It is
// made as [TransitionID] makes that of a change of an alert, when somebody asks:
// that takes longer than to emit the event, and nobody asks of most.
func (d *Derived) ID() string {
	if d.KnownID != "" || d.Issuer == nil {
		return d.KnownID
	}
	return TransitionID(Identity{
		Log: d.Issuer.Log, Rule: d.Issuer.Rule, Started: d.Issuer.Started, Key: d.Key, Time: d.Time, Last: d.Position, Ordinal: d.Ordinal,
	})
}
