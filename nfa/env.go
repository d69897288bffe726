package nfa

import "github.com/cepd/cepd/event"

// Env answers what a machine asks about the event at hand.
type Env interface {
	// Holds reports whether a plain predicate holds for the event. A machine
	// may ask several times for one event; the caller remembers the answer.
	Holds(pred int) bool
	// HoldAll returns which of several plain predicates hold for the event. A
	// bit of the set asked about, and of the answer, stands for the predicate
	// at its place in preds, which are [Prog.Plain] of the machine's program.
	HoldAll(preds []int, asked uint64) uint64
	// Linked reports whether a linked predicate holds for the event and a run
	// that has accepted h, which is valid during the call only. It is asked
	// once for each run that the answer can move.
	Linked(pred int, h *History) bool
	// Fold adds the event to the state of an aggregate. The state of an
	// aggregate over nothing is all [event.Missing].
	Fold(agg int, state []event.Value)
	// Keep returns what is to be kept of the event. It is called at most once
	// for each event, when the first run accepts it.
	Keep() *event.Event
}

// Match is a completed run, or with [Result.Timeouts] one that time ended. It is
// valid until the result is reset; its events are as long as the caller likes.
type Match struct {
	Start event.Time // of the first event
	End   event.Time // of the last event, or the deadline that decided
	History
}

// Result receives what [Machine.Step] and [Machine.Advance] find. They append
// to it; the caller looks, and calls Reset before it uses it again. One Result
// serves any number of machines of one goroutine, and holds their scratch
// memory.
type Result struct {
	Matches  []Match
	Timeouts []Match // only with Options.Timeout
	Evicted  int     // runs dropped because a key had too many, oldest first

	// Trace, if not nil, is told of every change of every run.
	Trace Tracer

	scratch scratch
	compact compactScratch
}

// Reset empties the result and keeps its memory and tracer.
func (r *Result) Reset() {
	clear(r.Matches)
	clear(r.Timeouts)
	r.Matches, r.Timeouts, r.Evicted = r.Matches[:0], r.Timeouts[:0], 0
	r.compact.reset()
}
