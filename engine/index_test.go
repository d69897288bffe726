package engine

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// guardedRules are rules of every kind whose conditions ask for a constant, and
// some that do not.
const guardedRules = `
streams:
  t: {source: in, time: e.ts, watermark: {lag: 0s}, fields: {ts: timestamp, d: string, kind: string, code: int, free: any, x: double}}
rules:
  - {name: where, from: t, by: e.d, where: 'e.kind == "a" && e.x > 20', when: e.x > 60, clear: e.x < 40, alert: {summary: "${e.x}"}}
  - {name: when, from: t, by: e.d, when: 'e.kind == "b" && e.x > 30', for: 3s, alert: {summary: "${e.x}"}}
  - {name: when-idle, from: t, by: e.d, when: 'e.kind == "b" && e.x > 80', limits: {idle: 20s, keys: 3}, alert: {summary: "${e.x}"}}
  - {name: when-clear, from: t, by: e.d, when: e.code == 3, clear: 'e.code in [4, 5]', clear_for: 2s, alert: {summary: "${e.code}"}}
  - {name: when-data, from: t, by: e.d, when: e.code == 5, no_data: {after: 9s, do: raise}, alert: {summary: "silent"}}
  - {name: sequence, from: t, by: e.d, pattern: a -> b, define: {a: 'e.kind == "a"', b: 'e.kind == "b" && e.x < 50'}, within: 20s, alert: {summary: "${a.x}"}}
  - name: linked
    from: t
    by: e.d
    pattern: a -> !c -> b
    define: {a: 'e.kind == "a"', b: 'e.kind == "b" && e.x > a.x', c: 'e.kind in ["c", "d"]'}
    within: 20s
    timeout: {alert: {summary: "${a.x} timed out"}}
    alert: {summary: "${a.x} ${b.x}"}
  - {name: next, from: t, by: e.d, pattern: a => b, define: {a: 'e.kind == "a"', b: 'e.kind == "b"'}, alert: {summary: "${a.x}"}}
  - {name: silence, from: t, by: e.d, pattern: a -> !b, define: {a: 'e.free == "x"', b: e.free == 7}, within: 5s, alert: {summary: "${a.x}"}}
  - {name: every, from: t, by: e.d, pattern: "a{2,} -> b", define: {a: 'e.kind == "a"', b: 'e.kind == "b"'}, limits: {idle: 15s}, alert: {summary: "${b.x}"}}
  - {name: window, from: t, by: e.d, where: 'e.kind == "c"', window: {tumbling: 5s}, when: count() > 1, alert: {summary: "${count()}"}}
  - {name: emits, from: t, by: e.d, where: 'e.free in [3, "x"]', emit: {d: e.d, x: e.x}}
  - {name: emitted, from: emits, by: e.d, when: e.x > 50, alert: {summary: "${e.x}"}}
  - {name: absent, from: t, by: e.d, where: 'e.kind == "d"', absent: {for: 12s, forget: 60s}, alert: {summary: "gone"}}
  - {name: fails, from: t, by: e.d, when: 'e.x / 0.0 > 1.0 && e.kind == "a" && e.free > 3', alert: {summary: "no"}}
`

// guardedStory returns records by seed. Fields are missing now and then, or of
// a type that no condition expects.
func guardedStory(seed int64, n int) []event.Record {
	rng := rand.New(rand.NewSource(seed))
	at := event.Time(1_772_366_400_000_000_000)
	records := []event.Record{{Kind: event.KindStart, Arrival: at}, {Kind: event.KindSourceUp, Source: "in", Arrival: at}}
	pick := func(values ...string) string { return values[rng.Intn(len(values))] }
	for range n {
		at = at.Add(time.Duration(rng.Intn(1500)) * time.Millisecond)
		fields := []string{fmt.Sprintf(`"ts":"%s","d":"d%d"`, at, rng.Intn(5))}
		for _, f := range []string{
			`"kind":` + pick(`"a"`, `"b"`, `"b"`, `"c"`, `"d"`, `"z"`, `null`), `"code":` + pick("3", "4", "5", "6"),
			`"free":` + pick(`"x"`, "7", "3", "3.0", "7.5", "true", "[1]", `"other"`), fmt.Sprintf(`"x":%d`, rng.Intn(100)),
		} {
			if rng.Intn(12) > 0 {
				fields = append(fields, f)
			}
		}
		records = append(records, event.Record{Kind: event.KindMessage, Source: "in", Arrival: at, Payload: []byte("{" + strings.Join(fields, ",") + "}")})
	}
	return append(records, event.Record{Kind: event.KindEnd, Arrival: event.MaxTime})
}

