package expr

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// grammar holds templates of random expressions by type: {type} stands for an
// expression of it. They are over fields of a declared stream (of e and of the
// steps one, gone and hot) and of a dynamic one (of the step dyn).
var grammar = map[string][]string{
	"event":  {"e", "e", "e", "e", "one", "hot", "hot[1]", "hot.last()", "hot.first()", "gone"},
	"number": {"{double}", "{double}", "{int}", "{uint}"},
	"scalar": {"{double}", "{int}", "{uint}", "{string}", "{bool}", "{time}", "{duration}", "{any}"},
	"cmp":    {"==", "!=", "<", "<=", ">", ">="},
	"arith":  {"+", "-", "*", "/"},
	"double": {
		"tab[{string}].max", "tab[{scalar}].max", "tab[?{any}].max.orValue({number})", `lookup(tab, {string}, {"max": 1}).max`, `lookup(tab, {any}, tab[{string}]).max`, "hot.sum(h, tab[h.s].max)",
		"({double} {arith} {number})", "({number} {arith} {double})", "({bool} ? {double} : {number})", "-{double}",
		"{event}.?a.orValue({number})", "{event}.?b.orValue({number})", "double({number})", "math.abs({double})", "math.greatest({double}, {double})", "math.round({double})", "math.floor({double})", "math.sqrt({number})",
		"hot.sum(h, {over double})", "hot.avg(h, {over double})", "hot.min(h, {over double})", "hot.max(h, {over double})",
		"hot.stddev(h, {over double})", "hot.avg(h, {over int})", "haversine({number}, 10, {number}, 5.0)", "{any}",
	},
	"int": {
		"tab[{scalar}].n", "tab[?{scalar}].?n.orValue({int})", "tab[{string}].?n.orValue({int})", `lookup(tab, {any}, {"n": 3}).n`, "tab.size()",
		"({int} {arith} {int})", "({int} % {int})", "({int} {arith} {uint})", "({uint} {arith} {int})", "({bool} ? {int} : {int})", "-{int}", "-{uint}",
		"size({string})", "size({list})", "int({number})", "math.abs({int})", "math.least({int}, {int})", "{event}.?n.orValue({int})",
		"{time}.getHours()", "{time}.getMinutes()", "{time}.getSeconds()", "{time}.getDayOfWeek()", "{time}.getMonth()", "{time}.getDate()",
		"{time}.getDayOfMonth()", "{time}.getFullYear()", "{time}.getDayOfYear()", "{time}.getMilliseconds()",
		"{duration}.getHours()", "{duration}.getMinutes()", "{duration}.getSeconds()",
		"hot.sum(h, {over int})", "hot.min(h, {over int})", "hot.max(h, {over int})", "hot.count(h, {over bool})", "hot.filter(h, {over bool}).size()", "{any}",
	},
	"uint":     {"({uint} {arith} {uint})", "({uint} % {uint})"},
	"string":   {"tab[{string}].s", "tab.hot.s", "({string} + {string})", "({bool} ? {string} : {string})", "e.?s.orValue({string})", "hot.max(h, h.s)"},
	"time":     {"({time} + {duration})", "({time} - {duration})", "({duration} + {time})"},
	"duration": {"({time} - {time})", "({duration} + {duration})", "({duration} - {duration})", "-{duration}"},
	"bool": {
		"({scalar} in tab)", "has(tab[{scalar}].max)", "tab[{string}].on", "tab[?{any}].hasValue()", "tab[?{string}].?on.hasValue()", "tab.exists(k, tab[k].n == {int})", "has(tab.hot)", "hot.all(h, h.s in tab)",
		"({bool} && {bool})", "({bool} || {bool})", "!{bool}", "({bool} ? {bool} : {bool})",
		"({number} {cmp} {number})", "({number} {cmp} {number})", "({string} {cmp} {string})", "({bool} {cmp} {bool})", "({time} {cmp} {time})",
		"({duration} {cmp} {duration})", "({any} {cmp} {scalar})", "({scalar} {cmp} {any})", "({any} in {list})", "({number} in [1, 2.5, 3u])",
		"{string}.startsWith({string})", "{string}.endsWith({any})", "{any}.contains({string})", `{string}.matches("h.t")`, `{any}.matches("^$")`,
		"hot.all(h, {over bool})", "hot.exists(h, {over bool})", "hot.exists_one(h, {over bool})",
		"[1, 2, 3].all(v, dyn(v) {cmp} {any})", "[1, 2, 3].exists(v, v {cmp} {number})", "dyn.l.exists_one(v, v {cmp} {any})",
		"e.?p.hasValue()", "dyn.?y.k.hasValue()", `cidr_in({string}, "10.0.0.0/8")`,
	},
	"any": {
		"({any} {arith} {any})", "({any} % {any})", "({bool} ? {any} : {any})", "({bool} ? {any} : dyn({scalar}))",
		"dyn.?x.orValue({any})", "dyn.?y.orValue({any})", "dyn.?z.orValue({any})", "dyn.?y.k.orValue({any})", "dyn.?y.?k.orValue({any})",
		"dyn.l[{int}]", "dyn.l[{any}]", "math.greatest({number}, {number})", "math.least({number}, {number})", "{list}.first()", "dyn.l.last()", "sum({list})", "avg({list})", "max({list})", "min({list})", "stddev({list})", "-{any}", `matched("dyn").sum(d, d.x)`, `matched("dyn").min(d, d.x)`, `matched("dyn").max(d, d.x + d.z)`,
		"both.sum(b, b.b)", "both.sum(b, b.n)", "both.max(b, b.a)", "both.avg(b, b.k)", "both.count(b, b.n > 1)", "both.min(b, has(b.k) ? b.k : b.n)", "both.filter(b, b.b > 0).size()",
		`matched("dyn").avg(d, d.x)`, `matched("dyn").stddev(d, d.x)`, "{scalar}", "{scalar}",
	},
}

