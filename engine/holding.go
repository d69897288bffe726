package engine

import "github.com/cepd/cepd/event"

// HeldUntil returns the time by which all events are due that are held back
// now, [event.MinTime] if none is. Once [Output.Settled] is not before it, the
// engine refers to no payload of the records so far; what it has put out may.
func (e *Engine) HeldUntil() event.Time {
	if !e.holds() {
		return event.MinTime
	}
	until, _ := e.heldUntil()
	return until
}

// heldUntil returns the same, and the time up to which nothing is held back any
// more.
func (e *Engine) heldUntil() (until, now event.Time) {
	if !e.holds() {
		return event.MinTime, event.MinTime
	}
	if now = e.settled(); e.snapshot != nil && len(e.snapshot.held) > 0 { // it may hold what has been judged
		now = event.MinTime
	}
	// None is due later than its own time, or the watermark when it came.
	until = event.MinTime
	for i := range e.clocks {
		until = max(until, e.clocks[i].mark, e.clocks[i].latest)
	}
	for _, rt := range e.router.streams {
		until = max(until, rt.marks.mark)
	}
	return until, now
}
