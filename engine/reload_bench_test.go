package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// reloadRules are a pattern, a window and a condition, each with state for every
// key, and a condition that nothing meets.
const reloadRules = `
streams:
  t: {source: in}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, for: 10h, alert: {summary: "${e.x}"}}
  - {name: never, from: t, by: e.d, when: e.x > 1000, alert: {summary: "${e.x}"}}
  - {name: rise, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 0, b: e.x < 0}, within: 100h, skip: to_next, alert: {summary: "${a.x}"}}
  - {name: usual, from: t, by: e.d, window: {tumbling: 100h}, when: avg(e.x) > 1000, alert: {summary: "${avg(e.x)}"}}
`

// BenchmarkReload measures for how long a reload stops an engine with state of
// four rules for 100,000 keys, and what memory it takes.
func BenchmarkReload(b *testing.B) {
	const keys = 100_000
	sets := map[string]*rules.Set{}
	load := func(text string) string {
		set, report := rules.Load([]rules.File{{Name: "bench.yaml", Data: []byte(text)}}, rules.Options{})
		if !report.OK() {
			b.Fatal(report)
		}
		sets[set.Hash] = set
		return set.Hash
	}
	from := load(reloadRules)
	for _, change := range []struct{ name, to string }{
		{"none", reloadRules + "# a comment\n"},
		{"added", reloadRules + "  - {name: more, from: t, by: e.d, when: e.y > 70, alert: {summary: more}}\n"},
		{"threshold", strings.Replace(reloadRules, "e.x > 1000, alert", "e.x > 1001, alert", 1)},
		{"threshold with state", strings.Replace(reloadRules, "e.x > 80", "e.x > 81", 1)},
		{"text with state", strings.Replace(reloadRules, "for: 10h, alert: {summary: \"${e.x}\"}", "for: 10h, alert: {summary: \"${e.x} ${e.y}\"}", 1)},
		{"removed", strings.Replace(reloadRules, "  - {name: hot,", "  - {name: hotter,", 1)},
	} {
		b.Run(change.name, func(b *testing.B) {
			to := load(change.to)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				e := New(Config{Load: func(hash string) (*rules.Set, error) { return sets[hash], nil }})
				records := []event.Record{{Kind: event.KindRuleSet, Payload: []byte(from)}}
				for i := range keys {
					records = append(records, event.Record{Kind: event.KindMessage, Source: "in", Arrival: 1_772_366_400_000_000_000, Pos: event.Position{Seq: uint64(i + 1)},
						Payload: fmt.Appendf(nil, `{"d":"device-%d","x":%d,"y":1}`, i, 81+i%10)})
				}
				e.Step(Input{Records: records})
				reload := []event.Record{{Kind: event.KindRuleSet, Payload: []byte(to), Pos: event.Position{Seq: keys + 1}}}
				b.StartTimer()
				if out := e.Step(Input{Records: reload}); out.Reload.Err != nil {
					b.Fatal(out.Reload.Err)
				}
			}
		})
	}
}
