package nfa

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cockroachdb/datadriven"
)

// The files of testdata/scenarios are the manual of the pattern language, one
// construct a file. A case is a pattern, a stream and the matches:
//
//	match
//	pattern: a -> b
//	events:  a1 x2 b3
//	----
//	a1 b3
//
// An event is its letters, which are the steps that it is, and its time in
// seconds; ab3 is an a and a b at once. Where the numbers do not fall, two
// events may have the same time. A step is defined as its own letter, and a
// name after `until` likewise. Further lines say within, skip, order, timeout,
// runs, and until when time goes on behind the last event (`to: 20`; else it
// stays). `explain` in place of `match` prints what happens to every run,
// `check` what is wrong with a pattern, `list`, `compact` and `mermaid` the program.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := runScenario(d.Cmd, d.Input)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return out
		})
	})
}

// scenario is one case.
type scenario struct {
	pattern string
	events  []scenarioEvent
	options Options
	to      event.Time
	defined []string // names, if not all letters
}

type scenarioEvent struct {
	name    string
	letters string
	time    event.Time
}

func runScenario(cmd, input string) (string, error) {
	s, err := parseScenario(input)
	if err != nil {
		return "", err
	}
	p, err := Parse(s.pattern)
	if err != nil {
		e := err.(*SyntaxError)
		return printIssue(s.pattern, Issue{Offset: e.Offset, End: e.End, Message: e.Message, Advice: e.Advice}), nil
	}
	s.define(p)
	prog, issues := Compile(p, s.options)
	if prog == nil || cmd == "check" {
		var b strings.Builder
		for _, i := range issues {
			b.WriteString(printIssue(s.pattern, i))
		}
		if b.Len() == 0 {
			return "ok\n", nil
		}
		return b.String(), nil
	}
	switch cmd {
	case "match":
		return s.run(prog, nil), nil
	case "explain":
		var b strings.Builder
		s.run(prog, &scenarioTracer{&b, prog})
		return b.String(), nil
	case "list":
		return prog.String(), nil
	case "compact":
		return prog.CompactString(), nil
	case "mermaid":
		return prog.Mermaid(func(name string) string { return "e.kind == \"" + name + "\"" }), nil
	case "dot":
		return prog.DOT(nil), nil
	}
	return "", fmt.Errorf("unknown command %q", cmd)
}

