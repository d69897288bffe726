package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cepd/cepd/event"
)

// The mappings of `tests`. An event and a series hold fields of their stream
// beside these keys.
var (
	testPlace = &place{
		name: "a test", where: "in a test",
		keys: []string{"name", "tables", "series", "events", "until", "expect"},
	}
	seriesPlace = &place{
		name: "`series`", where: "under `series` of a test",
		keys: []string{"stream", "start", "every", "arrives", "set"},
	}
	testEventPlace = &place{
		name: "an event of a test", where: "in an event of a test",
		keys: []string{"at", "arrives", "stream", "set"},
	}
	expectPlace = &place{
		name: "an entry of `expect`", where: "in an entry of `expect`",
		keys: []string{"at", "rule", "alert", "key", "labels", "summary", "timeout", "emit", "to"},
	}
	testPlaces = []*place{testPlace, expectPlace, seriesPlace, testEventPlace}
)

// testSynonyms are names that others have for keys of events and series.
var testSynonyms = map[string]string{
	"time": "at", "t": "at", "offset": "at", "arrival": "arrives", "arrived": "arrives", "received": "arrives", "from": "stream", "topic": "stream", "interval": "every", "step": "every", "fields": "set", "labels": "set",
}

// maxTestTime bounds the times of a test: far more than any rule waits, and
// far from the end of time.
const maxTestTime = 100 * 365 * 24 * time.Hour

// testDecl is a test that is being read.
type testDecl struct {
	body *node
	test *Test
	end  event.Duration // of the last event or `until`
	ok   bool           // all its events are understood
}

// allTests reads the `tests` of all files, after the rules.
func (l *loader) allTests(rules []*Rule) []*Test {
	named := map[string]*Rule{}
	for _, r := range rules {
		named[r.Name] = r
	}
	var out []*Test
	for _, n := range l.testNodes {
		out = append(out, l.tests(n, named)...)
	}
	return out
}

// tests reads the `tests` of a file.
func (l *loader) tests(n *node, rules map[string]*Rule) []*Test {
	switch {
	case n.bad:
		return nil
	case n.kind != listNode:
		l.errorf(n, "write `- name: ...` below it", "`tests` is a list, and this is %s", n.what())
		return nil
	}
	var out []*Test
	lines := map[string]int{}
	for _, body := range n.items {
		if !l.keys(body, testPlace) {
			continue
		}
		d := &testDecl{body: body, test: &Test{}, ok: true}
		d.test.File, d.test.Line = body.here()
		l.testName(d, lines)
		if n := body.get("tables"); n != nil {
			d.test.tablesNode = n
			l.testTables(d, n)
		}
		l.testInput(d)
		if e := body.get("expect"); e != nil {
			l.expects(d, e, rules)
		} else {
			l.testLacks(d, "add `expect:`, and [] for nothing at all", "the test does not say what it expects")
		}
		out = append(out, d.test)
	}
	return out
}

// testLacks reports something that a test lacks, unless what it has is not all
// understood.
func (l *loader) testLacks(d *testDecl, advice, message string) {
	if !d.body.partial {
		l.lacks(d.body, advice, message)
	}
}

// lacks reports something that a mapping lacks, at its first key.
func (l *loader) lacks(n *node, advice, message string) {
	if len(n.entries) == 0 {
		l.errorf(n, advice, "%s", message)
		return
	}
	l.errorf(n.entries[0].key, advice, "%s", message)
}

func (l *loader) testName(d *testDecl, lines map[string]int) {
	n := d.body.get("name")
	if n == nil {
		l.testLacks(d, "add `name:` and a line that says what it shows", "the test has no name")
		return
	}
	name, ok := l.text(n, "the name of a test")
	if !ok {
		return
	}
	if line := lines[name]; line > 0 {
		l.errorf(n, "give one of them another name", "a test `%s` is here twice: also in line %d", name, line)
	}
	d.test.Name = strings.TrimSpace(name)
	_, lines[name] = n.here()
}

