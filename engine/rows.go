package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/window"
)

// Row is a piece of an engine's state, under a name that is the same for any
// number of shards.
type Row struct{ Name, Value []byte }

// rowVersion is the first byte of every value. It is raised when the encoding
// changes.
const rowVersion = 1

// The first byte of a row's name says what it is.
const (
	rowClock   = 'c' // the log's clock and the sources that are down
	rowLane    = 'l' // level, lane: watermark and highest time
	rowMarks   = 'm' // stream: its watermark
	rowRule    = 'r' // rule: where it started, and its shape
	rowState   = 's' // key group, rule, key: the state of one rule and key
	rowWaiting = 'w' // level, lane, time, position: an event that is held back
	rowParent  = 'p' // level, lane, rule, key: an alert that holds back others
	rowChange  = 'q' // level, lane, time, rule, key, ordinal: a change of one, to come
)

// Rows returns the engine's state, sorted by name. It is the same for any
// number of shards and any batches that led to it.
func (e *Engine) Rows() []Row {
	var rows []Row
	put := func(name, value []byte) { rows = append(rows, Row{name, value}) }
	put([]byte{rowClock}, e.clockRow())
	for _, rt := range e.router.streams {
		if rt.Producer == "" {
			put(event.AppendText([]byte{rowMarks}, rt.Name), rt.marks.appendBinary([]byte{rowVersion}))
		}
	}
	for _, r := range e.plan.set.Rules {
		v := e.options.started[r.Name].AppendBinary([]byte{rowVersion})
		put(event.AppendText([]byte{rowRule}, r.Name), event.AppendText(v, r.Shape))
	}
	for i, l := range e.plan.lanes {
		c := e.clocks[i]
		v := binary.AppendVarint(binary.AppendVarint([]byte{rowVersion}, int64(c.mark)), int64(c.latest))
		put(l.rowName(rowLane), v)
		for _, s := range e.shards {
			s.lanes[i].appendWaiting(put)
			s.lanes[i].appendParents(put)
		}
	}
	for _, s := range e.shards {
		s.appendStates(put)
	}
	slices.SortFunc(rows, func(a, b Row) int { return bytes.Compare(a.Name, b.Name) })
	// An event that waits in several shards is one row.
	return slices.CompactFunc(rows, func(a, b Row) bool { return bytes.Equal(a.Name, b.Name) })
}

func (e *Engine) clockRow() []byte {
	c := &e.router.clock
	v := binary.AppendVarint([]byte{rowVersion}, int64(c.now))
	down := slices.Sorted(maps.Keys(c.down))
	v = binary.AppendUvarint(v, uint64(len(down)))
	for _, name := range down {
		v = binary.AppendVarint(event.AppendText(v, name), int64(c.down[name]))
	}
	return appendTexts(v, slices.Sorted(maps.Keys(c.up)))
}

func (l *lanePlan) rowName(kind byte) []byte {
	return event.AppendText([]byte{kind, byte(l.level)}, l.name)
}

func (m *marks) appendBinary(v []byte) []byte {
	v = binary.AppendVarint(binary.AppendVarint(v, int64(m.mark)), int64(m.latest))
	v = binary.AppendVarint(v, int64(m.paused))
	v = binary.AppendUvarint(v, uint64(len(m.parts)))
	for i := range m.parts {
		p := &m.parts[i]
		v = binary.AppendUvarint(event.AppendText(v, p.source), uint64(p.number))
		v = binary.AppendVarint(binary.AppendVarint(v, int64(p.highest)), int64(p.arrived))
	}
	return v
}

func (m *marks) read(r *event.Reader) {
	m.mark, m.latest, m.paused = event.Time(r.Varint()), event.Time(r.Varint()), event.Duration(r.Varint())
	m.parts = make([]partition, r.Count())
	for i := range m.parts {
		m.parts[i] = partition{
			source: r.Text(), number: uint32(r.Uvarint()),
			highest: event.Time(r.Varint()), arrived: event.Time(r.Varint()),
		}
	}
}

