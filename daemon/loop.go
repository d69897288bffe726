package daemon

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// smallBatch is the number of records below which one goroutine is faster than
// several.
const smallBatch = 256

// tickEvery is the shortest time between two ticks: deadlines closer together
// than this share one, so that many keys cannot make the loop spin.
const tickEvery = 10 * time.Millisecond

// errStopped answers commands that come too late.
var errStopped = errors.New("the daemon has stopped")

// sourceBatch is a batch on its way to the loop.
type sourceBatch struct {
	source string
	ingest.Batch
}

// command asks the loop to append records, in a step of their own.
type command struct {
	prepare func() // called by the loop before; may be nil
	records []event.Record
	after   func(*engine.Output) // called by the loop when they took effect; may be nil
	done    chan error           // has room for the answer
}

// loop owns the log and the engine: no other goroutine touches them.
type loop struct {
	d        *Daemon
	records  []event.Record // of the step to come; the memory is used again
	acks     []func(error)
	after    func(*engine.Output)
	deadline event.Time // arrival time of the next tick that would move something
	arrival  event.Time // of the last record
}

// run ends when it is told to quit and nothing is waiting any more, or when
// something fails.
func (l *loop) run() {
	defer close(l.d.loopDone)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.arm(timer)
		var err error
		select {
		case b := <-l.d.batches:
			l.collect(b)
			err = l.step()
		case c := <-l.d.commands:
			err = l.command(c)
		case <-timer.C:
			l.records = append(l.records, event.Record{Kind: event.KindTick, Arrival: l.d.clock.now()})
			err = l.step()
		case <-l.d.quit: // the sources have stopped
			if len(l.d.batches) == 0 {
				return
			}
			l.collect(<-l.d.batches)
			err = l.step()
		}
		if err != nil {
			l.d.fail(err)
			l.refuse(err)
			return
		}
	}
}

// command lets the records of a command take effect, in a step of their own.
func (l *loop) command(c command) error {
	if c.prepare != nil {
		c.prepare()
	}
	l.records, l.after = append(l.records, c.records...), c.after
	err := l.step()
	c.done <- err
	return err
}

// refuse answers what still comes after a failure, until the sources have
// stopped.
func (l *loop) refuse(err error) {
	for {
		select {
		case b := <-l.d.batches:
			b.Ack(err)
		case c := <-l.d.commands:
			c.done <- err
		case <-l.d.quit:
			return
		}
	}
}

// arm sets the timer to the engine's next deadline.
func (l *loop) arm(timer *time.Timer) {
	if l.deadline == event.MaxTime {
		timer.Stop()
		return
	}
	timer.Reset(max(l.deadline.Sub(l.d.clock.now()), tickEvery))
}

// collect takes a batch and all others that are ready, up to the size of a
// step.
func (l *loop) collect(b sourceBatch) {
	l.add(b)
	for len(l.records) < l.d.opts.BatchRecords {
		select {
		case b := <-l.d.batches:
			l.add(b)
		default:
			return
		}
	}
}

func (l *loop) add(b sourceBatch) {
	l.records = append(l.records, b.Records...)
	l.acks = append(l.acks, b.Ack)
}

// step gives the collected records places in the log, lets them take effect,
// and acknowledges them.
func (l *loop) step() error {
	if len(l.records) == 0 {
		return nil
	}
	err := l.apply()
	for _, ack := range l.acks {
		ack(err)
	}
	clear(l.records) // their payloads are the engine's now
	clear(l.acks)
	l.records, l.acks = l.records[:0], l.acks[:0]
	return err
}

// audible returns the changes that sinks are told of. Those of rules in shadow
// mode are only shown.
func (l *loop) audible(all []alerting.Transition) []alerting.Transition {
	return slices.DeleteFunc(slices.Clone(all), func(t alerting.Transition) bool {
		if t.Shadow {
			l.d.log.Info("alert in shadow mode", "rule", t.Rule, "key", event.KeyText(t.Key), "change", t.Change.String(), "summary", t.Summary)
		}
		return t.Shadow
	})
}

func (l *loop) apply() error {
	for i := range l.records { // sources read one clock, but not in the order of their batches
		l.arrival = max(l.arrival, l.records[i].Arrival)
		l.records[i].Arrival = l.arrival
	}
	if _, err := l.d.opts.Log.Append(l.records); err != nil {
		return fmt.Errorf("appending to the log: %w", err)
	}
	l.d.pool.serial = len(l.records) < smallBatch
	out := l.d.engine.Step(engine.Input{Records: l.records})
	l.deadline = out.Deadline
	err := l.d.dispatcher.Enqueue(notify.Messages(l.audible(out.Transitions), out.Emitted))
	l.d.observe(&out, l.records)
	if l.after != nil {
		l.after(&out)
		l.after = nil
	}
	return err
}
