package engine

import (
	"cmp"
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/window"
)

// item is an event on its way to a table, or what a lane is told of a parent.
type item struct {
	at           event.Time // when it is judged: its time; for a late event the watermark when it came
	event        *event.Event
	parent       *parentChange // in place of an event
	stream       int32
	lane         int32
	table        int32  // -1: no table of the lane wants the event, as the rules are now
	gen          uint32 // of the journal, since when it is held back
	late         bool
	quiet        bool   // it raises no alert: the broker had kept it
	wanted       bool   // the table was found to want the event; else that is not known
	key          string // encoded
	hash         keyHash
	known, holds uint64 // the first conditions of the stream: which were answered, and how
}

// aim fills in an empty item for a table. It is filled where it is, since
// copying what was just written takes longer than all else that is done with it.
func (it *item) aim(t *target, s *streamPlan, e *event.Event, key string, hash keyHash) {
	it.at, it.event, it.key, it.hash = e.Time, e, key, hash
	it.stream, it.lane, it.table = int32(s.number), int32(t.lane), int32(t.table)
}

// hold fills in an empty item for an event that no table of a lane wants. It
// waits until it is due, since the rules may be others then.
func (it *item) hold(s *streamPlan, e *event.Event, lane int) {
	it.at, it.event = e.Time, e
	it.stream, it.lane, it.table = int32(s.number), int32(lane), -1
}

// compare is the order in which a lane judges.
func (a *item) compare(b *item) int {
	if c := cmp.Compare(a.at, b.at); c != 0 {
		return c
	}
	if c := cmp.Compare(a.place(), b.place()); c != 0 {
		return c
	}
	if p, q := a.parent, b.parent; p != nil {
		return cmp.Or(cmp.Compare(p.rule, q.rule), cmp.Compare(p.key, q.key), p.order.compare(q.order))
	}
	if c := a.event.Pos.Compare(b.event.Pos); c != 0 {
		return c
	}
	if c := a.event.Origin().Compare(b.event.Origin()); c != 0 {
		return c
	}
	return cmp.Compare(a.stream, b.stream) // several streams may take a message
}

// place orders what happens at one time. An alert that begins to fire holds
// back what the events of that time raise; one that ceases lets go of what is
// left after them.
func (a *item) place() int {
	switch {
	case a.parent == nil:
		return 1
	case a.parent.fires:
		return 0
	}
	return 2
}

// lane holds events back until its watermark passes them, and judges them and
// its timers in order.
type lane struct {
	plan      *lanePlan
	journal   *journal
	tables    []*table
	arrived   []item // since the last advance, in order of arrival
	waiting   queue
	left      [][]byte // rows of items that waited, may be stored, and do so no more
	timers    timerQueue
	lingering []*lingering        // with keys
	fires     map[parentKey]since // alerts that hold back others of this lane
	latest    event.Time          // highest time of an event in any shard
	paused    outage              // of its sources
	keyLane                       // where keys have a time of their own
	ended     bool                // the input is at its end: deadlines arm nothing behind latest
	judging   bool                // an event is judged, and no deadline
}

// table is the keyed state of the rules that share a lane and a `by`.
type table struct {
	*tablePlan
	lane         *lane
	keys         *keyTable
	whole        *keyState            // of the key without parts, where it was last filed; it may be of another since
	clocks       map[string]*keyClock // nil where keys have no time of their own
	spare        *keyState            // empty, for the next key that is not known
	spareState   *ruleState           // empty
	spares       []nfa.Machine        // empty, by number of the rule
	spareWindows [][]*window.State    // the same of windows
	lingering    []*lingering         // by number of the rule; nil where none has
	limits       []*keyLimit          // by number of the rule; nil without a limit
}

func newLane(p *lanePlan, j *journal) *lane {
	l := alone(lane{
		plan:    p,
		journal: j,
		waiting: newQueue(),
		timers:  newTimerQueue(),
		fires:   map[parentKey]since{},
		latest:  event.MinTime,
		keyLane: keyLane{time: event.MinTime},
	})
	if p.keyed {
		l.keyLane = newKeyLane(p)
	}
	for _, t := range p.tables {
		l.tables = append(l.tables, alone(table{tablePlan: t, lane: l, keys: newKeyTable(), spares: apart[nfa.Machine](len(t.rules)),
			spareWindows: apart[[]*window.State](len(t.rules)), lingering: apart[*lingering](len(t.rules)), limits: newLimits(t)}))
	}
	if p.keyed {
		for _, t := range l.tables {
			t.clocks = map[string]*keyClock{}
		}
	}
	return l
}

// due returns the earliest time at which the lane has something to do.
func (l *lane) due() event.Time {
	due := event.MaxTime
	if it := l.waiting.top(); it != nil {
		due = it.at
	}
	return min(due, l.dueOf(&l.timers))
}

// advance moves the watermark and does all that has become due.
func (l *lane) advance(s *Shard, mark event.Time) {
	l.sortArrived()
	fetches := slices.ContainsFunc(l.tables, (*table).fetches)
	next, ahead, base := 0, 0, 0 // from base to ahead keys have been fetched
	for {
		it := l.waiting.top()
		fromArrived := next < len(l.arrived) && (it == nil || l.arrived[next].compare(it) < 0)
		if fromArrived {
			it = &l.arrived[next]
		}
		if it == nil || it.at > mark {
			break
		}
		if it.table < 0 && it.parent == nil { // nobody wants it
			if fromArrived {
				next++
			} else {
				l.unholdTop()
			}
			continue
		}
		if fetches && fromArrived && next >= ahead {
			base, ahead = next, min(next+fetchAhead, len(l.arrived))
			l.fetch(s, l.arrived[next:ahead])
		}
		l.fire(s, &l.timers, it.at, phaseEvents)
		var near *keyState
		if fromArrived {
			if fetches {
				near = s.near[next-base]
			}
			next++
		} else {
			w := l.unhold()
			it = &w
		}
		if it.parent != nil {
			s.parentChanged(l, it)
			continue
		}
		l.judge(s, l.tables[it.table], it, near)
	}
	for ; next < len(l.arrived); next++ {
		l.hold(&l.arrived[next])
	}
	clear(l.arrived)
	l.arrived = l.arrived[:0]
	l.fire(s, &l.timers, mark, phaseSteady)
	if len(l.lingering) > 0 {
		s.lingered(l, mark)
	}
}

