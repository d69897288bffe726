package engine

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/window"
)

// Damage is a stored row that cannot be read back, and what is lost with it.
type Damage struct {
	Rule string // starts afresh for Key, and for no other; empty if something else is lost
	Key  string // encoded
	What string // is lost, for people to read
	Err  error
}

// Restore returns an engine with the given rules and the state that Rows, or
// snapshots one on top of the other, returned. Rows come in the order of their
// names; one that its store finds damaged comes with an error.
//
// Rows of rules that set does not have, or has in another shape, are left out.
// So are damaged rows of which it can be said what is lost with them: they are
// returned. Any other damage is an error.
func Restore(c Config, set *rules.Set, rows iter.Seq2[Row, error]) (*Engine, []Damage, error) {
	e := New(c)
	m, err := e.prepare(set)
	if err != nil {
		return nil, nil, err
	}
	e.install(m)
	r := restoring{engine: e, skip: map[string]part{}}
	if err := r.rows(rows); err != nil {
		return nil, nil, err
	}
	e.whole, e.small = r.leftOut, r.small
	return e, r.damage, nil
}

// restoring reads rows into an engine that has rules and no state.
type restoring struct {
	engine  *Engine
	skip    map[string]part // what is not wanted, by rule
	old     oldLanes
	small   map[string]string // rows of [Engine.globals]
	damage  []Damage
	leftOut bool // some rows are of no use
}

func (r *restoring) rows(rows iter.Seq2[Row, error]) error {
	r.old = newOldLanes()
	r.small = map[string]string{}
	var last []byte
	for row, err := range rows {
		if err == nil && bytes.Compare(last, row.Name) >= 0 {
			err = fmt.Errorf("it comes after row %x", last)
		}
		if err == nil {
			err = r.row(row)
		}
		if err != nil && !r.bear(row.Name, err) {
			return fmt.Errorf("restoring state: row %x: %w", row.Name, err)
		}
		last = append(last[:0], row.Name...)
	}
	r.settle()
	return nil
}

// settle does what can be done only when all of the state is there.
func (r *restoring) settle() {
	e := r.engine
	e.sortPlaces()
	e.router.stats = Stats{} // what waits was counted when it came
	e.lookOut()
	for _, s := range e.shards {
		for _, l := range s.lanes {
			l.passed = l.other
		}
	}
	for i, l := range e.plan.lanes {
		if len(l.parents) > 0 && !r.old.names[l.id()] {
			e.learn(i)
		}
	}
}

// bear notes damage of which it can be said what is lost, and reports whether
// it was such.
func (r *restoring) bear(name []byte, err error) bool {
	if len(name) == 0 {
		return false
	}
	rd := event.NewReader(name[1:])
	d := Damage{Err: err}
	switch name[0] {
	case rowState:
		rd.Byte()
		d.Rule, d.Key = rd.Text(), rd.Rest()
		d.What = fmt.Sprintf("what rule %s knows", d.Rule)
		if d.Key != "" {
			d.What += fmt.Sprintf(" of key %q", event.KeyText(d.Key))
		}
	case rowKey:
		rd.Byte()
		rd.Byte()
		streams := rd.Text()
		rd.Text()
		d.Key = rd.Rest()
		d.What = fmt.Sprintf("what rules over %s know of key %q, and how far its time had come", streams, event.KeyText(d.Key))
	case rowWaiting:
		rd.Byte()
		streams, at := rd.Text(), rd.Time()
		d.What = fmt.Sprintf("an event of %s that was held back for rules over %s", at, streams)
	case rowChunk:
		rd.Byte()
		d.What = fmt.Sprintf("which events of %s came before; one that comes again may be taken for a new one", rd.Text())
	case rowOwn: // what is still so will be noticed again
		d.What = "an alert of cepd itself"
	default:
		return false
	}
	if rd.Err() != nil {
		return false
	}
	r.damage, r.leftOut = append(r.damage, d), true
	return true
}

