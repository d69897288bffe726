package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// What `watermark` is where nothing is said. An event may be five minutes ahead
// of its arrival, so that one fast clock does not make all others late.
const (
	defaultIdle      = 30 * time.Second
	defaultMaxFuture = 5 * time.Minute
)

// perWords say whose watermark it is.
var perWords = []string{"stream", "key"}

func (l *loader) watermark(d *streamDecl, n *node) {
	if !l.keys(n, watermarkPlace) {
		return
	}
	w := &d.stream.Watermark
	if v := n.get("lag"); v != nil {
		w.Lag = l.duration(v, "`lag`", true)
	}
	if v := n.get("max_future"); v != nil {
		w.MaxFuture = l.duration(v, "`max_future`", true)
	}
	timed := d.body.get("time") != nil
	if v := n.get("per"); v != nil {
		w.PerKey = l.choice(v, "`per`", perWords...) == "key" && timed
	}
	if v := n.get("idle"); v != nil {
		w.Idle = l.duration(v, "`idle`", true)
		if w.PerKey {
			w.KeyIdle = w.Idle
		}
	}
	if !timed {
		l.warnf(n, "add `time`, or remove `watermark`", "`watermark` does nothing in a stream without `time`, whose events are as old as their arrival")
	}
}

// late reads who receives events that come too late. A name is that of a
// stream if there is one, else that of a sink.
func (l *loader) late(d *streamDecl, n *node) {
	if n.kind == scalarNode && n.text == "drop" {
		return
	}
	if n.kind == scalarNode && l.streams[n.text] != nil {
		return // its own turn comes
	}
	if n.kind == listNode {
		for _, item := range n.items {
			if item.kind == scalarNode && l.streams[item.text] != nil {
				l.errorf(item, "write `late: "+item.text+"`; a rule over it sends them on: `emit_to`", "`%s` is a stream: late events go to one stream, or to sinks", item.text)
				return
			}
		}
	}
	d.stream.Late.To = l.eventSinks(n, "late", "write `late: drop`")
	for _, f := range d.stream.Schema.Declared() {
		d.stream.Schema.Use(f.Name)
	}
}

// lateStreams finds the streams that receive late events, before any stream is
// compiled.
func (l *loader) lateStreams() {
	for _, d := range l.order {
		n := d.body.get("late")
		if n == nil || n.kind != scalarNode || n.text == "drop" {
			continue
		}
		switch to := l.streams[n.text]; {
		case to == nil:
		case to == d:
			l.errorf(n, "name another stream, which needs nothing but its name", "stream `%s` cannot receive its own late events", d.name.text)
		case to.late != nil:
			l.errorf(n, "declare another stream for these", "stream `%s` receives the late events of `%s` already", to.name.text, to.late.name.text)
		default:
			to.late = d
		}
	}
}

// lateStream compiles a stream that receives late events: it has what the
// stream has that they were too late for.
func (l *loader) lateStream(d *streamDecl) {
	from := d.late.stream
	if from == nil {
		return // it receives late events itself, which is reported
	}
	if !d.empty() && !(d.body.kind == mappingNode && len(d.body.entries) == 0 && d.body.flow) {
		l.errorf(d.name, "leave only its name: `"+d.name.text+": {}`", "stream `%s` receives the late events of `%s`, and has its format, fields and topic", d.name.text, d.late.name.text)
	}
	s := d.stream
	s.LateOf, s.Topic, s.Format = from, from.Topic, from.Format
	from.Late.Stream = s
	s.Schema = event.NewSchema(d.name.text, slices.Clone(from.Schema.Declared()))
}

// oneKey warns of a rule without `by` over a stream whose keys have a time of
// their own: all its events are one key, which no event of a backlog is in time
// for.
func (l *loader) oneKey(d *ruleDecl) {
	if d.body.get("by") != nil || d.body.partial || d.rule.Absent {
		return
	}
	for i, in := range d.rule.Inputs {
		if in.Stream.Watermark.PerKey && d.name != nil {
			l.warnf(d.name, "add `by`, or take the events from another stream of the same source, without `per: key`",
				"rule `%s` has no `by`: all of `%s` is one key, and what a device sends that was offline is late for it", d.rule.Name, d.streams[i].stream.Name)
			return
		}
	}
}

// timing finds out by what time each rule judges. A rule of a higher level
// comes after those that it reads from.
func (l *loader) timing(set *Set) {
	makers := map[string]*Rule{}
	for _, r := range set.Rules {
		makers[r.Name] = r
		for _, in := range r.Inputs {
			in.Marks = marksOf(r, in, makers)
			r.PerKey = r.PerKey || in.Marks == MarksKey || in.Marks == MarksProducer
			if in.Marks != MarksStream { // its state is of another time
				r.Shape = hashShape([]string{r.Shape, in.Stream.Name, fmt.Sprint(in.Marks, in.Follows)})
			}
		}
		if r.Output == nil || !r.PerKey {
			continue
		}
		r.Output.Unordered = true
		for _, in := range r.Inputs {
			if in.Marks == MarksKey || in.Marks == MarksProducer {
				w := &r.Output.Watermark
				of := in.Stream.Watermark
				w.Lag, w.Idle, w.KeyIdle = max(w.Lag, of.Lag), max(w.Idle, of.Idle), max(w.KeyIdle, of.KeyIdle)
			}
		}
	}
}

// marksOf says by what time a rule judges the events of an input.
func marksOf(r *Rule, in *Input, makers map[string]*Rule) Marks {
	s := in.Stream
	switch {
	case !s.Watermark.PerKey && !s.Unordered:
		return MarksStream
	case r.Absent:
		return MarksLatest
	case !s.Unordered:
		return MarksKey
	}
	if in.Follows = follows(in, makers[s.Producer]); in.Follows != nil {
		return MarksProducer
	}
	return MarksStream
}

// follows returns the parts of the key of an input that make up the key of the
// rule that emits its events, nil where some part is not among them.
func follows(in *Input, producer *Rule) []int {
	parts := []int{} // of the empty key every key is a part
	for i := range producer.KeyLabels {
		at := slices.IndexFunc(in.Stream.Keys[in.Key].Parts, func(p *expr.Program) bool {
			m := ofField.FindStringSubmatch(strings.TrimSpace(p.Source()))
			return m != nil && producer.emitsPart(m[1], i)
		})
		if at < 0 {
			return nil
		}
		parts = append(parts, at)
	}
	return parts
}

// emitsPart reports whether a field that the rule emits is a part of its key.
func (r *Rule) emitsPart(field string, part int) bool {
	key := "key"
	if len(r.KeyNames) > 0 {
		key += "." + r.KeyNames[part]
	}
	emits := func(e *Emit, of string) bool {
		return e == nil || slices.ContainsFunc(e.Fields, func(f EmitField) bool {
			return f.Name == field && (strings.TrimSpace(f.Value.Source()) == key || of != "" && f.Value.Canonical() == of)
		})
	}
	for _, in := range r.Inputs {
		of := ""
		if r.Pattern == nil && r.Window == nil { // `emit` reads the event that `by` reads
			of = in.Stream.Keys[in.Key].Parts[part].Canonical()
		}
		if !emits(in.Emit, of) {
			return false
		}
	}
	if r.Pattern == nil {
		return true
	}
	return emits(r.Emit, "") && (r.Pattern.Timeout == nil || emits(r.Pattern.Timeout.Emit, ""))
}
