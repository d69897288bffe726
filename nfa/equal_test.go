package nfa

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// failer is what a test and a rapid check have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func seconds0(t event.Time) float64 { return time.Duration(t).Seconds() }

// machineRun gives what a machine finds, as the oracle prints it. With restart
// it is written and read back after every event.
func machineRun(t failer, prog *Prog, m Machine, events []scenarioEvent, restart bool) []string {
	var out Result
	env := &letterEnv{}
	for i, e := range events {
		env.at, env.held = e, 0
		env.e = &event.Event{Time: e.time, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		m.Advance(e.time, &out)
		m.Step(env.e, env, &out)
		if env.held > 1 {
			t.Fatalf("event %d was kept %d times", i, env.held)
		}
		if restart {
			m = reread(t, prog, m, letterSchema)
		}
	}
	m.Advance(event.MaxTime, &out)
	var text []string
	for i := range out.Matches {
		var words []string
		for step, e := range out.Matches[i].All() {
			words = append(words, fmt.Sprintf("%s=%d", prog.StepNames()[step], e.Pos.Seq-1))
		}
		text = append(text, fmt.Sprintf("%s at %v", strings.Join(words, " "), seconds0(out.Matches[i].End)))
	}
	return text
}

// agree compares machine and oracle on one pattern and stream.
func agree(t failer, text string, o Options, events []scenarioEvent) {
	p, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s := scenario{options: o}
	s.define(p)
	prog, issues := Compile(p, s.options)
	if prog == nil {
		t.Fatalf("%s: %v", text, issues)
	}
	got := machineRun(t, prog, newRunMachine(prog), events, false)
	want := (&oracle{pattern: p, events: events, options: s.options}).run()
	if !slices.Equal(got, want) {
		var words []string
		for _, e := range events {
			words = append(words, e.name)
		}
		t.Fatalf("%s  within %v skip %v %s order %v\non %s\n got %q\nwant %q\n%s",
			text, o.Within, o.Skip, o.SkipTo, o.Order, strings.Join(words, " "), got, want, prog)
	}
	if again := machineRun(t, prog, newRunMachine(prog), events, true); !slices.Equal(got, again) {
		t.Fatalf("%s: written and read back %q\nelse %q", text, again, got)
	}
	if o.Skip == SkipNone { // a match skips what it skips whatever led to it
		agreeLinked(t, text, p, s.options, events, got)
	}
	if prog.Compact() {
		agreeCompact(t, text, prog, events, got)
	}
}

// drowsy is a machine that is not shown an event for which no plain predicate
// holds.
type drowsy struct {
	Machine
	prog *Prog
}

func (m *drowsy) Step(e *event.Event, env Env, out *Result) {
	if slices.ContainsFunc(m.prog.preds, func(q Predicate) bool { return !q.Linked && env.Holds(q.ID) }) {
		m.Machine.Step(e, env, out)
	}
}

// linkedEnv answers linked predicates as if they were plain. Their gates, which
// have numbers of their own, let c pass as well.
type linkedEnv struct{ *letterEnv }

const gateID = 1000

func (v linkedEnv) Holds(pred int) bool {
	if pred < gateID {
		return v.letterEnv.Holds(pred)
	}
	return v.letterEnv.Holds(pred-gateID) || v.letterEnv.Holds('c')
}

func (v linkedEnv) Linked(pred int, _ *History) bool { return v.letterEnv.Holds(pred) }

// linkedMachine asks a linkedEnv.
type linkedMachine struct{ Machine }

func (m linkedMachine) Step(e *event.Event, env Env, out *Result) {
	m.Machine.Step(e, linkedEnv{env.(*letterEnv)}, out)
}

// agreeLinked holds the run machine to the same matches where it learns only
// from runs what it could know beforehand, and where it is not shown what it
// sleeps over.
func agreeLinked(t failer, text string, p *Pattern, o Options, events []scenarioEvent, want []string) {
	t.Helper()
	plain, _ := Compile(p, o)
	plain.compact = nil
	if got := machineRun(t, plain, &drowsy{newRunMachine(plain), plain}, events, false); plain.Sleeps() && !slices.Equal(got, want) {
		t.Fatalf("%s: not shown what it sleeps over %q\nwant %q\n%s", text, got, want, plain)
	}
	all := o.Predicates
	o.Predicates = map[string]Predicate{}
	for name, q := range all {
		o.Predicates[name] = Predicate{ID: q.ID, Linked: true, Gated: true, Gate: gateID + q.ID}
	}
	linked, _ := Compile(p, o)
	if got := machineRun(t, linked, linkedMachine{newRunMachine(linked)}, events, false); !slices.Equal(got, want) {
		t.Fatalf("%s: with linked conditions %q\nwant %q\n%s", text, got, want, linked)
	}
	if got := machineRun(t, linked, linkedMachine{&drowsy{newRunMachine(linked), linked}}, events, false); linked.Sleeps() && !slices.Equal(got, want) {
		t.Fatalf("%s: with linked conditions, not shown what it sleeps over %q\nwant %q\n%s", text, got, want, linked)
	}
}

// streams returns all streams of n events over words, a second apart.
func streams(n int, words ...string) [][]scenarioEvent {
	all := [][]scenarioEvent{nil}
	for i := range n {
		var longer [][]scenarioEvent
		for _, s := range all {
			for _, w := range words {
				longer = append(longer, append(slices.Clone(s), scenarioEvent{fmt.Sprint(w, i+1), w, seconds(float64(i + 1))}))
			}
		}
		all = longer
	}
	return all
}

var allSkips = []Options{
	{Skip: SkipNone}, {Skip: SkipPastLast}, {Skip: SkipToNext}, {Skip: SkipToFirst, SkipTo: "a"}, {Skip: SkipToLast, SkipTo: "a"},
}

var many = flag.Bool("many", false, "run patterns over all short streams, not some of them")

// TestOracleSmall runs every small pattern of a kind over short streams: with
// -many over all of them.
func TestOracleSmall(t *testing.T) {
	items := []string{"%s", "%s?", "%s+", "%s*", "%s{2}", "%s{1,2}", "%s{2,}[strict]", "%s+[any]", "%s{1,2}[optional]", "%s+[greedy]"}
	follows := []string{"=>", "->", "~>"}
	n := 0
	for _, x := range items {
		for _, f := range follows {
			for _, y := range items {
				text := fmt.Sprintf(x, "a") + " " + f + " " + fmt.Sprintf(y, "b")
				for i, events := range streams(4, "a", "b", "ab", "x") {
					if !*many && (i+n)%7 > 0 {
						continue
					}
					o := allSkips[(i+n)%len(allSkips)]
					o.Order = Order((i / 2) % 2)
					if i%3 == 0 {
						o.Within = 2 * time.Second
					}
					agree(t, text, o, events)
				}
				n++
			}
		}
	}
}

// TestOracleForms runs patterns with the larger constructs over every stream of
// four events, with -many of five.
func TestOracleForms(t *testing.T) {
	for _, text := range []string{
		"a -> b | b -> a", "(a & b)", "(a & b & c)", "(a+ & b)", "(a & b?)", "c -> (a & b)", "(a & b) => c", "((a => b) & c)",
		"a -> (b | c)", "a -> (b | c)+", "(a | b -> c){2}", "(a | b)+ -> c", "(a -> b)+ -> c", "(a -> b)? -> c", "(a -> b){2}", "(a -> b){1,2} => c",
		"c ~> (a -> b)*", "(a -> b?)+ -> c", "(a+ -> b){1,2}", "a => !b -> c", "a => !b => c", "a => !b", "a -> !b -> c", "a+ -> !b -> c",
		"a{2} -> !b -> c", "a? -> !b -> c", "a -> b? -> !a2 -> c", "a -> !b -> c? -> a2", "a -> !b -> c+", "a -> (b -> !c -> a2 | c2)", "a -> b -> !c",
		"a -> (b | c) -> !a2", "c -> a+[until b]", "c -> a*[until b] -> b2", "(a -> b)+[until c]", "a+[greedy] -> b -> c", "a+[greedy] -> b? -> c",
		"a -> b{1,2}[greedy] -> c", "a+[greedy, until c] -> b", "a -> (b -> (c | a2)?)+", "a* -> (b & c)",
		"c -> (a+[strict] -> b)+[strict]", "c ~> ((a -> b){2} -> c2)", "a+[greedy] -> (b | c)", "a -> !b -> (c -> a2)+", "a -> !b -> (c | a2 -> b2)", "a -> !b -> (c & a2)", "a -> !b -> (c -> a2)? -> b2", "(a | b+[greedy]) -> c",
	} {
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		first, n := p.Steps()[0].Name, 4
		if *many {
			n = 5
		}
		for i, events := range streams(n, "a", "b", "c", "bc") {
			o := allSkips[i%len(allSkips)]
			if o.SkipTo != "" {
				o.SkipTo = first
			}
			o.Order = Order((i / 5) % 2)
			if i%4 == 1 || strings.HasSuffix(text, "-> !c") || strings.HasSuffix(text, "-> !a2") {
				o.Within = 3 * time.Second
			}
			agree(t, text, o, events)
		}
	}
}

// randomPattern draws a pattern that check accepts and the oracle knows.
type randomPattern struct {
	t     *rapid.T
	steps int
}

func (r *randomPattern) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(r.t, what) }

