package notify

import (
	"container/heap"
	"context"
	"maps"
	"sync"
	"time"

	"github.com/cepd/cepd/internal/failpoint"
)

// window is how many entries of one sink are in memory for sending, and
// windowBytes about how large they are. More is read when half of it is sent. It
// is larger than what one subject that fails alone can pile up, so that it holds
// back no other, and bounds what a sink that is down costs.
const (
	window      = 1 << 14
	windowBytes = 16 << 20
)

// maxRetryAfter bounds how long a receiver can make us wait.
const maxRetryAfter = time.Hour

// sink is the queue of one sink and the workers that empty it.
//
// Its entries stand in lanes, one for each subject. A lane is at any time either
// empty, ready, busy (a worker tries its first entry) or waiting (backing off).
// So what is about one subject is sent in order, and nothing else waits for it.
// Of the lanes that are ready, the one goes first whose first entry is the
// oldest: one worker sends all in order, but for what backs off.
type sink struct {
	Sink
	d *Dispatcher

	mu      sync.Mutex
	changed *sync.Cond // ready, more, draining or closed changed
	lanes   map[subject]*lane
	ready   readyLanes
	loaded  int       // entries in lanes
	bytes   int       // their size
	after   uint64    // place of the last entry loaded
	more    bool      // the outbox may hold more
	filling bool      // a worker reads the outbox
	busy    int       // lanes that workers have
	held    time.Time // nothing is sent before: the receiver limits our rate, or the breaker is open
	breaker breaker
	noted   map[string]int64 // lengths in notes that are durable, or older than what is

	draining bool
	deadline time.Time // of draining; zero: none
	closed   bool

	sent    uint64
	failed  map[Reason]uint64
	retries uint64
}

// lane holds the entries about one subject that a sink is to get, in order.
type lane struct {
	about   subject
	entries []Entry
	busy    bool      // a worker tries the first entry
	tries   int       // of the first entry, that failed
	due     time.Time // while it waits: when it will be ready
	asked   bool      // the receiver asked to wait that long
	timer   *time.Timer
	waits   int // how often it has waited
}

// readyLanes is a heap of lanes by the place of their first entry, for package
// heap.
type readyLanes []*lane

func (r readyLanes) Len() int           { return len(r) }
func (r readyLanes) Less(i, j int) bool { return r[i].entries[0].Seq < r[j].entries[0].Seq }
func (r readyLanes) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *readyLanes) Push(l any)        { *r = append(*r, l.(*lane)) }
func (r *readyLanes) Pop() any {
	n := len(*r) - 1
	l := (*r)[n]
	(*r)[n] = nil
	*r = (*r)[:n]
	return l
}

func newSink(d *Dispatcher, cfg Sink) *sink {
	s := &sink{Sink: cfg, d: d, lanes: map[subject]*lane{}, more: true, failed: map[Reason]uint64{}, noted: map[string]int64{}}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// wake says that the outbox may hold more.
func (s *sink) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more = true
	s.changed.Signal()
}

// drain makes the workers end when nothing is left that could be sent before
// ctx ends.
func (s *sink) drain(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	s.deadline, _ = ctx.Deadline()
	s.changed.Broadcast()
}

// close makes the workers end now.
func (s *sink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.lanes {
		if l.timer != nil {
			l.timer.Stop()
		}
	}
	s.changed.Broadcast()
}

// work is what a worker does.
func (s *sink) work() {
	for {
		l, e, ok := s.next()
		if !ok {
			return
		}
		s.try(l, e)
	}
}

// next waits for a lane that is ready, and returns it with its first entry;
// false when there is no more work.
func (s *sink) next() (*lane, Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.fill()
		switch {
		case s.closed:
			return nil, Entry{}, false
		case len(s.ready) > 0 && !time.Now().Before(s.held) && s.breaker.allows(s.busy):
			l := heap.Pop(&s.ready).(*lane)
			s.busy++
			l.busy = true
			if len(s.ready) > 0 {
				s.changed.Signal()
			}
			return l, l.entries[0], true
		case s.draining && s.finished():
			s.closed = true
			s.changed.Broadcast()
			return nil, Entry{}, false
		}
		s.changed.Wait()
	}
}

