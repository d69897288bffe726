package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
)

// A reader turns messages into events and finds out who wants them: all that
// depends on nothing but the message and the rule set. So several readers can
// read parts of a batch at the same time; the router then goes over what they
// found in the order of the log.
//
// Most events concern nobody. Of one that no gate opens for, no more is left
// than its time: the next message uses its memory again.
type reader struct {
	number  int
	router  *router // of which nothing is changed
	plan    *plan
	options *options

	readings []reading // of the batch, in log order
	at       int       // the next that the router takes
	items    []item    // of the readings
	extras   []extra   // of the readings; the first stands for none

	source     string    // of the last message
	taking     []*routed // its streams
	captures   []string
	memos      []memo         // by number of the stream
	spare      []*event.Event // by number of the stream: of a message that nobody wanted
	mismatched []int64        // fields of another type than declared, by number of the stream
	shut       []bool         // lanes in which no table wants the event at hand
	found      []int32        // scratch memory of indexes
	frame      expr.Frame
	parts      []event.Value
	text       []byte // what is to be digested
	slab       slab
	keys       []byte // memory of encoded keys of this batch
	keyBytes   int    // of the next piece of it
	held       bool   // events of former batches are held back
	stats      Stats
}

// reading is what a message is to one stream.
type reading struct {
	time     event.Time
	event    *event.Event // nil where nobody needs it
	record   int32        // number in the batch
	stream   int32        // number
	from, to int32        // its items
	extra    int32        // number; 0 for none
	left     bool         // there are lanes in which nobody wants the event
}

// extra is what not every reading has.
type extra struct {
	reason    string // why it is no event
	err       error
	identity  identity
	id        digest   // what the event is known by if it comes again
	noID      bool     // its `id` is of no use
	keyErrors []string // why it has no key, for each `by` that somebody wanted one for
}

// identity says what an id is one of.
type identity uint8

const (
	idNone     identity = iota
	idStream            // its stream's `id`
	idSender            // what the sender calls the message
	idDelivery          // topic, packet and payload, which the broker may send again
)

func newReader(r *router, number int) *reader {
	n := len(r.plan.order)
	by := &reader{
		number: number, router: r, plan: r.plan, options: r.options, keyBytes: keyBytes, extras: make([]extra, 1),
		memos: make([]memo, n), spare: make([]*event.Event, n), mismatched: make([]int64, n), shut: make([]bool, len(r.plan.lanes)), stats: newStats(),
	}
	for i, s := range r.plan.order {
		by.memos[i].init(s)
	}
	return by
}

// batch begins a new batch. Memory that events of the last one share is used
// again if none of them is held back; otherwise what is left of it is used up.
func (r *reader) batch(held bool) {
	clear(r.items)
	clear(r.readings)
	clear(r.spare)
	r.forget()
	if r.held = held; !held {
		r.keys = r.keys[:0]
		r.slab.reset()
		return
	}
	if r.keys = r.keys[len(r.keys):]; r.keyBytes > keyBytes { // what is held back holds its piece: small ones
		r.keys, r.keyBytes = nil, keyBytes
	}
	r.slab.moveOn()
}

// The memory for keys is taken in pieces: small ones, and as long as nothing is
// held back larger ones, until the keys of a batch fit into one.
const (
	keyBytes     = 4096
	mostKeyBytes = 1 << 17
)

// forget drops what the router has taken.
func (r *reader) forget() {
	clear(r.extras[1:])
	r.readings, r.items, r.extras, r.at = r.readings[:0], r.items[:0], r.extras[:1], 0
}

// next returns the next reading of record n, nil where there is none, and
// whether there was any left to look at.
func (r *reader) next(n int) (rd *reading, more bool) {
	if r.at == len(r.readings) {
		return nil, false
	}
	if rd = &r.readings[r.at]; int(rd.record) != n {
		return nil, true
	}
	r.at++
	return rd, true
}

// aside returns what else there is to say of a reading.
func (r *reader) aside(rd *reading) *extra { return &r.extras[rd.extra] }

// note returns where to put what else there is to say of a reading.
func (r *reader) note(rd *reading) *extra {
	if rd.extra == 0 {
		rd.extra = int32(len(r.extras))
		r.extras = append(r.extras, extra{})
	}
	return &r.extras[rd.extra]
}

// read reads the messages among records, of which the first has a number in the
// batch.
func (r *reader) read(records []event.Record, first int) {
	r.forget()
	for i := range records {
		if records[i].Kind == event.KindMessage {
			r.message(&records[i], first+i)
		}
	}
}

// streamsOf returns the streams of a source. Messages of one come in batches.
func (r *reader) streamsOf(source string) []*routed {
	if source != r.source || r.taking == nil {
		r.source, r.taking = source, r.router.sources[source]
	}
	return r.taking
}

