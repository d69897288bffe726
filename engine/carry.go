package engine

import (
	"bytes"
	"fmt"
	"iter"
	"reflect"
	"slices"

	"github.com/cepd/cepd/event"
)

// A reload leaves state where it is, as far as it can: lanes, tables, keys and
// their timers stay what they are, and it is the plan behind them that is
// replaced. What comes of that is what a restart with the new rules would make of
// the rows of the state.
//
//	a rule that is the same as far      its states are not looked at, unless the
//	as its state goes                   rule's number in its table changes
//	another rule of the same shape      its states are written and read again, one
//	                                    key after the other
//	a rule that goes or starts afresh   its states go
//	an event that is held back          is routed again, and decoded again if what
//	                                    its stream holds is not what it was
//	what is in a lane that goes         is written and read again
//
// So a reload costs what it changes. A snapshot under way stays what it was: a unit
// is encoded for it before it changes. What was stored remains of use, unless some
// of it belongs to nothing any more.

// carrying is the way of state from one rule set to another.
type carrying struct {
	restoring
	plan   *plan // all as it was
	router *router
	shards []*Shard
	clocks []laneClock
	same   map[string]bool // rules whose states stay as they are
	rows   []Row           // of what is in lanes that go
	buf    []byte
}

// carryOver brings a machinery into force with the state that there is, but for
// what rules lose.
func (e *Engine) carryOver(next *machinery, lose map[string]part) {
	c := &carrying{
		restoring: restoring{engine: e, skip: lose, old: newOldLanes()},
		plan:      e.plan, router: e.router, shards: e.shards, clocks: e.clocks, same: map[string]bool{},
	}
	for _, l := range e.plan.lanes {
		c.old.names[l.id()] = true
	}
	e.install(next)
	c.match()
	c.streams()
	for i, s := range e.shards {
		s.journal = c.shards[i].journal
	}
	for i, l := range e.plan.lanes {
		if at := c.plan.laneOf(l.level, l.name); at >= 0 {
			e.clocks[i] = c.clocks[at]
			for k, s := range e.shards {
				l := c.shards[k].lanes[at]
				c.letGo(c.shards[k], l)
				c.lane(s, i, l)
			}
			continue
		}
		for _, s := range e.shards {
			s.lanes[i].journal = s.journal
		}
	}
	for at, l := range c.plan.lanes {
		if e.plan.laneOf(l.level, l.name) < 0 {
			for _, s := range c.shards {
				c.dropLane(s.lanes[at])
			}
		}
	}
	for at := range c.plan.lanes {
		c.heldBack(at)
	}
	c.readRows()
	c.settle()
	if c.leftOut {
		e.whole = true
		if e.snapshot != nil {
			e.snapshot.void = true
		}
	}
}

// rulesOf returns a rule of that name in both plans.
func (c *carrying) rulesOf(name string) (old, now *rulePlan) {
	return c.plan.rule(name), c.engine.plan.rule(name)
}

// rule returns a rule by its name, nil where there is none.
func (p *plan) rule(name string) *rulePlan {
	at, known := p.places[name]
	if !known {
		return nil
	}
	return p.lanes[at.lane].tables[at.table].rules[at.rule]
}

// match finds the rules whose states stay as they are.
func (c *carrying) match() {
	for name := range c.engine.plan.places { // each by itself
		old, now := c.rulesOf(name)
		if lose := c.skip[name]; old != nil && !lose.all && !lose.told && lose.slots == [alertSlots]bool{} {
			c.same[name] = now.adopt(old)
		}
	}
}

