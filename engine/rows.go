package engine

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

// Row is a piece of an engine's state, under a name that is the same for any
// number of shards. The type has no name of its own, so that a store need not
// know of engines.
type Row = struct{ Name, Value []byte }

// Encoding is the number of the encoding of rows. It is raised when that
// changes: rows of a higher number than this cannot be read.
const Encoding = 1

// Semantics is the number of what rules mean. It is raised whenever the same
// log could give another result than before: a change of the engine, of the
// library of expressions, of the zones' data.
const Semantics = 1

// rowVersion is the first byte of every value.
const rowVersion = Encoding

// The first byte of a row's name says what it is.
const (
	rowClock   = 'c' // the log's clock, the sources that are down, the last record's position
	rowLane    = 'l' // level, lane: watermark and highest time
	rowMarks   = 'm' // stream: its watermark
	rowOwn     = 'a' // rule, key: what the engine alerts of itself
	rowRule    = 'r' // rule: where it started, and its shape
	rowState   = 's' // key group, rule, key: the state of one rule and key
	rowKey     = 'o' // key group, level, lane, table, key: its own time, and what waits for it
	rowWaiting = 'w' // level, lane, time, position: an event that is held back
	rowParent  = 'p' // level, lane, rule, key: an alert that holds back others
	rowChange  = 'q' // level, lane, time, rule, key, ordinal: a change of one, to come
	rowMemory  = 'd' // of a stream's ids or a source's messages: up to where they are remembered
	rowChunk   = 'e' // the same, number: a piece of what is remembered
)

// Rows returns the engine's state, sorted by name. It is the same for any
// number of shards and any batches that led to it.
func (e *Engine) Rows() []Row {
	var rows []Row
	put := func(name, value []byte) { rows = append(rows, Row{name, value}) }
	e.globals(put)
	for _, s := range e.shards {
		for _, l := range s.lanes {
			for it := range l.waiting.all() {
				put(l.heldName(it), it.heldValue())
			}
		}
		s.every(func(u unit) { u.rows(put) })
	}
	e.router.every(func(u unit) { u.rows(put) })
	slices.SortFunc(rows, func(a, b Row) int { return bytes.Compare(a.Name, b.Name) })
	// An event that waits in several shards is one row.
	return slices.CompactFunc(rows, func(a, b Row) bool { return bytes.Equal(a.Name, b.Name) })
}

// globals puts the state that is small: it is encoded whenever a snapshot is
// taken.
func (e *Engine) globals(put func(name, value []byte)) {
	put([]byte{rowClock}, e.clockRow())
	e.own.appendRows(put)
	for _, rt := range e.router.streams {
		if rt.marked() {
			put(event.AppendText([]byte{rowMarks}, rt.Name), rt.marks.appendBinary([]byte{rowVersion}))
		}
	}
	e.router.appendRows(put)
	for _, r := range e.plan.set.Rules {
		v := e.options.issuer(r.Name).Started.AppendBinary([]byte{rowVersion})
		put(event.AppendText([]byte{rowRule}, r.Name), event.AppendText(v, r.Shape))
	}
	for i, l := range e.plan.lanes {
		c := e.clocks[i]
		v := binary.AppendVarint(binary.AppendVarint([]byte{rowVersion}, int64(c.mark)), int64(c.latest))
		put(l.rowName(rowLane), v)
		e.shards[0].lanes[i].appendParents(put) // every shard knows the same
	}
}

func (e *Engine) clockRow() []byte {
	c := &e.router.clock
	v := binary.AppendVarint([]byte{rowVersion}, int64(c.now))
	down := slices.Sorted(maps.Keys(c.down))
	v = binary.AppendUvarint(v, uint64(len(down)))
	for _, name := range down {
		v = binary.AppendVarint(event.AppendText(v, name), int64(c.down[name]))
	}
	v = appendTexts(v, slices.Sorted(maps.Keys(c.up)))
	return e.position.AppendBinary(v)
}

func (l *lanePlan) rowName(kind byte) []byte {
	return event.AppendText([]byte{kind, byte(l.level)}, l.name)
}

// id is what tells the lane apart from others in the names of rows.
func (l *lanePlan) id() string { return string(l.rowName(rowLane)[1:]) }

func (m *marks) appendBinary(v []byte) []byte {
	v = binary.AppendVarint(binary.AppendVarint(v, int64(m.mark)), int64(m.latest))
	v = binary.AppendVarint(binary.AppendVarint(v, int64(m.paused)), int64(m.up))
	v = binary.AppendUvarint(v, uint64(len(m.parts)))
	for i := range m.parts {
		p := &m.parts[i]
		v = binary.AppendUvarint(event.AppendText(v, p.source), uint64(p.number))
		v = binary.AppendVarint(binary.AppendVarint(v, int64(p.highest)), int64(p.arrived))
	}
	return v
}