// testInput reads the events of a test, and how far event time goes.
func (l *loader) testInput(d *testDecl) {
	t := d.test
	if n := d.body.get("series"); n != nil {
		for _, item := range l.list(n) {
			t.Series = append(t.Series, l.series(d, item))
		}
	}
	if n := d.body.get("events"); n != nil {
		switch {
		case n.bad:
			d.ok = false
		case n.kind == listNode:
			for _, item := range n.items {
				l.testEvent(d, item)
			}
		default:
			l.errorf(n, "write `- {at: 0s, ...}` below it", "`events` is a list, and this is %s", n.what())
			d.ok = false
		}
	}
	if d.ok && len(t.Series) == 0 && len(t.Events) == 0 {
		l.testLacks(d, "add `series` or `events`", "the test has no events")
	}
	d.end = t.End()
	n := d.body.get("until")
	if n == nil {
		return
	}
	t.Until = l.testTime(n, "`until`")
	if d.ok && t.Until < d.end {
		l.errorf(n, "make it later, or remove it", "`until` is before the last event, which is at %s", event.FormatDuration(d.end))
	}
	d.end = max(d.end, t.Until)
}

// testTime reads a time since the start of a test.
func (l *loader) testTime(n *node, what string) event.Duration {
	t := l.duration(n, what, true)
	if t > maxTestTime {
		l.errorf(n, "", "%s is more than a hundred years after the start", what)
		return 0
	}
	return t
}

// testStream finds the stream that events are of: the one that is named, or
// the only one of the file or, in a file without any, of all files.
func (l *loader) testStream(n *node) *streamDecl {
	if name := n.get("stream"); name != nil {
		text, ok := l.looseName(name, "the name of a stream")
		switch {
		case !ok:
		case l.streams[text] != nil:
			return l.streams[text]
		case l.rules[text] != nil:
			l.errorf(name, "give events to the streams that the rule reads", "`%s` is a rule, which makes its events itself", text)
		case !l.damaged:
			l.errorf(name, oneOf(text, l.streamNames(), "declare it under `streams`"), "there is no stream `%s`", text)
		}
		return nil
	}
	own := slices.DeleteFunc(slices.Clone(l.order), func(s *streamDecl) bool { return s.name.src != n.src || s.late != nil })
	if len(own) == 0 {
		own = slices.DeleteFunc(slices.Clone(l.order), func(s *streamDecl) bool { return s.late != nil })
	}
	if len(own) == 1 {
		return own[0]
	}
	if !l.damaged {
		l.lacks(n, "add `stream:` with one of "+strings.Join(l.streamNames(), ", "), "the stream is not named, and there are several")
	}
	return nil
}

// series reads one series. What it returns is complete only if the report has
// no errors.
func (l *loader) series(d *testDecl, n *node) *Series {
	s := &Series{}
	if !l.mapping(n, "`series`") {
		d.ok = false
		return s
	}
	_, s.Line = n.here()
	stream := l.testStream(n)
	if stream == nil {
		d.ok = false
		stream = &streamDecl{}
	} else {
		s.Stream = stream.name.text
	}
	if v := n.get("start"); v != nil {
		s.Start = l.testTime(v, "`start`")
	}
	if v := n.get("every"); v != nil {
		s.Every = l.duration(v, "`every`", false)
	}
	s.Arrives, s.Held = l.testArrival(n, stream)
	s.Set = l.testSet(n, stream)
	longest := 0
	for _, e := range n.entries {
		if slices.Contains(seriesPlace.keys, e.key.text) {
			continue
		}
		f := SeriesField{Name: e.key.text}
		switch {
		case !l.testField(e.key, stream, seriesPlace):
			n.partial = true
		case l.unset(e.key, s.Set):
			f.Samples = l.samples(e, l.fieldOf(stream, f.Name))
		}
		d.ok = d.ok && f.Samples != nil
		longest = max(longest, f.Samples.Len())
		s.Fields = append(s.Fields, f)
	}
	switch {
	case len(s.Fields) == 0:
		l.lacks(n, "add a field and its samples, such as `temperature: 60x5 90x4`", "the series has no field")
		d.ok = false
	case longest > 1 && n.get("every") == nil:
		if !n.partial {
			l.lacks(n, "add `every:` and the time between two samples, such as 10s", "the series does not say `every` when a sample comes")
		}
		d.ok = false
	case float64(s.Start)+float64(s.Every)*float64(longest) > float64(maxTestTime):
		l.lacks(n, "", "the series is longer than a hundred years")
		d.ok, s.Fields = false, nil
	}
	return s
}