// adopt reports whether what a rule of the same shape keeps of keys can stay as it
// is. If so the rule takes over what the states refer to: they hold on to nothing
// that is not in force.
func (r *rulePlan) adopt(old *rulePlan) bool {
	if r.policy() != old.policy() || r.Flap != old.Flap || r.Idle != old.Idle || r.Keys != old.Keys ||
		!reflect.DeepEqual(r.Active, old.Active) || !slices.Equal(r.AbsentKeys, old.AbsentKeys) {
		return false // deadlines may be others
	}
	for _, in := range old.Inputs {
		if now := r.schema(in.Stream.Name); now == nil || !slices.Equal(now.Fields(), in.Keep.Fields()) {
			return false
		}
	}
	rule := *r.Rule
	switch {
	case r.Pattern != nil:
		if !reflect.DeepEqual(r.Pattern.Prog, old.Pattern.Prog) {
			return false
		}
		p := *r.Pattern
		p.Prog, rule.Pattern = old.Pattern.Prog, &p
	case r.Window != nil:
		w, was := *r.Window, old.Window
		if !reflect.DeepEqual(w.Spec.Options, was.Spec.Options) || !slices.Equal(w.Vars.Fields(), was.Vars.Fields()) || len(w.Compute) != len(was.Compute) {
			return false
		}
		for i := range w.Compute {
			if !reflect.DeepEqual(w.Compute[i].Baseline, was.Compute[i].Baseline) {
				return false
			}
		}
		w.Spec, rule.Window = was.Spec, &w
	case r.Detect != nil:
		if !reflect.DeepEqual(r.Detect.Config, old.Detect.Config) {
			return false
		}
	}
	r.Rule = &rule
	return true
}

// streams carries over what is known of streams and sources.
func (c *carrying) streams() {
	r, was := c.engine.router, c.router
	r.clock, r.journal = was.clock, was.journal
	for _, rt := range r.streams {
		s := c.plan.streams[rt.Name]
		if s == nil {
			continue
		}
		old := was.streams[s.number]
		if rt.marked() && old.marked() {
			rt.marks.take(old.marks)
		}
		if rt.Producer == "" {
			rt.ids, old.ids = old.ids, nil
		}
	}
	for source, d := range was.recall.sources {
		if r.sources[source] != nil {
			r.recall.sources[source] = d
			delete(was.recall.sources, source)
		}
	}
	was.every(func(u unit) { // what nobody wants any more
		ch := u.(*chunk)
		r.journal.spare(ch)
		c.leftOut = c.leftOut || ch.stored
		ch.entries, ch.dropped, ch.stored = nil, true, false
		r.journal.drop(ch)
	})
}

// take takes over how far a stream has come.
func (m *marks) take(from *marks) {
	m.parts, m.mark, m.latest, m.paused, m.up = from.parts, from.mark, from.latest, from.paused, from.up
}

// move is the way of a table into another plan.
type move struct {
	*table
	to      int            // its number in the lane
	numbers []int32        // of its rules there, by the number that they had; -1 for those that lose all
	loses   bool           // some do
	shifts  bool           // some have another number
	rereads []bool         // by the number there: the states are to be written and read
	reads   bool           // some are
	known   event.Duration // for how long silent keys were known
}

// move returns the way of a table to a lane, nil where there is none or nothing
// would go it.
func (c *carrying) move(t *table, l *lanePlan) *move {
	to := l.tableOf(t.sig)
	if to < 0 {
		return nil
	}
	m := &move{table: t, to: to, rereads: make([]bool, len(l.tables[to].rules)), known: t.retention()}
	kept := false
	for i, r := range t.rules {
		number := int32(-1)
		if at, known := c.engine.plan.places[r.Name]; known && !c.skip[r.Name].all {
			if number = int32(at.rule); l.tables[at.table] != l.tables[to] {
				panic("engine: rule " + r.Name + " has another key, and its shape says that it is the same")
			}
			kept = true
			m.rereads[number] = !c.same[r.Name]
			m.reads = m.reads || !c.same[r.Name]
		}
		m.numbers = append(m.numbers, number)
		m.loses, m.shifts = m.loses || number < 0, m.shifts || number != int32(i)
	}
	if !kept && !l.keyed { // of a keyed lane there are the times of keys
		return nil
	}
	return m
}

