package nfa

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// TestRandomWindows draws patterns whose steps have windows of their own, with
// every strategy, timeouts and low limits of runs. Whatever happens between two
// events is nothing to a machine: it finds the same if time goes on in between,
// if it is advanced at its deadlines only, if it is written and read back, if a
// tracer looks on, and if it is not shown what it sleeps over.
func TestRandomWindows(t *testing.T) { rapid.Check(t, checkWindows) }

func FuzzWindows(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkWindows)) }

func checkWindows(t *rapid.T) {
	r := &randomPattern{t: t}
	p, err := Parse(r.sequence(2, true))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Skip: Skip(r.draw(5, "skip")), Order: Order(r.draw(2, "order")), Within: time.Duration(r.draw(8, "within")) * time.Second,
		Timeout: r.draw(2, "timeout") == 1, MaxRuns: []int{0, 1, 2, 5}[r.draw(4, "runs")],
	}
	p.Root.walk(false, func(n *Node, _ bool) {
		window := time.Duration(max(0, r.draw(8, "window")-4)) * time.Second
		switch {
		case n.Op == OpStep && n.Counted:
			n.Gap = window
		case n.Op == OpStep, n.Op == OpNot:
			n.Within = window
		}
	})
	steps := p.Steps()
	o.SkipTo = steps[r.draw(len(steps), "target")].Name
	s := scenario{options: o}
	s.define(p)
	prog, _ := Compile(p, s.options)
	if prog == nil {
		t.Skip("not a valid pattern")
	}
	events := randomEvents(t, 14)
	want := findAll(t, prog, events, variant{})
	variants := map[string]variant{
		"with time in between": {ticks: true}, "advanced at its deadlines": {lazy: true}, "written and read back": {reread: true},
		"traced": {traced: true}, "its epochs begin anew": {wraps: true}, "not shown what it sleeps over": {drowsy: true},
	}
	if prog.Compact() {
		for _, name := range slices.Collect(maps.Keys(variants)) {
			v := variants[name]
			v.compact, v.traced = true, false
			variants["compact, "+name] = v
		}
	}
	for name, v := range variants {
		if got := findAll(t, prog, events, v); !slices.Equal(got, want) {
			t.Fatalf("%s  within %v skip %v %s order %v\non %v\n%s %q\nelse %q\n%s", p, o.Within, o.Skip, o.SkipTo, o.Order, events, name, got, want, prog)
		}
	}
}

// variant says how a machine is treated between events.
type variant struct{ compact, ticks, lazy, reread, traced, drowsy, wraps bool }

type noTracer struct{}

func (noTracer) Trace(Trace) {}

// findAll lists all that a machine finds.
func findAll(t failer, prog *Prog, events []scenarioEvent, v variant) (all []string) {
	var m Machine = newRunMachine(prog)
	if v.compact {
		m = NewMachine(prog)
	}
	env, out := &letterEnv{}, &Result{}
	if v.traced {
		out.Trace = noTracer{}
	}
	list := func(what string, found []Match) {
		for i := range found {
			words := []string{what}
			for step, e := range found[i].All() {
				words = append(words, fmt.Sprintf("%s=%d", prog.StepNames()[step], e.Pos.Seq-1))
			}
			all = append(all, fmt.Sprintf("%s at %v", strings.Join(words, " "), seconds0(found[i].End)))
		}
	}
	tell := func() {
		list("match", out.Matches)
		list("timeout", out.Timeouts)
		if out.Evicted > 0 {
			all = append(all, fmt.Sprintf("%d evicted", out.Evicted))
		}
		out.Reset()
	}
	now := event.Time(0)
	advance := func(to event.Time) {
		for ; v.ticks && now < to && now < seconds(100); now += seconds(1) {
			m.Advance(now, out)
		}
		if now = to; !v.lazy || m.Deadline() <= to {
			m.Advance(to, out)
		}
		tell()
	}
	for i, e := range events {
		advance(e.time)
		env.at, env.e = e, &event.Event{Time: e.time, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		if shown := (&drowsy{m, prog}); v.drowsy && prog.Sleeps() {
			shown.Step(env.e, env, out)
		} else {
			m.Step(env.e, env, out)
		}
		tell()
		if v.wraps {
			beginEpochs(t, m)
		}
		if v.reread {
			m = reread(t, prog, m, letterSchema)
		}
	}
	advance(event.MaxTime)
	return all
}

// beginEpochs lets the epochs of a run machine begin anew, which must be nothing
// to its bytes, nor to what it does next.
func beginEpochs(t failer, m Machine) {
	t.Helper()
	before := m.AppendBinary(nil)
	r, ok := m.(*runMachine)
	if !ok || r.runs == nil {
		return
	}
	for range 2 {
		r.runs.epoch = math.MaxUint32
		if after := m.AppendBinary(nil); !bytes.Equal(after, before) {
			t.Fatalf("with epochs that begin anew %x, else %x", after, before)
		}
	}
	r.runs.epoch = math.MaxUint32
}