// learn tells a lane that was not there before which alerts of parents fire.
func (e *Engine) learn(lane int) {
	for rule, lanes := range e.plan.children {
		at := e.plan.places[rule]
		if !slices.Contains(lanes, lane) || e.plan.lanes[at.lane].tables[at.table].rules[at.rule].Shadow {
			continue
		}
		for _, from := range e.shards {
			for ks := range from.lanes[at.lane].tables[at.table].keys.all() {
				if a := ks.look(at.rule).alert; a != nil && a.Told {
					for _, to := range e.shards {
						to.lanes[lane].fires[parentKey{rule, ks.key}] = since{at: a.Since}
					}
				}
			}
		}
	}
}

func (r *restoring) row(row Row) error {
	if len(row.Name) == 0 || len(row.Value) == 0 || row.Value[0] != rowVersion {
		return event.ErrEncoding
	}
	e, name, value := r.engine, event.NewReader(row.Name[1:]), event.NewReader(row.Value[1:])
	kind := row.Name[0]
	switch kind {
	case rowClock, rowMarks, rowRule, rowLane, rowParent, rowMemory, rowOwn:
		r.small[string(row.Name)] = string(row.Value)
	}
	switch kind {
	case rowClock:
		e.restoreClock(value)
	case rowOwn:
		e.restoreOwn(name, value)
	case rowMarks:
		if s := e.plan.streams[name.Text()]; s != nil && e.router.streams[s.number].marked() {
			e.router.streams[s.number].marks.read(value)
		}
	case rowRule:
		r.rule(name.Text(), value)
	case rowLane:
		r.old.names[name.Peek()] = true
		if i := e.laneByName(name); i >= 0 {
			e.clocks[i] = laneClock{event.Time(value.Varint()), event.Time(value.Varint())}
		}
	case rowMemory:
		r.leftOut = !e.router.restoreMemory(name, value) || r.leftOut
	case rowChunk:
		r.leftOut = !e.router.restoreChunk(name, value) || r.leftOut
	case rowKey:
		return r.key(name, value)
	case rowWaiting:
		r.waiting(name, value)
	case rowParent:
		e.restoreParent(name, value)
	case rowChange:
		r.change(name, value)
	case rowState:
		return r.state(name, value)
	default:
		return event.ErrEncoding
	}
	if err := name.Err(); err != nil {
		return err
	}
	return value.Err()
}

func (e *Engine) restoreClock(value *event.Reader) {
	c := &e.router.clock
	c.now = event.Time(value.Varint())
	for range value.Count() {
		c.down[value.Text()] = event.Time(value.Varint())
	}
	for _, name := range readTexts(value) {
		c.up[name] = true
	}
	e.position = value.Position()
}

func (e *Engine) laneByName(name *event.Reader) int {
	level, text := int(name.Byte()), name.Text()
	return e.plan.laneOf(level, text)
}

func (m *marks) read(r *event.Reader) {
	m.mark, m.latest, m.paused = event.Time(r.Varint()), event.Time(r.Varint()), event.Duration(r.Varint())
	m.up = event.Time(r.Varint())
	m.parts = make([]partition, r.Count())
	for i := range m.parts {
		m.parts[i] = partition{
			source: r.Text(), number: uint32(r.Uvarint()),
			highest: event.Time(r.Varint()), arrived: event.Time(r.Varint()),
		}
	}
}

func (r *rulePlan) readTransition(rd *event.Reader) *alerting.Transition {
	t := &alerting.Transition{Change: alerting.Raised}
	for _, s := range [...]*string{&t.Rule, &t.Key, &t.Fingerprint, &t.Severity, &t.Summary, &t.Description, &t.Runbook} {
		*s = rd.Text()
	}
	t.KeyNames = readTexts(rd)
	t.To = readTexts(rd)
	for range rd.Count() {
		t.Labels = append(t.Labels, alerting.Label{Name: rd.Text(), Value: rd.Text()})
	}
	for range rd.Count() {
		step := alerting.Step{Name: rd.Text()}
		for range rd.Count() {
			if e := r.readKept(rd); e != nil {
				step.Events = append(step.Events, e)
			}
		}
		t.Evidence = append(t.Evidence, step)
	}
	t.StartsAt, t.Position = event.Time(rd.Varint()), rd.Position()
	return t
}

// readKept reads an event that the rule kept, nil for one of a stream that it
// does not read.
func (r *rulePlan) readKept(rd *event.Reader) *event.Event {
	schema := r.schema(rd.Text())
	if schema == nil {
		rd.Fail()
		return nil
	}
	return rd.Event(schema)
}