// testArrival reads when an event or a series arrives, if it says so.
func (l *loader) testArrival(n *node, s *streamDecl) (at event.Duration, ok bool) {
	v := n.get("arrives")
	if v == nil {
		return 0, false
	}
	if s.stream != nil && s.stream.Time == nil && s.late == nil {
		l.errorf(v, "give the stream a `time`, or remove `arrives`", "the stream `%s` has no `time`: its events happen when they arrive", s.stream.Name)
		return 0, false
	}
	return l.testTime(v, "`arrives`"), true
}

// samples reads the samples of a field.
func (l *loader) samples(e entry, want event.Type) Samples {
	n := e.value
	switch {
	case n.bad:
		return nil
	case n.kind != scalarNode:
		l.errorf(n, "write them as a text with blanks between: 60x5 90", "samples must be a text, and this is %s", n.what())
		return nil
	case n.typ == emptyType:
		l.errorf(n, "write samples with blanks between, such as 60x5 90", "`%s` has no samples", e.key.text)
		return nil
	}
	samples, wheres, bad := parseSamples(n.text)
	if bad != nil {
		if bad.word && (want == event.TypeDouble || want == event.TypeInt || want == event.TypeUint || want == event.TypeBool) {
			bad.advice = fmt.Sprintf("`%s` is of type %s", e.key.text, want)
		}
		l.errorIn(n, bad.from, bad.to, bad.message, bad.advice)
		return nil
	}
	for i, r := range samples {
		for _, v := range []event.Value{r.first, r.at(min(1, r.N-1)), r.at(r.N - 1)} { // 1+0.5x3 are no whole numbers
			if !v.IsMissing() && !fits(want, v) {
				l.errorIn(n, wheres[i][0], wheres[i][1], misfit(e.key.text, want, v), fitAdvice[want])
				return nil
			}
		}
	}
	return samples
}

// testEvent reads one event of `events`.
func (l *loader) testEvent(d *testDecl, n *node) {
	if !l.mapping(n, "an event of a test") {
		d.ok = false
		return
	}
	var e TestEvent
	stream := l.testStream(n)
	if stream == nil {
		stream = &streamDecl{}
	} else {
		e.Stream = stream.name.text
	}
	e.Fields = l.testSet(n, stream)
	for _, f := range n.entries {
		if slices.Contains(testEventPlace.keys, f.key.text) {
			continue
		}
		switch {
		case !l.testField(f.key, stream, testEventPlace):
			n.partial = true
		case l.unset(f.key, e.Fields):
			if v, ok := l.testValue(f, l.fieldOf(stream, f.key.text)); ok {
				e.Fields = append(e.Fields, event.Entry{Name: f.key.text, Value: v})
			}
		}
	}
	if at := n.get("at"); at != nil {
		e.At = l.testTime(at, "`at`")
	} else if !n.partial {
		l.lacks(n, "add `at:` and the time since the start, such as 10s", "the event does not say when it happens")
	}
	e.Arrives = e.At
	if at, ok := l.testArrival(n, stream); ok {
		e.Arrives = at
	}
	d.test.Events = append(d.test.Events, e)
}

// testSet reads the fields under `set`.
func (l *loader) testSet(n *node, s *streamDecl) []event.Entry {
	set := n.get("set")
	if set == nil || !l.mapping(set, "`set`") {
		return nil
	}
	var out []event.Entry
	for _, f := range set.entries {
		if l.testField(f.key, s, nil) {
			if v, ok := l.testValue(f, l.fieldOf(s, f.key.text)); ok {
				out = append(out, event.Entry{Name: f.key.text, Value: v})
			}
		}
	}
	return out
}

// unset reports whether a field is not under `set` too, and says so if it is.
func (l *loader) unset(key *node, set []event.Entry) bool {
	if !slices.ContainsFunc(set, func(e event.Entry) bool { return e.Name == key.text }) {
		return true
	}
	l.errorf(key, "remove one of the two", "`%s` is here twice: also under `set`", key.text)
	return false
}

