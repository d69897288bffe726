package engine

import (
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// This file is what the engine carries between keyed lanes and the rest: what
// time it is, how far the keys of a producer have come, and what they emit.

// see tells a keyed lane what the engine knows of its time.
func (e *Engine) see(lane int, l *lane) {
	r := e.router
	if l.now, l.until = r.clock.now, e.until; l.until == event.MinTime {
		l.time = e.clocks[lane].mark
	}
	l.other, l.clocked = event.MaxTime, event.MinTime
	for i, s := range l.plan.streams {
		marks := r.streams[s.number].marks
		l.sources[i] = keyedSource{down: s.Producer == "" && r.clock.isDown(s.Source), up: marks.up}
		if l.plan.marks[i] != rules.MarksStream {
			continue
		}
		switch m := e.streamMark(s, l.plan.own(i)); {
		case s.Producer == "" && marks.clocked:
			l.clocked = max(l.clocked, m)
		case s.Producer == "" && marks.unheard(&r.clock) && m != event.MaxTime, m == event.MinTime && l.plan.own(i):
		default:
			l.other = min(l.other, m)
		}
	}
}

// follow tells the lanes whose keys follow those of a lane how far they have
// come.
func (e *Engine) follow(lane int, p *lanePlan) {
	for _, from := range e.shards {
		l := from.lanes[lane]
		for _, kc := range l.moved {
			for _, f := range p.followers {
				it := item{at: behind(kc.mark), key: kc.key, stream: f.stream, table: int32(f.table)}
				for _, to := range e.shards {
					if !f.same || to == from {
						to.lanes[f.lane].arrived = append(to.lanes[f.lane].arrived, it)
					}
				}
			}
		}
		clear(l.moved)
		l.moved = l.moved[:0]
	}
}

// routeUnordered routes a derived event that comes out of a key with a time of
// its own. Rules whose keys follow those take it in order; for the others the
// stream has a watermark of its own, which such events move as they come.
func (e *Engine) routeUnordered(d derived) {
	r, rt := e.router, e.router.streams[d.stream.number]
	t := d.event.Time
	e.firstDerived(rt)
	rt.marks.tick(&r.clock)
	late, left := t < rt.marks.mark, false
	r.quiet = d.quiet
	r.route(d.stream, d.event, func(shard int, it *item) {
		p := e.plan.lanes[it.lane]
		if late && p.own(p.number(d.stream.number)) {
			if w := p.tables[it.table].lateness; w == 0 || t < rt.marks.mark.Add(-w) {
				left = true
				return
			}
			it.at, it.late = rt.marks.mark, true
		}
		e.deliver(shard, it)
	})
	if left {
		rt.late++
		r.traceLeft(rt, d.event, LeftLate)
	} else {
		rt.events++
	}
	if !late {
		arrived := r.clock.now
		if len(d.stream.keys) == 0 { // nobody waits for it: batches may be long, and what is stored must not tell
			arrived = event.MinTime
		}
		rt.marks.observe(&event.Record{Arrival: arrived}, t, &r.clock)
	}
}

// firstDerived sees to the first event of a derived stream that rules over
// several streams did not wait for.
func (e *Engine) firstDerived(rt *routed) {
	if rt.marks.mark != event.MinTime {
		return
	}
	for i, l := range e.plan.lanes {
		if n := slices.Index(l.streams, rt.streamPlan); n >= 0 && len(l.streams) > 1 && !l.keyed && l.own(n) {
			rt.marks.raise(e.clocks[i].mark)
		}
	}
}

// latestMark returns the time by which the silence of a stream's keys is
// judged.
func (e *Engine) latestMark(l *lanePlan, stream int) event.Time {
	i := l.number(stream)
	if l.marks[i] != rules.MarksLatest {
		return event.MinTime
	}
	return e.streamMark(l.streams[i], false)
}

// keysDue returns the arrival time at which a tick would move the time of a key
// of a lane to something that is due.
func (e *Engine) keysDue(lane int) event.Time {
	at := event.MaxTime
	for _, s := range e.shards {
		l := s.lanes[lane]
		if w := l.wakes.top(); w != nil {
			at = min(at, w.at)
		}
		if w := l.blocks.top(); w != nil {
			at = min(at, e.othersDue(lane, w.at))
		}
	}
	return at
}

// othersDue returns the arrival time at which the clock alone would bring the
// streams without keys to t.
func (e *Engine) othersDue(lane int, t event.Time) event.Time {
	at, l := event.MinTime, e.plan.lanes[lane]
	for i, s := range l.streams {
		m := e.router.streams[s.number].marks
		switch {
		case l.marks[i] != rules.MarksStream || s.Producer == "" && m.clocked:
		case s.Producer != "" && !l.own(i):
			at = max(at, e.laneDue(s.producer, t.Add(1)))
		case !m.heard():
			at = max(at, m.leftOut(&e.router.clock))
		default:
			at = max(at, m.due(t, &e.router.clock))
		}
	}
	if at == event.MinTime {
		return event.MaxTime
	}
	return at
}

// link shows keyed lanes the keys that theirs follow. All is run by one
// goroutine then.
func (e *Engine) link() {
	for lane, p := range e.plan.lanes {
		for i, s := range p.streams {
			if p.marks[i] != rules.MarksProducer || s.Watermark.KeyIdle == 0 {
				continue
			}
			at := e.plan.places[s.Producer]
			of := func(key string) *keyClock {
				shard := e.shards[e.options.shard(event.Group([]byte(key)))]
				return shard.lanes[at.lane].tables[at.table].clocks[key]
			}
			for _, shard := range e.shards {
				shard.lanes[lane].producers[i] = of
			}
		}
	}
}

// lookOut sees to it that keys are looked at again after what is known of
// sources has changed, or rows were read.
func (e *Engine) lookOut() {
	for lane, p := range e.plan.lanes {
		for _, s := range e.shards {
			if l := s.lanes[lane]; p.keyed {
				l.latest, l.ended, l.paused = e.clocks[lane].latest, e.ended, e.outageOf(p)
				e.see(lane, l)
			}
		}
	}
	for lane, p := range e.plan.lanes {
		if !p.keyed || !slices.Contains(p.marks, rules.MarksStream) && !slices.ContainsFunc(p.streams, func(s *streamPlan) bool { return s.Watermark.KeyIdle > 0 }) {
			continue
		}
		for _, s := range e.shards {
			for _, t := range s.lanes[lane].tables {
				for _, kc := range t.clocks { // keys do not see each other
					s.lanes[lane].lookOut(kc)
				}
			}
		}
	}
}

// lookAtKeys does what has become due of keys whose time has moved without an
// event.
func (e *Engine) lookAtKeys() {
	for lane, p := range e.plan.lanes {
		if p.keyed {
			for _, s := range e.shards {
				s.lanes[lane].lookAll(s)
			}
		}
	}
}

// settleKeys moves the keys of a source that went on with the clock: while it is
// down they stand still.
func (e *Engine) settleKeys(source string) {
	for lane, p := range e.plan.lanes {
		if !p.keyed || !slices.ContainsFunc(p.streams, func(s *streamPlan) bool { return s.Watermark.KeyIdle > 0 && (s.Source == source || s.Unordered) }) {
			continue
		}
		for _, s := range e.shards {
			s.lanes[lane].runAll(s)
		}
	}
}
