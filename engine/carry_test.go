package engine

import (
	"fmt"
	"iter"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// inOrder yields rows as [Restore] takes them.
func inOrder(rows []Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// rewriteAll is [Engine.carryOver] as simple as can be: all state is written, and
// read as a restart with the new rules would.
func (e *Engine) rewriteAll(next *machinery, lose map[string]part) {
	rows := e.Rows()
	e.install(next)
	e.whole = true
	if e.snapshot != nil {
		e.snapshot.void = true
	}
	r := restoring{engine: e, skip: lose}
	if err := r.rows(inOrder(rows)); err != nil {
		panic("engine: " + err.Error())
	}
	if len(r.damage) > 0 {
		panic(fmt.Sprintf("engine: restoring the state of rule %s: %v", r.damage[0].Rule, r.damage[0].Err))
	}
}

// TestReloadEqualsRestart holds a reload to what a restart with the new rules
// makes of the rows of the state: in what comes of all that follows, and in the
// state after each record. What snapshots store across reloads is the state too.
func TestReloadEqualsRestart(t *testing.T) {
	var committed, full int
	n := stories(16, 80)
	for seed := range n {
		rng := rand.New(rand.NewSource(seed))
		sets := append(mixedSets(t, rng, 4), otherStreams(t, seed))
		records := mixedStory(rng, sets, 150)
		c := Config{Shards: []int{1, 2, 3, 8}[rng.Intn(4)], Emitted: true, Load: func(hash string) (*rules.Set, error) {
			return sets[slices.IndexFunc(sets, func(s *rules.Set) bool { return s.Hash == hash })], nil
		}}
		w := &snapshotter{t: t, rng: rng, engine: New(c), store: rowStore{}}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { equalsRestart(t, c, w, records) })
		committed, full = committed+w.committed, full+w.full
	}
	t.Logf("%d snapshots committed, %d of them full", committed, full)
	if committed < 25*int(n) || full < 2*int(n) {
		t.Error("the stories are too few to say anything")
	}
}

// equalsRestart lets two engines read records, of which one leaves state where it
// is and the other writes and reads all of it.
func equalsRestart(t *testing.T, c Config, w *snapshotter, records []event.Record) {
	oracle := New(c)
	oracle.replace = oracle.rewriteAll
	for i := range records {
		out, want := w.step(records[i:i+1]), oracle.Step(Input{Records: records[i : i+1]})
		if got, want := printOutputs([]Output{out}), printOutputs([]Output{want}); got != want {
			t.Fatalf("record %d: output differs:\n%s", i, firstDifference(got, want))
		}
		if fmt.Sprint(out.Stats) != fmt.Sprint(want.Stats) {
			t.Fatalf("record %d: counts are\n%v\nwant\n%v", i, out.Stats, want.Stats)
		}
		if d := differ(w.engine.Rows(), oracle.Rows()); d != "" {
			t.Fatalf("record %d (%v): %s", i, records[i].Kind, d)
		}
	}
}

// TestReloadForgetsSooner: how long the time of a silent key is known follows from
// its rules.
func TestReloadForgetsSooner(t *testing.T) {
	sets := map[string]*rules.Set{}
	var records []event.Record
	for i, idle := range []string{"10h", "1h"} {
		set := loadSet(t, fmt.Sprintf(`
streams:
  t: {source: in, time: e.ts, watermark: {per: key}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, limits: {idle: %s}, alert: {summary: "${e.x}"}}
`, idle))
		sets[set.Hash] = set
		records = append(records, event.Record{Kind: event.KindRuleSet, Payload: []byte(set.Hash)})
		for n, d := range []string{"a", "b", "c"}[2*i:] { // at last c alone
			records = append(records, event.Record{Kind: event.KindMessage, Source: "in",
				Payload: fmt.Appendf(nil, `{"ts":"2026-03-01T%02d:%02d:00Z","d":"%s","x":1}`, 12+2*i, n, d)})
		}
	}
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	c := Config{Load: func(hash string) (*rules.Set, error) { return sets[hash], nil }}
	w := &snapshotter{t: t, rng: rand.New(rand.NewSource(1)), engine: New(c), store: rowStore{}}
	equalsRestart(t, c, w, records)
	known := 0
	for _, row := range w.engine.Rows() {
		if row.Name[0] == rowKey {
			known++
		}
	}
	if known != 1 {
		t.Errorf("the times of %d keys are known, want that of c", known)
	}
}

// otherStreams is a set of rules to which a story's other sets lose streams or a
// source.
func otherStreams(t *testing.T, seed int64) *rules.Set {
	return loadSet(t, fmt.Sprintf(`
streams:
  t: {source: %s, topic: "p/{site}/{d}", time: e.ts}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, clear: e.x < 60, alert: {summary: "${key} ${e.x}"}}
`, []string{"in", "other"}[seed%2]))
}

// TestReloadLeavesAlone: where a reload adds a rule, the states of all others stay
// the objects that they are, and are not stored anew.
func TestReloadLeavesAlone(t *testing.T) {
	const text = `
streams:
  t: {source: in, time: e.ts}
  u: {source: in, time: e.ts, watermark: {per: key}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, for: 10h, alert: {summary: "${e.x}"}}
  - {name: rise, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 0, b: e.x < 0}, within: 100h, alert: {summary: "${a.x}"}}
  - {name: linked, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 0, b: e.x < a.x}, within: 100h, alert: {summary: "${a.x}"}}
  - {name: usual, from: t, by: e.d, window: {tumbling: 100h}, let: {usual: 'baseline(avg(e.x), "30d", "hour_of_day")'}, when: avg(e.x) > usual, alert: {summary: "${avg(e.x)}"}}
  - {name: odd, from: t, by: e.d, detect: {value: e.x, method: ewma}, alert: {summary: "${value}"}}
  - {name: work, from: t, by: e.d, when: e.x > 80, active: {cron: "0 8 * * 1-5", for: 10h, tz: Asia/Tokyo}, alert: {summary: "${e.x}"}}
  - {name: few, from: t, by: e.d, when: e.x > 80, limits: {keys: 10, idle: 10h}, alert: {summary: "${e.x}"}}
  - {name: keyed, from: u, by: e.d, when: e.x > 80, for: 10h, alert: {summary: "${e.x}"}}
`
	sets := map[string]*rules.Set{}
	load := func(text string) event.Record {
		set, report := rules.Load([]rules.File{{Name: "alone.yaml", Data: []byte(text)}}, rules.Options{})
		if !report.OK() {
			t.Fatal(report)
		}
		sets[set.Hash] = set
		return event.Record{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}
	}
	e := New(Config{Load: func(hash string) (*rules.Set, error) { return sets[hash], nil }})
	message := func(x int) event.Record {
		return event.Record{Kind: event.KindMessage, Source: "in", Payload: fmt.Appendf(nil, `{"ts":"2026-03-02T12:00:00Z","d":"a","x":%d}`, x)}
	}
	records := []event.Record{load(text), message(90), message(91), load(text + `  - {name: between, from: t, by: e.d, when: e.y > 80, for: 10h, alert: {summary: "${e.z}"}}` + "\n")}
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	last := len(records) - 1
	e.Step(Input{Records: records[:last]})
	snapshotAll(e)
	before := states(e)
	e.Step(Input{Records: records[last:]})
	if after := states(e); len(before) != 8 || !maps.Equal(after, before) {
		t.Errorf("the states are\n%v\nwant\n%v", after, before)
	}
	for _, row := range snapshotAll(e) {
		if kind := row.Name[0]; kind == rowState || kind == rowKey {
			t.Errorf("row %q is stored anew", row.Name)
		}
	}
}

// states returns what an engine of one shard keeps, by rule: objects.
func states(e *Engine) map[string]any {
	all := map[string]any{}
	for _, l := range e.shards[0].lanes {
		for _, t := range l.tables {
			for ks := range t.keys.all() {
				for st := range ks.states() {
					if all[t.rules[st.rule()].Name] = st.kept; st.kept == nil {
						all[t.rules[st.rule()].Name] = st.alert
					}
				}
			}
		}
	}
	return all
}

// snapshotAll takes and commits a snapshot, and returns its rows.
func snapshotAll(e *Engine) (rows []Row) {
	s := e.Snapshot(false)
	for done := false; !done; {
		var more []Row
		more, done = s.Next(100)
		rows = append(rows, more...)
	}
	s.Committed()
	return rows
}

// TestReloadToNothing: alerts that hold others back can go with all rules.
func TestReloadToNothing(t *testing.T) {
	set := loadSet(t, `
streams:
  t: {source: in}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, alert: {summary: "${e.x}"}}
  - {name: held, from: t, by: e.d, when: e.x > 70, unless: {firing: hot}, alert: {summary: "${e.x}"}}
`)
	e := New(Config{Load: func(hash string) (*rules.Set, error) {
		return map[string]*rules.Set{set.Hash: set, "": {}}[hash], nil
	}})
	out := e.Step(Input{Records: []event.Record{
		{Kind: event.KindRuleSet, Payload: []byte(set.Hash), Pos: event.Position{Seq: 1}},
		{Kind: event.KindMessage, Source: "in", Arrival: 1_772_366_400_000_000_000, Payload: []byte(`{"d":"a","x":90}`), Pos: event.Position{Seq: 2}},
		{Kind: event.KindRuleSet, Pos: event.Position{Seq: 3}},
	}})
	if got := len(out.Transitions); got != 2 || len(out.Reload.Removed) != 2 {
		t.Errorf("%d changes of alerts, want a raise and a clear; removed are %v", got, out.Reload.Removed)
	}
}
