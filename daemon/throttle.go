package daemon

import (
	"context"
	"sync"

	"github.com/cepd/cepd/event"
)

// maxUnderway is how many bytes of records may be on their way from the sources
// to their effect, where memory is not what bounds it: enough for a group that
// is collected, one that is judged, and those between them.
const maxUnderway = 6 << 20

// throttle bounds what is on its way from the sources to its effect. Who reads a
// source waits for it, and so the source: a broker keeps what it is not
// acknowledged, and others are told to come again.
type throttle struct {
	mu      sync.Mutex
	held    int
	limit   int           // 0: nothing more is let in
	changed chan struct{} // closed, and replaced, when there may be room
}

func newThrottle(limit int) *throttle { return &throttle{limit: limit, changed: make(chan struct{})} }

// acquire waits for room. What is larger than all of it comes in alone.
func (t *throttle) acquire(ctx context.Context, n int) error {
	for {
		t.mu.Lock()
		if t.held+n <= t.limit || t.held == 0 && t.limit > 0 {
			t.held += n
			t.mu.Unlock()
			return nil
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *throttle) release(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held -= n
	t.wake()
}

// bound sets how much there may be from now on.
func (t *throttle) bound(limit int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limit != limit {
		t.limit = limit
		t.wake()
	}
}

func (t *throttle) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// recordBytes is what a record takes beside its payload and topic, with its copies
// in a group.
const recordBytes = 384

// sizeOf returns what records take, about.
func sizeOf(records []event.Record) int {
	n := 0
	for i := range records {
		n += len(records[i].Payload) + len(records[i].Topic) + recordBytes
	}
	return n
}
