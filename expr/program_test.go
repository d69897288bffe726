package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/google/go-cmp/cmp"
)

func mustCompile(t testing.TB, src string, s *Scope, want Want) *Program {
	t.Helper()
	p, issues := Compile(src, s, want)
	if len(issues) > 0 {
		t.Fatalf("%s: %v", src, issues)
	}
	return p
}

func TestProgramSaysWhatItReads(t *testing.T) {
	w := newWorld()
	w.setup(t, `stream s a:double b:double n:int
step hot s list
event s {}
key site:string n:int ["oslo", 7]`)
	type facts struct {
		Type        event.Type
		Fields      []string
		Linked, Key bool
		Canonical   string
	}
	for src, want := range map[string]facts{
		`e.b>1&&e.a   <  2`:        {event.TypeBool, []string{"a", "b"}, false, false, "e.b > 1 && e.a < 2"},
		`e.n + 1 // more`:          {event.TypeInt, []string{"n"}, false, false, "e.n + 1"},
		`has(e.a)`:                 {event.TypeBool, []string{"a"}, false, false, "has(e.a)"},
		`e.?a.orValue(0)`:          {event.TypeDouble, []string{"a"}, false, false, "e.?a.orValue(0)"},
		`e["a"]`:                   {event.TypeDouble, []string{"a"}, false, false, `e["a"]`},
		`key.site == 'oslo'`:       {event.TypeBool, nil, false, true, `key.site == "oslo"`},
		`hot.avg(h,h.a) > e.b`:     {event.TypeBool, []string{"b"}, true, false, "hot.avg(h, h.a) > e.b"},
		`matched("hot").size()`:    {event.TypeInt, nil, true, false, `matched("hot").size()`},
		`[1,2].exists(x,x==e.n)`:   {event.TypeBool, []string{"n"}, false, false, "[1, 2].exists(x, x == e.n)"},
		`time(e) - duration("1m")`: {event.TypeTimestamp, nil, false, false, `time(e) - duration("1m")`},
	} {
		p := mustCompile(t, src, &w.scope, WantAny)
		got := facts{p.Type(), p.EventFields(), p.Linked(), p.UsesKey(), p.Canonical()}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", src, d)
		}
		if p.Source() != src {
			t.Errorf("Source() = %q, want %q", p.Source(), src)
		}
		again := mustCompile(t, p.Canonical(), &w.scope, WantAny)
		if again.Canonical() != p.Canonical() {
			t.Errorf("%s: the canonical text %q is not its own: %q", src, p.Canonical(), again.Canonical())
		}
	}
}

// Names in backticks stay apart from operators and selections.
func TestCanonicalBackticks(t *testing.T) {
	s := &Scope{Event: event.NewSchema("s", nil), Self: -1}
	seen := map[string]string{}
	for _, src := range []string{"e.`a.b`", "e.a.b", "e.`a-b`", "e.a - b.c", "e.`a - b`", "has(e.`a.b`)", "has(e.a.b)"} {
		p, issues := Compile(src, s, WantAny)
		if len(issues) > 0 {
			continue // b is no name
		}
		if other := seen[p.Canonical()]; other != "" {
			t.Errorf("%s and %s have the same canonical text %s", src, other, p.Canonical())
		}
		seen[p.Canonical()] = src
	}
}

// Only the fields that expressions read are used, and in the right schema.
func TestFieldsAreUsed(t *testing.T) {
	live := event.NewSchema("s", []event.Field{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}})
	kept := live.Project()
	s := &Scope{Event: live, Self: -1, Linked: &Aggregates{}, Steps: []Step{
		{Name: "hot", List: true, Schemas: []*event.Schema{kept}, Live: []*event.Schema{live}},
	}}
	mustCompile(t, "e.a > 1 && hot.b > 2 && hot.max(h, h.c) > 3", s, WantBool)
	names := func(s *event.Schema) (names []string) {
		for _, f := range s.Fields() {
			names = append(names, f.Name)
		}
		slices.Sort(names)
		return names
	}
	if d := cmp.Diff([]string{"b"}, names(kept)); d != "" {
		t.Errorf("kept fields (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"a", "b", "c"}, names(live)); d != "" {
		t.Errorf("live fields (-want +got):\n%s", d)
	}
}

