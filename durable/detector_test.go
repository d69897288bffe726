package durable

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state"
)

// odd has detectors whose state is from a few to hundreds of kilobytes a key.
const odd = `
streams:
  telemetry: {source: plant, fields: {device: string, temp: double, bar: double}}
rules:
  - {name: forest, from: telemetry, by: e.device, detect: {value: [e.temp, e.bar], method: random_cut_forest}, alert: {summary: "${reason}"}}
  - {name: alone, from: telemetry, by: e.device, detect: {value: e.temp}, alert: {summary: "${reason}"}}
`

// TestLargeStates: states of detectors go through the store on disk and a restart
// bit by bit, and the engine that is restored says what the other one says.
func TestLargeStates(t *testing.T) {
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(odd)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	c := engine.Config{Load: func(string) (*rules.Set, error) { return set, nil }}
	e := engine.New(c)
	seq := uint64(0)
	record := func(kind event.RecordKind, payload []byte) event.Record {
		seq++
		return event.Record{Pos: event.Position{Seq: seq}, Kind: kind, Source: "plant", Arrival: event.Time(seq) * 60e9, Payload: payload}
	}
	e.Step(engine.Input{Records: []event.Record{record(event.KindRuleSet, []byte(set.Hash))}})
	batch := func(n int) (records []event.Record) {
		for i := range n {
			wave := math.Sin(float64(seq) / 9)
			temp := 20 + wave
			if i == n-3 {
				temp += 30
			}
			records = append(records, record(event.KindMessage, fmt.Appendf(nil, `{"device":"d%d","temp":%.3f,"bar":%.3f}`, seq%2, temp, 3*wave)))
		}
		return records
	}

	dir := filepath.Join(t.TempDir(), "snapshots")
	store, _, err := state.Open(dir, state.Options{Encoding: 1, Semantics: 1})
	if err != nil {
		t.Fatal(err)
	}
	largest := 0
	for round, n := range []int{1200, 1, 40, 2} {
		e.Step(engine.Input{Records: batch(n)})
		snapshot := e.Snapshot(round == 0)
		epoch, err := store.Begin(snapshot.Full)
		if err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			var rows []engine.Row
			if rows, done = snapshot.Next(100); len(rows) == 0 {
				continue
			}
			put := make([]state.Row, len(rows))
			for i, r := range rows {
				put[i] = state.Row(r)
				largest = max(largest, len(r.Value))
			}
			if err := epoch.Put(put); err != nil {
				t.Fatal(err)
			}
		}
		if err := epoch.Commit(state.Marker{Log: "log", Position: snapshot.Position, RuleSet: set.Hash, Encoding: 1, Semantics: 1}); err != nil {
			t.Fatal(err)
		}
		snapshot.Committed()
	}
	if largest < 200<<10 {
		t.Errorf("the largest row has %d bytes: too few to say anything", largest)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if store, _, err = state.Open(dir, state.Options{Encoding: 1, Semantics: 1}); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m, ok := store.Newest()
	if !ok {
		t.Fatal("no snapshot")
	}
	again, damage, err := engine.Restore(c, set, rowsOf(store.Rows(m.Epoch)))
	if err != nil || len(damage) > 0 {
		t.Fatalf("%v, damage %v", err, damage)
	}
	in := batch(200)
	want, got := e.Step(engine.Input{Records: in}), again.Step(engine.Input{Records: in})
	if len(want.Transitions) == 0 {
		t.Error("nothing was raised after the restart")
	}
	if d := cmp.Diff(printed(want), printed(got)); d != "" {
		t.Error(d)
	}
	same := func(a, b engine.Row) bool { return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value) }
	if !slices.EqualFunc(e.Rows(), again.Rows(), same) {
		t.Error("the states differ")
	}
}

// printed is what an output says of alerts.
func printed(out engine.Output) (lines []string) {
	for _, tr := range out.Transitions {
		lines = append(lines, fmt.Sprint(tr.Position, tr.Rule, tr.Key, tr.Change, tr.Summary))
	}
	return lines
}
