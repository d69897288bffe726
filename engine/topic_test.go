package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

// TestCapturesAcrossReload: rules that come into force while an event is held back
// see what its topic tells, whether the rules before them asked for it or not.
func TestCapturesAcrossReload(t *testing.T) {
	for _, before := range []string{"by: e.d, when: e.x > 80", "when: true"} {
		sets := map[string]*rules.Set{}
		var hashes []string
		for _, rule := range []string{before, "by: e.site, when: e.y > 80"} {
			set := loadSet(t, `
streams: {t: {source: in, topic: "p/{site}/{d}", watermark: {lag: 10s}}}
rules: [{name: r, from: t, `+rule+`, for: 1s, alert: {summary: "${key}"}}]
`)
			hashes, sets[set.Hash] = append(hashes, set.Hash), set
		}
		e := New(Config{Load: func(hash string) (*rules.Set, error) { return sets[hash], nil }})
		at := event.Time(1_772_366_400_000_000_000)
		records := []event.Record{
			{Kind: event.KindRuleSet, Arrival: at, Payload: []byte(hashes[0])},
			{Kind: event.KindMessage, Arrival: at, Source: "in", Topic: "p/s1/d1", Payload: []byte(`{"x":90,"y":90}`)},
			{Kind: event.KindRuleSet, Arrival: at, Payload: []byte(hashes[1])},
			{Kind: event.KindTick, Arrival: at.Add(20 * time.Second)},
		}
		for i := range records {
			records[i].Pos = event.Position{Seq: uint64(i + 1)}
		}
		out := e.Step(Input{Records: records})
		if len(out.Transitions) != 1 || out.Transitions[0].Summary != "s1" {
			t.Errorf("%s: alerts are %v, want one of s1", before, out.Transitions)
		}
	}
}
