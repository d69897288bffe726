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

	end      int       // number in the batch of the record up to which it was read
	stopped  bool      // that one changes the rules
	readings []reading // of the batch, in log order
	at       int       // the next that the router takes
	items    []item    // of the readings
	extras   []extra   // of the readings; the first stands for none

	source     string    // of the last message
	taking     []*routed // its streams
	asked      int       // of these, so far
	taken      bool      // some stream took the message
	captures   []string
	memos      []memo         // by number of the stream
	spare      []*event.Event // by number of the stream: of a message that nobody wanted
	ready      *event.Record  // the message of which the spare event of its stream is made
	mismatched []int64        // fields of another type than declared, by number of the stream
	shut       []uint8        // by lane: whether tables want the event at hand
	keyless    bool           // it has no key for some of them
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
	wanted   bool         // somebody wants the event, as far as its screen tells
	left     bool         // there are lanes in which nobody wants the event
	passed   int32        // so many messages are a stretch, of which time is that of the last; 0 for none
	first    event.Time   // the time of its first
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
	by := alone(reader{
		number: number, router: r, plan: r.plan, options: r.options, keyBytes: keyBytes, extras: apart[extra](1),
		memos: apart[memo](n), spare: apart[*event.Event](n), mismatched: apart[int64](n), shut: apart[uint8](len(r.plan.lanes)),
	})
	for i, s := range r.plan.order {
		by.memos[i].init(s)
	}
	return by
}

