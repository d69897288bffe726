package engine

import (
	"cmp"
	"errors"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// router takes messages in log order: it moves the watermarks, leaves out what is
// late or came before, and says which shard and table an event goes to. What a
// message alone decides was found out by its readers.
type router struct {
	plan    *plan
	options *options
	streams []*routed // by number
	sources map[string][]*routed
	readers []*reader // one for each shard
	again   *reader   // reads what has to be read again; nil where one reader does all
	part    int       // number of the reader whose readings come next
	clock   clock
	stats   Stats
	rejects []Reject
	emitted []alerting.Derived // late events for sinks

	quiet   bool // the event at hand raises no alert
	recall  recall
	journal *journal // of what is remembered
}

// routed is a stream as the router sees it.
type routed struct {
	*streamPlan
	marks    *marks
	decoders []decode.Decoder                // by number of the reader; nil for a derived stream
	captured []int                           // slots of the topic's captures; -1 for one that nobody uses
	standIn  bool                            // events come with their captures in the payload
	told     func(event.Position) event.Time // says when an event happened, in place of `time`; mostly nil
	ids      *ids                            // of its events; nil until one has any
	waits    bool                            // events of the batch at hand may be held back
	joint    bool                            // they may be taken in together
	passes   bool                            // so that those that nobody wants may be passed over

	events, late int64      // since the counts were last taken
	latest       event.Time // highest time of an event that nobody was shown since lanes were last told
}

func newRouter(p *plan, o *options) (*router, error) {
	r := &router{plan: p, options: o, sources: map[string][]*routed{}, recall: newRecall(), journal: newJournal(),
		clock: clock{now: event.MinTime, down: map[string]event.Time{}, up: map[string]bool{}}}
	for _, s := range p.order {
		rt := &routed{streamPlan: s, marks: newMarks(s.Stream), latest: event.MinTime}
		r.streams = append(r.streams, rt)
		if s.Producer != "" {
			rt.marks.clocked = false
			continue
		}
		if err := r.connect(rt); err != nil {
			return nil, err
		}
	}
	for _, rt := range r.streams {
		if rt.LateOf != nil && !rt.standIn { // its time is what the events were too late for
			rt.marks = r.streams[p.streams[rt.LateOf.Name].number].marks
		}
	}
	for i := range o.shards {
		r.readers = append(r.readers, newReader(r, i))
	}
	if o.shards > 1 {
		r.again = newReader(r, o.shards)
	}
	return r, nil
}

// marked reports whether the stream has a watermark of its own.
func (rt *routed) marked() bool {
	if rt.Producer != "" {
		return rt.Unordered
	}
	return rt.LateOf == nil || rt.standIn
}

// connect makes the stream's decoders and files the stream under its source.
func (r *router) connect(rt *routed) error {
	var names []string
	if rt.Topic != nil {
		names = rt.Topic.Names()
	}
	source, format := rt.Source, rt.Format
	var own func(*event.Schema) decode.Decoder
	whole := false // payloads hold the captures
	for from, in := range r.options.standIns {
		switch {
		case in.Stream == rt.Name:
			source, rt.standIn, rt.told = from, true, in.Time
		case rt.LateOf == nil || in.Stream != rt.LateOf.Name:
			continue
		}
		whole, own, format = true, in.Decoder, cmp.Or(in.Format, format)
	}
	if whole {
		names = nil
	}
	for _, n := range names {
		slot, ok := rt.Schema.Slot(n)
		if !ok {
			slot = -1
		}
		rt.captured = append(rt.captured, slot)
	}
	for range r.options.shards + 1 { // the last is for what is read again
		if own != nil {
			rt.decoders = append(rt.decoders, own(rt.Schema))
			continue
		}
		d, err := decode.New(format, rt.Schema, names...)
		if err != nil {
			return err
		}
		rt.decoders = append(rt.decoders, d)
	}
	if source != "" {
		r.sources[source] = append(r.sources[source], rt)
	}
	return nil
}

// batch begins a new batch. See [slab.batch].
func (r *router) batch(until, now event.Time) {
	for _, by := range r.readers {
		by.batch(until, now)
	}
	if r.again != nil {
		r.again.batch(until, now)
	}
}

// foresee tells the readers of a batch which events may be held back.
func (r *router) foresee() {
	r.part = 0
	for _, rt := range r.streams {
		rt.waits = !rt.direct || rt.Watermark.Lag > 0 || len(rt.marks.parts) > 1
		rt.joint = rt.together(r.plan, r.options)
		rt.passes = rt.joint && rt.stretches()
	}
}

// reading returns the next of what was read in record n of the batch, and who
// read it; nil where there is no more.
func (r *router) reading(n int) (*reading, *reader) {
	rd, by := r.peek(n)
	if rd != nil {
		by.at++
	}
	return rd, by
}

// peek returns what [router.reading] will.
func (r *router) peek(n int) (*reading, *reader) {
	by := r.again
	for by.at == len(by.readings) {
		if r.part == len(r.readers) {
			return nil, nil
		}
		if by = r.readers[r.part]; by.at == len(by.readings) {
			r.part++
		}
	}
	if rd := &by.readings[by.at]; int(rd.record) == n {
		return rd, by
	}
	return nil, nil
}

// message routes what was read in a message, record n of the batch.
func (r *router) message(rec *event.Record, n int, e *Engine) {
	for rd, by := r.reading(n); rd != nil; rd, by = r.reading(n) {
		rt := r.streams[rd.stream]
		switch r.admit(rt, rec, rd, by, rd.event) {
		case admittedLate:
			r.late(rt, by.whole(rt, rec, rd), e.deliver)
		case admitted:
			for i := rd.from; i < rd.to; i++ {
				it := &by.items[i]
				it.quiet = r.quiet
				e.deliver(r.shard(it), it)
			}
			r.account(rt, rd, by)
			if rd.left && !rt.waits && rd.time > rt.marks.mark { // another partition holds it back
				r.holdBack(rt, by, by.whole(rt, rec, rd), e.deliver)
			}
		}
	}
}

// readAndRoute reads a message and routes it at once, where there is one reader.
// What is wanted of it goes right to where it is judged.
func (r *router) readAndRoute(rec *event.Record, e *Engine) {
	by := r.readers[0]
	by.forget()
	for rt := by.first(rec); rt != nil; rt = by.next(rec) {
		rd := by.read(rt, rec, 0)
		ev := by.spare[rt.number]
		switch r.admit(rt, rec, rd, by, ev) {
		case admittedLate:
			by.spare[rt.number] = nil
			r.late(rt, ev, e.deliver)
		case admitted:
			by.find(rt, ev, rd, !rt.direct || rd.time > rt.marks.mark, e)
			r.account(rt, rd, by)
		}
	}
}

// admission is what becomes of an event.
type admission uint8

const (
	leftOut admission = iota
	admitted
	admittedLate // it is behind the watermark
)

// admit takes in a reading: an event that counts moves the watermark, one behind
// that does not.
func (r *router) admit(rt *routed, rec *event.Record, rd *reading, by *reader, e *event.Event) admission {
	if m := rt.Watermark.MaxFuture; rd.extra > 0 || m > 0 && rec.Arrival != 0 && rd.time.Sub(rec.Arrival) > m {
		if r.leaveOut(rt, rec, rd, &by.extras[rd.extra], e) {
			return leftOut
		}
	}
	r.quiet = rec.Flags.Retained() && rt.Retained == rules.RetainedState
	rt.marks.tick(&r.clock)
	if rd.time < rt.marks.mark && !rt.Watermark.PerKey {
		return admittedLate
	}
	rt.marks.observe(rec, rd.time, &r.clock)
	rt.events++
	return admitted
}

// leaveOut reports whether a message is no event, or none that counts, and says
// why.
func (r *router) leaveOut(rt *routed, rec *event.Record, rd *reading, x *extra, e *event.Event) bool {
	if x.err != nil {
		r.reject(rt, rec, x.reason, x.err)
		return true
	}
	if m := rt.Watermark.MaxFuture; m > 0 && rec.Arrival != 0 && rd.time.Sub(rec.Arrival) > m && !r.clock.wrong {
		r.traceLeft(rt, e, LeftFuture)
		r.reject(rt, rec, "max_future", errFuture)
		return true
	}
	if reason := r.known(rt, rd.time, rec, x); reason != "" {
		r.traceLeft(rt, e, LeftDuplicate)
		r.stats.Duplicates.add(rt.Name, reason, 1)
		return true
	}
	return false
}

// account notes the time of an event that some lanes are without, and why it has
// no key for some rules.
func (r *router) account(rt *routed, rd *reading, by *reader) {
	if rd.left {
		rt.latest = max(rt.latest, rd.time)
	}
	for _, reason := range by.extras[rd.extra].keyErrors {
		r.stats.KeyErrors.add(rt.Name, reason, 1)
	}
}

// shard returns the shard that an item goes to.
func (r *router) shard(it *item) int {
	if r.options.shards == 1 || it.table < 0 {
		return 0
	}
	return r.options.shard(event.GroupOf(it.key))
}

// holdBack delivers an event to the lanes in which nobody wants it now.
func (r *router) holdBack(rt *routed, by *reader, e *event.Event, to deliver) {
	var again reading
	by.frame.Event, by.frame.Key = e, nil
	by.find(rt, e, &again, true, nil)
	for i := again.from; i < again.to; i++ {
		if it := &by.items[i]; it.table < 0 {
			it.quiet = r.quiet
			to(0, it)
		}
	}
}

// late routes an event behind the watermark to the windows that still take it.
// One that nobody takes is counted.
func (r *router) late(rt *routed, e *event.Event, to deliver) {
	taken := false
	r.route(rt.streamPlan, e, func(shard int, it *item) {
		if t := r.plan.lanes[it.lane].tables[it.table]; t.lateness > 0 && e.Time >= rt.marks.mark.Add(-t.lateness) {
			it.at, it.late, taken = rt.marks.mark, true, true
			to(shard, it)
		}
	})
	if !taken {
		rt.late++
		r.traceLeft(rt, e, LeftLate)
		r.pass(rt, e, to)
	} else {
		rt.events++
	}
}

var (
	errFuture = errors.New("its time is further in the future than max_future allows")
	errTime   = errors.New("its time is no timestamp and no RFC 3339 text")
)

func rejectReason(err error) string {
	var d *decode.Error
	if errors.As(err, &d) {
		return string(d.Reason)
	}
	return "other"
}

// reject counts a message that is no event.
func (r *router) reject(rt *routed, rec *event.Record, reason string, err error) {
	r.stats.Rejected.add(rt.Name, reason, 1)
	r.rejects = append(r.rejects, Reject{
		Position: rec.Pos, Stream: rt.Name, Source: rec.Source, Topic: rec.Topic, Reason: reason, Err: err,
	})
}

// route sends an event to all tables that read its stream, once for each `by`.
func (r *router) route(s *streamPlan, e *event.Event, to deliver) {
	by := r.readers[0]
	for k, targets := range s.keys {
		if len(targets) == 0 {
			continue
		}
		key, reason := by.key(s, k, e)
		if reason != "" {
			if by.wanted(s.Stream, s.Keys[k]) {
				r.stats.KeyErrors.add(s.Name, reason, 1)
			}
			continue
		}
		hash := hashKey(key)
		for i := range targets {
			var it item
			it.aim(&targets[i], s, e, key, hash)
			it.quiet = r.quiet
			to(r.shard(&it), &it)
		}
	}
}

// mark returns the watermark of a lane: the lowest of its streams'. Streams
// whose time is arrival make nobody wait who has a time of its own.
func (r *router) mark(l *lanePlan, streamMark func(i int) event.Time) event.Time {
	low, clocked := event.MaxTime, event.MaxTime
	timed, waits, left := false, false, event.MinTime
	for i, s := range l.streams {
		m := streamMark(i)
		rt := r.streams[s.number]
		switch {
		case s.Producer == "" && rt.marks.clocked:
			clocked = min(clocked, m)
		case s.Producer == "" && rt.marks.unheard(&r.clock), m == event.MinTime && l.own(i):
			left = max(left, m) // it has no time but what the end of the input gave it
			waits = true
		default:
			low, timed = min(low, m), true
		}
	}
	switch {
	case timed:
		return low
	case waits:
		return left
	}
	return clocked
}

// take moves what was counted to st.
func (r *router) take(st *Stats) {
	for _, rt := range r.streams {
		r.stats.Events.add(rt.Name, "", rt.events)
		r.stats.Late.add(rt.Name, "", rt.late)
		rt.events, rt.late = 0, 0
	}
	st.merge(&r.stats)
	for _, by := range r.readers {
		by.take(st)
	}
	if r.again != nil {
		r.again.take(st)
	}
}