// leaves are the templates where an expression ends.
var leaves = map[string][]string{
	"double":   {"{event}.a", "{event}.b", "1.5", "-2.0", "0.0", "value", "9.3e18", "0.1", "1e308"},
	"int":      {"{event}.n", "{event}.m", "1", "7", "0", "-3", "9223372036854775807", "hot.size()", "size({event}.s)", "hot.count(h, h.a > 1)"},
	"uint":     {"{event}.u", "3u", "18446744073709551615u"},
	"string":   {"{event}.s", "{event}.z", `"hot"`, `""`, `"b%"`, "key.site", "stream({event})"},
	"bool":     {"{event}.p", "true", "false", "has({event}.a)", "has({event}.s)", "has(dyn.x)", "has(dyn.l.y)"},
	"time":     {"{event}.t", "time({event})", "unix_s(0)", "unix_s({event}.n)", "unix_ms({event}.a)"},
	"duration": {"{event}.d", `duration("1h")`, `duration("-5m")`},
	"list":     {"[1, 2.5, 3u]", `["hot", "cold"]`, "{event}.l", "dyn.l", "[]", `[1, "a", true]`},
	"any":      {"both.a", "both.n", "both[1].k", "both.b", "stream(both.last())", "dyn.x", "dyn.y", "dyn.z", "dyn.nope", "dyn.l", "null", "key.n", "dyn.l.y", "dyn.x[0]", `dyn.y["k"]`, "dyn(1)"},
}

// A writer writes random expressions of the grammar.
type writer struct {
	t       *rapid.T
	inMacro bool // the variable h is an event
}

func (w *writer) expr(name string, depth int) string {
	from := grammar[name]
	if leaf := leaves[name]; leaf != nil && (from == nil || depth <= 0 || rapid.IntRange(0, 4).Draw(w.t, "leaf") == 0) {
		from = leaf
	}
	if name == "event" && w.inMacro {
		from = append([]string{"h", "h", "h", "h"}, from...)
	}
	return w.expand(rapid.SampledFrom(from).Draw(w.t, name), depth-1)
}

