package notify

import (
	"slices"
	"sync"
	"time"
)

// DeadLetter is a delivery that was given up.
type DeadLetter struct {
	Delivery Delivery
	Reason   Reason
	Error    string // of the last try
	Tries    int
	Time     time.Time // when it was given up
}

// deadLetters keeps the newest letters, up to a limit.
type deadLetters struct {
	limit   int
	mu      sync.Mutex
	letters []DeadLetter
	unknown uint64 // letters for sinks that there are not, kept or not
}

func (d *deadLetters) add(l DeadLetter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.Reason == ReasonUnknownSink {
		d.unknown++
	}
	if len(d.letters) >= d.limit {
		d.letters = slices.Delete(d.letters, 0, len(d.letters)-d.limit+1)
	}
	d.letters = append(d.letters, l)
}

func (d *deadLetters) list() []DeadLetter {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.letters)
}

func (d *deadLetters) unknownSinks() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unknown
}