// fill loads entries from the outbox, if there may be some and there is room.
// It lets go of the lock while it reads.
func (s *sink) fill() {
	room := window - s.loaded
	if !s.more || s.filling || s.closed || !s.roomy() {
		return
	}
	s.more, s.filling = false, true
	after := s.after
	s.mu.Unlock()
	entries, err := s.d.cfg.Outbox.Read(s.Name, after, room)
	s.mu.Lock()
	s.filling = false
	if err != nil {
		s.d.cfg.Logger.Error("reading the outbox failed", "sink", s.Name, "err", err)
		time.AfterFunc(s.d.cfg.BackoffMin, s.wake)
		return
	}
	for _, e := range entries {
		s.add(e)
	}
	if len(entries) > 0 {
		s.more = true
	}
	s.changed.Broadcast()
}

// roomy reports whether it is time to load more.
func (s *sink) roomy() bool { return s.loaded <= window/2 && s.bytes <= windowBytes/2 }

func (s *sink) add(e Entry) {
	s.after = e.Seq
	s.loaded++
	s.bytes += e.Size
	about := e.subject()
	if l := s.lanes[about]; l != nil {
		l.entries = append(l.entries, e)
		return
	}
	l := &lane{about: about, entries: []Entry{e}}
	s.lanes[about] = l
	heap.Push(&s.ready, l)
}

// finished reports whether nothing can be sent any more before the deadline.
func (s *sink) finished() bool {
	if s.busy > 0 || s.filling || s.more && s.roomy() {
		return false
	}
	inTime := func(t time.Time) bool { return s.deadline.IsZero() || t.Before(s.deadline) }
	if len(s.ready) > 0 && inTime(s.held) {
		return false
	}
	for _, l := range s.lanes {
		if l.timer != nil && inTime(l.due) {
			return false
		}
	}
	return true
}

// try sends the first entry of a lane once. Of the lane it may use tries without
// the lock; entries may grow meanwhile.
func (s *sink) try(l *lane, e Entry) {
	v := NewDelivery(e.Message, s.Name, e.Repeat)
	ctx, cancel := context.WithTimeout(s.d.ctx, s.Timeout)
	note, err := s.notify(ctx, v)
	if err == nil {
		err = failpoint.Hit("sink", "after-send")
	}
	timedOut := err != nil && ctx.Err() == context.DeadlineExceeded
	cancel()
	if err == nil {
		if err := s.d.cfg.Outbox.Sent(s.Name, e.Seq, note); err != nil {
			s.d.cfg.Logger.Error("marking a delivery failed", "sink", s.Name, "err", err)
		}
		s.sentOne(l, e)
		s.d.cfg.Ended(v, nil)
		return
	}
	if s.d.ctx.Err() != nil { // cut short by Stop
		s.keep(l)
		return
	}
	f := classify(err)
	if timedOut && f.Reason == ReasonOther {
		f = &Error{Reason: ReasonTimeout, Err: err}
	}
	l.tries++
	if s.tooOld(e) && !f.Permanent {
		f = &Error{Reason: ReasonExpired, Permanent: true, Err: err}
	}
	if f.Permanent && s.bury(Failure{f.Reason, f.Error(), l.tries}, e) {
		s.gaveUp(l, f.Reason)
		return
	}
	s.backOff(l, v, f)
	s.sweep()
}

// sentOne takes what was confirmed from its lane.
func (s *sink) sentOne(l *lane, e Entry) {
	if t := e.Transition; t != nil && t.Repeat > 0 {
		s.d.repeat.expect(t.Repeat)
	}
	s.advance(l, func() {
		s.sent++
		s.alive()
	})
}

// gaveUp takes what is a dead letter now from its lane.
func (s *sink) gaveUp(l *lane, why Reason) {
	s.advance(l, func() {
		s.failed[why]++
		if why != ReasonExpired { // the receiver has answered
			s.alive()
		}
	})
}