// lane puts a lane into the place of lane i of a shard, which is empty.
func (c *carrying) lane(s *Shard, i int, l *lane) {
	fresh := s.lanes[i]
	s.lanes[i] = l
	for who := range l.fires {
		if !slices.Contains(c.engine.plan.children[who.rule], i) {
			delete(l.fires, who)
		}
	}
	var moves []*move
	numbers := map[*table][]int32{}
	loses, shifts := false, false
	for _, t := range l.tables {
		m := c.move(t, fresh.plan)
		if m == nil {
			c.dropTable(t)
			loses = true
			continue
		}
		moves, numbers[t] = append(moves, m), m.numbers
		if m.loses {
			c.loseStates(m)
		}
		loses, shifts = loses || m.loses, shifts || m.shifts
	}
	if loses {
		l.timers.retain(func(t *timer) bool { n := numbers[t.keys.table]; return n != nil && n[t.rule] >= 0 })
		l.forgetDropped()
	}
	if shifts {
		for t := range l.timers.all() {
			t.rule = numbers[t.keys.table][t.rule]
		}
	}
	for _, m := range moves {
		if m.shifts {
			m.renumber()
		}
		c.settleIn(m, fresh.tables[m.to])
		fresh.tables[m.to] = m.table
	}
	l.plan, l.tables = fresh.plan, fresh.tables
	for _, t := range l.tables {
		t.lane = l
	}
	if l.plan.keyed {
		l.sources, l.producers, l.under, l.wakes, l.blocks = fresh.sources, fresh.producers, nil, fresh.wakes, fresh.blocks
		for _, m := range moves {
			c.keyed(m)
		}
	}
	l.paused = c.engine.outageOf(l.plan)
	for _, m := range moves {
		if m.reads {
			c.reread(m, c.engine.clocks[i].mark)
		}
	}
}

// letGo lets go of keys that linger for rules that are not the same.
func (c *carrying) letGo(s *Shard, l *lane) {
	l.lingering = slices.DeleteFunc(l.lingering, func(g *lingering) bool {
		if c.same[g.table.rules[g.rule].Name] {
			return false
		}
		s.letGo(g)
		return true
	})
}

// loseStates takes the states of rules that lose all out of a table.
func (c *carrying) loseStates(m *move) {
	lost := func(st *ruleState) bool { return st.rule() != noRule && m.numbers[st.rule()] < 0 }
	var empty []*keyState
	for ks := range m.keys.all() {
		if !lost(&ks.first) && !slices.ContainsFunc(ks.rest(), lost) {
			continue
		}
		m.lane.journal.spare(ks)
		if st := &ks.first; lost(st) {
			c.leftOut = c.leftOut || st.is(bitStored)
			ks.first = *newRuleState()
			ks.first.setRule(noRule)
			ks.first.set(bitFiled, true)
		}
		if ks.extra != nil {
			ks.extra.rest = slices.DeleteFunc(ks.extra.rest, func(st *ruleState) bool {
				c.leftOut = c.leftOut || lost(st) && st.is(bitStored)
				return lost(st)
			})
		}
		if ks.first.rule() == noRule && len(ks.rest()) == 0 {
			empty = append(empty, ks)
		}
	}
	for _, ks := range empty {
		m.keys.remove(hashKey(ks.key), ks)
		m.lane.journal.drop(ks)
		ks.first.set(bitFiled, false)
	}
	for _, kc := range m.clocks {
		kc.timers.retain(func(t *timer) bool { return m.numbers[t.rule] >= 0 })
	}
}

// renumber gives the rules of a table the numbers that they have now. They stay in
// the same order.
func (m *move) renumber() {
	set := func(st *ruleState) {
		if st.rule() == noRule {
			return
		}
		st.setRule(int(m.numbers[st.rule()]))
		if p := st.place(); p != nil {
			p.rule = st.rule()
		}
	}
	for ks := range m.keys.all() {
		set(&ks.first)
		for _, st := range ks.rest() {
			set(st)
		}
	}
	for _, kc := range m.clocks {
		for t := range kc.timers.all() {
			t.rule = m.numbers[t.rule]
		}
	}
}

