package window

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

const second = event.Time(1e9)

// ticks are cron ticks at given times.
type ticks []event.Time

func (ts ticks) Next(t event.Time) event.Time {
	for _, x := range ts {
		if x > t {
			return x
		}
	}
	return event.MaxTime
}

func (ts ticks) Prev(t event.Time) event.Time {
	last := event.MinTime
	for _, x := range ts {
		if x <= t {
			last = x
		}
	}
	return last
}

var everyKind = []Aggregate{{Kind: Count}, {Kind: Sum}, {Kind: Avg}, {Kind: Min}, {Kind: Max}, {Kind: First}, {Kind: Last},
	{Kind: Stddev}, {Kind: Variance}, {Kind: Median}, {Kind: Quantile, Q: 0.9}, {Kind: Distinct}, {Kind: Rate}, {Kind: Delta},
	{Kind: Slope}, {Kind: TopK, K: 3}, {Kind: Collect}}

func drawSpec(t *rapid.T) *Spec {
	o := Options{Aggregates: everyKind}
	secs := func(from, to int, label string) event.Duration {
		return event.Duration(rapid.IntRange(from, to).Draw(t, label)) * 1e9
	}
	a := &o.Assigner
	a.Kind = AssignerKind(rapid.IntRange(int(Tumbling), int(Cron)).Draw(t, "kind"))
	switch a.Kind {
	case Tumbling:
		a.Size = secs(1, 12, "size")
		a.Offset = secs(0, int(a.Size/1e9)-1, "offset")
	case Sliding:
		a.Size, a.Every = secs(1, 20, "size"), secs(1, 12, "every")
		a.Offset = secs(0, int(a.Every/1e9)-1, "offset")
	case Session:
		a.Gap = secs(1, 5, "gap")
	case Counted:
		a.N, a.Step = rapid.IntRange(1, 12).Draw(t, "n"), rapid.IntRange(1, 15).Draw(t, "step")
	case Cron:
		ts := ticks{}
		for x := secs(0, 9, "first"); x < 100e9; x += secs(1, 15, "tick") {
			ts = append(ts, event.Time(x))
		}
		a.Ticks = ts
	}
	if a.Kind != Counted && rapid.Bool().Draw(t, "late") {
		o.Lateness = secs(1, 15, "lateness")
	}
	if rapid.Bool().Draw(t, "early") {
		o.Early = secs(1, 6, "early")
	}
	s, issues := Compile(o)
	if issues != nil {
		t.Fatalf("%+v: %v", o, issues)
	}
	return s
}

// drawArgs returns arguments for everyKind. With steady, values grow with time.
func drawArgs(t *rapid.T, at event.Time, steady bool) []event.Value {
	x := event.Int(int64(rapid.IntRange(-3, 12).Draw(t, "x")))
	switch rapid.IntRange(0, 9).Draw(t, "form") {
	case 0:
		x = event.Missing
	case 1:
		x = event.Null
	case 2:
		x = event.Double(math.NaN())
	case 3, 4, 5:
		x = event.Double(rapid.Float64Range(-1e3, 1e3).Draw(t, "f"))
	}
	if steady && x.Kind() == event.KindInt {
		x = event.Int(int64(at / 1e6))
	} else if steady && x.Kind() == event.KindDouble {
		x = event.Double(float64(at) / 1e6)
	}
	args := make([]event.Value, len(everyKind))
	for i := range args {
		args[i] = x
	}
	args[0] = event.Bool(rapid.Bool().Draw(t, "counted"))
	return args
}

// machine holds one state and drives it in one of several ways.
type machine struct {
	s       *State
	out     Out
	joins   bool // events that just join a window do so
	restore bool // write and read the state after every call
	creep   bool // advance in small steps, and more than once
	now     event.Time
}

func (m *machine) again(t *rapid.T) {
	if m.s.Empty() {
		if got, want := m.s.AppendBinary(nil), NewState(m.s.spec).AppendBinary(nil); !bytes.Equal(got, want) {
			t.Fatalf("an empty state is\n%x, a new one\n%x", got, want)
		}
		if m.restore {
			m.s = NewState(m.s.spec)
		}
	}
	if !m.restore {
		return
	}
	b := m.s.AppendBinary(nil)
	r := event.NewReader(b)
	s, err := ReadState(m.s.spec, r)
	if err != nil || r.Len() != 0 {
		t.Fatalf("reading the state back: %v, %d bytes left", err, r.Len())
	}
	if c := s.AppendBinary(nil); !bytes.Equal(b, c) {
		t.Fatalf("the state was written as\n%x\nand read as\n%x", b, c)
	}
	m.s = s
}

func (m *machine) advance(t *rapid.T, to event.Time) {
	m.out.Reset()
	if m.creep && to < 1000*second {
		for x := max(m.now, 0); x < to; x += second / 2 {
			m.s.Advance(x, &m.out)
			m.again(t)
		}
	}
	if d := m.s.Deadline(); m.creep && d != event.MaxTime && d > m.now {
		before := m.s.AppendBinary(nil)
		m.s.Advance(min(d-1, to), &m.out)
		if after := m.s.AppendBinary(nil); !bytes.Equal(before, after) {
			t.Fatalf("advancing to before the deadline %v changed the state", d)
		}
	}
	m.s.Advance(to, &m.out)
	m.now = to
	m.again(t)
}