func TestAggregatesAreDistinct(t *testing.T) {
	w := newWorld()
	w.setup(t, `stream s a:double s:string
stream other a:double b:double
step hot s other list
step cold s list
event s {}
linked`)
	for _, src := range []string{
		"hot.avg(h, h.a) > 1",
		"hot.avg(x, x.a) > 2 && cold.avg(h, h.a) > 1",
		"hot.avg(h, h.a + 1) > 2",
		"hot.sum(h, h.a) > hot.avg(y, y.a)",
		"hot.count(h, h.a > e.a) > 1", // walked
		"hot.filter(h, h.a > 1).avg(h, h.a) > 1",
		"matched('hot').sum(h, h.a) > 1",
		"hot.max(h, h.b) > 1", // of one stream only: walked
	} {
		mustCompile(t, src, &w.scope, WantBool)
	}
	a := w.scope.Linked
	var got []string
	for i := range a.Len() {
		got = append(got, fmt.Sprintf("%d %s width %d", a.Step(i), a.String(i), a.Width(i)))
	}
	want := []string{
		"0 hot.avg(h, h.a) width 2",
		"1 cold.avg(h, h.a) width 2",
		"0 hot.avg(h, h.a + 1) width 2",
		"0 hot.sum(h, h.a) width 1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A state survives its encoding, errors included.
func TestAggregateStates(t *testing.T) {
	w := newWorld()
	w.setup(t, `stream s n:int x:any
step hot s list
event s {}
linked`)
	p := mustCompile(t, "hot.sum(h, h.n) > 0 || hot.max(h, h.x) == 'b'", &w.scope, WantBool)
	a := w.scope.Linked
	states := make([][]event.Value, a.Len())
	for i := range states {
		states[i] = make([]event.Value, a.Width(i))
	}
	payload := []byte("b")
	for _, n := range []int64{9223372036854775807, 1} {
		e := &event.Event{Schema: w.scope.Event, Slots: make([]event.Value, len(w.scope.Event.Fields()))}
		slot, _ := w.scope.Event.Use("n")
		e.Slots[slot] = event.Int(n)
		slot, _ = w.scope.Event.Use("x")
		e.Slots[slot] = event.StringOf(payload)
		for i := range states {
			a.Fold(i, &Frame{Event: e}, states[i])
		}
	}
	payload[0] = 'z' // the state shares no memory with it
	for i := range states {
		var b []byte
		for _, v := range states[i] {
			b = v.AppendBinary(b)
		}
		r := event.NewReader(b)
		for j := range states[i] {
			states[i][j] = r.Value()
		}
	}
	f := &Frame{Event: &event.Event{Schema: w.scope.Event}, History: &fakeHistory{states: states, events: make([][]*event.Event, 1)}}
	if ok, err := p.Bool(f); !ok || err != nil {
		t.Errorf("the overflow of sum must not hide max: %v, %v", ok, err)
	}
	sum := mustCompile(t, "hot.sum(h, h.n) > 0", &w.scope, WantBool)
	var e *EvalError
	if _, err := sum.Bool(f); !errors.As(err, &e) || e.Reason() != ReasonOverflow {
		t.Errorf("sum gives %v, want an overflow", err)
	}
}

// Nothing is allocated for an event, errors included.
func TestClosuresDoNotAllocate(t *testing.T) {
	w := newWorld()
	w.setup(t, `stream s ts:timestamp temperature:double vibration:double pressure:double count:int status:string
event s {"ts": "2026-03-01T11:59:00Z", "temperature": 80.5, "vibration": 2, "count": 7, "status": "hot"}
step hot s list
step spike s
accepted hot {"vibration": 1}
accepted hot {"vibration": 2}`)
	conditions := []string{
		"e.pressure > 1", "e.count / 0 == 1", "spike.vibration > 1", "hot[7].vibration > 1",
		"hot.avg(h, h.vibration) > 1", "hot.exists(h, h.vibration > 1)", "hot.filter(h, h.vibration > 1).size() == 1",
		"hot.vibration > 1", "e.status.contains('o')", "size(e.status) > 2", "haversine(e.temperature, 1, 2, 3) > 1",
	}
	for _, c := range benchConditions {
		conditions = append(conditions, c.src)
	}
	for _, src := range conditions {
		p := mustCompile(t, src, &w.scope, WantBool)
		if !p.Compiled() {
			t.Errorf("%s runs in the library", src)
			continue
		}
		w.fill(t)
		if n := testing.AllocsPerRun(100, func() { p.Bool(&w.frame) }); n != 0 {
			t.Errorf("%s allocates %v times", src, n)
		}
	}
}

func TestLimits(t *testing.T) {
	s := &Scope{Event: event.NewSchema("s", nil), Self: -1}
	for name, src := range map[string]string{
		"long":      `e.x == "` + strings.Repeat("x", maxSize) + `"`,
		"deep":      strings.Repeat("(", 3*maxDepth) + "1" + strings.Repeat(")", 3*maxDepth),
		"deep not":  strings.Repeat("!(", 3*maxDepth) + "true" + strings.Repeat(")", 3*maxDepth),
		"wide":      "true" + strings.Repeat(" && e.x", maxNodes/2),
		"regexp":    `e.x.matches("(a{1,100}){1,10}")`,
		"empty":     "",
		"comment":   "// nothing",
		"only text": "${",
	} {
		p, issues := Compile(src, s, WantAny)
		if p != nil || len(issues) == 0 {
			t.Errorf("%s: compiled", name)
			continue
		}
		for _, i := range issues {
			if i.Offset < 0 || i.End > len(src) || i.Offset > i.End || i.Message == "" || strings.Contains(i.Message, "Syntax error") {
				t.Errorf("%s: bad issue %+v", name, i)
			}
		}
	}
}

func TestReserved(t *testing.T) {
	for _, name := range []string{"e", "key", "size", "int", "map", "true", "in", "math", "sum", "avg", "matched", "first", "exists", "duration", "startsWith", "lookup"} {
		if what, ok := Reserved(name); !ok || what == "" {
			t.Errorf("%s is not reserved", name)
		}
	}
	for _, name := range []string{"hot", "spike", "reset", "stop", "ratings", "p99"} {
		if what, ok := Reserved(name); ok {
			t.Errorf("%s is reserved: %s", name, what)
		}
	}
}

// Offsets are in bytes, also after characters of several.
func TestOffsets(t *testing.T) {
	s := &Scope{Event: event.NewSchema("s", []event.Field{{Name: "name", Type: event.TypeString}}), Self: -1}
	for _, src := range []string{`e.name == "größe" && e.nmae == "x"`, "e.name == '中文' &&\n  e.nmae == 'x'", "// größe\ne.nmae"} {
		_, issues := Compile(src, s, WantAny)
		if len(issues) != 1 || src[issues[0].Offset:issues[0].End] != "nmae" {
			t.Errorf("%q: %+v", src, issues)
		}
	}
	src := "größe ${e.name} and ${e.nmae}"
	_, issues := CompileText(src, s)
	if len(issues) != 1 || src[issues[0].Offset:issues[0].End] != "nmae" {
		t.Errorf("%q: %+v", src, issues)
	}
}

// An issue never points outside of its source, and bad input never panics.
func FuzzCompile(f *testing.F) {
	for _, src := range []string{"e.a > 1 and b", "hot.avg(h, h.a)", "${e.a} $${", "orValue()", "matched('hot')[0].a", "e.`a b`", `"\u00e9" + é`} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		w := newWorld()
		w.setup(t, "stream s a:double s:string\nstream any\nstep hot s list\nstep one any\nevent s {}\nkey site:string n [\"oslo\", 1]\nlinked")
		_, issues := Compile(src, &w.scope, WantBool)
		_, more := CompileText(src, &w.scope)
		for _, i := range append(issues, more...) {
			if i.Offset < 0 || i.End > len(src) || i.Offset > i.End {
				t.Errorf("%q: %+v", src, i)
			}
			if i.Message == "" || strings.Contains(i.Message, "@") && !strings.Contains(src, "@") {
				t.Errorf("%q: message %q", src, i.Message)
			}
		}
	})
}