func readTexts(r *event.Reader) []string {
	var texts []string
	for range r.Count() {
		texts = append(texts, r.Text())
	}
	return texts
}

// schema returns the schema of the events of a stream that the rule keeps. The
// results of its window and of its detector are such events too.
func (r *rulePlan) schema(stream string) *event.Schema {
	if r.Window != nil && stream == r.Window.Vars.Stream() {
		return r.Window.Vars
	}
	if r.Detect != nil && stream == r.Detect.Vars.Stream() {
		return r.Detect.Vars
	}
	for _, in := range r.Inputs {
		if in.Stream.Name == stream {
			return in.Keep
		}
	}
	return nil
}

func (r *rulePlan) readState(rd *event.Reader) (st ruleState, idle event.Time, err error) {
	if rd.Byte() == 1 {
		if r.Pattern == nil {
			return st, 0, event.ErrEncoding
		}
		if st.kept, err = nfa.ReadMachine(r.Pattern.Prog, rd, r.schema); err != nil {
			return st, 0, err
		}
	}
	if rd.Byte() == 1 {
		if st.kept, err = r.readWindow(rd); err != nil {
			return st, 0, err
		}
	}
	if rd.Byte() == 1 {
		if st.kept, err = r.readDetect(rd); err != nil {
			return st, 0, err
		}
	}
	for slot := range alertSlots {
		if rd.Byte() == 1 {
			a, err := r.readAlert(rd)
			if err != nil {
				return st, 0, err
			}
			st.put(slot, a)
		}
	}
	idle = never
	if rd.Byte() == 1 {
		idle = event.Time(rd.Varint())
	}
	if rd.Byte() == 1 {
		st.more().place = &keyPlace{at: event.Time(rd.Varint()), pos: rd.Position()}
	}
	return st, idle, rd.Err()
}

func (r *rulePlan) readWindow(rd *event.Reader) (ws *window.State, err error) {
	if r.Window == nil {
		return nil, event.ErrEncoding
	}
	if ws, err = window.ReadState(r.Window.Spec, rd); err != nil {
		return nil, err
	}
	ws.Baselines = newBaselines(r.Window)
	for i, c := range r.Window.Compute {
		if c.Baseline != nil {
			if ws.Baselines[i], err = window.ReadBaseline(c.Baseline, rd); err != nil {
				return nil, err
			}
		}
	}
	return ws, nil
}

func (r *rulePlan) readAlert(rd *event.Reader) (*alertState, error) {
	a := &alertState{}
	a.Phase, a.Clearing, a.Silent = alerting.Phase(rd.Byte()), rd.Byte() == 1, rd.Byte() == 1
	for _, t := range [...]*event.Time{&a.Since, &a.ClearSince, &a.Last, &a.Seen} {
		*t = event.Time(rd.Varint())
	}
	a.Matches = uint32(min(rd.Uvarint(), math.MaxUint32))
	a.Told, a.Flapping, a.forgotten, a.quiet = rd.Byte() == 1, rd.Byte() == 1, rd.Byte() == 1, rd.Byte() == 1
	a.paused = event.Duration(rd.Varint())
	if floor := event.Time(rd.Varint()); floor != 0 {
		a.more().floor = floor
	}
	var changes alerting.Changes
	for range rd.Count() {
		changes = append(changes, event.Time(rd.Varint()))
	}
	if changes != nil {
		a.Changes = &changes
	}
	if rd.Byte() == 1 {
		a.kept = r.readKept(rd)
	}
	if rd.Byte() == 1 {
		a.more().scored = r.readKept(rd)
	}
	if rd.Byte() == 1 {
		a.said = r.readTransition(rd)
		a.first = rd.Position()
	}
	if err := rd.Err(); err != nil {
		return nil, err
	}
	if a.Phase > alerting.Firing || a.Told && a.said == nil || a.Phase == alerting.Pending && a.kept == nil {
		return nil, event.ErrEncoding
	}
	return a, nil
}

// oldLanes are the lanes that rows were written for. A rule that a reload moves
// to another level is in a lane that was not there; what lies in the lanes over
// the same streams is due to it too, each event once.
type oldLanes struct {
	names map[string]bool // level and name, as in names of rows
	taken map[string]bool // number of a new lane, and an event that it has
}

