package notify

import (
	"cmp"
	"container/heap"
	"slices"
)

// breakAfter is how many subjects must have failed, with nothing that came
// through between, until the breaker opens. One that fails alone never opens it:
// it may be that its messages are what the receiver cannot take.
const breakAfter = 5

// breaker is the circuit breaker of a sink. While it is open one delivery at a
// time is tried, after waits that grow as those of a delivery do. The first that
// comes through closes it.
type breaker struct {
	failed int // subjects that failed since something came through
	open   bool
	tries  int // that failed while it was open
}

// allows reports whether another delivery may be tried beside those that are
// under way.
func (b *breaker) allows(busy int) bool { return !b.open || busy == 0 }

func (s *sink) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.breaker.open
}

// failedOnce notes a try that failed; first if it was the first of its kind.
func (s *sink) failedOnce(first bool) {
	b := &s.breaker
	if first {
		b.failed++
	}
	switch {
	case b.open:
		b.tries++
	case b.failed >= breakAfter:
		b.open, b.tries = true, 1
		s.d.cfg.Logger.Warn("sink is failing: one delivery at a time is tried", "sink", s.Name)
	default:
		return
	}
	s.hold(backoff(s.d.cfg.BackoffMin, s.d.cfg.BackoffMax, b.tries, s.d.cfg.Rand()))
}

// alive notes that the receiver has answered. What waits for no reason of its
// own but the outage is tried at once.
func (s *sink) alive() {
	b := &s.breaker
	b.failed, b.tries = 0, 0
	if !b.open {
		return
	}
	b.open = false
	s.d.cfg.Logger.Info("sink works again", "sink", s.Name)
	for _, l := range s.lanes {
		if l.timer != nil && !l.asked {
			l.timer.Stop()
			l.timer = nil
			heap.Push(&s.ready, l)
		}
	}
}

// sweep gives up what has become too old while the breaker is open, without
// another try: there may be thousands of them, and tries are few.
func (s *sink) sweep() {
	lanes, old := s.takeOld()
	if len(old) == 0 {
		return
	}
	ok := s.bury(Failure{Reason: ReasonExpired, Error: "the sink has failed for as long as max_age"}, old...)
	s.mu.Lock()
	defer s.mu.Unlock()
	for l, n := range lanes {
		s.busy--
		l.busy = false
		for ok && n > 0 {
			s.shift(l)
			s.failed[ReasonExpired]++
			n--
		}
		if len(l.entries) > 0 {
			heap.Push(&s.ready, l)
		}
	}
	s.changed.Broadcast()
}

// takeOld returns what is too old in the lanes that nobody tries, by lane, and
// takes these lanes, as a worker does.
func (s *sink) takeOld() (map[*lane]int, []Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.MaxAge == 0 || !s.breaker.open {
		return nil, nil
	}
	lanes := map[*lane]int{}
	var old []Entry
	for _, l := range s.lanes {
		if l.busy {
			continue
		}
		for _, e := range l.entries {
			if !s.tooOld(e) {
				break
			}
			old = append(old, e)
			lanes[l]++
		}
		if lanes[l] > 0 {
			s.busy++
			l.busy = true
			if l.timer != nil {
				l.timer.Stop()
				l.timer = nil
			}
		}
	}
	s.ready = slices.DeleteFunc(s.ready, func(l *lane) bool { return l.busy })
	heap.Init(&s.ready)
	slices.SortFunc(old, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return lanes, old
}
