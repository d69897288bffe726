package daemon

import (
	"github.com/cepd/cepd/event"
)

// smallBatch is the number of records below which one goroutine is faster than
// several.
const smallBatch = 256

// loop owns the engine: no other goroutine touches it.
type loop struct{ d *Daemon }

// run ends when the appender has, and all that it appended took effect. After
// a failure nothing more takes effect.
func (l *loop) run() {
	defer close(l.d.loopDone)
	var failed error
	for g := range l.d.groups {
		err := failed
		if err == nil {
			err = l.step(g)
		}
		if g.done != nil {
			g.done <- err
		}
		if err != nil && failed == nil {
			failed = err
			l.d.fail(err)
		}
	}
}

// step lets a group take effect.
func (l *loop) step(g group) error {
	if len(g.records) == 0 {
		return nil
	}
	d := l.d
	d.pool.serial = len(g.records) < smallBatch
	out := d.durable.Step(g.records)
	err := d.durable.Deliver()
	l.publish(deadline{out.Deadline, d.durable.Last()})
	d.observe(&out, g.records)
	if g.after != nil {
		g.after(&out)
	}
	clear(g.records) // their payloads are the engine's now
	select {
	case d.spent <- g.records[:0]:
	default:
	}
	return err
}

// publish tells the appender of the next deadline, in place of one that it has
// not heard of yet.
func (l *loop) publish(due deadline) {
	select {
	case <-l.d.deadlines:
	default:
	}
	l.d.deadlines <- due
}

// noDeadline is what there is before the first step.
var noDeadline = deadline{at: event.MaxTime}
