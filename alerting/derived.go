package alerting

import "github.com/cepd/cepd/event"

// Derived is an event that a rule emitted, complete in itself: whoever sends it
// needs neither the input log nor the engine's state.
type Derived struct {
	ID       string // the same on every try and every replay, see [DerivedID]
	Rule     string // or the stream, with Late
	Late     bool   // not emitted, but an event of a stream that came too late for its watermark
	Key      string // encoded; empty for a rule without `by`
	KeyNames []string
	Time     event.Time
	Position event.Position // of the last source event involved
	Fields   []event.Entry  // in the order of the rule's `emit`
	To       []string       // sinks; none: it is for rules and people only
}
