package nfa

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// agreeCompact holds the compact machine to the matches of the run machine.
// Written and read back after every event it finds the same, and its bytes are
// those of the one that was not; so are the matches of the runs that it becomes
// when its program asks for them.
func agreeCompact(t failer, text string, prog *Prog, events []scenarioEvent, want []string) {
	t.Helper()
	if got := machineRun(t, prog, NewMachine(prog), events, false); !slices.Equal(got, want) {
		t.Fatalf("%s  within %v skip %v %v\non %v\n compact %q\nwant %q\n%s%s", text, prog.within, prog.skip, prog.order, events, got, want, prog, prog.CompactString())
	}
	if got := machineRun(t, prog, &drowsy{NewMachine(prog), prog}, events, false); prog.Sleeps() && !slices.Equal(got, want) {
		t.Fatalf("%s: not shown what it sleeps over %q\nwant %q", text, got, want)
	}
	if got := machineRun(t, prog, &drowsy{newRunMachine(prog), prog}, events, false); prog.Sleeps() && !slices.Equal(got, want) {
		t.Fatalf("%s: runs that were stored by another program, not shown what the compact machine sleeps over %q\nwant %q", text, got, want)
	}
	if got := machineRun(t, prog, NewMachine(prog), events, true); !slices.Equal(got, want) {
		t.Fatalf("%s: written and read back %q\nwant %q", text, got, want)
	}
	if got := machineRun(t, prog, &mixed{prog: prog, kept: NewMachine(prog), read: NewMachine(prog), t: t}, events, false); !slices.Equal(got, want) {
		t.Fatalf("%s: %q\nwant %q", text, got, want)
	}
	for n := range events {
		if got := machineRun(t, prog, &expanded{Machine: NewMachine(prog), prog: prog, after: n, t: t}, events, false); !slices.Equal(got, want) {
			t.Fatalf("%s: made runs after event %d %q\nwant %q", text, n, got, want)
		}
	}
}

// mixed steps two machines, of which one is written and read back after every
// event, and compares what they ask and their bytes: a condition that fails is
// counted where it is asked.
type mixed struct {
	Machine
	prog       *Prog
	kept, read Machine
	t          failer
}

func (m *mixed) Advance(at event.Time, out *Result) { m.kept.Advance(at, out); m.read.Advance(at, out) }

func (m *mixed) Step(e *event.Event, env Env, out *Result) {
	m.t.Helper()
	letters := env.(*letterEnv)
	var asked [2]asking
	asked[0].letterEnv, asked[1].letterEnv = letters, letters
	m.read.Step(e, &asked[0], &Result{})
	letters.held = 0
	m.kept.Step(e, &asked[1], out)
	if asked[0].asked != asked[1].asked {
		m.t.Fatalf("%v: asked %b, read back %b", e.Pos, asked[1].asked, asked[0].asked)
	}
	m.read = reread(m.t, m.prog, m.read, letterSchema)
	if e.Pos.Seq%7 != 0 { // the one that is kept is tidied by being written
		return
	}
	a, b := m.kept.AppendBinary(nil), m.read.AppendBinary(nil)
	if !bytes.Equal(a, b) || m.kept.Deadline() != m.read.Deadline() || m.kept.Empty() != m.read.Empty() {
		m.t.Fatalf("%v, empty %v, deadline %v\n%x\nread back\n%x, empty %v, deadline %v", e.Pos, m.kept.Empty(), m.kept.Deadline(), a, b, m.read.Empty(), m.read.Deadline())
	}
}

// asking notes what is asked.
type asking struct {
	*letterEnv
	asked uint64
}

func (v *asking) HoldAll(preds []int, asked uint64) uint64 {
	v.asked |= asked
	return v.letterEnv.HoldAll(preds, asked)
}

// expanded becomes a run machine after some events.
type expanded struct {
	Machine
	prog  *Prog
	after int
	t     failer
}

func (m *expanded) Step(e *event.Event, env Env, out *Result) {
	m.Machine.Step(e, env, out)
	if m.after--; m.after == 0 {
		prog := *m.prog
		prog.compact = nil
		m.Machine = reread0(m.t, &prog, m.Machine)
	}
}

// reread0 reads a machine as one of another program of the same shape.
func reread0(t failer, prog *Prog, m Machine) Machine {
	t.Helper()
	read, err := ReadMachine(prog, event.NewReader(m.AppendBinary(nil)), func(string) *event.Schema { return letterSchema })
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// TestCompactRandom compares the machines on streams that are too long for the
// oracle. Patterns are short, since the runs multiply.
func TestCompactRandom(t *testing.T) {
	ran := 0
	rapid.Check(t, func(t *rapid.T) {
		if checkCompact(t) {
			ran++
		}
	})
	t.Logf("%d programs", ran)
	if ran < 10 {
		t.Error("too few programs were for the compact machine")
	}
}

func FuzzCompact(f *testing.F) { f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { checkCompact(t) })) }

