package expr

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cockroachdb/datadriven"
)

// A world is what a scenario file has set up: schemas, a scope and a frame.
type world struct {
	streams map[string]*event.Schema
	scope   Scope
	frame   Frame
	history *fakeHistory
	eventIn string // payload of `e`
	stepsIn map[string][]string
	results map[string]string // values of variables of a window, in JSON
}

type fakeHistory struct {
	events [][]*event.Event
	states [][]event.Value
}

func (h *fakeHistory) Count(step int) int              { return len(h.events[step]) }
func (h *fakeHistory) At(step, i int) *event.Event     { return h.events[step][i] }
func (h *fakeHistory) Aggregate(agg int) []event.Value { return h.states[agg] }

func newWorld() *world {
	return &world{streams: map[string]*event.Schema{}, scope: Scope{Self: -1}, stepsIn: map[string][]string{}}
}

// stream declares a stream: "telemetry temperature:double status:string", or
// "telemetry" for a dynamic one.
func (w *world) stream(line string) *event.Schema {
	words := strings.Fields(line)
	var fields []event.Field
	for _, word := range words[1:] {
		name, typ, _ := strings.Cut(word, ":")
		t, err := event.ParseType(typ)
		if err != nil {
			panic(err)
		}
		fields = append(fields, event.Field{Name: name, Type: t})
	}
	s := event.NewSchema(words[0], fields)
	w.streams[words[0]] = s
	return s
}

