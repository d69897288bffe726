package rules

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// How long an id is known where nothing is said: longer than a device or a
// broker tries again after a lost connection, and as many as fit in 10 MB.
const (
	defaultIDWithin = time.Hour
	defaultIDKeep   = 100_000
	maxIDKeep       = 10_000_000 // 1 GB
)

// laterFormats are formats of the language that this version does not read.
var laterFormats = []string{"senml", "sparkplug", "protobuf"}

// streamDecl is a stream as it is declared.
type streamDecl struct {
	name   *node
	body   *node
	stream *Stream
	keys   map[string]int // number of each `by` clause
	conds  map[string]int // number of each condition
	late   *streamDecl    // of a stream that receives late events: the stream that they were too late for
}

func (l *loader) declareStream(name, body *node) {
	if _, ok := l.looseName(name, "the name of a stream"); !ok {
		return
	}
	if old := l.streams[name.text]; old != nil {
		file, line := old.name.here()
		l.errorf(name, "give one of them another name", "stream `%s` is declared twice: also in %s:%d", name.text, file, line)
		return
	}
	d := &streamDecl{name: name, body: body, keys: map[string]int{}, conds: map[string]int{}}
	l.streams[name.text] = d
	l.order = append(l.order, d)
}

// stream compiles a stream. After a mistake the stream is there all the same,
// with what can be known of it, so that the mistake is reported once.
func (l *loader) stream(d *streamDecl) {
	s := &Stream{Name: d.name.text, Format: "json", Schema: event.NewSchema(d.name.text, nil)}
	s.Watermark = Watermark{Idle: defaultIdle, MaxFuture: defaultMaxFuture}
	s.ID = ID{Within: defaultIDWithin, Keep: defaultIDKeep}
	d.stream = s
	if d.late != nil {
		l.lateStream(d)
		return
	}
	if d.empty() && !l.options.NeedSource {
		return // a name is enough for a replayed stream
	}
	if !l.keys(d.body, streamPlace) {
		return
	}
	if n := d.body.get("source"); n != nil {
		s.Source = l.source(n)
	} else if l.options.NeedSource {
		advice := "add `source:` and the name of a source of cepd.yaml"
		if known := slices.Sorted(slices.Values(l.options.Sources)); len(known) > 0 && len(known) <= 20 {
			advice += ": " + strings.Join(known, ", ")
		}
		l.errorf(d.name, advice, "stream `%s` has no `source`", s.Name)
	}
	if n := d.body.get("topic"); n != nil {
		s.Topic = l.topic(n)
	}
	if n := d.body.get("format"); n != nil {
		s.Format = l.format(n)
	}
	s.Schema = l.schema(d)
	if n := d.body.get("time"); n != nil {
		s.Time = l.expression(n, "`time`", &expr.Scope{Event: s.Schema, NoKey: true, Self: -1}, expr.WantTime)
	}
	if n := d.body.get("id"); n != nil {
		l.id(d, n)
	}
	if n := d.body.get("watermark"); n != nil {
		l.watermark(d, n)
	}
	if n := d.body.get("late"); n != nil {
		l.late(d, n)
	}
	if n := d.body.get("retained"); n != nil {
		switch l.choice(n, "`retained`", retainedWords...) {
		case "event":
			s.Retained = RetainedEvent
		case "ignore":
			s.Retained = RetainedIgnore
		}
	}
}

// empty reports whether a stream is declared with nothing but its name.
func (d *streamDecl) empty() bool {
	return d.body.kind == scalarNode && (d.body.typ == emptyType || d.body.typ == nullType) && !d.body.bad
}

func (l *loader) source(n *node) string {
	name, ok := l.looseName(n, "`source`")
	if !ok || !l.options.NeedSource || slices.Contains(l.options.Sources, name) {
		return name
	}
	l.errorf(n, oneOf(name, l.options.Sources, "add it to `sources` of cepd.yaml"), "there is no source `%s` in cepd.yaml", name)
	return name
}