// judge shows an event to the rules of a table. The state of its key may be near.
func (l *lane) judge(s *Shard, t *table, it *item, near *keyState) {
	l.judging = true
	s.judge(l, t, it, near)
	l.judging = false
}

// hold keeps an item until it is due.
func (l *lane) hold(it *item) {
	it.gen = l.journal.gen
	l.waiting.push(it)
}

// unhold takes the item out that is due first.
func (l *lane) unhold() item {
	it := *l.waiting.top()
	l.unholdTop()
	return it
}

// unholdTop removes the item that is due first.
func (l *lane) unholdTop() {
	if it := l.waiting.top(); it.gen < l.journal.gen {
		l.left = append(l.left, l.heldName(it))
	}
	l.waiting.drop()
}

// sortArrived puts new events into the order of judgment. They mostly are.
func (l *lane) sortArrived() {
	for i := 1; i < len(l.arrived); i++ {
		a, b := &l.arrived[i-1], &l.arrived[i]
		if a.at >= b.at && a.compare(b) > 0 {
			slices.SortStableFunc(l.arrived, func(a, b item) int { return a.compare(&b) })
			return
		}
	}
}

// fire lets the timers of a queue go off that come before a phase of a time.
func (l *lane) fire(s *Shard, q *timerQueue, at event.Time, phase uint8) {
	fetched := 0
	for q.before(at, phase) { // an entry may be earlier than its deadline, never later
		t, row := q.first()
		if row != nil && t.kind == timerWindow {
			l.endWindows(s, q, row)
			continue
		}
		if row != nil {
			if fetched == 0 {
				fetched = s.fetchDue(row)
			}
			fetched--
		}
		if !l.wanted(q, t, row) {
			continue
		}
		l.fireTimer(s, q.take(row))
	}
}

// endWindows lets the timers of windows go off that stand first in a row, which are
// due together: the windows of all keys mostly end at once. What they lead to is due
// later, but for what stands elsewhere.
func (l *lane) endWindows(s *Shard, q *timerQueue, row *timerRow) {
	for fetched := 0; row.next < row.sorted; fetched-- {
		t := row.list[row.next]
		if t.kind != timerWindow || len(q.others.items) > 0 && q.others.top().compare(&t) < 0 {
			return
		}
		if fetched == 0 {
			fetched = s.fetchDue(row)
		}
		if d := t.deadline(); d.queued != t.at || d.at != t.at {
			l.wanted(q, &t, row)
			continue
		}
		row.drop()
		l.fireTimer(s, t)
	}
}

// fireTimer lets a timer go off that was taken from its queue.
func (l *lane) fireTimer(s *Shard, due timer) {
	due.keys.table.touch(due.keys, int(due.rule)) // its deadline is part of the state
	d := due.deadline()
	d.queued, d.at = never, never
	s.expire(l, &due)
}

// wanted reports whether a timer that is first in a queue is still wanted at its
// time. One whose deadline has moved is moved on.
func (l *lane) wanted(q *timerQueue, t *timer, row *timerRow) bool {
	d := t.deadline()
	if t.kind == timerIdle && t.keys.look(int(t.rule)).empty() {
		d.at = never // there is nothing to forget, and after a restart no such timer
	}
	if d.queued == t.at && d.at == t.at {
		return true
	}
	moved := q.take(row)
	if d.queued != moved.at {
		return false // another entry stands for it
	}
	d.queued = never
	if d.at != never {
		d.queued = d.at
		moved.at = d.at
		q.push(&moved)
	} else {
		moved.keys.table.settle(moved.keys)
	}
	return false
}

// dueOf returns when the next timer of a queue goes off, never if there is none.
func (l *lane) dueOf(q *timerQueue) event.Time {
	for {
		t, row := q.soon()
		if t == nil {
			return never
		}
		if l.wanted(q, t, row) {
			return t.due()
		}
	}
}

// arm sees to it that a timer of a key goes off at a time, or never. An entry
// that is queued for an earlier time stays, and is moved on when it comes up:
// a deadline that every event puts off costs nothing but that.
func (l *lane) arm(ks *keyState, rule int, kind timerKind, at event.Time) {
	if l.ended && !l.judging && at > l.latest && kind >= timerAlert {
		// The input is over. Runs and windows that are open still end, one after
		// the other; of an alert what is pending fires once, and arms nothing. The
		// last events, which were held back until now, arm what they always do.
		at = never
	}
	l.putOff(ks, rule, kind, at)
}

// putOff is arm for a timer that came up and is due later: the source was
// disconnected meanwhile.
func (l *lane) putOff(ks *keyState, rule int, kind timerKind, at event.Time) {
	st := ks.look(rule)
	if st == noState {
		if at == never {
			return
		}
		st = ks.at(rule)
	}
	d := st.due(kind)
	d.at = at
	if at < d.queued {
		d.queued = at
		t := timer{at: at, keys: ks, rule: int32(rule), kind: kind}
		if kc := ks.clock(); kc != nil && !t.byLane() {
			kc.timers.push(&t)
		} else {
			l.timers.push(&t)
		}
	}
}