// setup runs the lines of a `scope` command:
//
//	stream telemetry temperature:double
//	event telemetry {"temperature": 80}
//	key site:string device:string ["oslo", "p1"]
//	step hot telemetry list
//	accepted hot {"temperature": 90}
//	self hot
//	linked
//	window telemetry
//	var value:double 3.5
//	table ratings max:double
//	row ratings p1 {"max": 80}
func (w *world) setup(t fataler, input string) {
	for line := range strings.Lines(input) {
		line = strings.TrimSpace(line)
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "stream":
			w.stream(rest)
		case "event":
			name, payload, _ := strings.Cut(rest, " ")
			w.scope.Event, w.eventIn = w.streams[name], payload
		case "key":
			w.key(t, rest)
		case "nokey":
			w.scope.NoKey = true
		case "step":
			w.step(t, strings.Fields(rest))
		case "accepted":
			name, payload, _ := strings.Cut(rest, " ")
			w.stepsIn[name] = append(w.stepsIn[name], payload)
		case "self":
			w.scope.Self = slices.IndexFunc(w.scope.Steps, func(s Step) bool { return s.Name == rest })
		case "table":
			w.table(rest)
		case "row":
			w.row(t, rest)
		case "window":
			w.window(t, strings.Fields(rest))
		case "linked":
			w.scope.Linked = &Aggregates{}
		case "var":
			decl, value, _ := strings.Cut(rest, " ")
			name, typ, _ := strings.Cut(decl, ":")
			vt, err := event.ParseType(typ)
			if err != nil {
				t.Fatalf("%v", err)
			}
			w.scope.Vars = append(w.scope.Vars, Var{name, vt})
			w.frame.Vars = append(w.frame.Vars, declared(parseJSON(t, value), vt))
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
}

func (w *world) table(line string) {
	tab := &Table{Rows: map[string][]event.Value{}}
	for i, word := range strings.Fields(line) {
		name, typ, _ := strings.Cut(word, ":")
		if i == 0 {
			tab.Name = name
			continue
		}
		vt, err := event.ParseType(typ)
		if err != nil {
			panic(err)
		}
		tab.Columns = append(tab.Columns, event.Field{Name: name, Type: vt})
	}
	w.scope.Tables = append(w.scope.Tables, tab)
}

func (w *world) row(t fataler, line string) {
	words := strings.SplitN(line, " ", 3)
	cells := parseJSON(t, words[2])
	for _, tab := range w.scope.Tables {
		if tab.Name == words[0] {
			row := make([]event.Value, len(tab.Columns))
			for i, f := range tab.Columns {
				row[i] = declared(cells.Field(f.Name), f.Type)
			}
			tab.Rows[words[1]] = row
		}
	}
}

func (w *world) key(t fataler, rest string) {
	decl, values, _ := strings.Cut(rest, " [")
	for _, word := range strings.Fields(decl) {
		name, typ, typed := strings.Cut(word, ":")
		f := event.Field{Name: name}
		if typed {
			f.Type, _ = event.ParseType(typ)
		}
		w.scope.Key.Parts = append(w.scope.Key.Parts, f)
	}
	w.scope.Key.Single = len(w.scope.Key.Parts) == 1
	w.frame.Key = parseJSON(t, "["+values).AsList()
}

func (w *world) step(t fataler, words []string) {
	s := Step{Name: words[0]}
	for _, word := range words[1:] {
		switch word {
		case "list":
			s.List = true
		case "negated":
			s.Negated = true
		default:
			live := w.streams[word]
			if live == nil {
				t.Fatalf("no stream %s", word)
			}
			s.Live = append(s.Live, live)
			s.Schemas = append(s.Schemas, live.Project())
		}
	}
	w.scope.Steps = append(w.scope.Steps, s)
}

// fill makes the events, once it is known which fields are used, and folds the
// aggregates.
func (w *world) fill(t fataler) {
	w.frame.Event = nil
	if w.scope.Event != nil {
		w.frame.Event = makeEvent(t, w.scope.Event, w.eventIn, 0)
	}
	h := &fakeHistory{events: make([][]*event.Event, len(w.scope.Steps))}
	if a := w.scope.Linked; a != nil {
		for i := range a.Len() {
			h.states = append(h.states, make([]event.Value, a.Width(i)))
		}
	}
	for i, s := range w.scope.Steps {
		for n, payload := range w.stepsIn[s.Name] {
			stream := 0
			if name, rest, ok := strings.Cut(payload, " {"); ok && !strings.HasPrefix(payload, "{") {
				stream = slices.IndexFunc(s.Live, func(l *event.Schema) bool { return l.Stream() == name })
				payload = "{" + rest
			}
			live := makeEvent(t, s.Live[stream], payload, n+1)
			h.events[i] = append(h.events[i], s.Schemas[stream].Keep(live, false, &event.Texts{}))
			for j := range h.states {
				if w.scope.Linked.Step(j) == i {
					w.scope.Linked.Fold(j, &Frame{Event: live}, h.states[j])
				}
			}
		}
	}
	w.fillWindow(t)
	w.history = h
	w.frame.History = h
}

// makeEvent makes an event of a JSON object, as a decoder would. Its time is
// 2026-03-01T12:00:00Z and n seconds.
func makeEvent(t fataler, s *event.Schema, payload string, n int) *event.Event {
	start, _ := event.ParseTime("2026-03-01T12:00:00Z")
	e := &event.Event{Time: start + event.Time(n)*1e9, Schema: s, More: &event.Details{Topic: "plant/" + s.Stream()}, Slots: make([]event.Value, len(s.Fields()))}
	object := parseJSON(t, payload)
	for i, f := range s.Fields() {
		e.Slots[i] = declared(object.Field(f.Name), f.Type)
	}
	return e
}

// declared converts a value to a declared type as decoders do: what does not
// fit is missing.
func declared(v event.Value, t event.Type) event.Value {
	switch {
	case t == event.TypeAny:
		return v
	case t == event.TypeTimestamp && v.Kind() == event.KindString:
		if at, err := event.ParseTime(v.AsString()); err == nil {
			return event.Timestamp(at)
		}
	case t == event.TypeDuration && v.Kind() == event.KindString:
		if d, err := event.ParseDuration(v.AsString()); err == nil {
			return event.DurationOf(d)
		}
	case t == event.TypeUint && v.Kind() == event.KindInt && v.AsInt() >= 0:
		return event.Uint(uint64(v.AsInt()))
	}
	if v, r := conform(v, t); r == 0 {
		return v
	}
	return event.Missing
}

func parseJSON(t fataler, text string) event.Value {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := readJSON(d)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func readJSON(d *json.Decoder) (event.Value, error) {
	tok, err := d.Token()
	if err != nil {
		return event.Missing, err
	}
	switch tok := tok.(type) {
	case nil:
		return event.Null, nil
	case bool:
		return event.Bool(tok), nil
	case string:
		return event.String(tok), nil
	case json.Number:
		if i, err := tok.Int64(); err == nil {
			return event.Int(i), nil
		}
		var u uint64
		if _, err := fmt.Sscan(tok.String(), &u); err == nil && fmt.Sprint(u) == tok.String() {
			return event.Uint(u), nil
		}
		f, err := tok.Float64()
		return event.Double(f), err
	}
	if tok == json.Delim('[') {
		var vs []event.Value
		for d.More() {
			v, err := readJSON(d)
			if err != nil {
				return v, err
			}
			vs = append(vs, v)
		}
		_, err = d.Token()
		return event.List(vs), err
	}
	var es []event.Entry
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return event.Missing, err
		}
		v, err := readJSON(d)
		if err != nil {
			return v, err
		}
		es = append(es, event.Entry{Name: name.(string), Value: v})
	}
	_, err = d.Token()
	return event.Map(es), err
}

var wants = map[string]Want{"any": WantAny, "bool": WantBool, "time": WantTime, "key": WantKey, "number": WantNumber}