// heldName returns the name of the row of something that the lane holds back.
// Which tables and shards an event waits for follows from the rules.
func (l *lane) heldName(it *item) []byte {
	if p := it.parent; p != nil {
		name := it.at.AppendOrdered(l.plan.rowName(rowChange))
		name = event.AppendText(event.AppendText(name, p.rule), p.key)
		return p.order.appendBinary(name)
	}
	return appendWho(l.plan.rowName(rowWaiting), it.event)
}

// appendWho appends what tells an event apart from all others.
func appendWho(name []byte, e *event.Event) []byte {
	name = e.Time.AppendOrdered(name)
	name = binary.BigEndian.AppendUint64(name, e.Pos.Seq)
	name = binary.BigEndian.AppendUint32(name, e.Pos.Partition)
	name = event.AppendText(name, e.Schema.Stream())
	if o := e.Origin(); o != nil {
		name = binary.BigEndian.AppendUint32(event.AppendText(name, o.Key), uint32(o.Ordinal))
	}
	return name
}

// heldValue returns the value of its row.
func (it *item) heldValue() []byte {
	if it.parent != nil {
		return []byte{rowVersion, flag(it.parent.fires)}
	}
	v := binary.AppendVarint([]byte{rowVersion, flag(it.quiet), flag(it.late)}, int64(it.at))
	return appendKept(v, it.event)
}

// appendParents puts the alerts that hold back others of the lane.
func (l *lane) appendParents(put func(name, value []byte)) {
	for who, since := range l.fires { // the caller sorts
		v := binary.AppendVarint([]byte{rowVersion}, int64(since.at))
		name := event.AppendText(event.AppendText(l.plan.rowName(rowParent), who.rule), who.key)
		put(name, since.order.appendBinary(v))
	}
}

// row returns the row of one rule and key, and whether there is any state.
func (ks *keyState) row(rule int) (name, value []byte, any bool) {
	if value, any = ks.look(rule).appendBinary([]byte{rowVersion}); any {
		name = ks.rowName(rule)
	}
	return name, value, any
}

func (ks *keyState) rowName(rule int) []byte {
	name := event.AppendText([]byte{rowState, event.Group([]byte(ks.key))}, ks.table.rules[rule].Name)
	return append(name, ks.key...)
}

// rows puts the rows of a key; see [unit].
func (ks *keyState) rows(put func(name, value []byte)) {
	for st := range ks.states() {
		if name, value, any := ks.row(st.rule()); any {
			put(name, value)
		}
	}
}

// changes puts the rows of a key that have changed; see [unit].
func (ks *keyState) changes(since uint32, put func(name, value []byte)) (any, gone bool) {
	for st := range ks.states() {
		if st.changed <= since {
			continue
		}
		switch name, value, some := ks.row(st.rule()); {
		case some:
			put(name, value)
			st.set(bitStored, true)
			any = true
		case st.is(bitStored):
			put(ks.rowName(st.rule()), nil)
			any, gone = true, true
		}
	}
	return any, gone
}

// settled lets go of a key that is empty; see [unit].
func (ks *keyState) settled(gen uint32) {
	for st := range ks.states() {
		if st.changed <= gen && st.empty() {
			st.set(bitStored, false)
		}
	}
	ks.table.settle(ks)
}

// appendBinary appends the state of one rule and key, and reports whether
// there is any.
func (st *ruleState) appendBinary(v []byte) (out []byte, any bool) {
	m, ws, ds := st.machine(), st.window(), st.detect()
	if ws != nil && ws.Empty() {
		ws = nil // the state lingers
	}
	v = append(v, flag(m != nil))
	if m != nil {
		v, any = m.AppendBinary(v), true
	}
	v = append(v, flag(ws != nil))
	if ws != nil {
		v, any = ws.AppendBinary(v), true
		for _, b := range ws.Baselines {
			if b != nil {
				v = b.AppendBinary(v)
			}
		}
	}
	v = append(v, flag(ds != nil))
	if ds != nil {
		v, any = ds.appendBinary(v), true
	}
	for slot := range alertSlots {
		a := st.at(slot)
		v = append(v, flag(a != nil))
		if a != nil {
			v, any = a.appendBinary(v), true
		}
	}
	idle := st.until(timerIdle).at
	v = append(v, flag(idle != never))
	if idle != never {
		v = binary.AppendVarint(v, int64(idle))
	}
	p := st.place()
	v = append(v, flag(p != nil))
	if p != nil {
		v = p.pos.AppendBinary(binary.AppendVarint(v, int64(p.at)))
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
	v = binary.AppendVarint(binary.AppendVarint(v, int64(a.paused)), int64(a.rare().floor))
	v = binary.AppendUvarint(v, uint64(len(a.LastChanges())))
	for _, t := range a.LastChanges() {
		v = binary.AppendVarint(v, int64(t))
	}
	v = append(v, flag(a.kept != nil))
	if a.kept != nil {
		v = appendKept(v, a.kept)
	}
	scored := a.rare().scored
	v = append(v, flag(scored != nil))
	if scored != nil {
		v = appendKept(v, scored)
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

func (o changeOrder) appendBinary(v []byte) []byte {
	v = o.pos.AppendBinary(append(v, byte(o.cause)))
	return binary.AppendUvarint(v, uint64(o.number))
}