func (r *randomPattern) name() string {
	r.steps++
	return fmt.Sprintf("%c%d", "abc"[r.draw(3, "letter")], r.steps)
}

func (r *randomPattern) sequence(depth int, top bool) string {
	n := 1 + r.draw(3, "items")
	var b strings.Builder
	plain, not := false, false // what stands last is one mandatory step; a negation was drawn
	for i := range n {
		if i > 0 {
			switch f := r.draw(10, "follow"); {
			case f == 0 && plain && (i < n-1 || top):
				b.WriteString(" => !" + r.name())
				plain, not = false, true
				continue
			case f <= 2 && plain && i < n-1:
				b.WriteString(" -> !" + r.name())
				plain, not = false, true
				continue
			default:
				b.WriteString([]string{" -> ", " => ", " ~> "}[f%3])
			}
		}
		item, mandatory := r.name(), true
		if top || !not || i < n-1 {
			// What is optional behind a negation and last in a group is left
			// out: as in Flink it keeps the negation for one event only.
			d := depth
			if not {
				d = 0
			}
			item, mandatory = r.item(d)
		}
		plain = mandatory
		b.WriteString(item)
	}
	return b.String()
}

func (r *randomPattern) item(depth int) (text string, plain bool) {
	kind := r.draw(10, "kind")
	if depth == 0 {
		kind = 0
	}
	switch {
	case kind < 6:
		text = r.name()
		c := r.draw(12, "count")
		text += []string{"", "", "", "?", "+", "*", "{2}", "{1,2}", "{2,}", "{0,2}", "+", "+"}[c]
		if c >= 4 {
			text += []string{"", "[strict]", "[any]", "[greedy]"}[r.draw(4, "inner")]
		}
		return text, c < 3
	case kind == 6:
		text = "(" + r.sequence(depth-1, false) + " | " + r.sequence(depth-1, false) + ")"
	case kind == 7:
		text = "(" + r.name() + " & " + r.name() + ")"
	default:
		text = "(" + r.sequence(depth-1, false) + ")"
	}
	text += []string{"", "", "?", "{2}", "{1,2}", "+"}[r.draw(6, "rounds")]
	return text, false
}

