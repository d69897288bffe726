package engine

import (
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// Rules that look for the silence of keys which a table lists expect each of
// them from the moment at which the time of their lane is known: it is as if
// all had been heard of then. That moment must not depend on how records are
// split into batches, so a batch is cut where it comes.

// begins reports whether the last record made the time known of a lane that
// waits for it to list its keys.
func (e *Engine) begins() bool {
	for i, l := range e.plan.lanes {
		if l.lists && e.clocks[i].mark == event.MinTime && e.markOf(i) != event.MinTime {
			return true
		}
	}
	return false
}

// markOf returns the watermark that a lane would have if all ran now.
func (e *Engine) markOf(lane int) event.Time {
	l := e.plan.lanes[lane]
	m := e.router.mark(l, func(i int) event.Time {
		s := l.streams[i]
		if s.Producer != "" && !l.own(i) {
			return behind(e.markOf(s.producer))
		}
		marks := e.router.streams[s.number].marks
		marks.tick(&e.router.clock)
		return marks.mark
	})
	for _, p := range l.parents {
		m = min(m, behind(e.markOf(p)))
	}
	return max(e.clocks[lane].mark, m)
}

// list makes a state for each key that rules of a lane list and that has none.
func (e *Engine) list(lane int) {
	p, now := e.plan.lanes[lane], e.clocks[lane].mark
	if !p.lists || now == event.MinTime || now == event.MaxTime {
		return
	}
	for ti, t := range p.tables {
		for ri, r := range t.rules {
			for _, key := range r.AbsentKeys {
				s := e.shards[e.options.shard(event.Group([]byte(key)))]
				s.expect(s.lanes[lane], s.lanes[lane].tables[ti], ri, key, now)
			}
		}
	}
}

// expect begins to wait for a key.
func (s *Shard) expect(l *lane, t *table, rule int, key string, now event.Time) {
	ks := t.keyStateFor(hashKey(key), key, nil)
	if ks.look(rule).alert == nil {
		t.touch(ks, rule)
		a := &alertState{}
		a.Seen, a.paused = now, l.paused.at(now)
		s.setAlert(l, ks, rule, alertMain, a, now)
	}
	t.settle(ks)
}

// unlist forgets the keys that rules listed and, in a new set, do not list any
// more. The names of the rules are sorted: there may be thousands.
func (e *Engine) unlist(names []string, set *rules.Set) {
	forgotten := false
	for _, r := range set.Rules {
		if _, kept := slices.BinarySearch(names, r.Name); !kept {
			continue
		}
		at := e.plan.places[r.Name]
		old := e.plan.lanes[at.lane].tables[at.table].rules[at.rule]
		for _, key := range old.AbsentKeys {
			if _, listed := slices.BinarySearch(r.AbsentKeys, key); !listed {
				e.forget(at, key)
				forgotten = true
			}
		}
	}
	if forgotten {
		e.run() // whoever waits for their alerts hears of it
	}
}

// forget clears the alert of a key and drops its state.
func (e *Engine) forget(at place, key string) {
	s := e.shards[e.options.shard(event.Group([]byte(key)))]
	t := s.lanes[at.lane].tables[at.table]
	ks := t.keys.get(hashKey(key), key)
	if ks == nil || ks.look(at.rule).alert == nil {
		return
	}
	t.touch(ks, at.rule)
	s.env.begin(t.rules[at.rule], nil, nil, nil)
	s.obey(e.position)
	a := ks.at(at.rule).alert
	if a.Told {
		d := alerting.Decision{Change: alerting.Cleared, Reason: alerting.ReasonForgotten, Time: max(e.clocks[at.lane].mark, a.Since)}
		s.tell(ks, alertMain, a, d, grounds{})
	}
	ks.at(at.rule).alert = nil
	t.settle(ks)
}

// lastOf returns what texts read of a key that is silent: its last event, or
// one without any field where it never sent one.
func (r *rulePlan) lastOf(a *alertState) *event.Event {
	if a.kept != nil {
		return a.kept
	}
	return &event.Event{Time: a.Seen, Schema: r.Inputs[0].Keep}
}