// tooOld reports whether an entry may be given up because of its age.
func (s *sink) tooOld(e Entry) bool { return s.MaxAge > 0 && time.Since(e.At) >= s.MaxAge }

// bury makes dead letters of entries, and reports whether that succeeded. Where
// the outbox cannot keep them, they are tried on.
func (s *sink) bury(f Failure, es ...Entry) bool {
	if err := s.d.cfg.Outbox.Bury(s.Name, f, es...); err != nil {
		s.d.cfg.Logger.Error("a delivery that failed for good cannot be kept, and is tried again", "sink", s.Name, "err", err)
		return false
	}
	for _, e := range es {
		v := NewDelivery(e.Message, s.Name, e.Repeat)
		s.d.cfg.Logger.Error("delivery given up", append(attrs(v), "reason", string(f.Reason), "tries", f.Tries, "err", f.Error)...)
		s.d.cfg.Ended(v, &f)
	}
	return true
}

// advance takes the first entry from a lane that a worker has.
func (s *sink) advance(l *lane, count func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	l.busy = false
	s.shift(l)
	if len(l.entries) > 0 {
		heap.Push(&s.ready, l)
	}
	count()
	s.changed.Broadcast()
}

// shift takes the first entry from a lane, and the lane away if it was the last.
func (s *sink) shift(l *lane) {
	s.loaded--
	s.bytes -= l.entries[0].Size
	l.tries = 0
	l.entries[0] = Entry{}
	if l.entries = l.entries[1:]; len(l.entries) == 0 {
		delete(s.lanes, l.about)
	}
}

// keep puts a lane back as it is.
func (s *sink) keep(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	l.busy = false
	heap.Push(&s.ready, l)
	s.changed.Broadcast()
}

// backOff makes a lane wait before it is tried again.
func (s *sink) backOff(l *lane, v Delivery, f *Error) {
	after := min(f.After, maxRetryAfter)
	wait := max(backoff(s.d.cfg.BackoffMin, s.d.cfg.BackoffMax, l.tries, s.d.cfg.Rand()), after)
	level := s.d.cfg.Logger.Debug
	if l.tries == 1 && !s.broken() { // an outage makes a few lines, not one for each try
		level = s.d.cfg.Logger.Warn
	}
	level("delivery failed, will be tried again", append(attrs(v), "reason", string(f.Reason), "try", l.tries, "wait", wait, "err", f.Err)...)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	l.busy = false
	s.retries++
	now := time.Now()
	if f.Reason == ReasonRateLimited {
		s.hold(after) // a limit is one for all that we send
	}
	s.failedOnce(l.tries == 1)
	l.due, l.asked = now.Add(wait), after > 0
	l.waits++
	n := l.waits
	l.timer = time.AfterFunc(wait, func() { s.resume(l, n) })
	s.changed.Broadcast()
}

// resume ends the wait of a lane, unless something else did before.
func (s *sink) resume(l *lane, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.timer == nil || l.waits != n {
		return
	}
	l.timer = nil
	if !s.closed {
		heap.Push(&s.ready, l)
		s.changed.Signal()
	}
}

// hold sends nothing for a time.
func (s *sink) hold(wait time.Duration) {
	if until := time.Now().Add(wait); until.After(s.held) {
		s.held = until
		time.AfterFunc(wait, s.broadcast)
	}
}

func (s *sink) broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// backoff draws a wait: evenly from zero to a bound that doubles with each try
// ("full jitter": it spreads those who failed together as far as can be).
func backoff(least, most time.Duration, tries int, draw float64) time.Duration {
	bound := least
	for i := 1; i < tries && bound < most; i++ {
		bound *= 2
	}
	bound = min(bound, most)
	return time.Duration(draw * float64(bound))
}

func (s *sink) stats() SinkStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := SinkStats{Name: s.Name, Sent: s.sent, Failed: maps.Clone(s.failed), Retries: s.retries, Broken: s.breaker.open}
	for _, l := range s.lanes {
		st.Oldest = max(st.Oldest, time.Since(l.entries[0].At))
	}
	return st
}
