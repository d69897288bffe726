package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestTopics wants what is said of events that rules keep to have their topics
// where it asks for them.
func TestTopics(t *testing.T) {
	for name, rule := range map[string]string{
		"when":    `when: e.x > 1, for: 5s, alert: {summary: "${topic(e)}"}`,
		"absent":  `absent: {for: 5s}, alert: {summary: "${topic(e)}"}`,
		"emit":    `absent: {for: 5s}, emit: {at: topic(e)}, alert: {summary: "${topic(e)}"}`,
		"pattern": `pattern: a+ -> b, define: {a: e.x > 1, b: e.x < 0}, alert: {summary: "${topic(a.first())} ${a.map(x, topic(x))[0]}"}`,
		"linked":  `pattern: a -> b, define: {a: e.x > 1, b: topic(a) == topic(e) && e.x < 0}, alert: {summary: "in/one"}`,
		"detect":  `detect: {value: e.x, method: range, with: {low: 0, high: 1}}, alert: {summary: "${topic(e)}"}`,
		"sampled": `detect: {value: e.x, method: range, with: {low: 0, high: 1}, every: 1s}, when: topic(e) == "in/one" && anomaly, alert: {summary: "${topic(e)}"}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := "streams:\n  t: {source: in, time: e.ts, watermark: {lag: 0s}, fields: {ts: timestamp, d: string, x: double}}\nrules:\n  - {name: r, from: t, by: e.d, " + rule + "}\n"
			set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: []byte(file)}}, rules.Options{})
			if !report.OK() {
				t.Fatal(report)
			}
			e := New(Config{Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }})
			e.Step(Input{Records: []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
			said := 0
			for i, x := range []float64{2, 3, -1, 0} {
				rec := event.Record{Kind: event.KindMessage, Source: "in", Topic: "in/one", Pos: event.Position{Seq: uint64(i + 1)},
					Payload: fmt.Appendf(nil, `{"ts":"2026-03-01T12:00:%02dZ","d":"%d","x":%v}`, 10*i, i/3, x)}
				out := e.Step(Input{Records: []event.Record{rec}})
				for _, d := range out.Emitted {
					if said++; d.Fields[0].Value.Text() != "in/one" {
						t.Errorf("%v is emitted", d.Fields)
					}
				}
				for _, tr := range out.Transitions {
					if said++; !strings.HasPrefix(tr.Summary, "in/one") || strings.HasSuffix(tr.Summary, " ") {
						t.Errorf("%q", tr.Summary)
					}
				}
			}
			if said == 0 {
				t.Error("nothing is said")
			}
		})
	}
}
