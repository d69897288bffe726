package engine

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// answeredRules are two patterns over more conditions than go into one word.
// Some conditions are shared, so that those of the second lie apart; some fail
// where a field is missing.
func answeredRules() string {
	var b strings.Builder
	b.WriteString("streams:\n  t: {time: e.ts, fields: {ts: timestamp, name: string, x: double, y: double}}\nrules:\n")
	for _, rule := range []string{"first", "second"} {
		steps, define := make([]string, 60), make([]string, 60)
		for i := range steps {
			steps[i] = fmt.Sprintf("s%d", i)
			n := i
			if rule == "second" {
				n = i * 7 % 80
			}
			define[i] = fmt.Sprintf("s%d: 'e.name == \"S%d\"'", i, n)
			if n%3 == 0 {
				define[i] = fmt.Sprintf("s%d: 'e.x > %d.0 && e.y < 50.0'", i, n)
			}
		}
		fmt.Fprintf(&b, "  - {name: %s, from: t, pattern: %s, define: {%s}, within: 5s, alert: {}}\n", rule, strings.Join(steps, " -> "), strings.Join(define, ", "))
	}
	return b.String()
}

// TestHoldAll holds the answers about many predicates at once, and the failures
// that they count, to those about one after the other.
func TestHoldAll(t *testing.T) {
	set, report := rules.Load([]rules.File{{Name: "answered.yaml", Data: []byte(answeredRules())}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	p := newPlan(set)
	schema, rng := p.streams["t"].Schema, rand.New(rand.NewSource(1))
	sets, failures := 0, 0
	for range 500 {
		e := &event.Event{Schema: schema, Slots: make([]event.Value, len(schema.Fields()))}
		for i, f := range schema.Fields() {
			switch {
			case rng.Intn(8) == 0:
			case f.Type == event.TypeString:
				e.Slots[i] = event.String(fmt.Sprintf("S%d", rng.Intn(90)))
			case f.Type == event.TypeDouble:
				e.Slots[i] = event.Double(float64(rng.Intn(100)))
			}
		}
		together, apart := newShard(p, &options{}), newShard(p, &options{})
		for _, l := range p.lanes {
			for _, r := range l.tables[0].rules {
				in, preds := r.inputs[0], r.Pattern.Prog.Plain()
				sets += len(in.Sets)
				for _, s := range []*Shard{together, apart} {
					s.frame.Event = e
					s.env.begin(r, in, &s.memos[0], e)
				}
				for i := range 6 {
					asked := rng.Uint64() & rng.Uint64() & (1<<len(preds) - 1)
					if i%2 == 0 {
						asked &= rng.Uint64() & rng.Uint64() // a few
					}
					want := uint64(0)
					for i, pred := range preds {
						if asked>>i&1 != 0 && apart.env.Holds(pred) {
							want |= 1 << i
						}
					}
					if got := together.env.HoldAll(preds, asked); got != want {
						t.Fatalf("rule %s, %v: of %b hold %b, want %b", r.Name, e.Slots, asked, got, want)
					}
				}
			}
		}
		got, want := fmt.Sprint(together.out.stats.EvalErrors), fmt.Sprint(apart.out.stats.EvalErrors)
		if got != want {
			t.Fatalf("%v: failures %s, want %s", e.Slots, got, want)
		}
		failures += len(want)
	}
	if sets < 3*1000 || failures < 1000 {
		t.Errorf("%d sets, %d failures: too little to say anything", sets, failures)
	}
}
