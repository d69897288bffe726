package notify

import (
	"sync"
	"time"
)

// repeatEvery is the shortest time between two looks for what is to be
// repeated: what falls due within shares one.
const repeatEvery = time.Second

// repeatRetry is how long it takes until another look after one that failed.
const repeatRetry = time.Minute

// repeater tells sinks again, by the wall clock, of alerts that fire.
type repeater struct {
	d     *Dispatcher
	mu    sync.Mutex
	timer *time.Timer
	due   time.Time // when it goes off
	ended bool
	busy  sync.WaitGroup
}

func newRepeater(d *Dispatcher) *repeater { return &repeater{d: d} }

// wake looks soon for what is to be repeated, and when the next is due.
func (r *repeater) wake() { r.arm(time.Now().Add(repeatEvery)) }

// expect makes sure that a look is had after a time.
func (r *repeater) expect(after time.Duration) { r.arm(time.Now().Add(max(after, repeatEvery))) }

func (r *repeater) arm(due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended || r.timer != nil && !due.Before(r.due):
		return
	case r.timer != nil:
		r.timer.Stop()
	}
	r.due = due
	r.timer = time.AfterFunc(time.Until(due), r.look)
}

// look adds what is due to the outbox.
func (r *repeater) look() {
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return
	}
	r.timer = nil
	r.busy.Add(1)
	r.mu.Unlock()
	defer r.busy.Done()
	n, next, err := r.d.cfg.Outbox.Repeat(time.Now())
	if err != nil {
		r.d.cfg.Logger.Error("alerts that fire cannot be sent again", "err", err)
		next = time.Now().Add(repeatRetry)
	}
	if n > 0 {
		r.d.wake()
	}
	if !next.IsZero() {
		r.arm(next)
	}
}

// stop ends it, and waits for a look that is under way.
func (r *repeater) stop() {
	r.mu.Lock()
	r.ended = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.busy.Wait()
}
