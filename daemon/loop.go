package daemon

import (
	"errors"
	"time"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/failpoint"
)

// smallBatch is the number of records below which one goroutine is faster than
// several.
const smallBatch = 256

// loop owns the engine: no other goroutine touches it.
type loop struct {
	d      *Daemon
	failed error      // nothing more takes effect
	told   event.Time // the deadline that the appender was told
	saving saving
}

// run ends when the appender has, and all that it appended took effect. After
// a failure nothing more takes effect.
func (l *loop) run() {
	defer close(l.d.loopDone)
	defer l.finish()
	due := time.NewTicker(l.d.cfg.State.Snapshot)
	defer due.Stop()
	var age <-chan time.Time // nobody asks where memory is not limited
	if l.d.memory.limit > 0 {
		tick := time.NewTicker(ageEvery)
		defer tick.Stop()
		age = tick.C
	}
	for {
		out, next := l.saving.offer()
		select {
		case g, ok := <-l.d.groups:
			if !ok {
				return
			}
			l.group(g)
			if l.saving.busy > maxTail {
				l.save()
			}
		case out <- next:
			l.saving.sent(next)
		case r := <-l.saving.saved:
			l.saved(r)
		case <-due.C:
			l.save()
		case <-age:
			l.d.durable.Age()
		case <-l.d.wantSave:
			l.save()
		case over := <-l.d.whenSaved:
			if l.saving.of == nil {
				close(over)
			} else {
				l.saving.over = append(l.saving.over, over)
			}
		}
	}
}

// group lets a group take effect and answers for it.
func (l *loop) group(g group) {
	err := l.failed
	if err == nil {
		err = l.step(g)
	}
	if g.done != nil {
		g.done <- err
	}
	if err != nil && l.failed == nil {
		l.failed = err
		if !errors.Is(err, errStopped) {
			l.d.fail(err)
		}
	}
}

// step lets a group take effect.
func (l *loop) step(g group) error {
	if len(g.records) == 0 {
		if g.after != nil {
			g.after(&engine.Output{})
		}
		return nil
	}
	d := l.d
	start := time.Now()
	d.pool.Serial(len(g.records) < smallBatch)
	out := d.durable.Step(g.records)
	l.saving.busy += time.Since(start)
	err := failpoint.Hit("daemon", "before-outbox")
	if err == nil {
		err = l.deliver()
	}
	if out.Deadline != l.told || g.records[len(g.records)-1].Kind == event.KindTick { // else it is woken for nothing
		l.publish(deadline{out.Deadline, d.durable.Last()})
	}
	d.observe(&out, g.records)
	if g.after != nil {
		g.after(&out)
	}
	clear(g.records) // their payloads are the engine's now
	d.throttle.release(g.bytes)
	select {
	case d.spent <- g.records[:0]:
	default:
	}
	return err
}

// deliver puts what was decided into the outbox. While that has no room it
// waits, and so does everything behind it. What a stop cuts short is in the log,
// and is decided again.
func (l *loop) deliver() error {
	for {
		err := l.d.durable.Deliver()
		if err == nil {
			l.d.health.set(outboxFull, "")
			return nil
		}
		if !isFull(err) {
			return err
		}
		if l.d.health.set(outboxFull, err.Error()) {
			l.d.log.Error("waiting for room in the outbox", "err", err)
		}
		select {
		case <-l.d.quit:
			return errStopped
		case <-time.After(roomEvery):
		}
	}
}

// publish tells the appender of the next deadline, in place of one that it has
// not heard of yet.
func (l *loop) publish(due deadline) {
	l.told = due.at
	select {
	case <-l.d.deadlines:
	default:
	}
	l.d.deadlines <- due
}

// noDeadline is what there is before the first step.
var noDeadline = deadline{at: event.MaxTime}
