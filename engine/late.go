package engine

import (
	"cmp"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
)

// lateEvent is an event that came too late for some key.
type lateEvent struct {
	event  *event.Event
	stream int32
	quiet  bool
}

// settleLate counts the events that shards found late, each once however many
// keys it was late for, and hands them on. It reports whether a stream took any
// of them.
func (e *Engine) settleLate() (taken bool) {
	var all []lateEvent
	for _, s := range e.shards {
		all = append(all, s.out.late...)
		clear(s.out.late)
		s.out.late = s.out.late[:0]
	}
	slices.SortStableFunc(all, func(a, b lateEvent) int {
		return cmp.Or(a.event.Pos.Compare(b.event.Pos), cmp.Compare(a.stream, b.stream), a.event.Origin().Compare(b.event.Origin()))
	})
	all = slices.CompactFunc(all, func(a, b lateEvent) bool {
		return a.stream == b.stream && a.event.Pos == b.event.Pos && a.event.Origin().Compare(b.event.Origin()) == 0
	})
	for _, x := range all {
		rt := e.router.streams[x.stream]
		rt.late++
		e.router.traceLeft(rt, x.event, LeftLate)
		if x.event.Origin() == nil {
			rt.events-- // it was counted when it came
			e.router.quiet = x.quiet
			taken = e.router.pass(rt, x.event, e.deliver) || taken
		}
	}
	return taken
}

// traceLeft tells the tracer of an event that is left out.
func (r *router) traceLeft(rt *routed, e *event.Event, why Left) {
	if r.options.tracer != nil {
		r.options.tracer.LeftOut(rt.Name, e, why)
	}
}

// pass hands a late event to those that the stream names for it, and reports
// whether that is a stream. There the event has the time of the watermark that
// it was too late for: it is judged as it comes.
func (r *router) pass(rt *routed, e *event.Event, to deliver) bool {
	if len(rt.Late.To) > 0 && !r.quiet {
		r.emitted = append(r.emitted, r.derived(rt, e))
	}
	if rt.Late.Stream == nil {
		return false
	}
	in := r.streams[r.plan.streams[rt.Late.Stream.Name].number]
	late := &event.Event{
		Time: max(rt.marks.mark, in.marks.mark), Pos: e.Pos, Schema: in.Schema, Slots: make([]event.Value, len(in.Schema.Fields())),
		More: &event.Details{Topic: e.Topic(), Raw: e.Raw()},
	}
	in.fill(late)
	in.events++
	r.route(in.streamPlan, late, to)
	return true
}

// fill decodes the payload of an event, which was decoded before for another
// stream.
func (rt *routed) fill(e *event.Event) {
	if _, err := rt.decoders[0].Decode(e.Raw(), e); err != nil {
		clear(e.Slots) // a field that the other stream does not use
	}
	rt.capture(e)
}

// capture fills in what the topic of an event tells.
func (rt *routed) capture(e *event.Event) {
	if len(rt.captured) == 0 || rt.Topic == nil {
		return
	}
	if names, ok := rt.Topic.Match(e.Topic(), nil); ok {
		for i, slot := range rt.captured {
			if slot >= 0 {
				e.Slots[slot] = event.String(names[i])
			}
		}
	}
}

// derived makes of a late event what sinks are told of it: all its fields.
func (r *router) derived(rt *routed, e *event.Event) alerting.Derived {
	d := alerting.Derived{
		Rule: rt.Name, Late: true, Time: e.Time, Position: e.Pos, To: rt.Late.To,
		Issuer: &alerting.Issuer{Log: r.options.logID, Rule: rt.Name + " late"},
	}
	if rt.Topic != nil && !rt.standIn {
		if values, ok := rt.Topic.Match(e.Topic(), nil); ok {
			for i, name := range rt.Topic.Names() {
				d.Fields = append(d.Fields, event.Entry{Name: name, Value: event.String(values[i])})
			}
		}
	}
	captured := len(d.Fields)
	if rt.Format == "value" {
		d.Fields = append(d.Fields, event.Entry{Name: "value", Value: e.Get("value").Clone()})
		return d
	}
	fields, err := decode.Object(e.Raw())
	if err != nil { // the stream itself could decode it
		fields = nil
		for i, f := range e.Schema.Fields() {
			if v := e.Slot(i); !v.IsMissing() {
				fields = append(fields, event.Entry{Name: f.Name, Value: v})
			}
		}
	}
	for _, f := range fields {
		if !slices.ContainsFunc(d.Fields[:captured], func(c event.Entry) bool { return c.Name == f.Name }) {
			d.Fields = append(d.Fields, event.Entry{Name: f.Name, Value: f.Value.Clone()})
		}
	}
	return d
}