func newOldLanes() oldLanes { return oldLanes{names: map[string]bool{}, taken: map[string]bool{}} }

// heirs returns the lanes that take what waited in an old one: itself, and those
// over the same streams that were not there, at another level or by another
// time.
func (r *restoring) heirs(level int, name string) []int {
	var lanes []int
	for i, l := range r.engine.plan.lanes {
		if l.is(level, name) || l.plain == plainName(name) && !r.old.names[l.id()] {
			lanes = append(lanes, i)
		}
	}
	return lanes
}

// waiting puts an event back that was held back, for the tables that
// its lane has now. One that still has its payload is decoded again, since the
// rules may use other fields now.
func (r *restoring) waiting(name, value *event.Reader) {
	e := r.engine
	level, streams := int(name.Byte()), name.Text()
	lanes := r.heirs(level, streams)
	who := name.Rest()
	quiet, late, at := value.Byte() == 1, value.Byte() == 1, event.Time(value.Varint())
	s := e.plan.streams[value.Text()]
	if s == nil || len(lanes) == 0 {
		r.leftOut = true
		return
	}
	ev := value.Event(s.Schema)
	if value.Err() != nil {
		return
	}
	if rt := e.router.streams[s.number]; rt.decoders != nil {
		rt.decodeAgain(ev)
	}
	if len(lanes) > 1 || e.plan.lanes[lanes[0]].name != streams || e.plan.lanes[lanes[0]].level != level {
		r.leftOut = true // it has rows of other names now
	}
	r.inherit(lanes, s, ev, who, item{at: at, late: late, quiet: quiet, gen: stored})
}

// inherit puts an event among those that lanes hold back, in each once.
func (r *restoring) inherit(lanes []int, s *streamPlan, ev *event.Event, who string, like item) {
	for _, lane := range lanes {
		if mine := fmt.Sprint(lane, " ", who); !r.old.taken[mine] {
			r.old.taken[mine] = true
			r.leftOut = !r.engine.wait(lane, s, ev, like) || r.leftOut
		}
	}
}

// wait puts an event among those that a lane holds back, and reports whether any
// table of it takes the event.
func (e *Engine) wait(lane int, s *streamPlan, ev *event.Event, like item) (taken bool) {
	e.router.route(s, ev, func(shard int, it *item) {
		p := e.plan.lanes[lane]
		if int(it.lane) != lane || like.late && (p.keyed || p.tables[it.table].lateness == 0) {
			return
		}
		taken = true
		if p.keyed { // it waited by another time, and comes to its key now
			it.quiet = like.quiet
			e.deliver(shard, it)
			return
		}
		it.at, it.late, it.quiet, it.gen = like.at, like.late, like.quiet, like.gen
		e.shards[shard].lanes[lane].waiting.push(it)
	})
	return taken
}

// decodeAgain fills in the slots of an event from its payload and its topic. What
// a topic that the stream does not take any more had told stays.
func (rt *routed) decodeAgain(e *event.Event) {
	if e.Slots == nil { // no field was used
		e.Slots = make([]event.Value, len(rt.Schema.Fields()))
	}
	captured := make([]event.Value, len(rt.captured))
	for i, slot := range rt.captured {
		if slot >= 0 {
			captured[i] = e.Slot(slot)
		}
	}
	// The payload was decoded once; what is rejected now for a field that was
	// not used then leaves that field missing.
	if _, err := rt.decoders[0].Decode(e.Raw(), e); err != nil {
		clear(e.Slots)
	}
	for i, slot := range rt.captured {
		if slot >= 0 {
			e.Slots[slot] = captured[i]
		}
	}
	rt.capture(e)
}

func readOrder(r *event.Reader) changeOrder {
	return changeOrder{cause: cause(r.Byte()), pos: r.Position(), number: int(r.Uvarint())}
}

// rule takes in where a rule started. State of another shape is left out.
func (r *restoring) rule(name string, value *event.Reader) {
	e := r.engine
	started, shape := value.Position(), value.Text()
	at, ok := e.plan.places[name]
	switch {
	case !ok || r.skip[name].all:
		r.leftOut = true
	case e.plan.lanes[at.lane].tables[at.table].rules[at.rule].Shape != shape:
		r.skip[name], r.leftOut = part{all: true}, true
	default:
		e.options.start(name, started)
	}
}