// TestIndexChangesNothing runs the same story with and without the index of
// rules. Output, counts and state are the same after every batch.
func TestIndexChangesNothing(t *testing.T) {
	for _, text := range []string{guardedRules, storyRules, guardedRules + manyRules(200)} {
		set, report := rules.Load([]rules.File{{Name: "guarded.yaml", Data: []byte(text)}}, rules.Options{})
		if !report.OK() {
			t.Fatal(report)
		}
		for seed := range stories(3, 16) {
			records := guardedStory(seed, 300)
			if text == storyRules {
				records = story(seed, 300)
			}
			alerts := sameWithoutIndex(t, set, records)
			if alerts < 20 {
				t.Errorf("seed %d: the story has %d alerts; too few to say anything", seed, alerts)
			}
		}
	}
}

// sameWithoutIndex runs records with and without what tells beforehand which
// rules an event cannot concern, and returns the number of alerts.
func sameWithoutIndex(t *testing.T, set *rules.Set, records []event.Record) (alerts int) {
	t.Helper()
	sets := []*rules.Set{set}
	with, without := indexedEngine(set), indexedEngine(set)
	without.options.noIndex = true
	for i := range without.shards[0].memos {
		without.shards[0].memos[i].guards = nil
	}
	for i := range records {
		in := Input{Records: records[i : i+1]}
		in.Records[0].Pos = event.Position{Seq: uint64(i + 2)}
		got, want := with.Step(in), without.Step(in)
		alerts += len(want.Transitions)
		if g, w := printOutputs([]Output{got}), printOutputs([]Output{want}); g != w || fmt.Sprint(got.Stats) != fmt.Sprint(want.Stats) {
			t.Fatalf("record %d %s: with the index\n%s%v\nwithout\n%s%v", i, records[i].Payload, g, got.Stats, w, want.Stats)
		}
		if i%50 == 0 || i == len(records)-1 {
			if d := differ(lasting(sets, with.Rows()), lasting(sets, without.Rows())); d != "" {
				t.Fatalf("record %d: %s", i, d)
			}
		}
	}
	return alerts
}

// gatedRules are rules that are too few for an index; each is a set of its own.
const gatedRules = `
  - {name: numbers, from: t, by: e.d, pattern: a -> b -> c, define: {a: e.x > 70, b: e.code == 4, c: e.x < 50 && e.x < a.x}, within: 30s, alert: {summary: "${a.x} ${c.x}"}}
  - {name: all, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 70, b: e.x < 20}, skip: none, within: 10s, alert: {summary: "${b.x}"}}
  - {name: where-pattern, from: t, by: e.d, where: 'e.kind != "b"', pattern: a -> b, define: {a: e.code == 3, b: e.free > 3}, alert: {summary: "${b.x}"}}
  - {name: where-window, from: t, by: e.d, where: e.x > 40, window: {tumbling: 5s}, when: count() > 1, alert: {summary: "${count()}"}}
  - {name: not, from: t, by: e.d, pattern: a -> !c -> b, define: {a: e.x > 60, b: e.x < 40, c: e.code == 4}, within: 20s, timeout: {alert: {summary: "${a.x} timed out"}}, alert: {summary: "${a.x}"}}
  - {name: loop, from: t, by: e.d, pattern: "a{2,3} -> b", define: {a: e.x > 50, b: 'e.kind == "c"'}, within: 5s, alert: {summary: "${b.x}"}}
  - {name: idle, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 50, b: e.x < 10}, limits: {idle: 10s}, alert: {summary: "${b.x}"}}
  - {name: linked-alone, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 50, b: e.x > a.x}, within: 9s, alert: {summary: "${b.x}"}}
  - {name: by-key, from: t, by: e.d, pattern: a -> b, define: {a: 'e.x > 50 && key == "d1"', b: e.x < 50}, within: 9s, alert: {summary: "${b.x}"}}
  - {name: no-key, from: t, pattern: a -> b, define: {a: e.x > 95, b: e.x < 5}, within: 9s, alert: {summary: "${b.x}"}}
`

