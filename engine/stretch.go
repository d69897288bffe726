package engine

import (
	"cmp"
	"math"
	"unsafe"

	"github.com/cepd/cepd/event"
)

// A stretch is a number of messages, one after the other in the log, that are
// events of one stream, in order, and that nobody wants. All they do is that time
// has come so far, which need not be said of each.
//
// What makes an event one of a stretch, its reader finds out; that the router
// would have left out none of them, the router, since that depends on what came
// before. A message that is not as plain as that goes the way of all others.

// together reports whether events of a stream may be taken in together: what
// comes before its watermark is late, what does not is judged at once, and nothing
// else depends on which messages came.
func (rt *routed) together(p *plan, o *options) bool {
	if rt.waits || rt.Watermark.PerKey || rt.ID.Value != nil || rt.told != nil || p.stepwise || p.lists || o.asksAll() {
		return false
	}
	return len(rt.lanes) > 0
}

// stretches reports whether there may be stretches of such events: no table wants
// them all.
func (rt *routed) stretches() bool {
	for _, targets := range rt.keys {
		for i := range targets {
			if targets[i].always {
				return false
			}
		}
	}
	return true
}

// only returns the stream of a message, if there is just one of which it may be
// and its events may be taken in together.
func (r *reader) only(rec *event.Record) *routed {
	if rec.Kind != event.KindMessage {
		return nil
	}
	if r.from(rec.Source); len(r.taking) != 1 || !r.taking[0].joint {
		return nil
	}
	return r.taking[0]
}

// stretch reads the messages at the head of records as long as nobody wants them,
// and returns how many that are, with the times of the first and the last. None
// is before a time, and none comes long after the one before it, of which the
// first came long after the arrival that is given. The event of the message behind
// them may be ready for who reads on.
func (r *reader) stretch(rt *routed, records []event.Record, after, arrived event.Time) (n int, first, last event.Time) {
	e, head, decoder := r.spareOf(rt), &records[0], rt.decoders[r.number]
	idle, future := cmp.Or(rt.Watermark.Idle, math.MaxInt64), cmp.Or(rt.Watermark.MaxFuture, math.MaxInt64)
	excluded, at, keys, topics := rt.screen.fields(), rt.time, rt.keyFields, rt.Topic != nil
	r.frame.Event, r.frame.Key = e, nil
	last = after
	for n = range records {
		rec := &records[n]
		if rec.Kind != event.KindMessage || rec.Flags != 0 || rec.SenderID != "" || rec.Partition != head.Partition || !sameText(rec.Source, head.Source) {
			return n, first, last
		}
		if rec.Arrival != arrived {
			if gap := rec.Arrival.Sub(arrived); gap < 0 || gap >= idle {
				return n, first, last
			}
		}
		if topics && !r.takes(rt, rec) {
			return n, first, last
		}
		if mismatched, err := decoder.Decode(rec.Payload, e); mismatched > 0 || err != nil {
			return n, first, last
		}
		if topics {
			r.capture(rt, e)
		}
		v, ok := at.of(e)
		t := v.AsTime()
		if !ok {
			var err error
			if t, err = r.time(rt, e, rec); err != nil {
				return n, first, last
			}
		}
		if t < last || rec.Arrival != 0 && t.Sub(rec.Arrival) > future {
			return n, first, last
		}
		if !excluded.Excluded(e.Slots) || !hasFields(keys, e) {
			e.Time = t
			if r.stamp(rt, rec, e); !r.nobody(rt, e) {
				r.ready = rec
				return n, first, last
			}
		}
		if n == 0 {
			first = t
		}
		arrived, last = rec.Arrival, t
	}
	return len(records), first, last
}

// takeIn reads the messages at the head of records as far as they might be those of a
// stretch, but for tables that want all of them, and delivers them. It returns how
// many that are, with the time of the last. See [reader.stretch].
func (r *reader) takeIn(rt *routed, records []event.Record, after, arrived event.Time, in *Engine) (n int, last event.Time) {
	head, decoder := &records[0], rt.decoders[r.number]
	idle, future := cmp.Or(rt.Watermark.Idle, math.MaxInt64), cmp.Or(rt.Watermark.MaxFuture, math.MaxInt64)
	r.forget()
	in.router.quiet = false
	last = after
	for n = range records {
		rec := &records[n]
		if rec.Kind != event.KindMessage || rec.Flags != 0 || rec.SenderID != "" || rec.Partition != head.Partition || !sameText(rec.Source, head.Source) {
			return n, last
		}
		if gap := rec.Arrival.Sub(arrived); gap < 0 || gap >= idle || rt.Topic != nil && !r.takes(rt, rec) {
			return n, last
		}
		e := r.spareOf(rt)
		if mismatched, err := decoder.Decode(rec.Payload, e); mismatched > 0 || err != nil {
			return n, last
		}
		r.stamp(rt, rec, e)
		r.capture(rt, e)
		r.frame.Event, r.frame.Key = e, nil
		if v, ok := rt.time.of(e); ok {
			e.Time = v.AsTime()
		} else if t, err := r.time(rt, e, rec); err == nil {
			e.Time = t
		} else {
			return n, last
		}
		if e.Time < last || rec.Arrival != 0 && e.Time.Sub(rec.Arrival) > future {
			return n, last
		}
		arrived, last = rec.Arrival, e.Time
		if rt.only != nil && r.send(rt, e, in) {
			continue
		}
		rd := reading{time: e.Time}
		if r.find(rt, e, &rd, false, in); rd.extra > 0 || rd.left {
			in.router.account(rt, &rd, r)
			r.forget()
		}
	}
	return len(records), last
}

