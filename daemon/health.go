package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// obstacle is a reason why the daemon does not do its work now.
type obstacle uint8

// The obstacles, in the order in which they are told.
const (
	notStarted obstacle = iota
	recovering
	diskFull
	outboxFull
	memoryFull
)

// health holds what is in the way of the daemon's work. Its methods may be
// called from any goroutine.
type health struct {
	mu       sync.Mutex
	inTheWay map[obstacle]string
}

func newHealth() *health {
	return &health{inTheWay: map[obstacle]string{notStarted: "starting"}}
}

// set says that something is in the way, or, without a reason, that it is not.
// It reports whether that is news; another reason, such as other numbers, is not.
func (h *health) set(o obstacle, reason string) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, there := h.inTheWay[o]
	if reason == "" {
		delete(h.inTheWay, o)
		return there
	}
	h.inTheWay[o] = reason
	return !there
}

// err returns everything that is in the way; nil if nothing is.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, o := range slices.Sorted(maps.Keys(h.inTheWay)) {
		all = append(all, h.inTheWay[o])
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(strings.Join(all, "; "))
}

// Ready returns nil while the daemon does its work, and else what is in the
// way. A broker that is down is not: cepd waits for it as it should.
func (d *Daemon) Ready() error {
	if err := d.Err(); err != nil {
		return err
	}
	if behind := d.clock.behind(); behind > maxBehind {
		return errors.Join(d.health.err(), fmt.Errorf("the clock is wrong: it is %v behind the last record of the log", behind))
	}
	return d.health.err()
}
