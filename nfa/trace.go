package nfa

import "github.com/cepd/cepd/event"

// Change is what happened to a run.
type Change uint8

// The changes of a run.
const (
	ChangeStarted Change = iota // an event began it
	ChangeTaken                 // it accepted an event
	ChangeSkipped               // it skipped an event that it could not take
	ChangeDied                  // the event was neither to be taken nor to be skipped
	ChangeKilled                // a negated step's event came
	ChangeMatched               // it completed
	ChangeExpired               // it ran out of time
	ChangePruned                // a match skipped it
	ChangeEvicted               // its key had too many runs
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

	Complete bool // it waits for nothing more: the match follows
}

// Tracer is told what happens to runs, for `cepd explain`. It must not use the
// machine.
type Tracer interface{ Trace(t Trace) }

// trace tells the tracer, if there is one, of a change.
func (m *runSet) trace(out *Result, c Change, at event.Time, step int, r run, state int) {
	if out.Trace != nil {
		out.Trace.Trace(Trace{
			Change: c, Time: at, Step: step, Run: &History{m.prog, r.last}, Wants: m.prog.flat[state].wants,
			Complete: state == finalState,
		})
	}
}

// traceTake tells of a run that accepts the event at hand.
func (m *runSet) traceTake(out *Result, old, r run, a *arc) {
	c := ChangeTaken
	if old.last == nil {
		c = ChangeStarted
	}
	m.trace(out, c, out.scratch.event.Time, a.step, r, a.to)
}

// traceStep tells what the event at hand did to a run, other than being taken.
func (m *runSet) traceStep(out *Result, r run, state, killer int) {
	at := out.scratch.event.Time
	switch {
	case killer >= 0:
		m.trace(out, ChangeKilled, at, killer, r, state)
	case len(out.scratch.chosen) == 0:
		m.trace(out, ChangeDied, at, -1, r, state)
	}
	for _, a := range out.scratch.chosen {
		if a.kind == arcIgnore && a.to != finalState && killer < 0 {
			m.trace(out, ChangeSkipped, at, -1, r, a.to)
		}
	}
}