var hole = regexp.MustCompile(`\{[a-z ]+\}`)

func (w *writer) expand(template string, depth int) string {
	return hole.ReplaceAllStringFunc(template, func(p string) string {
		name, over := strings.CutPrefix(strings.Trim(p, "{}"), "over ")
		if !over {
			return w.expr(name, depth)
		}
		if w.inMacro {
			return map[string]string{"double": "h.a", "int": "h.n", "bool": "h.p"}[name]
		}
		w.inMacro = true
		defer func() { w.inMacro = false }()
		return w.expr(name, depth)
	})
}

const equalSetup = `stream s a:double b:double n:int m:int u:uint s:string z:string p:bool t:timestamp d:duration l:list
stream any
event s %s
key site:string n ["oslo", 7]
var value:double 3.5
step hot s list
step one s
step gone s
step dyn any
stream other a:string b:double n:double k:int
step both s other list
table tab max:double n:int s:string on:bool
row tab hot {"max": 80.5, "n": 3, "s": "oslo", "on": true}
row tab oslo {"max": 1, "s": ""}
row tab 7 {"n": -9223372036854775808, "on": false}
row tab true {"max": 1e308, "s": "hot"}
row tab 1.5 {"n": 7}
row tab 2026-03-01T00:00:00Z {"n": 8}
row tab 1h {"n": 9}
%s`

var payloads = []string{
	`{}`,
	`{"a": 1.5, "b": -2, "n": 3, "m": 0, "u": 4, "s": "hot", "z": "10.1.2.3", "p": true, "t": "2026-03-01T00:00:00Z", "d": "1h", "l": [1, "hot", 2.5]}`,
	`{"a": 2, "n": -9223372036854775808, "m": 9223372036854775807, "u": 18446744073709551615, "s": "", "p": false, "t": "2261-12-31T23:59:59Z", "d": "292y", "l": []}`,
	`{"a": "text", "b": 1e308, "n": 7.5, "s": 5, "p": "yes", "l": {"y": 1}}`,
	`{"a": 0, "b": 0.1, "n": 1, "u": 0, "s": "hotel", "p": true, "d": "-5m", "l": [null, true]}`,
}

var dynamic = []string{
	`{}`,
	`{"x": 1, "y": {"k": 5}, "z": "hot", "l": [1, 2, 3]}`,
	`{"x": 2.5, "y": {"k": null}, "z": null, "l": {"y": 1}}`,
	`{"x": "hot", "y": [1], "z": true, "l": "text"}`,
	`{"x": 18446744073709551615, "y": 3, "z": [1], "l": [1.0, "a", null]}`,
	`{"x": [5], "y": {"k": {"j": 1}}, "z": 0, "l": []}`,
}

// TestClosuresEqualLibrary holds closures and the library to the same results
// and errors, on random expressions and events. In half of the cases the
// aggregates are kept up event by event, in the other half they are walked.
func TestClosuresEqualLibrary(t *testing.T) {
	compiled, whole := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{t: t}
		src := w.expr("scalar", rapid.IntRange(1, 5).Draw(t, "depth"))
		c, l := checkEqual(t, src, func(from []string) string { return rapid.SampledFrom(from).Draw(t, "payload") }, rapid.Bool().Draw(t, "linked"))
		whole += l
		compiled += c
	})
	t.Logf("%d of %d expressions ran as closures", compiled, whole)
	if compiled*2 < whole {
		t.Errorf("only %d of %d expressions ran as closures", compiled, whole)
	}
}

