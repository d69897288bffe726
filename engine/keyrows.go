package engine

import (
	"encoding/binary"
	"slices"

	"github.com/cepd/cepd/event"
)

func (kc *keyClock) rowName() []byte {
	l := kc.table.lane.plan
	name := event.AppendText([]byte{rowKey, event.Group([]byte(kc.key)), byte(l.level)}, l.name)
	return append(event.AppendText(name, kc.table.sig), kc.key...)
}

func (kc *keyClock) rowValue() []byte {
	v := []byte{rowVersion}
	for _, t := range [...]event.Time{kc.mark, kc.heard, kc.latest} {
		v = binary.AppendVarint(v, int64(t))
	}
	v = binary.AppendUvarint(v, uint64(len(kc.streams)))
	for _, st := range kc.streams {
		v = binary.AppendVarint(binary.AppendVarint(v, int64(st.highest)), int64(st.arrived))
	}
	waiting := slices.Clone(kc.waiting.items)
	slices.SortFunc(waiting, func(a, b item) int { return a.compare(&b) })
	v = binary.AppendUvarint(v, uint64(len(waiting)))
	for i := range waiting {
		v = appendKept(append(v, flag(waiting[i].quiet)), waiting[i].event)
	}
	return v
}

// rows puts the row of a key's time; see [unit].
func (kc *keyClock) rows(put func(name, value []byte)) {
	if !kc.gone {
		put(kc.rowName(), kc.rowValue())
	}
}

// changes puts the row if it has changed; see [unit].
func (kc *keyClock) changes(since uint32, put func(name, value []byte)) (any, gone bool) {
	switch {
	case kc.tag.gen <= since:
		return false, false
	case !kc.gone:
		put(kc.rowName(), kc.rowValue())
		kc.stored = true
		return true, false
	case kc.stored:
		put(kc.rowName(), nil)
		return true, true
	}
	return false, false
}

// settled lets go of a key that was dropped; see [unit].
func (kc *keyClock) settled(gen uint32) {
	if kc.gone && kc.tag.gen <= gen {
		kc.stored = false
		kc.table.deleteClock(kc)
	}
}

// key puts the time of a key back, and what waits for it. One whose table is no
// more is left out: its rules have gone, or begin afresh.
func (r *restoring) key(name, value *event.Reader) error {
	e := r.engine
	group, level, streams := name.Byte(), int(name.Byte()), name.Text()
	sig, key := name.Text(), name.Rest()
	if err := name.Err(); err != nil {
		return err
	}
	lane := e.plan.laneOf(level, streams)
	if lane < 0 {
		return r.bequeath(r.heirs(level, streams), value)
	}
	at := e.plan.lanes[lane].tableOf(sig)
	if at < 0 || !e.plan.lanes[lane].keyed {
		r.leftOut = true
		return nil
	}
	if parts, err := event.DecodeKey(key); err != nil || event.Group([]byte(key)) != group || len(parts) != len(e.plan.lanes[lane].tables[at].rules[0].KeyLabels) {
		return event.ErrEncoding
	}
	l := e.shards[e.options.shard(group)].lanes[lane]
	kc := l.tables[at].newClock(key)
	if err := e.readClock(l, kc, int32(at), value); err != nil {
		l.held -= len(kc.waiting.items)
		kc.table.deleteClock(kc)
		return err
	}
	kc.tag.gen, kc.stored = stored, true
	l.endOf(kc)
	return nil
}

// bequeath gives what waited for a key whose lane is no more to lanes that take
// its place.
func (r *restoring) bequeath(lanes []int, value *event.Reader) error {
	r.leftOut = true
	for range 3 { // its own time
		value.Varint()
	}
	for range value.Count() {
		value.Varint()
		value.Varint()
	}
	return r.engine.readWaiting(value, func(s *streamPlan, ev *event.Event, quiet bool) error {
		r.inherit(lanes, s, ev, string(appendWho(nil, ev)), item{at: ev.Time, quiet: quiet, gen: stored})
		return nil
	})
}

// readClock reads the value of a key's row.
func (e *Engine) readClock(l *lane, kc *keyClock, table int32, value *event.Reader) error {
	kc.mark, kc.heard, kc.latest = event.Time(value.Varint()), event.Time(value.Varint()), event.Time(value.Varint())
	if value.Count() != len(kc.streams) {
		return event.ErrEncoding
	}
	for i := range kc.streams {
		kc.streams[i] = keyStream{highest: event.Time(value.Varint()), arrived: event.Time(value.Varint())}
	}
	return e.readWaiting(value, func(s *streamPlan, ev *event.Event, quiet bool) error {
		if !slices.Contains(l.plan.streams, s) {
			return event.ErrEncoding
		}
		kc.waiting.push(item{at: ev.Time, event: ev, stream: int32(s.number), table: table, quiet: quiet, key: kc.key, hash: hashKey(kc.key)})
		l.held++
		return nil
	})
}

// readWaiting reads the events that waited for a key, up to the end of the row.
// One of a stream that is no more is left out with all behind it.
func (e *Engine) readWaiting(value *event.Reader, take func(s *streamPlan, ev *event.Event, quiet bool) error) error {
	for range value.Count() {
		quiet := value.Byte() == 1
		s := e.plan.streams[value.Text()]
		if s == nil {
			return value.Err()
		}
		ev := value.Event(s.Schema)
		if value.Err() != nil {
			return value.Err()
		}
		if rt := e.router.streams[s.number]; rt.decoders != nil {
			rt.decodeAgain(ev)
		}
		if err := take(s, ev, quiet); err != nil {
			return err
		}
	}
	if value.Err() != nil || value.Len() > 0 {
		return event.ErrEncoding
	}
	return nil
}