func parseScenario(input string) (*scenario, error) {
	s := &scenario{to: event.MinTime}
	for line := range strings.Lines(input) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		var err error
		switch key {
		case "pattern":
			s.pattern = value
		case "events":
			for _, w := range strings.Fields(value) {
				var e scenarioEvent
				if e, err = parseEvent(w); err != nil {
					return nil, err
				}
				s.events = append(s.events, e)
			}
		case "within":
			s.options.Within, err = event.ParseDuration(value)
		case "skip":
			name, step, _ := strings.Cut(value, " ")
			s.options.SkipTo = step
			for k := SkipPastLast; k.String() != name; k++ {
				s.options.Skip = k + 1
			}
		case "order":
			if value == "start" {
				s.options.Order = OrderStart
			}
		case "timeout":
			s.options.Timeout = true
		case "runs":
			s.options.MaxRuns, err = strconv.Atoi(value)
		case "define":
			s.defined = strings.Fields(value)
		case "to":
			var n float64
			n, err = strconv.ParseFloat(value, 64)
			s.to = seconds(n)
		case "#", "":
		default:
			err = fmt.Errorf("unknown line %q", line)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func seconds(n float64) event.Time { return event.Time(n * float64(time.Second)) }

func parseEvent(word string) (scenarioEvent, error) {
	letters := strings.TrimRight(word, "0123456789.")
	n, err := strconv.ParseFloat(word[len(letters):], 64)
	if err != nil {
		return scenarioEvent{}, fmt.Errorf("event %q has no time", word)
	}
	return scenarioEvent{word, letters, seconds(n)}, nil
}

// define gives every name of the pattern a predicate: the letter that it
// begins with.
func (s *scenario) define(p *Pattern) {
	s.options.Predicates = map[string]Predicate{}
	names := s.defined
	if names == nil {
		for _, x := range p.Steps() {
			names = append(names, x.Name)
		}
		for _, u := range p.Untils() {
			names = append(names, u.Name)
		}
	}
	for _, n := range names {
		s.options.Predicates[n] = Predicate{ID: int(n[0])}
	}
}

// letterEnv holds predicate c for events with the letter c.
type letterEnv struct {
	at   scenarioEvent
	e    *event.Event
	held int // calls of Keep
}

func (v *letterEnv) Holds(pred int) bool                      { return strings.IndexByte(v.at.letters, byte(pred)) >= 0 }
func (v *letterEnv) HoldAll(preds []int, asked uint64) uint64 { return holdAll(v, preds, asked) }
func (v *letterEnv) Linked(int, *History) bool                { return false }
func (v *letterEnv) Fold(int, []event.Value)                  {}
func (v *letterEnv) Keep() *event.Event                       { v.held++; return v.e }

// holdAll asks about one predicate after the other.
func holdAll(env Env, preds []int, asked uint64) (holds uint64) {
	for i, pred := range preds {
		if bit := uint64(1) << i; asked&bit != 0 && env.Holds(pred) {
			holds |= bit
		}
	}
	return holds
}

var letterSchema = event.NewSchema("s", nil)

func (s *scenario) run(prog *Prog, tracer Tracer) string {
	out := Result{Trace: tracer}
	if tracer == nil && prog.Compact() {
		return s.runOn(NewMachine(prog), &out)
	}
	return s.runOn(newRunMachine(prog), &out)
}

func (s *scenario) runOn(m Machine, out *Result) string {
	env := &letterEnv{}
	var b strings.Builder
	flush := func() {
		for i := range out.Matches {
			fmt.Fprintln(&b, s.print(&out.Matches[i], ""))
		}
		for i := range out.Timeouts {
			fmt.Fprintln(&b, s.print(&out.Timeouts[i], "timeout: "))
		}
		if out.Evicted > 0 {
			fmt.Fprintf(&b, "evicted: %d\n", out.Evicted)
		}
		out.Reset()
	}
	for i, e := range s.events {
		env.at = e
		env.e = &event.Event{Time: e.time, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema, More: &event.Details{Topic: e.name}}
		m.Advance(e.time, out)
		flush()
		m.Step(env.e, env, out)
		flush()
	}
	if s.to != event.MinTime {
		m.Advance(s.to, out)
		flush()
	}
	if b.Len() == 0 {
		return "none\n"
	}
	return b.String()
}

// print writes the events of a match, and when it ended if that was not with
// the last of them.
func (s *scenario) print(m *Match, prefix string) string {
	var names []string
	for _, e := range m.All() {
		names = append(names, e.Topic())
	}
	text := prefix + strings.Join(names, " ")
	if last := m.Last(); last.Time != m.End {
		text += fmt.Sprintf(" at %s", strconv.FormatFloat(time.Duration(m.End).Seconds(), 'f', -1, 64))
	}
	return text
}

// printIssue prints a pattern with carets under what is wrong.
func printIssue(pattern string, i Issue) string {
	kind := "error"
	if i.Warning {
		kind = "warning"
	}
	text := fmt.Sprintf("%s: %s\n", kind, i.Message)
	if i.Advice != "" {
		text = fmt.Sprintf("%s: %s; %s\n", kind, i.Message, i.Advice)
	}
	if i.End > 0 || i.Offset > 0 || kind == "error" && i.End > i.Offset {
		text += "  " + pattern + "\n  " + strings.Repeat(" ", i.Offset) + strings.Repeat("^", max(1, i.End-i.Offset)) + "\n"
	}
	return text
}

type scenarioTracer struct {
	b    *strings.Builder
	prog *Prog
}

func (t *scenarioTracer) Trace(x Trace) {
	var names []string
	for _, e := range x.Run.All() {
		names = append(names, e.Topic())
	}
	fmt.Fprintf(t.b, "%3v  %-8s {%s}", time.Duration(x.Time).Seconds(), x.Change, strings.Join(names, " "))
	if x.Step >= 0 {
		fmt.Fprintf(t.b, " by %s", t.prog.StepNames()[x.Step])
	}
	var wants []string
	for _, w := range x.Wants {
		wants = append(wants, t.prog.StepNames()[w])
	}
	sort.Strings(wants)
	if x.Change <= ChangeSkipped && len(wants) > 0 {
		fmt.Fprintf(t.b, " wants %s", strings.Join(slices.Compact(wants), ", "))
	}
	t.b.WriteByte('\n')
}