func checkCompact(t *rapid.T) bool {
	r := &randomPattern{t: t}
	text := r.sequence(2, true)
	p, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	o := Options{Skip: Skip(r.draw(2, "skip")), Within: time.Duration(r.draw(12, "within")) * time.Second, MaxRuns: 1 << 16}
	s := scenario{options: o}
	s.define(p)
	prog, _ := Compile(p, s.options)
	if prog == nil || !prog.Compact() {
		return false
	}
	events := randomEvents(t, 40)
	if !fewRuns(prog, events) {
		return false
	}
	agreeCompact(t, text, prog, events, machineRun(t, prog, newRunMachine(prog), events, false))
	return true
}

// TestCompactLists compares the machines on patterns that bring chains which
// began at different times from several states into one, so that its list is
// long, and on some that end with an event that is not taken.
func TestCompactLists(t *testing.T) {
	longest := 0
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{
			"(a -> b | c -> b2 | d -> b3 | e -> b4 | f -> b5) -> z",
			"(a ~> b | c ~> b2 | d ~> b3 | e ~> b4 | f ~> b5) ~> z",
			"(a -> b | c -> b2 | d ~> b3 | e ~> b4 | f -> b5) ~> z => !x",
			"(a -> b | c -> b2 | d -> b3 | e -> b4 | f -> b5) => !x",
			"(a{1,2}[greedy] -> b){1,2} => !x",
			"a ~> (b{1,2}[greedy] -> c){1,3}[any] => !x",
		}).Draw(t, "pattern")
		o := Options{Skip: Skip(rapid.IntRange(0, 1).Draw(t, "skip")), Within: time.Duration(rapid.IntRange(0, 30).Draw(t, "within")) * time.Second, MaxRuns: 1 << 16}
		prog := compactProg(t, text, o)
		var events []scenarioEvent
		at := 0
		for range rapid.IntRange(0, 50).Draw(t, "events") {
			w := rapid.SampledFrom([]string{"a", "c", "d", "e", "f", "b", "z", "x", "ab", "cx", "bz", "y"}).Draw(t, "event")
			at += rapid.IntRange(0, 2).Draw(t, "gap")
			events = append(events, scenarioEvent{fmt.Sprint(w, at), w, seconds(float64(at))})
		}
		if !fewRuns(prog, events) {
			return
		}
		agreeCompact(t, text, prog, events, machineRun(t, prog, newRunMachine(prog), events, false))
		longest = max(longest, longestList(prog, events))
	})
	if longest < groupIDs+2 {
		t.Errorf("the longest list was %d", longest)
	}
}

