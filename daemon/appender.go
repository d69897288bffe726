package daemon

import (
	"errors"
	"time"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/internal/failpoint"
)

// tickEvery is the shortest time between two ticks: deadlines closer together
// than this share one, so that many keys cannot make the loop spin.
const tickEvery = 10 * time.Millisecond

// errStopped answers commands that come too late.
var errStopped = errors.New("the daemon has stopped")

// sourceBatch is a batch on its way to the log.
type sourceBatch struct {
	source string
	bytes  int // that it has taken of the throttle
	ingest.Batch
}

// command asks for records to take effect, in a group of their own.
type command struct {
	records []event.Record
	after   func(*engine.Output) // called by the loop when they took effect; may be nil
	done    chan error           // has room for the answer
}

// group is what was appended to the log at once, on its way to the engine.
type group struct {
	records []event.Record
	bytes   int // to be given back to the throttle
	after   func(*engine.Output)
	done    chan error // of a command; else nil
}

// deadline says when a tick would move something, as of a position.
type deadline struct {
	at  event.Time
	pos event.Position
}

// appender owns the log's end: no other goroutine appends. It writes the next
// group while the loop evaluates the last ones.
type appender struct {
	d       *Daemon
	records []event.Record // of the group to come
	bytes   int            // that these have taken of the throttle
	acks    []func(error)
	due     deadline
	ticked  event.Position // of the last tick
	full    bool           // the disk was full the last time
}

// run ends when it is told to quit and nothing is waiting any more, or when
// something fails.
func (a *appender) run() {
	defer close(a.d.groups)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		a.arm(timer)
		var err error
		select {
		case b := <-a.d.batches:
			a.collect(b)
			err = a.append(nil)
		case c := <-a.d.commands:
			a.records = append(a.records, c.records...)
			if err = a.append(&c); err != nil {
				c.done <- err
			}
		case a.due = <-a.d.deadlines:
		case <-timer.C:
			a.records = append(a.records, event.Record{Kind: event.KindTick, Arrival: a.d.clock.now()})
			err = a.append(nil)
		case <-a.d.failed:
			err = a.d.Err()
		case <-a.d.quit: // the sources have stopped
			if len(a.d.batches) == 0 {
				return
			}
			a.collect(<-a.d.batches)
			err = a.append(nil)
		}
		if err != nil {
			if !errors.Is(err, errStopped) {
				a.d.fail(err)
			}
			a.refuse(err)
			return
		}
	}
}

// refuse answers what still comes after a failure, until the sources have
// stopped.
func (a *appender) refuse(err error) {
	for {
		select {
		case b := <-a.d.batches:
			b.Ack(err)
		case c := <-a.d.commands:
			c.done <- err
		case <-a.d.deadlines:
		case <-a.d.quit:
			return
		}
	}
}

// arm sets the timer to the engine's next deadline. One that does not know of
// the last tick is no news.
func (a *appender) arm(timer *time.Timer) {
	if a.due.at == event.MaxTime || a.due.pos.Compare(a.ticked) < 0 {
		timer.Stop()
		return
	}
	timer.Reset(max(a.due.at.Sub(a.d.clock.now()), tickEvery))
}

// collect takes a batch and all others that are ready, up to the size of a
// group.
func (a *appender) collect(b sourceBatch) {
	a.add(b)
	for len(a.records) < a.d.opts.BatchRecords {
		select {
		case b := <-a.d.batches:
			a.add(b)
		default:
			return
		}
	}
}

func (a *appender) add(b sourceBatch) {
	a.records = append(a.records, b.Records...)
	a.bytes += b.bytes
	a.acks = append(a.acks, b.Ack)
	if b.Spent != nil {
		b.Spent()
	}
}

// log puts records into the log. While the disk is full it waits, and so does
// everything behind it: nothing is acknowledged.
func (a *appender) log(records []event.Record) error {
	for {
		err := a.d.room(a.full)
		if err == nil {
			err = a.d.durable.Append(records)
		}
		if a.full = err != nil; !a.full {
			a.d.health.set(diskFull, "")
			return nil
		}
		if !isFull(err) {
			return err
		}
		if a.d.health.set(diskFull, err.Error()) {
			a.d.log.Error("waiting for room on the disk: nothing is acknowledged", "err", err)
		}
		select {
		case <-a.d.quit:
			return errStopped
		case <-a.d.failed:
			return a.d.Err()
		case a.due = <-a.d.deadlines:
		case <-time.After(roomEvery):
		}
	}
}

// append puts the collected records into the log, acknowledges them, and hands
// them to the loop, together with the command that they came by, if any.
func (a *appender) append(c *command) error {
	g := group{records: a.records, bytes: a.bytes}
	if c != nil {
		g.after, g.done = c.after, c.done
	}
	var err error
	if len(g.records) > 0 {
		err = a.log(g.records)
	}
	if err == nil {
		err = failpoint.Hit("daemon", "before-ack")
	}
	for _, ack := range a.acks {
		ack(err)
	}
	clear(a.acks)
	a.acks = a.acks[:0]
	if err != nil {
		return err
	}
	if n := len(g.records); n > 0 && g.records[n-1].Kind == event.KindTick {
		a.ticked = g.records[n-1].Pos
	}
	a.d.groups <- g
	a.bytes = 0
	select {
	case a.records = <-a.d.spent:
	default:
		a.records = nil
	}
	return nil
}