// appendWaiting puts the events that the lane holds back. Which tables and
// shards they wait for follows from the rules.
func (l *lane) appendWaiting(put func(name, value []byte)) {
	for i := range l.waiting.items {
		it := &l.waiting.items[i]
		if p := it.parent; p != nil {
			name := it.at.AppendOrdered(l.plan.rowName(rowChange))
			name = event.AppendText(event.AppendText(name, p.rule), p.key)
			put(p.order.appendBinary(name), []byte{rowVersion, flag(p.fires)})
			continue
		}
		name := it.event.Time.AppendOrdered(l.plan.rowName(rowWaiting))
		name = binary.BigEndian.AppendUint64(name, it.event.Pos.Seq)
		name = binary.BigEndian.AppendUint32(name, it.event.Pos.Partition)
		name = event.AppendText(name, it.event.Schema.Stream())
		if o := it.event.Origin; o != nil {
			name = binary.BigEndian.AppendUint32(event.AppendText(name, o.Key), uint32(o.Ordinal))
		}
		v := binary.AppendVarint([]byte{rowVersion, flag(it.quiet), flag(it.late)}, int64(it.at))
		put(name, appendKept(v, it.event))
	}
}

// appendParents puts the alerts that hold back others of the lane.
func (l *lane) appendParents(put func(name, value []byte)) {
	for who, since := range l.fires { // the caller sorts
		v := binary.AppendVarint([]byte{rowVersion}, int64(since.at))
		name := event.AppendText(event.AppendText(l.plan.rowName(rowParent), who.rule), who.key)
		put(name, since.order.appendBinary(v))
	}
}

func (s *Shard) appendStates(put func(name, value []byte)) {
	for _, l := range s.lanes {
		for _, t := range l.tables {
			for key, ks := range t.keys { // the caller sorts
				for i, r := range t.rules {
					if v, ok := ks.states[i].appendBinary([]byte{rowVersion}); ok {
						name := event.AppendText([]byte{rowState, event.Group([]byte(key))}, r.Name)
						put(append(name, key...), v)
					}
				}
			}
		}
	}
}