// checkEqual compiles src both ways and compares the two on events. It returns
// whether it compiled, and whether as closures.
func checkEqual(t fataler, src string, draw func(from []string) string, linked bool) (closures, compiled int) {
	w := newWorld()
	var accepted strings.Builder
	for range 3 {
		fmt.Fprintf(&accepted, "accepted hot %s\n", draw(payloads))
	}
	fmt.Fprintf(&accepted, "accepted both s %s\naccepted both other %s\naccepted both s %s\n", draw(payloads), draw(payloads), draw(payloads))
	fmt.Fprintf(&accepted, "accepted one %s\naccepted dyn %s\n", draw(payloads), draw(dynamic))
	w.setup(t, fmt.Sprintf(equalSetup, draw(payloads), strings.TrimSpace(accepted.String())))
	if linked {
		w.scope.Linked = &Aggregates{}
	}
	p, issues := Compile(src, &w.scope, WantAny)
	if len(issues) > 0 {
		return 0, 0
	}
	lib, issues := compile(src, &w.scope, WantAny, options{event: "e", library: true})
	if len(issues) > 0 && strings.HasPrefix(issues[0].Message, "planning: invalid qualifier") {
		return 0, 0 // a constant of a type that no index has
	}
	if len(issues) > 0 {
		t.Fatalf("%s: compiled as closures, but in the library: %v", src, issues)
	}
	walked := w.scope
	walked.Linked = nil
	walk, issues := compile(src, &walked, WantAny, options{event: "e"})
	if len(issues) > 0 {
		t.Fatalf("%s: compiled with aggregates kept up, but not walked: %v", src, issues)
	}
	condition, _ := Compile(src, &w.scope, WantBool)
	w.fill(t)
	if condition != nil {
		checkGuarded(t, condition, &w.frame)
	}
	got, r := p.eval(&w.frame)
	want, wantR := lib.eval(&w.frame)
	if condition != nil { // it may be asked by a test of one field first
		truth := failed(wantR)
		switch {
		case wantR == 0 && want.Kind() == event.KindBool:
			truth = truthOf(want.AsBool())
		case wantR == 0:
			truth = failed(ReasonType)
		}
		if got := condition.truth(&w.frame); got != truth {
			t.Fatalf("%s as a condition\nclosures: %d\nlibrary:  %d", src, got, truth)
		}
	}
	if r != wantR || r == 0 && !same(got, want) {
		t.Fatalf("%s\nclosures: %s (%v)\nlibrary:  %s (%v)", src, show(got), r, show(want), wantR)
	}
	other, otherR := walk.eval(&w.frame)
	if r != otherR || r == 0 && !same(got, other) {
		t.Fatalf("%s\nkept up: %s (%v)\nwalked:  %s (%v)", src, show(got), r, show(other), otherR)
	}
	if p.Compiled() {
		closures = 1
	}
	return closures, 1
}

// checkGuarded holds a condition to its guard: false, without an error, where
// the field is another text or number.
func checkGuarded(t fataler, p *Program, f *Frame) {
	g := p.Guard()
	if g == nil {
		return
	}
	v := f.Event.Slot(g.Slot)
	switch v.Kind() {
	case event.KindString, event.KindInt, event.KindUint, event.KindDouble:
	default:
		return
	}
	for _, want := range g.Values {
		if equal(v, want) {
			return
		}
	}
	if holds, err := p.Bool(f); holds || err != nil {
		t.Fatalf("%s with %s: %v, %v, in spite of its guard", p.Source(), show(v), holds, err)
	}
}

func show(v event.Value) string { return v.Kind().String() + " " + v.Text() }

// FuzzClosuresEqualLibrary does the same on expressions from a fuzzer.
func FuzzClosuresEqualLibrary(f *testing.F) {
	for _, src := range []string{
		`e.a > 80 && e.s == "hot"`, `hot.avg(h, h.a) * 1.5 < one.b`, `dyn.x + 1 in [1, 2.5]`, `e.?n.orValue(3) % 2 == 0`,
		`hot.exists(h, h.s.startsWith("h")) || !e.p`, `e.s.startsWith("h") && e.n > 2 || e.a <= 1.5`, `time(e) - e.t > duration("1h") ? e.n : -e.m`,
	} {
		f.Add(src, uint8(0), true)
	}
	f.Fuzz(func(t *testing.T, src string, seed uint8, linked bool) {
		n := int(seed)
		checkEqual(t, src, func(from []string) string {
			n = n*5 + 3
			return from[n%len(from)]
		}, linked)
	})
}
