package nfa

import "github.com/cepd/cepd/event"

// Change is what happened to a run.
type Change uint8

// The changes of a run.
const (
	ChangeStarted  Change = iota // an event began it
	ChangeTaken                  // it accepted an event
	ChangeSkipped                // it skipped an event that it could not take
	ChangeDied                   // the event was neither to be taken nor to be skipped
	ChangeKilled                 // a negated step's event came
	ChangeMatched                // it completed
	ChangeExpired                // it ran out of time
	ChangePruned                 // a match skipped it
	ChangeEvicted                // its key had too many runs
)

var changeNames = [...]string{"started", "taken", "skipped", "died", "killed", "matched", "expired", "pruned", "evicted"}

// String returns the change in a word.
func (c Change) String() string { return changeNames[c] }

// Trace is one change of one run.
type Trace struct {
	Change Change
	Time   event.Time // of the event at hand, or the deadline
	Step   int        // that took the event, or killed the run; -1 for none
	Run    *History   // what the run has accepted; valid during the call only
	Wants  []int      // the steps that may take its next event; valid during the call only
}

// Tracer is told what happens to runs, for `cepd explain`. It must not use the
// machine.
type Tracer interface{ Trace(t Trace) }
