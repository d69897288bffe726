package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

const someToSinks = `
streams: {in: {source: in}}
rules:
  - {name: sent, from: in, by: e.id, emit: {x: e.x}, emit_to: [warehouse]}
  - {name: kept, from: in, emit: {x: e.x}}
  - {name: again, from: kept, emit: {x: e.x}}
`

// TestEmittedToSinks: without [Config.Emitted] only what goes to sinks is put
// out, and it is the same as with it.
func TestEmittedToSinks(t *testing.T) {
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(someToSinks)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	emitted := func(all bool) []alerting.Derived {
		e := New(Config{LogID: "log", Emitted: all, Load: func(string) (*rules.Set, error) { return set, nil }})
		return e.Step(Input{Records: []event.Record{
			{Pos: event.Position{Seq: 1}, Kind: event.KindRuleSet},
			{Pos: event.Position{Seq: 2}, Kind: event.KindMessage, Source: "in", Arrival: 1, Payload: []byte(`{"id":"a","x":1}`)},
			{Pos: event.Position{Seq: 3}, Kind: event.KindMessage, Source: "in", Arrival: 2, Payload: []byte(`{"id":"b"}`)},
		}}).Emitted
	}
	var want []alerting.Derived
	all := emitted(true)
	for _, d := range all {
		if d.Rule == "sent" {
			want = append(want, d)
		}
	}
	if len(all) != 5 || len(want) != 2 || want[0].ID() == want[1].ID() || len(want[0].ID()) != 32 {
		t.Errorf("all that was emitted: %+v", all)
	}
	if diff := cmp.Diff(want, emitted(false), cmp.Comparer(event.Value.Equal)); diff != "" {
		t.Error(diff)
	}
}
