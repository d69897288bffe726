package engine

import "github.com/cepd/cepd/event"

// outage is how long the sources of a lane have been disconnected, the longest of
// them.
type outage struct {
	over  event.Duration // in all, up to when they were connected last
	begun event.Time     // when one that goes on would have begun if all had been one; MaxTime: none does
	now   event.Time     // by the clock
}

// at returns how long it was at a time.
func (o outage) at(t event.Time) event.Duration {
	if t <= o.begun {
		return o.over
	}
	return max(o.over, t.Sub(o.begun))
}

// soFar returns how long it is.
func (o outage) soFar() event.Duration { return o.at(o.now) }

// outageOf returns how long the sources of a lane have been disconnected. What goes on
// counts where the time of a stream does so nevertheless.
func (e *Engine) outageOf(l *lanePlan) outage {
	clock := &e.router.clock
	all := outage{begun: event.MaxTime, now: clock.now}
	for _, s := range l.streams {
		if s.Producer != "" {
			of := e.outageOf(e.plan.lanes[s.producer])
			all.over, all.begun = max(all.over, of.over), min(all.begun, of.begun)
			continue
		}
		m := e.router.streams[s.number].marks
		all.over = max(all.over, m.paused)
		if since, down := clock.down[s.Source]; down && m.clocked && since != event.MinTime {
			all.begun = min(all.begun, since.Add(-m.paused))
		}
	}
	return all
}