// batch begins a new batch. Memory that events of the last one share is used
// again if none of them is held back; otherwise what is left of it is used up.
func (r *reader) batch(until, now event.Time) {
	clear(r.items)
	clear(r.readings)
	clear(r.spare)
	r.forget()
	r.slab.batch(until, now)
	if r.held = until > now; !r.held {
		r.keys = r.keys[:0]
		return
	}
	if r.keys = r.keys[len(r.keys):]; r.keyBytes > keyBytes { // what is held back holds its piece: small ones
		r.keys, r.keyBytes = nil, keyBytes
	}
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

// note returns where to put what else there is to say of a reading.
func (r *reader) note(rd *reading) *extra {
	if rd.extra == 0 {
		rd.extra = int32(len(r.extras))
		r.extras = append(r.extras, extra{})
	}
	return &r.extras[rd.extra]
}

// readAll reads the messages among records, of which the first has a number in
// the batch, and finds out who wants them. What is behind a record that changes the
// rules cannot be read before that takes effect.
func (r *reader) readAll(records []event.Record, first int) {
	r.forget()
	r.end, r.stopped = first+len(records), false
	for i := 0; i < len(records); i++ {
		if i += r.passOver(records[i:], first+i); i == len(records) {
			return
		}
		if records[i].Kind == event.KindRuleSet {
			r.end, r.stopped = first+i, true
			return
		}
		r.readOne(&records[i], first+i)
	}
}

// discard drops what was read of records that have to be read again, under other
// rules.
func (r *reader) discard() {
	r.forget()
	clear(r.mismatched)
	r.stats = Stats{}
}

// readEach reads messages of which none is to be passed over.
func (r *reader) readEach(records []event.Record, first int) {
	r.forget()
	for i := range records {
		r.readOne(&records[i], first+i)
	}
}

// readOne reads record n of the batch.
func (r *reader) readOne(rec *event.Record, n int) {
	if rec.Kind != event.KindMessage {
		return
	}
	for rt := r.first(rec); rt != nil; rt = r.next(rec) {
		if rd := r.read(rt, rec, n); !r.failed(rd) {
			r.find(rt, r.spare[rt.number], rd, rt.waits, nil)
		}
	}
}

// passOver notes the stretch that the messages at the head of records are, of which
// the first has a number in the batch, and returns how many that are.
func (r *reader) passOver(records []event.Record, number int) int {
	rt := r.only(&records[0])
	if rt == nil || !rt.passes {
		return 0
	}
	n, first, last := r.stretch(rt, records, event.MinTime, records[0].Arrival)
	if n > 0 {
		r.readings = append(r.readings, reading{record: int32(number), stream: int32(rt.number), passed: int32(n), first: first, time: last})
	}
	return n
}

// first returns the first of the streams that take a message, nil if none does.
func (r *reader) first(rec *event.Record) *routed {
	r.from(rec.Source)
	r.asked, r.taken = 0, false
	return r.next(rec)
}

// from finds the streams of a source's messages, which come in batches.
func (r *reader) from(source string) {
	if source != r.source || r.taking == nil {
		r.source, r.taking = source, r.router.sources[source]
	}
}

// next returns the next of the streams that take a message, nil after the last.
func (r *reader) next(rec *event.Record) *routed {
	for r.asked < len(r.taking) {
		rt := r.taking[r.asked]
		r.asked++
		if rec.Flags.Retained() && rt.Retained == rules.RetainedIgnore {
			r.taken = true
			r.stats.Rejected.add(rt.Name, "retained", 1)
		} else if r.takes(rt, rec) {
			r.taken = true
			return rt
		}
	}
	if !r.taken {
		r.stats.Unrouted.add(rec.Source, "", 1)
	}
	return nil
}

// takes reports whether a message is of a stream, by its topic.
func (r *reader) takes(rt *routed, rec *event.Record) (ok bool) {
	if rt.standIn || rt.Topic == nil {
		return true
	}
	r.captures, ok = rt.Topic.Match(rec.Topic, r.captures[:0])
	return ok
}

// read makes the event of a message, the spare one of its stream.
func (r *reader) read(rt *routed, rec *event.Record, n int) *reading {
	r.readings = append(r.readings, reading{}) // filled where it is: to copy what was just written waits for it
	rd := &r.readings[len(r.readings)-1]
	rd.record, rd.stream, rd.wanted = int32(n), int32(rt.number), rec == r.ready
	e := r.spareOf(rt)
	mismatched, reason, err := r.make(rt, rec, e)
	if mismatched > 0 { // of a message without a time too: that field may be why
		r.mismatched[rt.number] += int64(mismatched)
	}
	if err != nil {
		x := r.note(rd)
		x.reason, x.err = reason, err
		return rd
	}
	rd.time = e.Time
	if rt.ID.Value != nil || rec.SenderID != "" || rec.Flags.QoS() > 0 {
		r.identify(rt, rec, e, rd)
	}
	return rd
}

// spareOf returns the spare event of a stream.
func (r *reader) spareOf(rt *routed) *event.Event {
	e := r.spare[rt.number]
	if e == nil {
		e = r.slab.event(len(rt.Schema.Fields()))
		r.spare[rt.number] = e
	}
	return e
}

// failed reports whether a reading is of no event.
func (r *reader) failed(rd *reading) bool { return r.extras[rd.extra].err != nil }

// make fills in the event of a message, unless that is done.
func (r *reader) make(rt *routed, rec *event.Record, e *event.Event) (mismatched int, reason string, err error) {
	if rec == r.ready {
		r.ready = nil
		return 0, "", nil
	}
	r.stamp(rt, rec, e)
	if mismatched, err = rt.decoders[r.number].Decode(rec.Payload, e); err != nil {
		return 0, rejectReason(err), err
	}
	r.capture(rt, e)
	r.frame.Event, r.frame.Key = e, nil
	if e.Time, err = r.time(rt, e, rec); err != nil {
		return mismatched, "time", err
	}
	return mismatched, "", nil
}

// stamp notes in an event what message it is of.
func (r *reader) stamp(rt *routed, rec *event.Record, e *event.Event) {
	e.Pos, e.Schema, e.More.Topic, e.More.Raw = rec.Pos, rt.Schema, rec.Topic, rec.Payload
}

// capture gives an event what the topic tells.
func (r *reader) capture(rt *routed, e *event.Event) {
	for i, slot := range rt.captured {
		if slot >= 0 {
			e.Slots[slot] = event.String(r.captures[i])
		}
	}
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
	switch {
	case rt.told != nil:
		return rt.told(rec.Pos), nil
	case rt.Time != nil:
		if v, ok := rt.time.of(e); ok { // as it mostly is
			return v.AsTime(), nil
		}
		return r.evaluateTime(rt)
	case rec.Arrival != 0:
		return rec.Arrival, nil
	}
	return 0, errNoArrival
}

// evaluateTime evaluates the `time` of a stream for the event in the frame.
func (r *reader) evaluateTime(rt *routed) (event.Time, error) {
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

// find makes an item for each table that wants an event, in the engine if it is
// given, else among the reader's. In a lane where none does, the event is left
// out, unless it may have to wait there: the rules may be others when it is due.
func (r *reader) find(rt *routed, e *event.Event, rd *reading, waits bool, in *Engine) {
	s, m := rt.streamPlan, &r.memos[rt.number]
	all, kept := r.options.asksAll(), r.options.asksAll()
	rd.from = int32(len(r.items))
	rd.to = rd.from
	clear(r.shut)
	r.keyless = false
	if s.screen == nil || all {
		if !rd.wanted { // else what was asked to find that out is known
			m.forget()
		}
	} else if !rd.wanted && s.screen.stops(m, &r.frame) {
		r.miss(s, rd)
		r.leave(rt, e, rd, waits, in)
		return
	}
	for k, targets := range s.keys {
		key, hash, reason, asked := "", keyHash(0), "", false
		for i := range targets {
			t := &targets[i]
			wants := all || t.screened || r.wants(t, s, e, m)
			if !asked && wants {
				if key, reason = r.key(s, k, e); reason == "" {
					hash, asked = hashKey(key), true
				}
			} else if !asked && reason == "" {
				reason = r.keyError(s.Keys[k])
			}
			if reason != "" {
				r.lacksKey(s, k, rd, reason)
				break
			}
			if !wants {
				r.shut[t.lane] |= shutSome
				continue
			}
			it := r.place(in, t.lane)
			it.aim(t, s, e, key, hash)
			it.wanted = true
			it.known, it.holds = m.first()
			r.shut[t.lane] |= shutNot
			kept = true
			if in != nil {
				it.quiet = in.router.quiet
				in.admit(it)
			}
		}
	}
	rd.to = int32(len(r.items))
	if kept {
		rd.event, r.spare[rt.number] = e, nil
	}
	r.leave(rt, e, rd, waits, in)
}

// leave sees to the lanes in which nobody wants an event. Where they are all
// lanes but those that have it, it is enough to say so.
func (r *reader) leave(rt *routed, e *event.Event, rd *reading, waits bool, in *Engine) {
	if rd.left = slices.Contains(r.shut, shutSome); rd.left && (waits || r.keyless) {
		r.holdBack(rt, e, rd, in)
		rd.left = !r.keyless
	}
}

// lacksKey notes that an event has no key for a `by` clause.
func (r *reader) lacksKey(s *streamPlan, k int, rd *reading, reason string) {
	r.keyless = true
	if r.wanted(s.Stream, s.Keys[k]) {
		x := r.note(rd)
		x.keyErrors = append(x.keyErrors, reason)
	}
}

// holdBack makes an item for each lane in which there are tables that do not want
// an event, and none that does.
func (r *reader) holdBack(rt *routed, e *event.Event, rd *reading, in *Engine) {
	for _, lane := range rt.lanes {
		if r.shut[lane] != shutSome {
			continue
		}
		it := r.place(in, lane)
		it.hold(rt.streamPlan, e, lane)
		if in != nil {
			it.quiet = in.router.quiet
			in.admit(it)
		}
	}
	rd.to = int32(len(r.items))
	rd.event, r.spare[rt.number] = e, nil
}

// miss notes that nobody wants an event.
func (r *reader) miss(s *streamPlan, rd *reading) {
	for k, targets := range s.keys {
		if len(targets) == 0 {
			continue
		}
		if reason := r.keyError(s.Keys[k]); reason != "" {
			r.lacksKey(s, k, rd, reason)
			continue
		}
		for i := range targets {
			r.shut[targets[i].lane] = shutSome
		}
	}
}

// Whether there are tables in a lane that do not want the event at hand, and
// such as do.
const (
	shutSome = 1 << iota
	shutNot
)

// place returns an empty item for a lane: of the engine's only shard, or one of
// the reader's.
func (r *reader) place(in *Engine, lane int) *item {
	list := &r.items
	if in != nil {
		list = &in.shards[0].lanes[lane].arrived
	}
	*list = append(*list, item{})
	return &(*list)[len(*list)-1]
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
		if gates[rule].open(m, &r.frame) {
			return true
		}
	}
	return false
}

// key encodes the key of an event for one `by` clause. It returns
// a reason if there is none.
func (r *reader) key(s *streamPlan, k int, e *event.Event) (key, reason string) {
	if len(s.Keys[k].Parts) == 0 {
		return "", ""
	}
	r.frame.Event, r.frame.Key = e, nil
	if v, ok := s.keyField[k].of(e); ok {
		r.parts = append(r.parts[:0], v)
	} else {
		r.evaluate(s.Keys[k])
	}
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
		if !p.IsField(r.frame.Event) {
			var err error
			r.evaluate(k)
			if r.text, err = event.AppendKey(r.text[:0], r.parts...); err != nil {
				return keyReason(err)
			}
			break
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