// TestScenarios runs the files that show what expressions mean. A scope sets
// up names; eval prints the value of each line, or its error.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") {
			return
		}
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "scope":
				w = newWorld()
				w.setup(t, d.Input)
				return "ok\n"
			case "eval":
				return w.evalLines(t, d)
			case "issues":
				return w.issueLines(d)
			case "text":
				return w.textLines(t, d)
			case "let":
				return w.letLines(d)
			case "values":
				return w.valueLines(d)
			case "asked":
				return w.asked()
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

func wantOf(d *datadriven.TestData) Want {
	var want string
	d.MaybeScanArgs(&testing.T{}, "want", &want)
	return wants[want]
}

func (w *world) evalLines(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	for line := range strings.Lines(d.Input) {
		line = strings.TrimSpace(line)
		p, issues := Compile(line, &w.scope, wantOf(d))
		fmt.Fprintf(&b, "%s\n    ", line)
		if len(issues) > 0 {
			fmt.Fprintf(&b, "%s\n", carets(line, issues))
			continue
		}
		w.fill(t)
		v, err := p.Value(&w.frame)
		switch {
		case err != nil:
			fmt.Fprintf(&b, "error: %v", err)
		case v.Kind() == event.KindDouble:
			fmt.Fprintf(&b, "%s (double)", v.Text())
		case v.Kind() == event.KindTime, v.Kind() == event.KindDuration, v.Kind() == event.KindUint:
			fmt.Fprintf(&b, "%s (%s)", v.Text(), v.Kind())
		default:
			b.Write(v.AppendJSON(nil))
		}
		if !p.Compiled() {
			b.WriteString("    # library")
		}
		b.WriteByte('\n')
		w.holdEqual(t, p, line)
	}
	return b.String()
}

// carets prints issues under the line that they are about.
func carets(line string, issues []Issue) string {
	var b strings.Builder
	for i, issue := range issues {
		if i > 0 {
			b.WriteString("\n    ")
		}
		width := max(1, len([]rune(line[issue.Offset:issue.End])))
		fmt.Fprintf(&b, "%s%s %s", strings.Repeat(" ", len([]rune(line[:issue.Offset]))), strings.Repeat("^", width), issue.Message)
		if issue.Advice != "" {
			fmt.Fprintf(&b, " (%s)", issue.Advice)
		}
	}
	return b.String()
}

func (w *world) issueLines(d *datadriven.TestData) string {
	var b strings.Builder
	for line := range strings.Lines(d.Input) {
		line = strings.TrimSpace(line)
		_, issues := Compile(line, &w.scope, wantOf(d))
		if len(issues) == 0 {
			fmt.Fprintf(&b, "%s\nok\n", line)
			continue
		}
		fmt.Fprintf(&b, "%s\n%s\n", line, strings.ReplaceAll(carets(line, issues), "\n    ", "\n"))
	}
	return b.String()
}

func (w *world) textLines(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	for line := range strings.Lines(d.Input) {
		line = strings.TrimSuffix(line, "\n")
		fmt.Fprintf(&b, "%s\n", line)
		text, issues := CompileText(line, &w.scope)
		if len(issues) > 0 {
			fmt.Fprintf(&b, "%s\n", strings.ReplaceAll(carets(line, issues), "\n    ", "\n"))
			continue
		}
		w.fill(t)
		out, failed := text.Append(nil, &w.frame)
		fmt.Fprintf(&b, "    %s", out)
		if failed > 0 {
			fmt.Fprintf(&b, "    # %d failed", failed)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// holdEqual holds closures and library to the same result.
func (w *world) holdEqual(t *testing.T, p *Program, line string) {
	t.Helper()
	if !p.Compiled() {
		return
	}
	lib := w.libraryOf(t, line, p.want)
	w.fill(t) // the library may use more fields
	got, r := p.eval(&w.frame)
	want, libR := lib.eval(&w.frame)
	if r != libR || r == 0 && !same(got, want) {
		t.Errorf("%s: closures give %s (%v), the library %s (%v)", line, got.Text(), r, want.Text(), libR)
	}
}

// libraryOf compiles an expression for the library.
func (w *world) libraryOf(t testing.TB, line string, want Want) *Program {
	t.Helper()
	p, issues := compile(line, &w.scope, want, options{event: "e", library: true})
	if len(issues) > 0 {
		t.Fatalf("%s: %v", line, issues)
	}
	return p
}

// same reports whether two values are the same, kinds and NaN included.
func same(a, b event.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	return string(a.AppendJSON(nil)) == string(b.AppendJSON(nil))
}

// A fataler is a test, a benchmark, or a property that rapid checks.
type fataler interface {
	Fatalf(format string, args ...any)
}