// restoreParent puts an alert back that holds back others, as long as they ask
// for it.
func (e *Engine) restoreParent(name, value *event.Reader) {
	lane := e.laneByName(name)
	who := parentKey{rule: name.Text(), key: name.Text()}
	from := since{at: event.Time(value.Varint()), order: readOrder(value)}
	if lane < 0 || !slices.Contains(e.plan.children[who.rule], lane) {
		return
	}
	for _, s := range e.shards {
		s.lanes[lane].fires[who] = from
	}
}

func (r *restoring) change(name, value *event.Reader) {
	e := r.engine
	lane := e.laneByName(name)
	it := item{gen: stored, at: name.Time(), parent: &parentChange{
		rule: name.Text(), key: name.Text(), order: readOrder(name), fires: value.Byte() == 1,
	}}
	if lane < 0 || !slices.Contains(e.plan.children[it.parent.rule], lane) {
		r.leftOut = true
		return
	}
	for _, s := range e.shards {
		s.lanes[lane].waiting.push(&it)
	}
}

// take takes over what was read of a state.
func (st *ruleState) take(from *ruleState) {
	st.kept, st.alert = from.kept, from.alert
	if from.extra != nil || st.extra != nil {
		x := st.more()
		x.timeout, x.place = from.at(alertTimeout), from.place()
	}
}

// lose takes away what a reload does away with. Where nothing is left, the key has
// no place among others.
func (st *ruleState) lose(p part) {
	for slot, a := range st.alerts() {
		switch {
		case p.slots[slot]:
			st.put(slot, nil)
		case p.told:
			a.Gate = alerting.Gate{}
		}
	}
	if st.extra != nil && st.empty() {
		st.extra.place = nil
	}
}

// state puts the state of one rule and key back, all of it or, where it cannot
// be read, nothing.
func (r *restoring) state(name, value *event.Reader) error {
	e := r.engine
	group, rule := name.Byte(), name.Text()
	key := name.Rest()
	if err := name.Err(); err != nil {
		return err
	}
	at, ok := e.plan.places[rule]
	lose := r.skip[rule]
	if !ok || lose.all {
		r.leftOut = true
		return nil
	}
	l := e.shards[e.options.shard(group)].lanes[at.lane]
	l.paused = e.outageOf(l.plan)
	t := l.tables[at.table]
	if parts, err := event.DecodeKey(key); err != nil || len(parts) != len(t.rules[at.rule].KeyLabels) || event.Group([]byte(key)) != group {
		return event.ErrEncoding
	}
	st, idle, err := t.rules[at.rule].readState(value)
	if err != nil {
		return err
	}
	if value.Len() > 0 {
		return event.ErrEncoding
	}
	if st.lose(lose); st.empty() {
		return nil
	}
	if t.clocks != nil && t.clocks[key] == nil {
		return event.ErrEncoding // its time is lost
	}
	ks := t.keys.get(hashKey(key), key)
	if ks == nil {
		ks = newKeyState(t)
		ks.key = key
		ks.setClock(t.clocks[key])
		t.file(ks)
	}
	to := ks.look(at.rule)
	if to == noState {
		to = ks.insert(at.rule)
	}
	to.take(&st)
	to.changed = stored
	to.set(bitStored, true)
	l.revive(ks, to, idle, e.clocks[at.lane].mark)
	return nil
}

// revive gives a state that was read its place among those of other keys, and
// arms its deadlines; idle is the one that was read with it.
func (l *lane) revive(ks *keyState, st *ruleState, idle, now event.Time) {
	rule := st.rule()
	ks.table.restorePlace(ks, rule)
	if ks.table.rules[rule].Idle > 0 {
		l.arm(ks, rule, timerIdle, idle)
	}
	if m := st.machine(); m != nil {
		l.arm(ks, rule, timerRuns, m.Deadline())
	}
	if ws := st.window(); ws != nil {
		l.arm(ks, rule, timerWindow, ws.Deadline())
	}
	if ds := st.detect(); ds != nil {
		l.arm(ks, rule, timerWindow, ds.d.Due())
	}
	for slot, a := range st.alerts() {
		l.armAlert(ks, rule, slot, a, ks.now(now))
	}
}
