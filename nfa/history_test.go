package nfa

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// historyEnv checks what a run's history says against the list of its events,
// whenever it is asked about one. Aggregate 0 counts the events of step b and
// holds the time of the last, aggregate 1 counts those of c.
type historyEnv struct {
	letterEnv
	t     failer
	prog  *Prog
	asked int
}

func (v *historyEnv) Linked(pred int, h *History) bool {
	v.asked++
	v.check(h)
	return v.letterEnv.Holds(pred)
}

func (v *historyEnv) check(h *History) {
	v.t.Helper()
	by := map[int][]*event.Event{}
	n := 0
	for step, e := range h.All() {
		by[step] = append(by[step], e)
		n++
	}
	if h.Len() != n {
		v.t.Fatalf("length %d, want %d", h.Len(), n)
	}
	var steps []int
	for step := range v.prog.steps {
		want := by[step]
		if len(want) > 0 {
			steps = append(steps, step)
		}
		if h.Count(step) != len(want) {
			v.t.Fatalf("step %d has %d events, want %d", step, h.Count(step), len(want))
		}
		for i, e := range want {
			if h.At(step, i) != e {
				v.t.Fatalf("step %d: event %d is %v, want %v", step, i, h.At(step, i), e)
			}
		}
		if got := h.Events(step); !slices.Equal(got, want) {
			v.t.Fatalf("step %d: events %v, want %v", step, got, want)
		}
	}
	if got := h.Steps(); !slices.Equal(got, steps) {
		v.t.Fatalf("steps %v, want %v", got, steps)
	}
	for i, a := range v.prog.aggs {
		events := by[a.step]
		got := h.Aggregate(i)
		if len(events) == 0 {
			if got != nil {
				v.t.Fatalf("aggregate %d over nothing is %v", i, got)
			}
			continue
		}
		if got[0].AsInt() != int64(len(events)) || len(got) > 1 && got[1].AsTime() != events[len(events)-1].Time {
			v.t.Fatalf("aggregate %d over %d events is %v", i, len(events), got)
		}
	}
	if n > 0 && (h.First() == nil || h.Last() == nil) {
		v.t.Fatalf("no first or last of %d events", n)
	}
}

func (v *historyEnv) Fold(agg int, state []event.Value) {
	n := int64(1)
	if state[0].Kind() == event.KindInt {
		n += state[0].AsInt()
	}
	state[0] = event.Int(n)
	if len(state) > 1 {
		state[1] = event.Timestamp(v.e.Time)
	}
}

func historyProg(t failer, text string) *Prog {
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	s := scenario{options: Options{Skip: SkipNone, MaxRuns: 1 << 20}}
	s.define(p)
	for name, q := range s.options.Predicates {
		s.options.Predicates[name] = Predicate{ID: q.ID, Linked: true}
	}
	for _, x := range p.Steps() {
		if x.Name == "b" || x.Name == "c" {
			s.options.AggregateSteps = append(s.options.AggregateSteps, x.Number)
			s.options.AggregateWidths = append(s.options.AggregateWidths, 2-len(s.options.AggregateWidths))
		}
	}
	prog, issues := Compile(p, s.options)
	if prog == nil {
		t.Fatal(issues)
	}
	return prog
}

func TestHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{
			"a -> b+ -> c", "(a -> b+[greedy] -> c?)+ -> d", "a -> (b | c)+ -> d", "(a -> (b => c)+)+ -> d",
		}).Draw(t, "pattern")
		prog := historyProg(t, text)
		restart := rapid.Bool().Draw(t, "restart")
		env := &historyEnv{t: t, prog: prog}
		var out Result
		m := newRunMachine(prog)
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			w := rapid.SampledFrom([]string{"a", "b", "c", "b", "d", "x"}).Draw(t, "event")
			env.at = scenarioEvent{letters: w}
			env.e = &event.Event{Time: seconds(float64(i)), Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
			m.Step(env.e, env, &out)
			if restart {
				m = reread(t, prog, m, letterSchema).(*runMachine)
			}
			if open(m) > 200 {
				m = newRunMachine(prog)
			}
		}
		for i := range out.Matches {
			env.check(&out.Matches[i].History)
		}
	})
}