func (m *machine) add(t *rapid.T, now, at event.Time, pos event.Position, args []event.Value) Outcome {
	m.out.Reset()
	if d := m.s.Deadline(); m.joins && m.s.Join(now, at, pos, args, &m.out) {
		if m.s.Deadline() != d || len(m.out.Results) > 0 {
			t.Fatalf("%s: an event at %v that joins a window moves its deadline, or has an answer", m.s.spec, at)
		}
		return Taken
	}
	o := m.s.Add(now, at, pos, args, &m.out)
	m.again(t)
	return o
}

// TestAgainstOracle feeds random events, some late, to random windows, and wants
// the answers that the obvious way gives; the same bits from a state that is
// written and read after every call; and the same from one that is advanced
// more often than need be.
func TestAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		steady := rapid.Bool().Draw(t, "steady")
		machines := []*machine{{s: NewState(spec)}, {s: NewState(spec), joins: true}, {s: NewState(spec), restore: true}, {s: NewState(spec), restore: true, creep: true}}
		o := newOracle(spec)
		now := event.Time(0)
		check := func(what string, want []Result) {
			for i, m := range machines {
				if i == 0 {
					compareResults(t, spec, what, m.out.Results, want, steady)
				} else if got, want := bitsOf(m.out.Results), bitsOf(machines[0].out.Results); got != want {
					t.Fatalf("%s: %v: state %d answers\n%s, not\n%s", spec, what, i, got, want)
				}
				a, b := m.s.AppendBinary(nil), machines[0].s.AppendBinary(nil)
				if !bytes.Equal(a, b) {
					t.Fatalf("%s: %v: state %d is\n%x, not\n%x", spec, what, i, a, b)
				}
			}
		}
		advance := func(to event.Time) {
			for _, m := range machines {
				m.advance(t, to)
			}
			check(fmt.Sprint("advance to ", to), o.advance(to))
		}
		n := rapid.IntRange(1, 60).Draw(t, "events")
		for i := range n {
			now += event.Time(rapid.SampledFrom([]int{0, 100, 500, 1000, 1000, 2000, 7000, 25000}).Draw(t, "gap")) * second / 1000
			advance(now)
			at := now
			if spec.Lateness > 0 && rapid.IntRange(0, 3).Draw(t, "late") == 0 {
				at = max(0, now-event.Time(rapid.IntRange(0, 30000).Draw(t, "by"))*second/1000)
			}
			e := taken{stamp{at, event.Position{Seq: uint64(i + 1)}}, drawArgs(t, at, steady)}
			outcome, want := o.add(now, e)
			for j, m := range machines {
				if got := m.add(t, now, at, e.pos, e.args); got != outcome {
					t.Fatalf("%s: event %d at %v, now %v: state %d says %v, not %v", spec, i, at, now, j, got, outcome)
				}
			}
			check(fmt.Sprintf("event %d at %v, now %v", i, at, now), want)
		}
		advance(event.MaxTime)
		if spec.Assigner.Kind != Counted && !machines[0].s.Empty() {
			t.Fatalf("%s: not empty at the end of time", spec)
		}
	})
}

// bitsOf prints results so that no bit is left out.
func bitsOf(rs []Result) string {
	var b strings.Builder
	for _, r := range rs {
		var values []byte
		for _, v := range r.Values {
			values = v.AppendBinary(values)
		}
		r.Values = nil
		fmt.Fprintf(&b, "%+v %x\n", r, values)
	}
	return b.String()
}

func compareResults(t *rapid.T, spec *Spec, what string, got, want []Result, steady bool) {
	if len(got) != len(want) {
		t.Fatalf("%s: %s: %d answers, not %d:\n%v\n%v", spec, what, len(got), len(want), got, want)
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.Start != w.Start || g.End != w.End || g.At != w.At || g.Early != w.Early || g.Update != w.Update ||
			g.Events != w.Events || g.First != w.First || g.Last != w.Last {
			t.Fatalf("%s: %s: answer\n%+v, not\n%+v", spec, what, g, w)
		}
		for k, a := range spec.Aggregates {
			if a.Kind == Rate && spec.Lateness > 0 && !steady {
				continue // a late value between others may be left out
			}
			if g.Reasons[k] != w.Reasons[k] || !alike(g.Values[k], w.Values[k]) {
				t.Fatalf("%s: %s: %v of [%v, %v) is %v (%v), not %v (%v)", spec, what, a, g.Start, g.End,
					g.Values[k].Text(), g.Reasons[k], w.Values[k].Text(), w.Reasons[k])
			}
		}
	}
}

// alike compares integers exactly and decimals to seven digits.
func alike(v, w event.Value) bool {
	if v.Kind() != event.KindDouble || w.Kind() != event.KindDouble {
		return v.Kind() == w.Kind() && v.Equal(w)
	}
	a, b := v.AsDouble(), w.AsDouble()
	return math.Abs(a-b) <= 1e-7*max(1, math.Abs(a), math.Abs(b))
}