// testField reports whether events of a stream may have a field. p, where there
// is one, are the keys that could be meant.
func (l *loader) testField(key *node, s *streamDecl, p *place) bool {
	if key.bad || s.stream == nil || s.stream.Schema == nil {
		return !key.bad
	}
	if _, ok := s.stream.Schema.Lookup(key.text); ok {
		return true
	}
	var known []string
	for _, f := range s.stream.Schema.Declared() {
		known = append(known, f.Name)
	}
	advice := "its fields are " + strings.Join(known, ", ")
	if p != nil {
		known = append(known, p.keys...)
	}
	if near := nearest(key.text, known); near != "" {
		advice = "did you mean `" + near + "`?"
	} else if s := testSynonyms[key.text]; p != nil && slices.Contains(p.keys, s) {
		advice = "write `" + s + "`"
	}
	l.errorf(key, advice, "an event of %s has no field `%s`", s.stream.Name, key.text)
	return false
}

func (l *loader) fieldOf(s *streamDecl, name string) event.Type {
	if s.stream == nil || s.stream.Schema == nil {
		return event.TypeAny
	}
	t, _ := s.stream.Schema.Lookup(name)
	return t
}

// testValue reads the value of a field that is declared as a type.
func (l *loader) testValue(f entry, want event.Type) (event.Value, bool) {
	v, ok := l.value(f.value, "`"+f.key.text+"`")
	if !ok {
		return v, false
	}
	if want == event.TypeString && f.value.typ == numberType && f.value.kind == scalarNode {
		return event.String(f.value.text), true // as it is written
	}
	if !fits(want, v) {
		l.errorf(f.value, fitAdvice[want], "%s", misfit(f.key.text, want, v))
		return v, false
	}
	return v, true
}

// value reads any value, as JSON could hold it.
func (l *loader) value(n *node, what string) (v event.Value, ok bool) {
	ok = true
	switch {
	case n.bad:
		return v, false
	case n.kind == listNode:
		vs := make([]event.Value, len(n.items))
		for i, item := range n.items {
			vs[i], ok = l.value(item, what)
			if !ok {
				return v, false
			}
		}
		return event.List(vs), true
	case n.kind == mappingNode:
		es := make([]event.Entry, len(n.entries))
		for i, e := range n.entries {
			es[i].Name = e.key.text
			if es[i].Value, ok = l.value(e.value, what); !ok {
				return v, false
			}
		}
		return event.Map(es), true
	case n.typ == emptyType:
		l.errorf(n, "write a value, or remove the key", "%s is empty", what)
		return v, false
	case n.typ == nullType:
		return event.Null, true
	case n.typ == boolType:
		return event.Bool(strings.EqualFold(n.text, "true")), true
	case n.typ == numberType:
		if v, ok = parseNumber(n.text); !ok {
			l.errorf(n, "write it as JSON does, or in quotes for a text", "%s is no number of JSON", what)
		}
		return v, ok
	}
	return event.String(n.text), true
}

// fits reports whether the decoder makes a value of a type of v.
func fits(want event.Type, v event.Value) bool {
	k := v.Kind()
	number := k == event.KindInt || k == event.KindUint || k == event.KindDouble
	if k == event.KindNull {
		return true // the field is missing then
	}
	switch want {
	case event.TypeString:
		return k == event.KindString || number
	case event.TypeDouble:
		return number
	case event.TypeInt:
		return k == event.KindInt || k == event.KindDouble && v.AsDouble() == math.Trunc(v.AsDouble())
	case event.TypeUint:
		f, _ := v.Number()
		return number && f >= 0 && f == math.Trunc(f)
	case event.TypeBool:
		return k == event.KindBool
	case event.TypeTimestamp:
		if k != event.KindString {
			return false
		}
		_, err := event.ParseTime(v.AsString())
		return err == nil
	case event.TypeDuration:
		if k != event.KindString {
			return false
		}
		_, err := event.ParseDuration(v.AsString())
		return err == nil
	case event.TypeList:
		return k == event.KindList
	case event.TypeMap:
		return k == event.KindMap
	}
	return true
}

// misfit says that a value is none of a declared type.
func misfit(name string, want event.Type, v event.Value) string {
	return fmt.Sprintf("`%s` is of type %s, and this is %s", name, want, v.AppendJSON(nil))
}

// fitAdvice says what to write for a type where that is not plain.
var fitAdvice = map[event.Type]string{
	event.TypeString:    "put it in quotes",
	event.TypeTimestamp: "write it as 2000-01-01T00:00:10Z; the start of a test is 2000-01-01T00:00:00Z",
	event.TypeDuration:  "write it as 500ms, 30s, 5m, 1h30m or 7d",
	event.TypeBool:      "write true or false",
}