// send makes an item of an event for the only table that reads its stream. It reports
// whether there is a key for it.
func (r *reader) send(rt *routed, e *event.Event, in *Engine) bool {
	key, reason := r.key(rt.streamPlan, rt.onlyKey, e)
	if reason != "" {
		return false
	}
	it := r.place(in, rt.only.lane)
	it.aim(rt.only, rt.streamPlan, e, key, hashKey(key))
	it.wanted = true
	in.admit(it)
	r.spare[rt.number] = nil
	return true
}

// sameText reports whether two texts are the same, which are mostly so in memory.
func sameText(a, b string) bool {
	return unsafe.StringData(a) == unsafe.StringData(b) && len(a) == len(b) || a == b
}

// hasFields reports whether an event has all of some fields.
func hasFields(fields []plainField, e *event.Event) bool {
	for i := range fields {
		if _, ok := fields[i].of(e); !ok {
			return false
		}
	}
	return true
}

// nobody reports whether no rule wants an event, which has all keys that any
// might want. If one does, the memo knows what was asked.
func (r *reader) nobody(rt *routed, e *event.Event) bool {
	m := &r.memos[rt.number]
	switch {
	case rt.screen == nil:
		m.forget()
		for _, targets := range rt.keys {
			for i := range targets {
				if r.wants(&targets[i], rt.streamPlan, e, m) {
					return false
				}
			}
		}
	case !rt.screen.noneHolds(m, &r.frame):
		return false
	}
	return hasFields(rt.keyFields, e) || r.hasKeys(rt)
}

// hasKeys reports whether the event in the frame has all keys that rules might
// want.
func (r *reader) hasKeys(rt *routed) bool {
	for k, targets := range rt.keys {
		if len(targets) > 0 && r.keyError(rt.Keys[k]) != "" {
			return false
		}
	}
	return true
}

// passOver passes over the messages from record n of the batch on as far as they
// are stretches, or takes them in together where a table wants all, and returns how
// many that are.
func (r *router) passOver(records []event.Record, n int, e *Engine) int {
	if len(r.readers) > 1 {
		return r.passRead(records, n)
	}
	rec := &records[n]
	by := r.readers[0]
	rt := by.only(rec)
	if rt == nil || !r.calm(rt, rec) {
		return 0
	}
	many, last, mark, arrived := 0, event.MinTime, rt.marks.mark, rt.marks.parts[0].arrived
	if rt.passes {
		many, _, last = by.stretch(rt, records[n:], mark, arrived)
	} else {
		many, last = by.takeIn(rt, records[n:], mark, arrived, e)
	}
	if many > 0 {
		if rt.passes { // nobody was shown any
			rt.latest = max(rt.latest, last)
		}
		r.passed(rt, &records[n+many-1], many, last)
	}
	return many
}

// passRead passes over stretches that were read. One of which an event may be none
// that counts is read again, message by message.
func (r *router) passRead(records []event.Record, n int) int {
	from := n
	for rd, by := r.peek(n); rd != nil && rd.passed > 0; rd, by = r.peek(n) {
		by.at++
		rt, rec, behind := r.streams[rd.stream], &records[n], n+int(rd.passed)
		m := rt.marks
		if !r.calm(rt, rec) || rd.first < m.mark || m.policy.Idle > 0 && rec.Arrival.Sub(m.parts[0].arrived) >= m.policy.Idle {
			r.again.readEach(records[n:behind], n)
			break
		}
		rt.latest = max(rt.latest, rd.time)
		r.passed(rt, &records[behind-1], int(rd.passed), rd.time)
		n = behind
	}
	return n - from
}

// calm reports whether a stream is in a state in which what its messages do to
// its watermark is no more than that the last of them came: they are the only
// ones, from where the last came from.
func (r *router) calm(rt *routed, rec *event.Record) bool {
	rt.marks.tick(&r.clock) // as before each message: under other rules the lag may be shorter
	p := rt.marks.parts
	if len(p) != 1 || p[0].highest == event.MinTime || p[0].number != rec.Partition || p[0].source != rec.Source || r.clock.isDown(rec.Source) {
		return false
	}
	return rec.Arrival >= r.clock.now || rec.Arrival == 0 && r.clock.now == event.MinTime
}

// passed moves clock and watermark behind messages that were taken in together.
func (r *router) passed(rt *routed, rec *event.Record, n int, last event.Time) {
	r.clock.move(rec)
	rt.marks.observe(rec, last, &r.clock)
	rt.events += int64(n)
}