// longestList returns the length of the longest list that a stream leads to.
func longestList(prog *Prog, events []scenarioEvent) (longest int) {
	m, env, out := newCompactMachine(prog), &letterEnv{}, &Result{}
	for i, e := range events {
		env.at, env.e = e, &event.Event{Time: e.time, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		m.Advance(e.time, out)
		if m.Step(env.e, env, out); m.graph != nil {
			for _, a := range m.graph.active {
				longest = max(longest, int(a.n))
			}
		}
	}
	return longest
}

// fewRuns reports whether a stream leaves few runs open at any time.
func fewRuns(prog *Prog, events []scenarioEvent) bool {
	var out Result
	m, env := newRunMachine(prog), &letterEnv{}
	for i, e := range events {
		env.at, env.e = e, &event.Event{Time: e.time, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		m.Advance(e.time, &out)
		m.Step(env.e, env, &out)
		if open(m) > 500 || len(out.Matches) > 2000 {
			return false
		}
	}
	return true
}

// compactProg compiles a pattern for the compact machine.
func compactProg(t failer, text string, o Options) *Prog {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	s := scenario{options: o}
	s.define(p)
	prog, issues := Compile(p, s.options)
	if prog == nil || !prog.Compact() {
		t.Fatalf("%s is not for the compact machine: %v", text, issues)
	}
	return prog
}

// TestCompactChoice says which programs the compact machine runs.
func TestCompactChoice(t *testing.T) {
	for _, c := range []struct {
		text string
		o    Options
		want bool
	}{
		{"a -> b -> c", Options{}, true},
		{"a -> b -> c", Options{Within: 1e9, Skip: SkipNone, Order: OrderStart}, true},
		{"a+ -> (b | c)+ -> !d -> e", Options{}, true},
		{"a => !b", Options{Skip: SkipNone}, true},
		{"a => !b", Options{}, true},
		{"a -> !b", Options{Within: 1e9}, false},                  // ends with time
		{"a -> b[within 1s]", Options{}, false},                   // a window for each run
		{"a -> b", Options{Within: 1e9, Timeout: true}, false},    // tells of each run
		{"a -> b", Options{Order: OrderStart}, false},             // holds matches back
		{"a -> b", Options{Skip: SkipToNext}, false},              // skips some runs
		{"a -> b", Options{MaxRuns: 999}, false},                  // counts runs
		{"(a | b | c | d | e | f | g | h | i)", Options{}, false}, // asks too much at once
		{"a -> b", Options{AggregateSteps: []int{0}, AggregateWidths: []int{1}}, false},
	} {
		p, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		s := scenario{options: c.o}
		s.define(p)
		prog, issues := Compile(p, s.options)
		if prog == nil {
			t.Fatalf("%s: %v", c.text, issues)
		}
		if got := prog.Compact(); got != c.want {
			t.Errorf("%s %+v: compact %v, want %v", c.text, c.o, got, c.want)
		}
	}
}

// TestCompactBound feeds events that all stay open, without a window. The limit
// of runs bounds what is kept, and what goes is what began first.
func TestCompactBound(t *testing.T) {
	const limit = 1000
	for _, text := range []string{"a -> b", "a ~> a2 -> b", "a -> a2+[any] -> b"} {
		prog := compactProg(t, text, Options{MaxRuns: limit, Skip: SkipNone})
		m := newCompactMachine(prog)
		env, out := &letterEnv{at: scenarioEvent{letters: "a"}}, &Result{}
		evicted := 0
		for i := range 20 * limit {
			env.e = &event.Event{Time: event.Time(i), Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
			m.Step(env.e, env, out)
			evicted += out.Evicted
			out.Reset()
			if m.graph == nil {
				continue
			}
			if n := len(m.graph.vertices); n > 10*limit {
				t.Fatalf("%s: %d vertices after %d events", text, n, i+1)
			}
		}
		env.at.letters = "b"
		m.Step(env.e, env, out)
		if evicted == 0 || len(out.Matches) < limit/2 || out.Matches[len(out.Matches)-1].Start < event.Time(20*limit-3) {
			t.Errorf("%s: %d evicted, %d matches", text, evicted, len(out.Matches))
		}
	}
}

// TestCompactMatchMemory feeds a story that matches again and again. The memory of
// matches is used again once the result is reset, however many there were, and
// those of an event are right as long as it is not.
func TestCompactMatchMemory(t *testing.T) {
	prog := compactProg(t, "a -> b ~> c", Options{Within: 8 * time.Second, Skip: SkipNone})
	m, env, out := newCompactMachine(prog), &letterEnv{}, &Result{}
	events := make([]event.Event, 1<<12)
	matches, most := 0, 0
	step := func(i int) {
		e := &events[i%len(events)]
		*e = event.Event{Time: event.Time(i) * 1e8, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		env.e, env.at.letters = e, []string{"a", "b", "c"}[i%3]
		m.Step(e, env, out)
		for j := range out.Matches {
			x := &out.Matches[j]
			if x.Len() != 3 || x.Last() != e || x.Start != x.First().Time || x.At(1, 0).Time <= x.Start {
				t.Fatalf("event %d, match %d: %v", i, j, x)
			}
		}
		matches, most = matches+len(out.Matches), max(most, len(out.Matches))
		out.Reset()
	}
	i := 0
	for ; i < 1000; i++ {
		step(i)
	}
	before := matches
	allocs := testing.AllocsPerRun(1000, func() { step(i); i++ })
	if per := float64(matches-before) / 1000; allocs > 2 || per < 5 || most < matchNodes/3 {
		t.Errorf("%v allocations for an event with %v matches, %d at most", allocs, per, most)
	}
}

// TestSleeps says which programs need not be shown an event that no step takes.
// Of those that both machines run, the compact one leaves more in peace.
func TestSleeps(t *testing.T) {
	for _, c := range []struct {
		text         string
		run, compact bool
	}{
		{"a -> b -> c", true, true},
		{"(a | b) -> !x -> c", true, true},
		{"(a & b)", true, true},
		{"a -> b? -> c", true, true},
		{"a ~> b+ -> c", true, true},
		{"a -> b{2,4}[any] -> c", true, true},
		{"a+[greedy] -> b", true, true},
		{"(a -> b)+ -> c", false, true},
		{"a -> (b+ & c) -> d", true, true},
		{"a -> b+ -> !x -> c", true, true},
		{"a -> !x", true, true},
		{"a => b", false, false},
		{"a -> b => c", false, false},
		{"a => !x", false, false},
		{"a -> b+[strict] -> c", false, false},
		{"a -> b[within 1s]", false, false},
	} {
		p, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		s := scenario{options: Options{Within: 1e9}}
		s.define(p)
		prog, issues := Compile(p, s.options)
		if prog == nil {
			t.Fatal(issues)
		}
		if got := prog.Sleeps(); got != c.compact {
			t.Errorf("%s: sleeps %v, want %v\n%s%s", c.text, got, c.compact, prog, prog.CompactString())
		}
		prog.compact = nil
		if got := prog.Sleeps(); got != c.run {
			t.Errorf("%s: on the run machine: sleeps %v, want %v\n%s", c.text, got, c.run, prog)
		}
	}
}
