package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/engine"
)

// givenUpOver is how long nothing must have been given up, while deliveries came
// through, until a sink counts as mended: one that takes some and refuses others
// shall not make two alerts of each that it refuses.
const givenUpOver = 5 * time.Minute

// maxWhy bounds what an alert quotes of an error.
const maxWhy = 200

// givenUp watches what becomes of deliveries, for the alert that says that some
// are given up.
type givenUp struct {
	wake chan struct{} // holds a token when there is something new to say

	mu    sync.Mutex
	sinks map[string]*sinkFate
}

// sinkFate is what has become of deliveries to a sink.
type sinkFate struct {
	why  string    // the first was given up that the log has not been told of; empty: none was
	last time.Time // when one was given up
	told bool      // the log says that deliveries are given up
	came bool      // one has come through since the last that was given up
}

func newGivenUp() *givenUp {
	return &givenUp{wake: make(chan struct{}, 1), sinks: map[string]*sinkFate{}}
}

func (g *givenUp) of(sink string) *sinkFate {
	s := g.sinks[sink]
	if s == nil {
		s = &sinkFate{}
		g.sinks[sink] = s
	}
	return s
}

// ended notes how a delivery has ended. What becomes of the alert about such
// deliveries is no reason for another.
func (g *givenUp) ended(v notify.Delivery, f *notify.Failure) {
	if v.Rule() == engine.RuleDeadLetters {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.of(v.Sink)
	if s.came = f == nil; s.came {
		return
	}
	s.last = time.Now()
	if s.told || s.why != "" {
		return
	}
	why := []rune(f.Error)
	s.why = fmt.Sprintf("%s (%s)", string(why[:min(len(why), maxWhy)]), f.Reason)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// recovered notes what the log says of sinks.
func (g *givenUp) recovered(sinks []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range sinks {
		s := g.of(name)
		s.told, s.last = true, time.Now()
	}
}

// news returns what the log is to be told, sink by sink. A sink that exists does
// not say of has gone.
func (g *givenUp) news(exists func(sink string) bool) []engine.Notice {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []engine.Notice
	for _, name := range slices.Sorted(maps.Keys(g.sinks)) {
		switch s := g.sinks[name]; {
		case s.told && (!exists(name) || s.came && time.Since(s.last) >= givenUpOver):
			s.told = false
			all = append(all, engine.Notice{Sink: name})
		case !s.told && s.why != "":
			s.told = true
			all = append(all, engine.Notice{Sink: name, GivenUp: s.why})
		}
		g.sinks[name].why = ""
	}
	return all
}

// watchSinks tells the log to which sinks deliveries are given up, and to which
// they come through again.
func (d *Daemon) watchSinks(ctx context.Context) error {
	exists := func(sink string) bool {
		for _, s := range d.cfg.Sinks {
			if s.Name == sink {
				return true
			}
		}
		return false
	}
	for _, n := range d.givenUp.news(exists) {
		if n.GivenUp == "" {
			d.log.Info("deliveries are not given up any more", "sink", n.Sink)
		}
		if err := d.notice(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
