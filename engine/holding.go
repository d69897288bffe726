package engine

import "github.com/cepd/cepd/event"

// HeldUntil returns the time by which all events are due that are held back
// now, [event.MinTime] if none is. Once [Output.Settled] is not before it, the
// engine refers to no payload of the records so far; what it has put out may.
func (e *Engine) HeldUntil() event.Time {
	if !e.holds() {
		return event.MinTime
	}
	// None is due later than its own time, or the watermark when it came.
	at := event.MinTime
	for i := range e.clocks {
		at = max(at, e.clocks[i].mark, e.clocks[i].latest)
	}
	for _, rt := range e.router.streams {
		at = max(at, rt.marks.mark)
	}
	return at
}