// message reads a message, once for each stream that takes it.
func (r *reader) message(rec *event.Record, n int) {
	taken := false
	for _, rt := range r.streamsOf(rec.Source) {
		if rec.Flags.Retained() && rt.Retained == rules.RetainedIgnore {
			taken = true
			r.stats.Rejected.add(rt.Name, "retained", 1)
			continue
		}
		if !r.takes(rt, rec) {
			continue
		}
		taken = true
		r.readings = append(r.readings, reading{record: int32(n), stream: int32(rt.number)})
		r.event(rt, rec, &r.readings[len(r.readings)-1])
	}
	if !taken {
		r.stats.Unrouted.add(rec.Source, "", 1)
	}
}

// takes reports whether a message is of a stream, by its topic.
func (r *reader) takes(rt *routed, rec *event.Record) (ok bool) {
	if rt.standIn || rt.Topic == nil {
		return true
	}
	r.captures, ok = rt.Topic.Match(rec.Topic, r.captures[:0])
	return ok
}

// event makes the event of a message, and finds out who wants it.
func (r *reader) event(rt *routed, rec *event.Record, rd *reading) {
	e := r.spare[rt.number]
	if e == nil {
		e = r.slab.event(len(rt.Schema.Fields()))
		r.spare[rt.number] = e
	}
	mismatched, reason, err := r.make(rt, rec, e)
	if err != nil {
		x := r.note(rd)
		x.reason, x.err = reason, err
		return
	}
	r.mismatched[rt.number] += int64(mismatched)
	rd.time = e.Time
	if rt.ID.Value != nil || rec.SenderID != "" || rec.Flags.QoS() > 0 {
		r.identify(rt, rec, e, rd)
	}
	if r.find(rt, e, rd); rd.to > rd.from || r.options.asksAll() {
		rd.event, r.spare[rt.number] = e, nil
	}
}

// make fills in the event of a message.
func (r *reader) make(rt *routed, rec *event.Record, e *event.Event) (mismatched int, reason string, err error) {
	e.Pos, e.Schema, e.Topic, e.Raw = rec.Pos, rt.Schema, rec.Topic, rec.Payload
	if mismatched, err = rt.decoders[r.number].Decode(rec.Payload, e); err != nil {
		return 0, rejectReason(err), err
	}
	for i, slot := range rt.captured {
		if slot >= 0 {
			e.Slots[slot] = event.String(r.captures[i])
		}
	}
	r.frame.Event, r.frame.Key = e, nil
	if e.Time, err = r.time(rt, e, rec); err != nil {
		return mismatched, "time", err
	}
	return mismatched, "", nil
}

// whole returns the event of a reading, made anew where nobody had wanted it.
func (r *reader) whole(rt *routed, rec *event.Record, rd *reading) *event.Event {
	if rd.event == nil {
		rd.event = r.slab.event(len(rt.Schema.Fields()))
		r.takes(rt, rec)
		if _, _, err := r.make(rt, rec, rd.event); err != nil {
			panic(fmt.Sprintf("engine: the message at %v was an event a moment ago: %v", rec.Pos, err))
		}
	}
	return rd.event
}

// time finds the event's time.
func (r *reader) time(rt *routed, e *event.Event, rec *event.Record) (event.Time, error) {
	if rt.told != nil {
		return rt.told(rec.Pos), nil
	}
	if rt.Time == nil {
		if rec.Arrival == 0 {
			return 0, errNoArrival
		}
		return rec.Arrival, nil
	}
	v, err := rt.Time.Value(&r.frame)
	switch {
	case err != nil:
		declared := ""
		if isNoField(err) && len(rt.Schema.Declared()) > 0 {
			declared = " of the declared type" // a field of another type is missing
		}
		return 0, fmt.Errorf("`time: %s` finds no time in it: %w%s; it takes RFC 3339 text such as 2026-03-01T12:00:00Z, or a number in unix_ms(...) and its kin", rt.Time.Source(), err, declared)
	case v.Kind() == event.KindTime:
		return v.AsTime(), nil
	case v.Kind() == event.KindString:
		t, err := event.ParseTime(v.AsString())
		if err != nil {
			err = fmt.Errorf("`time: %s`: %w", rt.Time.Source(), err)
		}
		return t, err
	}
	return 0, fmt.Errorf("`time: %s`: %w", rt.Time.Source(), errTime)
}

var errNoArrival = errors.New("the stream has no `time`, and the message no time of arrival")

