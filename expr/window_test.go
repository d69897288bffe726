package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/window"
	"github.com/cockroachdb/datadriven"
)

// window sets up a window over events of some streams. Its bounds are a
// minute from 2026-03-01T12:00:00Z.
func (w *world) window(t fataler, streams []string) {
	ws := &WindowScope{Result: aggregateType, Baseline: func(b WindowBaseline) (int, error) {
		if _, err := event.ParseDuration(b.History); err != nil {
			return 0, err
		}
		_, err := window.ParseProfile(b.Profile)
		return 1, err
	}}
	for _, name := range streams {
		if w.streams[name] == nil {
			t.Fatalf("no stream %s", name)
		}
		ws.Streams = append(ws.Streams, w.streams[name])
		ws.Keys = append(ws.Keys, w.scope.Key)
	}
	ws.Declare(WindowStart, event.TypeTimestamp)
	ws.Declare(WindowEnd, event.TypeTimestamp)
	w.scope.Window = ws
	w.results = map[string]string{WindowStart: `"2026-03-01T12:00:00Z"`, WindowEnd: `"2026-03-01T12:01:00Z"`}
}

func aggregateType(a WindowAggregate, arg event.Type) (event.Type, error) {
	k, _ := window.ParseKind(a.Name)
	if k == window.Quantile && a.Number > 1 {
		return 0, errors.New("a quantile lies between 0 and 1")
	}
	t, ok := k.Result(arg)
	if !ok {
		return 0, fmt.Errorf("%s() does not take %s", a.Name, arg)
	}
	return t, nil
}

// fillWindow gives the variables their values; those that have none are
// missing.
func (w *world) fillWindow(t fataler) {
	if w.scope.Window == nil {
		return
	}
	w.frame.Vars = nil
	for _, v := range w.scope.Window.Vars {
		value := event.Missing
		if text, ok := w.results[v.Name]; ok {
			value = declared(parseJSON(t, text), v.Type)
		}
		w.frame.Vars = append(w.frame.Vars, value)
	}
}

// letLines declares names: "p99: quantile(e.x, 0.99)".
func (w *world) letLines(d *datadriven.TestData) string {
	var b strings.Builder
	for line := range strings.Lines(d.Input) {
		name, src, _ := strings.Cut(strings.TrimSpace(line), ": ")
		p, issues := Compile(src, &w.scope, WantAny)
		if len(issues) > 0 {
			fmt.Fprintf(&b, "%s\n", carets(src, issues))
			continue
		}
		i := w.scope.Window.Declare(name, p.Type())
		fmt.Fprintf(&b, "%d %s %s, from %v\n", i, name, p.Type(), p.Variables())
	}
	return b.String()
}

// valueLines gives variables their values: "count() = 3".
func (w *world) valueLines(d *datadriven.TestData) string {
	for line := range strings.Lines(d.Input) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		w.results[name] = value
	}
	return "ok\n"
}

// asked prints what the expressions so far have asked of the window.
func (w *world) asked() string {
	var b strings.Builder
	part := func(name string, p *Program) {
		if p != nil {
			fmt.Fprintf(&b, ", %s %s (%s)", name, p.Source(), p.Type())
		}
	}
	for _, a := range w.scope.Window.Aggregates {
		fmt.Fprintf(&b, "%d %s %s", a.Var, w.scope.Window.Vars[a.Var].Type, a.Text)
		for i, arg := range a.Args {
			if i > 0 && slices.Equal(a.Args[i-1:i], a.Args[i:i+1]) {
				continue
			}
			part("value", arg.Value)
			part("filter", arg.Filter)
		}
		b.WriteByte('\n')
	}
	for _, x := range w.scope.Window.Baselines {
		fmt.Fprintf(&b, "%d %s: of %s from %v\n", x.Var, x.Text, x.Value.Source(), x.Value.Variables())
	}
	return b.String()
}

// FuzzWindow compiles any text as an expression about a window: it gives a
// program or an issue whose offsets lie in the text, and what it has asked for
// can be asked for again by its text, as the same variable.
func FuzzWindow(f *testing.F) {
	for _, src := range []string{"count()", "sum(e.x, e.ok) / count(e.ok)", `baseline(avg(e.x), "7d", "hour_of_day") > 1`, "topk(e.s, 3)[0].value",
		"[1, 2].exists(i, count(e.x > 1) > i)", "sum(collect(e.x))", "window.end - window.start", "avg((e.x + 1) * 2)", "min(`x`)", "last(e.tags.exists(t, t == 'a'))"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		w := newWorld()
		w.setup(t, "stream s x:double ok:bool s:string tags:list\nwindow s")
		p, issues := Compile(src, &w.scope, WantAny)
		for _, i := range issues {
			if i.Offset < 0 || i.End < i.Offset || i.End > len(src) {
				t.Fatalf("%q: %v lies outside", src, i)
			}
		}
		if (p == nil) != (len(issues) > 0) {
			t.Fatalf("%q: neither a program nor an issue", src)
		}
		if p == nil {
			return
		}
		w.fill(t)
		p.eval(&w.frame)
		n := len(w.scope.Window.Vars)
		for _, a := range w.scope.Window.Aggregates {
			again, issues := Compile(a.Text, &w.scope, WantAny)
			if len(issues) > 0 || len(w.scope.Window.Vars) != n || !slices.Equal(again.Variables(), []int{a.Var}) {
				t.Fatalf("%q: %s is another aggregate: %v", src, a.Text, issues)
			}
		}
	})
}
