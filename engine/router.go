package engine

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
)

// router turns records into events, in log order: it decodes them, finds their
// time, moves the watermarks, and says which shard and table they go to.
type router struct {
	plan    *plan
	options *options
	streams []*routed // by number
	sources map[string][]*routed
	source  string    // of the last message
	taking  []*routed // its streams
	clock   clock
	stats   Stats
	rejects []Reject
	emitted []alerting.Derived // late events for sinks

	frame    expr.Frame
	quiet    bool // the event at hand raises no alert
	captures []string
	keys     []byte // memory of encoded keys of this batch
	keyBytes int    // of the next piece of it
	held     bool   // events of former batches are held back
	parts    []event.Value
	slab     slab
	recall   recall
	journal  *journal // of what is remembered
}

// routed is a stream as the router sees it.
type routed struct {
	*streamPlan
	marks    *marks
	decoder  decode.Decoder
	captured []int                           // slots of the topic's captures; -1 for one that nobody uses
	standIn  bool                            // events come with their captures in the payload
	told     func(event.Position) event.Time // says when an event happened, in place of `time`; mostly nil
	ids      *ids                            // of its events; nil until one has any

	events, late, mismatched int64 // since the counts were last taken
}

func newRouter(p *plan, o *options) (*router, error) {
	r := &router{plan: p, options: o, keyBytes: keyBytes, sources: map[string][]*routed{}, stats: newStats(), recall: newRecall(), journal: newJournal(),
		clock: clock{now: event.MinTime, down: map[string]event.Time{}, up: map[string]bool{}}}
	for _, s := range p.order {
		rt := &routed{streamPlan: s, marks: newMarks(s.Stream)}
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
	return r, nil
}

// marked reports whether the stream has a watermark of its own.
func (rt *routed) marked() bool {
	if rt.Producer != "" {
		return rt.Unordered
	}
	return rt.LateOf == nil || rt.standIn
}

// connect makes the stream's decoder and files the stream under its source.
func (r *router) connect(rt *routed) (err error) {
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
	if own != nil {
		rt.decoder = own(rt.Schema)
	} else if whole {
		rt.decoder, err = decode.New(format, rt.Schema)
	} else {
		rt.decoder, err = decode.New(format, rt.Schema, names...)
		for _, n := range names {
			slot, ok := rt.Schema.Slot(n)
			if !ok {
				slot = -1
			}
			rt.captured = append(rt.captured, slot)
		}
	}
	if source != "" {
		r.sources[source] = append(r.sources[source], rt)
	}
	return err
}

// batch begins a new batch. Memory that events of the last one share is used
// again if none of them is held back; otherwise what is left of it is used up.
func (r *router) batch(held bool) {
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

// streamsOf returns the streams of a source. Messages of one come in batches.
func (r *router) streamsOf(source string) []*routed {
	if source != r.source || r.taking == nil {
		r.source, r.taking = source, r.sources[source]
	}
	return r.taking
}

// message routes one message.
func (r *router) message(rec *event.Record, to func(shard int, it item, lane int)) {
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
		r.quiet = rec.Flags.Retained() && rt.Retained == rules.RetainedState
		switch e, late := r.event(rt, rec); {
		case late:
			r.late(rt, e, to)
		case e != nil:
			r.route(rt.streamPlan, e, to)
		}
	}
	if !taken {
		r.stats.Unrouted.add(rec.Source, "", 1)
	}
}

// takes reports whether a message is of a stream, by its topic.
func (r *router) takes(rt *routed, rec *event.Record) (ok bool) {
	if rt.standIn || rt.Topic == nil {
		return true
	}
	r.captures, ok = rt.Topic.Match(rec.Topic, r.captures[:0])
	return ok
}

// late routes an event behind the watermark to the windows that still take it.
// One that nobody takes is counted.
func (r *router) late(rt *routed, e *event.Event, to func(shard int, it item, lane int)) {
	taken := false
	r.route(rt.streamPlan, e, func(shard int, it item, lane int) {
		if t := r.plan.lanes[lane].tables[it.table]; t.lateness > 0 && e.Time >= rt.marks.mark.Add(-t.lateness) {
			it.at, it.late, taken = rt.marks.mark, true, true
			to(shard, it, lane)
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

// event makes the event of a message, nil where it is none or came before, and
// says whether it is behind the watermark. Such an event does not move it.
func (r *router) event(rt *routed, rec *event.Record) (e *event.Event, late bool) {
	e = r.slab.event(len(rt.Schema.Fields()))
	e.Pos, e.Schema, e.Topic, e.Raw = rec.Pos, rt.Schema, rec.Topic, rec.Payload
	mismatched, err := rt.decoder.Decode(rec.Payload, e)
	if err != nil {
		return r.reject(rt, rec, rejectReason(err), err), false
	}
	rt.mismatched += int64(mismatched)
	for i, slot := range rt.captured {
		if slot >= 0 {
			e.Slots[slot] = event.String(r.captures[i])
		}
	}
	if e.Time, err = r.time(rt, e, rec); err != nil {
		return r.reject(rt, rec, "time", err), false
	}
	if m := rt.Watermark.MaxFuture; m > 0 && rec.Arrival != 0 && e.Time.Sub(rec.Arrival) > m && !r.clock.wrong {
		r.traceLeft(rt, e, LeftFuture)
		return r.reject(rt, rec, "max_future", errFuture), false
	}
	if reason := r.known(rt, e, rec); reason != "" {
		r.traceLeft(rt, e, LeftDuplicate)
		r.stats.Duplicates.add(rt.Name, reason, 1)
		return nil, false
	}
	rt.marks.tick(&r.clock)
	if e.Time < rt.marks.mark && !rt.Watermark.PerKey {
		return e, true
	}
	rt.marks.observe(rec, e.Time, &r.clock)
	rt.events++
	return e, false
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
func (r *router) reject(rt *routed, rec *event.Record, reason string, err error) *event.Event {
	r.stats.Rejected.add(rt.Name, reason, 1)
	r.rejects = append(r.rejects, Reject{
		Position: rec.Pos, Stream: rt.Name, Source: rec.Source, Topic: rec.Topic, Reason: reason, Err: err,
	})
	return nil
}

// time finds the event's time.
func (r *router) time(rt *routed, e *event.Event, rec *event.Record) (event.Time, error) {
	if rt.told != nil {
		return rt.told(rec.Pos), nil
	}
	if rt.Time == nil {
		if rec.Arrival == 0 {
			return 0, errNoArrival
		}
		return rec.Arrival, nil
	}
	r.frame.Event = e
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

// route sends an event to the tables that want it, once for each `by`.
func (r *router) route(s *streamPlan, e *event.Event, to func(shard int, it item, lane int)) {
	for k, targets := range s.keys {
		if len(targets) == 0 {
			continue
		}
		key, ok := r.key(s.Stream, s.Keys[k], e)
		if !ok {
			continue
		}
		shard := 0
		if r.options.shards > 1 {
			shard = r.options.shard(event.GroupOf(key))
		}
		for _, t := range targets {
			to(shard, item{at: e.Time, event: e, stream: int32(s.number), table: int32(t.table), quiet: r.quiet, key: key}, t.lane)
		}
	}
}

// key encodes the event's key for one `by` clause.
func (r *router) key(s *rules.Stream, k *rules.Key, e *event.Event) (string, bool) {
	if len(k.Parts) == 0 {
		return "", true
	}
	r.frame.Event = e
	r.parts = r.parts[:0]
	for _, p := range k.Parts {
		v, err := p.Value(&r.frame)
		if err != nil {
			v = event.Missing
		}
		r.parts = append(r.parts, v)
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
		if r.wanted(s, k) {
			reason := "type"
			if errors.Is(err, event.ErrKeyMissing) {
				reason = "missing"
			}
			r.stats.KeyErrors.add(s.Name, reason, 1)
		}
		return "", false
	}
	return event.StringOf(r.keys[start:]).AsString(), true
}

// wanted reports whether the `where` of any rule with this `by` lets the event
// pass that the frame holds. One that no rule asked for lacks no key.
func (r *router) wanted(s *rules.Stream, k *rules.Key) bool {
	for _, rule := range r.plan.set.Rules {
		for _, in := range rule.Inputs {
			if in.Stream != s || s.Keys[in.Key] != k {
				continue
			}
			if in.Where < 0 {
				return true
			}
			if ok, _ := s.Conditions[in.Where].Bool(&r.frame); ok {
				return true
			}
		}
	}
	return false
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
		r.stats.Mismatched.add(rt.Name, "", rt.mismatched)
		rt.events, rt.late, rt.mismatched = 0, 0, 0
	}
	st.merge(&r.stats)
}