// topicless warns of streams with a topic that share a source whose messages have
// none. A stream that has such a source to itself takes all messages.
func (l *loader) topicless(source string) {
	readers := slices.DeleteFunc(slices.Clone(l.order), func(d *streamDecl) bool { return d.stream.Source != source })
	if len(readers) < 2 {
		return
	}
	for _, d := range readers {
		if d.stream.Topic != nil {
			l.warnf(d.body.get("topic"), "give each stream a file of its own, or the source the topic of its messages",
				"stream `%s` gets no events: messages of source `%s` have no topic, and several streams read it", d.stream.Name, source)
		}
	}
}

// fitting reports the streams none of whose source's messages can be in their
// format: those of a file are its lines, or the rows of a csv file as objects.
func (l *loader) fitting() {
	if l.options.Files == nil {
		return
	}
	for _, d := range l.order {
		s := d.stream
		n := d.body.get("format")
		if n == nil || !slices.Contains(l.options.Sources, s.Source) {
			continue
		}
		holds, isFile := l.options.Files[s.Source]
		switch {
		case !isFile && s.Format == "csv":
			l.warnf(n, "csv is of files; leave out `format`, and send each event as a JSON object",
				"stream `%s` reads no csv: messages of source `%s` come one by one, without the header that names their fields", s.Name, s.Source)
		case isFile && s.Format == "cbor":
			l.errorf(n, "leave out `format`, and put each event into the file as a JSON object on a line of its own; CBOR comes by MQTT and HTTP",
				"stream `%s` would get no events: source `%s` is a file, whose lines are text, and cbor is not", s.Name, s.Source)
		case holds == "csv" && (s.Format == "value" || s.Format == "influx"):
			l.errorf(n, "leave out `format`: the columns are the fields; or write `format: jsonl` in the source, if each line is a message of its own",
				"stream `%s` would get no events: source `%s` is a file of csv, whose rows are not in format %s", s.Name, s.Source, s.Format)
		}
	}
}

// oneOf is the advice to write one of some names.
func oneOf(name string, known []string, none string) string {
	known = slices.Sorted(slices.Values(known))
	if near := nearest(name, known); near != "" {
		return "did you mean `" + near + "`?"
	}
	if len(known) == 0 || len(known) > 20 {
		return none
	}
	return "known: " + strings.Join(known, ", ")
}

func (l *loader) topic(n *node) *decode.Topic {
	text, ok := l.text(n, "`topic`")
	if !ok {
		return nil
	}
	t, err := decode.ParseTopic(text)
	var where *decode.TopicError
	if errors.As(err, &where) {
		l.errorIn(n, where.Offset, where.End, "`topic`: "+where.Message, "")
		return nil
	}
	return &t
}

func (l *loader) format(n *node) string {
	if slices.Contains(laterFormats, n.text) {
		l.errorf(n, "", "format `%s` is not supported by this version of cepd", n.text)
		return "json"
	}
	return l.choice(n, "`format`", decode.Formats()...)
}

// schema returns the fields of a stream: what the topic captures, and what
// `fields` declares or the format fixes.
func (l *loader) schema(d *streamDecl) *event.Schema {
	var captured, declared []event.Field
	if t := d.stream.Topic; t != nil {
		for _, name := range t.Names() {
			captured = append(captured, event.Field{Name: name, Type: event.TypeString})
		}
	}
	n := d.body.get("fields")
	fixed := decode.FixedFields(d.stream.Format)
	switch {
	case n != nil:
		var ok bool
		if declared, ok = l.fields(n, d.stream, captured); !ok {
			return event.NewSchema(d.stream.Name, nil)
		}
	case fixed != nil:
		for _, name := range fixed {
			declared = append(declared, event.Field{Name: name})
		}
	default:
		return event.NewSchema(d.stream.Name, nil)
	}
	return event.NewSchema(d.stream.Name, append(append([]event.Field{}, captured...), declared...))
}

