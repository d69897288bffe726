package notify

import (
	"container/heap"
	"context"
	"maps"
	"sync"
	"time"
)

// window is how many entries of one sink are in memory for sending. It is
// larger than what one subject that fails alone can pile up, so that it holds
// back no other, and bounds what a sink that is down costs.
const window = 1 << 14

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
	after   uint64    // place of the last entry loaded
	more    bool      // the outbox may hold more
	filling bool      // a worker reads the outbox
	busy    int       // lanes that workers have
	held    time.Time // nothing is sent before: the receiver limits our rate

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
	tries   int       // of the first entry, that failed
	since   time.Time // the first of them
	due     time.Time // while it waits: when it will be ready
	timer   *time.Timer
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
	s := &sink{Sink: cfg, d: d, lanes: map[subject]*lane{}, more: true, failed: map[Reason]uint64{}}
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
		case len(s.ready) > 0 && !time.Now().Before(s.held):
			l := heap.Pop(&s.ready).(*lane)
			s.busy++
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
	if !s.more || s.filling || s.closed || room <= 0 {
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
	if len(entries) == room {
		s.more = true
	}
	s.changed.Broadcast()
}

func (s *sink) add(e Entry) {
	s.after = e.Seq
	s.loaded++
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
	if s.busy > 0 || s.filling || s.more && s.loaded < window {
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

// try sends the first entry of a lane once. Of the lane it may use tries and
// since without the lock; entries may grow meanwhile.
func (s *sink) try(l *lane, e Entry) {
	if l.tries == 0 {
		l.since = time.Now()
	}
	v := NewDelivery(e.Message, s.Name, 0)
	ctx, cancel := context.WithTimeout(s.d.ctx, s.Timeout)
	err := s.Notifier.Notify(ctx, v)
	timedOut := err != nil && ctx.Err() == context.DeadlineExceeded
	cancel()
	if err == nil {
		s.mark(e, Sent)
		s.advance(l, func() { s.sent++ })
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
	if s.MaxAge > 0 && !f.Permanent && time.Since(l.since) >= s.MaxAge {
		f = &Error{Reason: ReasonExpired, Permanent: true, Err: err}
	}
	if f.Permanent {
		s.d.bury(DeadLetter{Delivery: v, Reason: f.Reason, Error: f.Error(), Tries: l.tries, Time: time.Now()})
		s.mark(e, Dead)
		s.advance(l, func() { s.failed[f.Reason]++ })
		return
	}
	s.backOff(l, v, f)
}

func (s *sink) mark(e Entry, o Outcome) {
	if err := s.d.cfg.Outbox.Mark(s.Name, e.Seq, o); err != nil {
		s.d.cfg.Logger.Error("marking a delivery failed", "sink", s.Name, "err", err)
	}
}

// advance takes the first entry from a lane that a worker has.
func (s *sink) advance(l *lane, count func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count()
	s.busy--
	s.loaded--
	l.tries = 0
	l.entries[0] = Entry{}
	if l.entries = l.entries[1:]; len(l.entries) == 0 {
		delete(s.lanes, l.about)
	} else {
		heap.Push(&s.ready, l)
	}
	s.changed.Broadcast()
}

// keep puts a lane back as it is.
func (s *sink) keep(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	heap.Push(&s.ready, l)
	s.changed.Broadcast()
}

// backOff makes a lane wait before it is tried again.
func (s *sink) backOff(l *lane, v Delivery, f *Error) {
	after := min(f.After, maxRetryAfter)
	wait := max(backoff(s.d.cfg.BackoffMin, s.d.cfg.BackoffMax, l.tries, s.d.cfg.Rand()), after)
	level := s.d.cfg.Logger.Debug
	if l.tries == 1 { // an outage makes one line for each subject, not one for each try
		level = s.d.cfg.Logger.Warn
	}
	level("delivery failed, will be tried again", append(attrs(v), "reason", string(f.Reason), "try", l.tries, "wait", wait, "err", f.Err)...)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.retries++
	now := time.Now()
	if until := now.Add(after); f.Reason == ReasonRateLimited && until.After(s.held) {
		s.held = until // a limit is one for all that we send
		time.AfterFunc(after, s.broadcast)
	}
	l.due = now.Add(wait)
	l.timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		l.timer = nil
		if !s.closed {
			heap.Push(&s.ready, l)
			s.changed.Signal()
		}
	})
	s.changed.Broadcast()
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
	return SinkStats{Name: s.Name, Sent: s.sent, Failed: maps.Clone(s.failed), Retries: s.retries}
}