func randomEvents(t *rapid.T, n int) []scenarioEvent {
	var events []scenarioEvent
	at := 0
	for range rapid.IntRange(0, n).Draw(t, "events") {
		w := rapid.SampledFrom([]string{"a", "b", "c", "ab", "bc", "x"}).Draw(t, "event")
		at += rapid.IntRange(0, 2).Draw(t, "gap")
		events = append(events, scenarioEvent{fmt.Sprint(w, at), w, seconds(float64(at))})
	}
	return events
}

// TestOracleRandom compares machine and oracle on random patterns and streams.
func TestOracleRandom(t *testing.T) {
	rapid.Check(t, checkOracle)
}

func checkOracle(t *rapid.T) {
	r := &randomPattern{t: t}
	text := r.sequence(2, true)
	p, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	o := Options{Skip: Skip(r.draw(5, "skip")), Order: Order(r.draw(2, "order")), Within: time.Duration(r.draw(8, "within")) * time.Second}
	steps := p.Steps()
	o.SkipTo = steps[r.draw(len(steps), "target")].Name
	s := scenario{options: o}
	s.define(p)
	if prog, _ := Compile(p, s.options); prog == nil {
		t.Skip("not a valid pattern")
	}
	agree(t, text, o, randomEvents(t, 8))
}
