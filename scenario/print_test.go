package scenario

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestMatchesAsJSON prints what came of messages of all formats: always one line
// of JSON.
func TestMatchesAsJSON(t *testing.T) {
	for _, c := range []struct{ payload, want string }{
		{`{"a": 1}`, `{"a": 1}`},
		{"{\n\t\"a\": 1\n}\n", `{"a":1}`},
		{"\xa1\x61x\x01", `{"x":1}`},
		{"m,t=x f=1i 5", `{"measurement":"m","t":"x","f":1,"timestamp":5}`},
		{"20.5", "20.5"},
		{`on "hold"`, `"on \"hold\""`},
		{"\xa1\x61x", "\"\uFFFDax\""},
	} {
		e := &event.Event{More: &event.Details{Raw: []byte(c.payload)}}
		var out strings.Builder
		if err := NewJSON(&out).Match(&engine.Match{Rule: "r", Steps: []alerting.Step{{Name: "a", Events: []*event.Event{e}}}}); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(out.String(), `"steps":`); got != `{"a":[`+c.want+"]}}\n" {
			t.Errorf("%q: got %s, want %s", c.payload, got, c.want)
		}
	}
}

// TestMatchesOfEmittedEvents: an event that a rule emitted has no payload, and is
// printed as the fields that the pattern uses.
func TestMatchesOfEmittedEvents(t *testing.T) {
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(`
streams: {s: {source: s, time: e.ts, fields: {ts: timestamp, k: string, x: double}}}
rules:
  - {name: high, from: s, by: e.k, where: e.x > 50, emit: {k: e.k, x: e.x}}
  - {name: twice, from: high, by: e.k, pattern: "a{2}", define: {a: e.x > 60}, within: 1m, alert: {summary: "${key}"}}
`)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	e := engine.New(engine.Config{Matches: true, Load: func(string) (*rules.Set, error) { return set, nil }})
	records := []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}
	for i := range 2 {
		records = append(records, event.Record{Kind: event.KindMessage, Source: "s", Pos: event.Position{Seq: uint64(i + 1)},
			Payload: fmt.Appendf(nil, `{"ts":"2026-03-01T12:00:0%dZ","k":"a","x":%d}`, i, 70+i)})
	}
	var out strings.Builder
	p := NewJSON(&out)
	o := e.Step(engine.Input{Records: append(records, event.Record{Kind: event.KindEnd, Arrival: event.MaxTime})})
	for _, m := range o.Matches {
		if err := p.Match(&m); err != nil {
			t.Fatal(err)
		}
	}
	if _, got, _ := strings.Cut(out.String(), `"steps":`); got != `{"a":[{"x":70},{"x":71}]}}`+"\n" {
		t.Errorf("got %s", got)
	}
}
