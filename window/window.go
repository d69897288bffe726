package window

import "github.com/cepd/cepd/event"

// AssignerKind says how windows are cut.
type AssignerKind uint8

// The kinds of windows.
const (
	Tumbling AssignerKind = iota + 1 // one after another, of one length
	Sliding                          // of one length, a new one every so often
	Session                          // events less than a gap apart
	Counted                          // a number of events
	Cron                             // from one tick to the next
)

// Assigner says which windows an event belongs to. Only the fields of its kind
// are used.
type Assigner struct {
	Kind   AssignerKind
	Size   event.Duration // Tumbling, Sliding: length of a window
	Every  event.Duration // Sliding: from the start of one to the start of the next; may be longer than Size
	Offset event.Duration // Tumbling, Sliding: windows begin at the epoch plus this, plus whole multiples
	Gap    event.Duration // Session: an event this long after the last one begins a new session
	N      int            // Counted: events of a window
	Step   int            // Counted: events from one answer to the next; 0: N. The first answer comes with the N-th event
	Ticks  Ticks          // Cron: where windows are cut
	Label  string         // Cron: the expression and its zone, for [Spec.String]
}

// Ticks are the moments at which cron windows are cut. Both methods must agree
// with each other and always answer the same.
type Ticks interface {
	// Next returns the first tick after t, [event.MaxTime] if there is none.
	Next(t event.Time) event.Time
	// Prev returns the last tick at or before t, [event.MinTime] if there is none.
	Prev(t event.Time) event.Time
}

// Aggregate is one value that is computed over each window.
type Aggregate struct {
	Kind Kind
	Q    float64 // Quantile: which, from 0 to 1
	K    int     // TopK: how many, from 1 to [MaxTopK]
}

// Options says what [Compile] makes a [Spec] of.
type Options struct {
	Assigner   Assigner
	Lateness   event.Duration // how long after its end a window still takes late events; not for Counted
	Early      event.Duration // how often an open window is answered before its end; 0: not
	Aggregates []Aggregate
}

// Issue is a mistake in [Options].
type Issue struct {
	Field     string // the key of the rule file: tumbling, sliding, session, count, cron, every, offset, lateness or early; or aggregate
	Aggregate int    // which aggregate, -1 for none
	Message   string
	Advice    string // what to write instead
}

// Result is the answer of one window.
type Result struct {
	// Start and End are the window's bounds. Of a window of Counted they are the
	// times of its first and last event; of a session End is its last event's
	// time plus the gap.
	Start, End event.Time
	// At is the event time of the answer: End; for an early answer the time at
	// which it was due, for an answer to a late event the watermark when it came.
	At     event.Time
	Early  bool // the window is still open
	Update bool // the window has had a final answer before, which this one replaces
	Events int64
	First  event.Position // of the window's first and last event
	Last   event.Position
	// Values holds the aggregates, in order; missing where Reasons is not 0.
	Values  []event.Value
	Reasons []Reason
}

// Outcome says what became of an event.
type Outcome uint8

// What may become of an event.
const (
	Taken   Outcome = iota // folded into its windows
	TooLate                // all its windows are gone
	Outside                // it lies between two windows: Every is longer than Size
)

// Out receives what calls of [State.Add] and [State.Advance] bring about. It is
// reused: the caller empties it with [Out.Reset], and has used up its results
// by then.
type Out struct {
	Results []Result
	Skipped int // values left out because they are NaN or infinite

	values  []event.Value
	reasons []Reason
}

// Reset empties o.
func (o *Out) Reset() {
	clear(o.values)
	clear(o.Results)
	o.Results, o.values, o.reasons, o.Skipped = o.Results[:0], o.values[:0], o.reasons[:0], 0
}

// Reason says why an aggregate has no value.
type Reason uint8

// The reasons.
const (
	ReasonNone     Reason = iota
	ReasonEmpty           // it is over too few values: none, or one where two are needed
	ReasonType            // a value is of a type that the aggregate does not take
	ReasonOverflow        // the result does not fit its type
)

var reasonNames = [...]string{"none", "empty", "type", "overflow"}

// String returns the reason's name, as package expr has it.
func (r Reason) String() string { return reasonNames[r] }
