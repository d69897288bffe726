package daemon

import (
	"errors"
	"time"

	"github.com/cepd/cepd/durable"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state"
	"github.com/cepd/cepd/web"
)

// maxTail is how much evaluation may lie behind a snapshot before the next is
// taken, whatever cepd.yaml says: a restart would have to repeat it, and read
// the log beside, in five seconds.
const maxTail = 4 * time.Second

// chunkRows is how many rows of a snapshot are encoded at once, between two
// steps: about a millisecond of work.
const chunkRows = 512

// chunk is a part of a snapshot on its way to the saver.
type chunk struct {
	of   *durable.Snapshot
	rows []state.Row
	last bool
}

// saved is what the saver says of a snapshot.
type saved struct {
	of  *durable.Snapshot
	err error
}

// saving is what the loop knows of snapshots.
type saving struct {
	of     *durable.Snapshot // under way; nil: none
	next   *chunk            // to be given to the saver; nil: nothing
	busy   time.Duration     // that steps took since the last snapshot was taken
	began  time.Time         // of the one under way
	pause  time.Duration     // the longest that the loop stood still for it
	over   []chan struct{}   // to be closed when none is under way any more
	chunks chan chunk
	saved  chan saved
}

// offer returns the next chunk and where to send it; a nil channel if there is
// none.
func (s *saving) offer() (chan<- chunk, chunk) {
	if s.next == nil {
		return nil, chunk{}
	}
	return s.chunks, *s.next
}

// sent goes on after a chunk was sent.
func (s *saving) sent(c chunk) {
	s.next = nil
	if !c.last {
		s.encode()
	}
}

// encode makes the next chunk.
func (s *saving) encode() {
	start := time.Now()
	rows, last := s.of.Next(chunkRows)
	s.next = &chunk{s.of, rows, last}
	s.pause = max(s.pause, time.Since(start))
}

// save begins a snapshot, if there is anything new and none is under way.
func (l *loop) save() {
	s := &l.saving
	if s.of != nil || !l.d.durable.Changed() {
		return
	}
	start := time.Now()
	if s.of = l.d.durable.Begin(); s.of == nil {
		return
	}
	s.began, s.busy, s.pause = start, 0, time.Since(start)
	s.encode()
}

// saved ends a snapshot.
func (l *loop) saved(r saved) {
	d, s := l.d, &l.saving
	d.durable.End(r.of, r.err)
	took := time.Since(s.began)
	s.of, s.next = nil, nil
	for _, over := range s.over {
		close(over)
	}
	s.over = nil
	var cut *durable.CutError
	switch {
	case r.err == nil:
	case errors.As(r.err, &cut):
		d.log.Warn("the log could not be cut behind a snapshot", "err", cut.Err)
	default:
		d.metrics.Add(web.Snapshots, 1, "failure")
		d.log.Error("no snapshot could be written; the log keeps what is not in the last one", "err", r.err)
		return
	}
	d.metrics.Add(web.Snapshots, 1, "success")
	d.metrics.Set(web.SnapshotDuration, took.Seconds())
	d.metrics.Set(web.SnapshotPause, s.pause.Seconds())
	d.metrics.Set(web.SnapshotRows, float64(r.of.Rows()))
	d.saved.Store(int64(d.clock.now()))
	d.log.Debug("snapshot", "position", r.of.Position.String(), "full", r.of.Full, "rows", r.of.Rows(), "took", took, "pause", s.pause)
}

// finish takes a last snapshot, so that the next start repeats nothing, and lets
// the saver end. Where that would take too long, the snapshot is given up: the
// log has it all.
func (l *loop) finish() {
	if l.drain() {
		l.save()
	}
	if !l.drain() {
		l.d.log.Warn("no time for a last snapshot: the next start repeats what is not in the one before")
	}
	close(l.saving.chunks)
	<-l.d.saverDone
}

// drain waits for the end of the snapshot under way, and reports whether it came
// in time.
func (l *loop) drain() bool {
	for l.saving.of != nil {
		out, next := l.saving.offer()
		select {
		case out <- next:
			l.saving.sent(next)
		case r := <-l.saving.saved:
			l.saved(r)
		case <-l.d.hurry:
			return false
		}
	}
	return true
}

// saver is the goroutine that writes snapshots: the disk may take its time.
func (d *Daemon) saver(chunks <-chan chunk, result chan<- saved) {
	defer close(d.saverDone)
	var given *durable.Snapshot // the last one whose result was told
	for c := range chunks {
		if c.of == given {
			continue // it has failed, and the loop does not know yet
		}
		err := c.of.Write(c.rows)
		if err == nil && c.last {
			now, _ := event.FromTime(d.opts.Now())
			err = c.of.Seal(now)
		}
		if err == nil && !c.last {
			continue
		}
		var cut *durable.CutError
		if err != nil && !errors.As(err, &cut) {
			err = errors.Join(err, c.of.Abandon())
		}
		given = c.of
		select {
		case result <- saved{c.of, err}:
		case <-d.hurry: // nobody waits for it any more
		}
	}
}