// find makes an item for each table that wants an event. In a lane where none
// does, the event is left out, unless it may have to wait there: the rules may
// be others when it is due.
func (r *reader) find(rt *routed, e *event.Event, rd *reading) {
	s, m := rt.streamPlan, &r.memos[rt.number]
	m.forget()
	all, from := r.options.asksAll(), len(r.items)
	clear(r.shut)
	for k, targets := range s.keys {
		key, reason, asked := "", "", false
		for i := range targets {
			t := &targets[i]
			wants := all || r.wants(t, s, e, m)
			if !asked && wants {
				if key, reason = r.key(s.Stream, s.Keys[k], e); reason == "" {
					asked = true
				}
			} else if !asked && reason == "" {
				reason = r.keyError(s.Keys[k])
			}
			if reason != "" {
				if r.wanted(s.Stream, s.Keys[k]) {
					x := r.note(rd)
					x.keyErrors = append(x.keyErrors, reason)
				}
				break
			}
			if wants {
				r.items = append(r.items, t.item(s, e, key))
			} else {
				r.shut[t.lane] = true
			}
		}
	}
	known, holds := m.answers()
	for i := from; i < len(r.items); i++ {
		it := &r.items[i]
		it.known, it.holds = known, holds
		r.shut[it.lane] = false
	}
	rd.from = int32(from)
	for _, lane := range s.lanes {
		if r.shut[lane] {
			if rd.left = true; rt.waits {
				r.items = append(r.items, heldItem(s, e, lane, false))
			}
		}
	}
	rd.to = int32(len(r.items))
}

// wants reports whether an event in the frame can concern a rule of a table, as
// far as the event decides.
func (r *reader) wants(t *target, s *streamPlan, e *event.Event, m *memo) bool {
	if t.always {
		return true
	}
	rules := t.plan.all
	if x := t.plan.indexes[s.number]; x != nil {
		rules = x.concerned(e, &r.found)
	}
	gates := t.plan.gates[s.number]
	if gates == nil {
		return len(rules) > 0
	}
	for _, rule := range rules {
		if t.plan.rules[rule].inputs[s.number] != nil && gates[rule].open(m, &r.frame) {
			return true
		}
	}
	return false
}

// key encodes the key of the event in the frame for one `by` clause. It returns
// a reason if there is none.
func (r *reader) key(s *rules.Stream, k *rules.Key, e *event.Event) (key, reason string) {
	if len(k.Parts) == 0 {
		return "", ""
	}
	r.frame.Event, r.frame.Key = e, nil
	r.evaluate(k)
	if cap(r.keys)-len(r.keys) < keyBytes/8 { // what events hold of the last piece stays theirs
		if !r.held && r.keys != nil {
			r.keyBytes = min(2*r.keyBytes, mostKeyBytes)
		}
		r.keys = make([]byte, 0, r.keyBytes)
	}
	start := len(r.keys)
	var err error
	if r.keys, err = event.AppendKey(r.keys, r.parts...); err != nil {
		r.keys = r.keys[:start]
		return "", keyReason(err)
	}
	return event.StringOf(r.keys[start:]).AsString(), ""
}

// keyError returns why the event in the frame has no key for a `by` clause, empty
// if it has one. It is asked of events that nobody wants, and costs less than the
// key.
func (r *reader) keyError(k *rules.Key) string {
	for _, p := range k.Parts {
		if v, err := p.Value(&r.frame); err != nil || v.Kind() != event.KindString {
			r.evaluate(k)
			if r.text, err = event.AppendKey(r.text[:0], r.parts...); err != nil {
				return keyReason(err)
			}
			return ""
		}
	}
	return ""
}

// evaluate evaluates the parts of a key.
func (r *reader) evaluate(k *rules.Key) {
	r.parts = r.parts[:0]
	for _, p := range k.Parts {
		v, err := p.Value(&r.frame)
		if err != nil {
			v = event.Missing
		}
		r.parts = append(r.parts, v)
	}
}

// keyReason is how an event without a key is counted.
func keyReason(err error) string {
	if errors.Is(err, event.ErrKeyMissing) {
		return "missing"
	}
	return "type"
}

// wanted reports whether the `where` of any rule with this `by` lets the event
// pass that the frame holds. One that no rule asked for lacks no key.
func (r *reader) wanted(s *rules.Stream, k *rules.Key) bool {
	return slices.ContainsFunc(r.plan.set.Rules, func(rule *rules.Rule) bool {
		return slices.ContainsFunc(rule.Inputs, func(in *rules.Input) bool {
			if in.Stream != s || s.Keys[in.Key] != k {
				return false
			}
			if in.Where < 0 {
				return true
			}
			ok, _ := s.Conditions[in.Where].Bool(&r.frame)
			return ok
		})
	})
}

// take moves what was counted to st.
func (r *reader) take(st *Stats) {
	for i, n := range r.mismatched {
		r.stats.Mismatched.add(r.plan.order[i].Name, "", n)
	}
	clear(r.mismatched)
	st.merge(&r.stats)
}