// settleIn gives a table the plan of a new one, and what that has beside keys.
func (c *carrying) settleIn(m *move, fresh *table) {
	for i, n := range m.numbers {
		if n < 0 || m.rereads[n] {
			continue
		}
		fresh.limits[n] = m.limits[i]
		if g := m.lingering[i]; g != nil {
			g.rule, fresh.lingering[n] = int(n), g
		}
	}
	t := m.table
	t.tablePlan, t.limits, t.lingering, t.spares, t.spareWindows = fresh.tablePlan, fresh.limits, fresh.lingering, fresh.spares, fresh.spareWindows
	t.spare, t.spareState = nil, nil
}

// reread writes and reads the states of rules that are not the same.
func (c *carrying) reread(m *move, now event.Time) {
	var empty []*keyState
	for ks := range m.keys.all() {
		any := false
		for st := range ks.states() {
			if m.rereads[st.rule()] {
				c.rereadState(ks, st, now)
				any = true
			}
		}
		if any && ks.empty() {
			empty = append(empty, ks)
		}
	}
	for _, ks := range empty {
		m.settle(ks)
	}
}

func (c *carrying) rereadState(ks *keyState, st *ruleState, now event.Time) {
	t, rule := ks.table, st.rule()
	t.touch(ks, rule)
	var any bool
	c.buf, any = st.appendBinary(c.buf[:0])
	if st.cancel(); !any {
		return
	}
	r := t.rules[rule]
	rd := event.NewReader(c.buf)
	read, idle, err := r.readState(rd)
	if err == nil && rd.Len() > 0 {
		err = event.ErrEncoding
	}
	if err != nil { // the encoding is broken
		panic(fmt.Sprintf("engine: reading what rule %s knew a moment ago: %v", r.Name, err))
	}
	read.lose(c.skip[r.Name])
	if st.take(&read); !st.empty() {
		t.lane.revive(ks, st, idle, now)
	}
}

// keyed fits the times of a table's keys into its plan.
func (c *carrying) keyed(m *move) {
	l := m.lane
	for _, kc := range m.clocks {
		kc.wake, kc.blocked = never, never // which lookOut finds out again
		kc.follow()
		for i := range kc.streams {
			kc.streams[i].of = nil
		}
		for i := range kc.waiting.items {
			it := &kc.waiting.items[i]
			e := c.event(it.event)
			if e != it.event {
				l.journal.touch(kc)
			}
			s := c.engine.plan.streams[e.Schema.Stream()]
			*it = item{at: it.at, event: e, stream: int32(s.number), table: int32(m.to), quiet: it.quiet, key: it.key, hash: it.hash}
		}
	}
	if m.known == m.retention() {
		return
	}
	l.ends.retain(func(w *keyWake) bool { return w.clock.table != m.table })
	for _, kc := range m.clocks {
		if kc.end != never {
			kc.end = never
			l.endOf(kc)
		}
	}
}

// forgetDropped takes keys out of the lane's queue whose tables are no more.
func (l *lane) forgetDropped() {
	l.ends.retain(func(w *keyWake) bool { return w.clock.table.clocks[w.clock.key] == w.clock })
}

// dropTable lets go of a table.
func (c *carrying) dropTable(t *table) {
	j := t.lane.journal
	for ks := range t.keys.all() {
		j.spare(ks)
		for st := range ks.states() {
			c.leftOut = c.leftOut || st.is(bitStored)
		}
		j.drop(ks)
		ks.extra = nil
		ks.first = *newRuleState()
		ks.first.setRule(noRule)
	}
	for _, kc := range t.clocks {
		j.spare(kc)
		c.leftOut = c.leftOut || kc.stored
		j.drop(kc)
		t.lane.held -= len(kc.waiting.items)
		kc.gone, kc.stored = true, false
	}
	clear(t.clocks)
}