// appendBinary appends the state of one rule and key, and reports whether
// there is any.
func (st *ruleState) appendBinary(v []byte) (out []byte, any bool) {
	v = append(v, flag(st.machine != nil))
	if st.machine != nil {
		v, any = st.machine.AppendBinary(v), true
	}
	v = append(v, flag(st.window != nil))
	if st.window != nil {
		v, any = st.window.windows.AppendBinary(v), true
		for _, b := range st.window.baselines {
			if b != nil {
				v = b.AppendBinary(v)
			}
		}
	}
	for _, a := range st.alerts {
		v = append(v, flag(a != nil))
		if a != nil {
			v, any = a.appendBinary(v), true
		}
	}
	idle := st.deadlines[timerIdle].at
	v = append(v, flag(idle != never))
	if idle != never {
		v = binary.AppendVarint(v, int64(idle))
	}
	return v, any
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (a *alertState) appendBinary(v []byte) []byte {
	v = append(v, byte(a.Phase), flag(a.Clearing), flag(a.Silent))
	for _, t := range [...]event.Time{a.Since, a.ClearSince, a.Last, a.Seen} {
		v = binary.AppendVarint(v, int64(t))
	}
	v = binary.AppendUvarint(v, uint64(a.Matches))
	v = append(v, flag(a.Told), flag(a.Flapping), flag(a.forgotten), flag(a.quiet))
	v = binary.AppendVarint(v, int64(a.paused))
	v = binary.AppendUvarint(v, uint64(len(a.Changes)))
	for _, t := range a.Changes {
		v = binary.AppendVarint(v, int64(t))
	}
	v = append(v, flag(a.kept != nil))
	if a.kept != nil {
		v = appendKept(v, a.kept)
	}
	v = append(v, flag(a.said != nil))
	if a.said != nil {
		v = a.first.AppendBinary(appendTransition(v, a.said))
	}
	return v
}

// appendKept appends an event with the name of its stream.
func appendKept(v []byte, e *event.Event) []byte {
	return e.AppendBinary(event.AppendText(v, e.Schema.Stream()))
}

// appendTransition appends what a clear needs to know of its raise.
func appendTransition(v []byte, t *alerting.Transition) []byte {
	for _, s := range [...]string{t.Rule, t.Key, t.Fingerprint, t.Severity, t.Summary, t.Description, t.Runbook} {
		v = event.AppendText(v, s)
	}
	v = appendTexts(v, t.KeyNames)
	v = appendTexts(v, t.To)
	v = binary.AppendUvarint(v, uint64(len(t.Labels)))
	for _, l := range t.Labels {
		v = event.AppendText(event.AppendText(v, l.Name), l.Value)
	}
	v = binary.AppendUvarint(v, uint64(len(t.Evidence)))
	for _, step := range t.Evidence {
		v = binary.AppendUvarint(event.AppendText(v, step.Name), uint64(len(step.Events)))
		for _, e := range step.Events {
			v = appendKept(v, e)
		}
	}
	return t.Position.AppendBinary(binary.AppendVarint(v, int64(t.StartsAt)))
}

func appendTexts(v []byte, texts []string) []byte {
	v = binary.AppendUvarint(v, uint64(len(texts)))
	for _, s := range texts {
		v = event.AppendText(v, s)
	}
	return v
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
// results of its window are such events too.
func (r *rulePlan) schema(stream string) *event.Schema {
	if r.Window != nil && stream == r.Window.Vars.Stream() {
		return r.Window.Vars
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
		if st.machine, err = nfa.ReadMachine(r.Pattern.Prog, rd, r.schema); err != nil {
			return st, 0, err
		}
	}
	if rd.Byte() == 1 {
		if st.window, err = r.readWindow(rd); err != nil {
			return st, 0, err
		}
	}
	for i := range st.alerts {
		if rd.Byte() == 1 {
			if st.alerts[i], err = r.readAlert(rd); err != nil {
				return st, 0, err
			}
		}
	}
	idle = never
	if rd.Byte() == 1 {
		idle = event.Time(rd.Varint())
	}
	return st, idle, rd.Err()
}

func (r *rulePlan) readWindow(rd *event.Reader) (ws *windowState, err error) {
	if r.Window == nil {
		return nil, event.ErrEncoding
	}
	ws = newWindowState(r.Window)
	if ws.windows, err = window.ReadState(r.Window.Spec, rd); err != nil {
		return nil, err
	}
	for i, c := range r.Window.Compute {
		if c.Baseline != nil {
			if ws.baselines[i], err = window.ReadBaseline(c.Baseline, rd); err != nil {
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
	a.Matches = int(rd.Uvarint())
	a.Told, a.Flapping, a.forgotten, a.quiet = rd.Byte() == 1, rd.Byte() == 1, rd.Byte() == 1, rd.Byte() == 1
	a.paused = event.Duration(rd.Varint())
	for range rd.Count() {
		a.Changes = append(a.Changes, event.Time(rd.Varint()))
	}
	if rd.Byte() == 1 {
		a.kept = r.readKept(rd)
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

// Restore returns an engine with the given rules and the state that Rows
// returned. Rows of rules that set does not have, or has in another shape, are
// left out.
func Restore(c Config, set *rules.Set, rows []Row) (*Engine, error) {
	e := New(c)
	m, err := e.prepare(set)
	if err != nil {
		return nil, err
	}
	e.install(m)
	return e, e.restore(rows, map[string]part{})
}

// restore reads rows into an engine that has rules and no state. skip says of
// which rules which part is not wanted.
func (e *Engine) restore(rows []Row, skip map[string]part) error {
	e.old = oldLanes{names: map[string]bool{}, taken: map[string]bool{}}
	defer func() { e.old = oldLanes{} }()
	for _, row := range rows {
		if len(row.Name) == 0 || len(row.Value) == 0 || row.Value[0] != rowVersion {
			return fmt.Errorf("restoring state: row %x: %w", row.Name, event.ErrEncoding)
		}
		if err := e.restoreRow(row.Name[0], event.NewReader(row.Name[1:]), event.NewReader(row.Value[1:]), skip); err != nil {
			return fmt.Errorf("restoring state: row %x: %w", row.Name, err)
		}
	}
	e.router.stats = newStats() // what waits was counted when it came
	for i, l := range e.plan.lanes {
		if len(l.parents) > 0 && !e.old.names[string(l.rowName(rowLane)[1:])] {
			e.learn(i)
		}
	}
	return nil
}

// learn tells a lane that was not there before which alerts of parents fire.
func (e *Engine) learn(lane int) {
	for rule, lanes := range e.plan.children {
		at := e.plan.places[rule]
		if !slices.Contains(lanes, lane) || e.plan.lanes[at.lane].tables[at.table].rules[at.rule].Shadow {
			continue
		}
		for _, from := range e.shards {
			for key, ks := range from.lanes[at.lane].tables[at.table].keys {
				if a := ks.states[at.rule].alerts[alertMain]; a != nil && a.Told {
					for _, to := range e.shards {
						to.lanes[lane].fires[parentKey{rule, key}] = since{at: a.Since}
					}
				}
			}
		}
	}
}

func (e *Engine) restoreRow(kind byte, name, value *event.Reader, skip map[string]part) error {
	switch kind {
	case rowClock:
		c := &e.router.clock
		c.now = event.Time(value.Varint())
		for range value.Count() {
			c.down[value.Text()] = event.Time(value.Varint())
		}
		for _, name := range readTexts(value) {
			c.up[name] = true
		}
	case rowMarks:
		if s := e.plan.streams[name.Text()]; s != nil && s.Producer == "" {
			e.router.streams[s.number].marks.read(value)
		}
	case rowRule:
		e.restoreRule(name.Text(), value, skip)
	case rowLane:
		e.old.names[name.Peek()] = true
		if i := e.laneByName(name); i >= 0 {
			e.clocks[i] = laneClock{event.Time(value.Varint()), event.Time(value.Varint())}
		}
	case rowWaiting:
		e.restoreWaiting(name, value)
	case rowParent:
		e.restoreParent(name, value)
	case rowChange:
		e.restoreChange(name, value)
	case rowState:
		return e.restoreState(name, value, skip)
	default:
		return event.ErrEncoding
	}
	if err := name.Err(); err != nil {
		return err
	}
	return value.Err()
}

func (e *Engine) laneByName(name *event.Reader) int {
	level, text := int(name.Byte()), name.Text()
	return slices.IndexFunc(e.plan.lanes, func(l *lanePlan) bool { return l.level == level && l.name == text })
}

// oldLanes are the lanes that rows were written for. A rule that a reload moves
// to another level is in a lane that was not there; what lies in the lanes over
// the same streams is due to it too, each event once.
type oldLanes struct {
	names map[string]bool // level and name, as in names of rows
	taken map[string]bool // number of a new lane, and an event that it has
}

// heirs returns the lanes that take what waited in an old one.
func (e *Engine) heirs(level int, name string) []int {
	var lanes []int
	for i, l := range e.plan.lanes {
		if l.name == name && (l.level == level || !e.old.names[string(l.rowName(rowLane)[1:])]) {
			lanes = append(lanes, i)
		}
	}
	return lanes
}

// restoreWaiting puts an event back that was held back, for the tables that
// its lane has now. One that still has its payload is decoded again, since the
// rules may use other fields now.
func (e *Engine) restoreWaiting(name, value *event.Reader) {
	lanes := e.heirs(int(name.Byte()), name.Text())
	who := name.Rest()
	quiet, late, at := value.Byte() == 1, value.Byte() == 1, event.Time(value.Varint())
	s := e.plan.streams[value.Text()]
	if s == nil {
		return
	}
	ev := value.Event(s.Schema)
	if value.Err() != nil {
		return
	}
	if rt := e.router.streams[s.number]; rt.decoder != nil {
		rt.decodeAgain(ev)
	}
	for _, lane := range lanes {
		if mine := fmt.Sprint(lane, " ", who); !e.old.taken[mine] {
			e.old.taken[mine] = true
			e.wait(lane, s, ev, item{at: at, late: late, quiet: quiet})
		}
	}
}

// wait puts an event among those that a lane holds back.
func (e *Engine) wait(lane int, s *streamPlan, ev *event.Event, like item) {
	e.router.route(s, ev, func(shard int, it item, to int) {
		if to != lane || like.late && e.plan.lanes[lane].tables[it.table].lateness == 0 {
			return
		}
		it.at, it.late, it.quiet = like.at, like.late, like.quiet
		e.shards[shard].lanes[lane].waiting.push(it)
	})
}

// decodeAgain fills in the slots of an event from its payload. The captures of
// the topic are not in it and stay.
func (rt *routed) decodeAgain(e *event.Event) {
	captured := make([]event.Value, len(rt.captured))
	for i, slot := range rt.captured {
		if slot >= 0 {
			captured[i] = e.Slot(slot)
		}
	}
	// The payload was decoded once; what is rejected now for a field that was
	// not used then leaves that field missing.
	if _, err := rt.decoder.Decode(e.Raw, e); err != nil {
		clear(e.Slots)
	}
	for i, slot := range rt.captured {
		if slot >= 0 {
			e.Slots[slot] = captured[i]
		}
	}
}

func (o changeOrder) appendBinary(v []byte) []byte {
	v = o.pos.AppendBinary(append(v, byte(o.cause)))
	return binary.AppendUvarint(v, uint64(o.number))
}

func readOrder(r *event.Reader) changeOrder {
	return changeOrder{cause: cause(r.Byte()), pos: r.Position(), number: int(r.Uvarint())}
}

// restoreRule takes in where a rule started. State of another shape is left out.
func (e *Engine) restoreRule(rule string, value *event.Reader, skip map[string]part) {
	started, shape := value.Position(), value.Text()
	at, ok := e.plan.places[rule]
	switch {
	case !ok || skip[rule].all:
	case e.plan.lanes[at.lane].tables[at.table].rules[at.rule].Shape != shape:
		skip[rule] = part{all: true}
	default:
		e.options.started[rule] = started
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

func (e *Engine) restoreChange(name, value *event.Reader) {
	lane := e.laneByName(name)
	it := item{at: name.Time(), parent: &parentChange{
		rule: name.Text(), key: name.Text(), order: readOrder(name), fires: value.Byte() == 1,
	}}
	if lane < 0 || !slices.Contains(e.plan.children[it.parent.rule], lane) {
		return
	}
	for _, s := range e.shards {
		s.lanes[lane].waiting.push(it)
	}
}

func (e *Engine) restoreState(name, value *event.Reader, skip map[string]part) error {
	group, rule := name.Byte(), name.Text()
	key := name.Rest()
	if err := name.Err(); err != nil {
		return err
	}
	at, ok := e.plan.places[rule]
	lose := skip[rule]
	if !ok || lose.all {
		return nil
	}
	l := e.shards[e.options.shard(group)].lanes[at.lane]
	l.paused = e.pausedOf(l.plan)
	t := l.tables[at.table]
	if parts, err := event.DecodeKey(key); err != nil || len(parts) != len(t.rules[at.rule].KeyLabels) || event.Group([]byte(key)) != group {
		return event.ErrEncoding
	}
	st, idle, err := t.rules[at.rule].readState(value)
	if err != nil {
		return err
	}
	for slot, a := range st.alerts {
		switch {
		case a == nil:
		case lose.slots[slot]:
			st.alerts[slot] = nil
		case lose.told:
			a.Gate = alerting.Gate{}
		}
	}
	if st.empty() {
		return nil
	}
	ks := t.keys[key]
	if ks == nil {
		ks = t.newKeyState()
		ks.key = key
		t.keys[key] = ks
	}
	st.deadlines = ks.states[at.rule].deadlines
	ks.states[at.rule] = st
	if t.rules[at.rule].Idle > 0 {
		l.arm(ks, at.rule, timerIdle, idle)
	}
	if st.machine != nil {
		l.arm(ks, at.rule, timerRuns, st.machine.Deadline())
	}
	if st.window != nil {
		l.arm(ks, at.rule, timerWindow, st.window.windows.Deadline())
	}
	for slot, a := range st.alerts {
		if a != nil {
			r := t.rules[at.rule]
			l.arm(ks, at.rule, timerAlert+timerKind(slot), r.due(ks, a, e.clocks[at.lane].mark))
		}
	}
	return nil
}
