package nfa

import "github.com/cepd/cepd/event"

// Skip says what a match does to the other runs of its key.
type Skip uint8

// The strategies. The zero value is the default of rule files.
const (
	SkipPastLast Skip = iota // drops what started up to the match's last event
	SkipNone                 // drops nothing: every match
	SkipToNext               // drops what started with the match's first event
	SkipToFirst              // drops what started before the first event of a step
	SkipToLast               // drops what started before the last event of a step
)

// Order says when a match is given.
type Order uint8

// The orders.
const (
	OrderCompletion Order = iota // at the moment it completes
	OrderStart                   // when no earlier-started run is left
)

// Predicate is a condition by number, as the [Env] knows it.
type Predicate struct {
	ID     int
	Linked bool // looks at what the run has accepted

	// Gated says that the plain predicate Gate has to hold as well. A linked
	// condition such as `e.kind == "b" && e.x > a.x` that comes in two parts
	// is asked of a run only for the events that pass its gate, and those that
	// do not leave the waiting runs in peace.
	Gated bool
	Gate  int
}

// Options is what [Compile] needs to know beside the pattern.
type Options struct {
	Within event.Duration // from the first event to the last, exclusive; 0: no limit
	Skip   Skip
	SkipTo string // the step of SkipToFirst and SkipToLast
	Order  Order

	// Predicates holds the condition of every step, negated step and `until`.
	Predicates map[string]Predicate

	MaxRuns int  // open runs of one key; 0: DefaultMaxRuns
	Timeout bool // partial matches that time ends are wanted

	// AggregateSteps holds, by number of aggregate, the step whose events it
	// is over, and AggregateWidths the number of values of its state.
	AggregateSteps, AggregateWidths []int
}

// DefaultMaxRuns bounds the open runs of one key where Options does not.
const DefaultMaxRuns = 1000
