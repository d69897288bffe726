package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cepd/cepd/event"
)

// The clock says how far the wall clock is behind it.
func TestClockBehind(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	wall := noon
	c := newClock(func() time.Time { return wall })
	first := c.now()
	for _, step := range []struct{ at, behind time.Duration }{{time.Hour, 0}, {0, time.Hour}} {
		wall = noon.Add(step.at)
		if got := c.behind(); got != step.behind {
			t.Errorf("at noon and %v: behind by %v, want %v", step.at, got, step.behind)
		}
	}
	c.reached(first.Add(24 * time.Hour))
	if got := c.behind(); got != 24*time.Hour {
		t.Errorf("after the end of a log of tomorrow: behind by %v", got)
	}
}

// Readiness tells everything that is in the way, and that the clock is.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tooHot)
		if err := r.Ready(); err == nil || err.Error() != "starting" {
			t.Errorf("before the start: %v", err)
		}
		r.start(t)
		defer r.stop(t)
		if err := r.Ready(); err != nil {
			t.Error(err)
		}
		if !r.health.set(diskFull, "the disk is full") || r.health.set(diskFull, "the disk is still full") || r.health.set(diskFull, "the disk is full") {
			t.Error("what is news, and what is not")
		}
		r.health.set(recovering, "recovering")
		if err := r.Ready(); err == nil || err.Error() != "recovering; the disk is full" {
			t.Errorf("got %v", err)
		}
		if !r.health.set(diskFull, "") || r.health.set(diskFull, "") {
			t.Error("what is news, and what is not")
		}
		r.health.set(recovering, "")
		r.clock.reached(r.clock.now().Add(event.Duration(time.Hour)))
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "59m59") && !strings.Contains(err.Error(), "1h0m") {
			t.Errorf("got %v", err)
		}
	})
}