// dropLane lets go of a lane. What waits in it for the time of keys is written, to
// be read into the lanes that take its place.
func (c *carrying) dropLane(l *lane) {
	c.leftOut = c.leftOut || len(l.left) > 0 || c.engine.snapshot != nil && len(c.engine.snapshot.leavers[l]) > 0
	for _, t := range l.tables {
		for _, kc := range t.clocks {
			if len(kc.waiting.items) > 0 {
				kc.rows(func(name, value []byte) { c.rows = append(c.rows, Row{name, value}) })
			}
		}
		c.dropTable(t)
	}
}

// event returns an event that waits as it is under the new rules.
func (c *carrying) event(e *event.Event) *event.Event {
	name := e.Schema.Stream()
	now := c.engine.router.streams[c.engine.plan.streams[name].number]
	if was := c.router.streams[c.plan.streams[name].number]; now.reads(was) {
		return e
	}
	c.buf = e.AppendBinary(c.buf[:0])
	again := event.NewReader(c.buf).Event(now.Schema)
	if now.decoders != nil {
		now.decodeAgain(again)
	}
	return again
}

// reads reports whether messages become the same events of the stream as they did.
func (rt *routed) reads(was *routed) bool {
	return slices.Equal(rt.Schema.Fields(), was.Schema.Fields()) && rt.Format == was.Format && reflect.DeepEqual(rt.Topic, was.Topic) &&
		!rt.standIn && !was.standIn && (rt.decoders == nil) == (was.decoders == nil)
}

// heldBack routes again what a lane held back, which was number at.
func (c *carrying) heldBack(at int) {
	p, e := c.plan.lanes[at], c.engine
	heirs, now := c.heirs(p.level, p.name), e.plan.laneOf(p.level, p.name)
	for it, l := range c.held(at) {
		switch p := it.parent; {
		case p != nil && now >= 0 && slices.Contains(e.plan.children[p.rule], now):
			l.waiting.push(it)
		case p != nil:
			c.leftOut = true
		case now >= 0 && len(heirs) == 1:
			c.holdAgain(now, it)
		default:
			c.rows = append(c.rows, Row{l.heldName(it), it.heldValue()})
		}
	}
}

// held takes out what a lane of all shards holds back, in the order of judgment.
// Of an event that waits in several places there is one.
func (c *carrying) held(at int) iter.Seq2[*item, *lane] {
	return func(yield func(*item, *lane) bool) {
		queues := make([]queue, len(c.shards))
		for k, s := range c.shards {
			queues[k], s.lanes[at].waiting = s.lanes[at].waiting, newQueue()
		}
		var last item
		for {
			var first *item
			from := 0
			for k := range queues {
				if it := queues[k].top(); it != nil && (first == nil || it.compare(first) < 0) {
					first, from = it, k
				}
			}
			if first == nil {
				return
			}
			it := queues[from].pop()
			if it.event != nil && last.event != nil && it.compare(&last) == 0 {
				continue
			}
			if last = it; !yield(&it, c.shards[from].lanes[at]) {
				return
			}
		}
	}
}

// holdAgain lets an event wait in a lane for the tables that want it now.
func (c *carrying) holdAgain(lane int, it *item) {
	e := c.engine
	last := e.shards[len(e.shards)-1].lanes[lane] // in a snapshot it comes after all that wait
	like := item{at: it.at, late: it.late, quiet: it.quiet, gen: it.gen}
	again := c.event(it.event)
	if again != it.event {
		like.gen = last.journal.gen
	}
	taken := e.wait(lane, e.plan.streams[again.Schema.Stream()], again, like)
	if it.gen < last.journal.gen && (!taken || again != it.event) { // its row is stored, and goes unless it is put anew
		last.left = append(last.left, last.heldName(it))
	}
}

// readRows reads what was written of lanes that went.
func (c *carrying) readRows() {
	slices.SortFunc(c.rows, func(a, b Row) int { return bytes.Compare(a.Name, b.Name) })
	var last []byte
	for _, row := range c.rows {
		if bytes.Equal(row.Name, last) { // an event that waits in several shards
			continue
		}
		if err := c.row(row); err != nil { // the encoding is broken
			panic(fmt.Sprintf("engine: reading row %x, written a moment ago: %v", row.Name, err))
		}
		last = row.Name
	}
}