// TestHistoryLong looks into long chains, where jumps and tables matter.
func TestHistoryLong(t *testing.T) {
	prog := historyProg(t, "x -> (a -> b+ -> c)+ -> d")
	env := &historyEnv{t: t, prog: prog}
	var h History
	h.prog = prog
	i := 0
	take := func(step string) {
		i++
		e := &event.Event{Time: seconds(float64(i)), Pos: event.Position{Seq: uint64(i)}, Schema: letterSchema}
		env.e = e
		s := &scratch{env: env, kept: e}
		m := &runSet{prog: prog}
		m.tick()
		n := m.extend(h.last, slices.Index(prog.StepNames(), step), s)
		if n.prev() != h.last {
			t.Fatalf("event %d does not lead back to the one before", i)
		}
		h.last = n
	}
	take("x")
	for round := range 300 {
		take("a")
		for range round % 5 {
			take("b")
		}
		take("c")
		if round%50 == 49 {
			env.check(&h)
		}
	}
	if first := h.First(); first.Time != seconds(1) {
		t.Errorf("the first event is %v", first)
	}
}

// TestGate counts how often a linked predicate is asked: only for the events
// that pass its gate, and once for each run.
func TestGate(t *testing.T) {
	p, err := Parse("a -> b")
	if err != nil {
		t.Fatal(err)
	}
	for _, gated := range []bool{false, true} {
		prog, issues := Compile(p, Options{Skip: SkipNone, Predicates: map[string]Predicate{
			"a": {ID: 'a'},
			"b": {ID: 'b', Linked: true, Gated: gated, Gate: 'b'},
		}})
		if prog == nil {
			t.Fatal(issues)
		}
		env := &historyEnv{t: t, prog: prog}
		var out Result
		m := newRunMachine(prog)
		for i, w := range strings.Fields("a a x x b") {
			env.at = scenarioEvent{letters: w}
			env.e = &event.Event{Time: seconds(float64(i)), Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
			m.Step(env.e, env, &out)
		}
		want := map[bool]int{false: 1 + 2*3, true: 2}[gated]
		if env.asked != want || len(out.Matches) != 2 || !m.Empty() {
			t.Errorf("gated %v: asked %d times, want %d; %d matches, %d runs", gated, env.asked, want, len(out.Matches), open(m))
		}
	}
}

// TestQuiet holds an event that moves nothing to no allocation, however many
// runs wait.
func TestQuiet(t *testing.T) {
	for _, text := range []string{"a -> b -> c", "a -> !z -> b+ -> c", "a -> b? -> (c -> d)+ -> e", "a -> (b | c) -> d", "a -> b[within 5s] -> c"} {
		m, env, out := openRuns(t, text, 1000)
		env.at = scenarioEvent{letters: "x"}
		m.Step(env.e, env, out) // what waits in a twin goes there once
		before := open(m)
		if n := testing.AllocsPerRun(100, func() {
			m.Advance(env.e.Time, out)
			m.Step(env.e, env, out)
		}); n != 0 {
			t.Errorf("%s: %v allocations for an event that moves nothing", text, n)
		}
		if open(m) != before || before < 1000 {
			t.Errorf("%s: %d runs, then %d", text, before, open(m))
		}
		empty := newRunMachine(m.prog)
		if n := testing.AllocsPerRun(100, func() { empty.Step(env.e, env, out) }); n != 0 || !empty.Empty() {
			t.Errorf("%s: %v allocations where nothing begins", text, n)
		}
	}
}

// TestQuietCompact does the same with the compact machine.
func TestQuietCompact(t *testing.T) {
	for _, text := range []string{"a -> b -> c", "a ~> b+ -> c", "a -> (b | c) -> d"} {
		m, env, out := openRuns(t, text, 1000)
		full := NewMachine(m.prog)
		for i := range 1000 {
			env.e = &event.Event{Time: event.Time(i), Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
			full.Step(env.e, env, out)
		}
		env.at = scenarioEvent{letters: "x"}
		empty := NewMachine(m.prog)
		for _, m := range []Machine{full, empty} {
			if n := testing.AllocsPerRun(100, func() {
				m.Advance(env.e.Time, out)
				m.Step(env.e, env, out)
			}); n != 0 {
				t.Errorf("%s: %v allocations for an event that moves nothing", text, n)
			}
		}
		if full.Empty() || !empty.Empty() || !m.prog.Compact() {
			t.Errorf("%s: empty %v and %v", text, full.Empty(), empty.Empty())
		}
	}
}

// open returns the number of runs of a machine.
func open(m *runMachine) int {
	switch {
	case m.runs != nil:
		return m.runs.size()
	case m.first != nil:
		return 1
	}
	return 0
}

// TestOneRun holds a key with one open run of one event to little memory, and
// to getting back there when other runs have gone.
func TestOneRun(t *testing.T) {
	if r, c := unsafe.Sizeof(runMachine{}), unsafe.Sizeof(compactMachine{}); r > 32 || c > 32 {
		t.Errorf("a machine of %d bytes, or %d", r, c)
	}
	prog := compactProg(t, "a -> b -> c", Options{Within: 10 * time.Second})
	for name, m := range map[string]Machine{"run": newRunMachine(prog), "compact": NewMachine(prog)} {
		one := func() bool {
			switch m := m.(type) {
			case *runMachine:
				return m.runs == nil && !m.Empty()
			case *compactMachine:
				return m.graph == nil && !m.Empty()
			}
			return false
		}
		env, out := &letterEnv{}, &Result{}
		for i, c := range []struct {
			letters string
			at      float64
			one     bool
		}{{"a", 0, true}, {"x", 1, true}, {"a", 2, false}, {"x", 10, true}, {"b", 11, false}, {"a", 13, true}, {"b", 14, false}, {"c", 15, false}, {"a", 16, true}} {
			env.at, env.e = scenarioEvent{letters: c.letters}, &event.Event{Time: seconds(c.at), Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
			m.Advance(env.e.Time, out)
			m.Step(env.e, env, out)
			m.AppendBinary(nil) // where the run machine does without what it no longer needs
			if one() != c.one {
				t.Errorf("%s machine, event %d: one run of one event %v", name, i, one())
			}
		}
		if len(out.Matches) != 1 || m.Deadline() != seconds(26) {
			t.Errorf("%s machine: %d matches, deadline %v", name, len(out.Matches), m.Deadline())
		}
	}
}

// openRuns returns a machine with n runs that wait, one nanosecond apart.
func openRuns(t testing.TB, text string, n int) (*runMachine, *letterEnv, *Result) {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	s := scenario{options: Options{Skip: SkipNone, Within: 1 << 40, MaxRuns: 1 << 20}}
	s.define(p)
	prog, issues := Compile(p, s.options)
	if prog == nil {
		t.Fatal(issues)
	}
	m, env, out := newRunMachine(prog), &letterEnv{}, &Result{}
	env.at, env.e = scenarioEvent{letters: "a"}, &event.Event{Schema: letterSchema}
	for i := range n {
		env.e = &event.Event{Time: event.Time(i), Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		m.Step(env.e, env, out)
	}
	return m, env, out
}

func ExampleMachine() {
	pattern, err := Parse("hot{2,} -> stop")
	if err != nil {
		panic(err)
	}
	prog, issues := Compile(pattern, Options{Predicates: map[string]Predicate{"hot": {ID: 'h'}, "stop": {ID: 's'}}})
	for _, i := range issues {
		fmt.Println(i.Message)
	}
	var out Result
	m := NewMachine(prog)
	env := &letterEnv{} // says what holds for the event at hand
	for i, kind := range []string{"h", "x", "h", "h", "s"} {
		at := seconds(float64(i))
		env.at, env.e = scenarioEvent{letters: kind}, &event.Event{Time: at, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		m.Advance(at, &out)
		m.Step(env.e, env, &out)
	}
	for i := range out.Matches {
		for step, e := range out.Matches[i].All() {
			fmt.Println(prog.StepNames()[step], e.Pos.Seq)
		}
	}
	// Output:
	// a partial match may wait for ever, until limits.runs drops it
	// hot 1
	// hot 3
	// hot 4
	// stop 5
}