// TestGatesChangeNothing is [TestIndexChangesNothing] for a rule alone.
func TestGatesChangeNothing(t *testing.T) {
	stream, more, _ := strings.Cut(guardedRules, "rules:\n")
	gated, silent := 0, map[string]bool{}
	for _, rule := range strings.Split(more+gatedRules, "\n  - ") {
		rule = "rules:\n  - " + strings.TrimPrefix(rule, "  - ")
		set, report := rules.Load([]rules.File{{Name: "gated.yaml", Data: []byte(stream + rule)}}, rules.Options{})
		if !report.OK() {
			if strings.Contains(rule, "from: emits") {
				continue
			}
			t.Fatal(report)
		}
		for seed := range stories(2, 8) {
			if rule := set.Rules[0]; sameWithoutIndex(t, set, guardedStory(seed, 300)) == 0 && rule.Alert != nil {
				silent[rule.Name] = true
			}
		}
		if newPlan(set).lanes[0].tables[0].gates[0] != nil {
			gated++
		}
	}
	if gated < 9 || len(silent) > 1 {
		t.Errorf("%d rules have gates, and %v no alert in some story; too little to say anything", gated, silent)
	}
}

// TestLatestOfLanes: how far the input goes, which says what becomes of deadlines at
// its end, is no matter of an event that has no key for any rule of a lane, whether
// a rule of another lane wants it or not.
func TestLatestOfLanes(t *testing.T) {
	set := loadSet(t, `
streams:
  t: {source: in, time: e.ts, fields: {ts: timestamp, d: string, k: string, x: int}}
  u: {source: other, time: e.ts}
rules:
  - {name: one, from: t, by: e.d, where: e.x > 50, when: e.x > 80, alert: {}}
  - {name: two, from: [t, u], by: e.k, pattern: a -> b, define: {a: {from: t, where: e.x > 90}, b: {from: u, where: e.x > 1}}, within: 10s, alert: {}}
`)
	message := func(x int, fields string) event.Record {
		return event.Record{Kind: event.KindMessage, Source: "in", Payload: fmt.Appendf(nil, `{"ts":"2026-03-01T12:00:%02dZ","x":%d%s}`, x, x, fields)}
	}
	sameWithoutIndex(t, set, []event.Record{message(0, `,"k":"k"`), message(10, `,"d":"d"`)})
	sameWithoutIndex(t, set, []event.Record{message(0, `,"d":"d","k":"k"`), message(55, `,"d":"d"`), message(56, `,"k":"k"`), message(57, "")})
}

func indexedEngine(set *rules.Set) *Engine {
	e := New(Config{Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: []event.Record{{Pos: event.Position{Seq: 1}, Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
	return e
}

// manyRules returns rules with a guard each.
func manyRules(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - {name: many-%d, from: t, by: e.d, when: 'e.kind == \"k%d\" && e.x > 3', alert: {summary: x}}\n", i, i)
	}
	return b.String()
}

// TestIndexFinds looks at what an event is shown to.
func TestIndexFinds(t *testing.T) {
	set, report := rules.Load([]rules.File{{Name: "guarded.yaml", Data: []byte(guardedRules)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	p := newPlan(set)
	s := p.streams["t"]
	for _, c := range []struct {
		kind, free event.Value
		want       string
	}{
		{event.String("z"), event.Int(0), "every next when-data"},
		{event.String("a"), event.Int(0), "every fails linked next sequence when-data where"},
		{event.String("c"), event.String("x"), "emits every linked next silence when-data window"},
		{event.String("z"), event.Double(7), "every next silence when-data"},
		{event.Missing, event.Int(0), "absent every fails linked next sequence when when-data when-idle where window"},
	} {
		e := &event.Event{Schema: s.Schema, Slots: make([]event.Value, len(s.Schema.Fields()))}
		for name, v := range map[string]event.Value{"kind": c.kind, "free": c.free, "code": event.Int(9)} {
			slot, _ := s.Schema.Slot(name)
			e.Slots[slot] = v
		}
		var names []string
		for _, l := range p.lanes {
			for _, table := range l.tables {
				if x := table.indexes[s.number]; x != nil {
					for _, rule := range x.concerned(e, new([]int32)) {
						names = append(names, table.rules[rule].Name)
					}
				}
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("an event with %v and %v is shown to %s, want %s", c.kind, c.free, got, c.want)
		}
	}
}