// fields returns the fields that are declared beside captured ones.
func (l *loader) fields(n *node, s *Stream, captured []event.Field) (out []event.Field, ok bool) {
	if !l.mapping(n, "`fields`") {
		return nil, false
	}
	fixed := decode.FixedFields(s.Format)
	ok = true
	for _, e := range n.entries {
		t := l.fieldType(e)
		isCaptured := slices.ContainsFunc(captured, func(f event.Field) bool { return f.Name == e.key.text })
		switch {
		case t < 0:
			ok = false
		case isCaptured && event.Type(t) != event.TypeString:
			l.errorf(e.value, "write `string`, or leave it out of `fields`", "`%s` is captured from the topic, so its type is string", e.key.text)
			ok = false
		case isCaptured:
		case fixed != nil && !slices.Contains(fixed, e.key.text):
			l.errorf(e.key, "", "an event of format `%s` has no other field than %s", s.Format, strings.Join(fixed, ", "))
			ok = false
		default:
			out = append(out, event.Field{Name: e.key.text, Type: event.Type(t)})
		}
	}
	return out, ok
}

// typeNames are the types of fields as messages list them, and what users of
// other languages call them.
var (
	typeNames    = []string{"string", "int", "uint", "double", "bool", "timestamp", "duration", "list", "map", "any"}
	typeSynonyms = map[string]string{
		"text": "string", "str": "string", "varchar": "string", "float": "double", "float64": "double", "number": "double",
		"decimal": "double", "real": "double", "integer": "int", "long": "int", "bigint": "int", "int64": "int", "boolean": "bool",
		"time": "timestamp", "datetime": "timestamp", "date": "timestamp", "array": "list", "object": "map", "dyn": "any",
	}
)

// fieldType returns the type of a declared field, -1 after a mistake.
func (l *loader) fieldType(e entry) int {
	name, ok := l.text(e.value, "the type of field `"+e.key.text+"`")
	if !ok {
		return -1
	}
	if t, err := event.ParseType(name); err == nil {
		return int(t)
	}
	advice := "types are " + strings.Join(typeNames, ", ")
	if s := typeSynonyms[strings.ToLower(name)]; s != "" {
		advice = "write `" + s + "`"
	} else if near := nearest(name, typeNames); near != "" {
		advice = "did you mean `" + near + "`?"
	}
	l.errorf(e.value, advice, "there is no type `%s`", name)
	return -1
}

// id reads what makes an event the same event when it comes again: an
// expression, or a mapping that says more.
func (l *loader) id(d *streamDecl, n *node) {
	s, value := d.stream, n
	if n.kind == mappingNode {
		if !l.keys(n, idPlace) {
			return
		}
		if value = n.get("value"); value == nil {
			if !n.partial {
				l.lacks(n, "write `id: {value: e.msg_id, within: 1h}`", "`id` does not say what tells events apart")
			}
			return
		}
		if v := n.get("within"); v != nil {
			s.ID.Within = l.duration(v, "`within`", false)
		}
		if v := n.get("keep"); v != nil {
			s.ID.Keep = l.number(v, "`keep`", 1, maxIDKeep)
		}
	}
	s.ID.Value = l.expression(value, "`id`", &expr.Scope{Event: s.Schema, NoKey: true, Self: -1}, expr.WantKey)
}

// keyOf returns the number of a `by` clause over a stream.
func (d *streamDecl) keyOf(k *Key) int {
	sig := strings.Join(k.Names, ",")
	for _, p := range k.Parts {
		sig += "\x00" + p.Canonical()
	}
	return share(d.keys, sig, &d.stream.Keys, k)
}

// conditionOf returns the number of a condition over a stream, which is shared
// with all that ask the same. A condition that reads `key` is the same only
// where the key is.
func (d *streamDecl) conditionOf(p *expr.Program, key int) int {
	sig := p.Canonical()
	if p.UsesKey() {
		sig += "\x00" + strconv.Itoa(key)
	}
	return share(d.conds, sig, &d.stream.Conditions, p)
}

func share[T any](index map[string]int, sig string, all *[]T, v T) int {
	if i, ok := index[sig]; ok {
		return i
	}
	i := len(*all)
	index[sig] = i
	*all = append(*all, v)
	return i
}
