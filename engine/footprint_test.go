package engine

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

const footprintRules = `
streams:
  t: {source: in, time: e.ts, fields: {ts: timestamp, d: string, x: double, note: string}}
rules:
  - %s
`

// heapOf returns the bytes that an engine takes for each of n keys, of which
// each has sent some events.
func heapOf(tb testing.TB, set *rules.Set, n, events int) float64 {
	tb.Helper()
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
	before := heapInUse()
	start := event.Time(1_772_366_400_000_000_000)
	seq := uint64(0)
	var records []event.Record
	for j := range events {
		for i := range n {
			seq++
			at := start.Add(event.Duration(j)*1e9 + event.Duration(i))
			records = append(records, event.Record{Kind: event.KindMessage, Source: "in", Pos: event.Position{Seq: seq},
				Payload: fmt.Appendf(nil, `{"ts":"%s","d":"device number %06d","x":%d.5,"note":"as long as a text"}`, at, i, 90+j)})
			if len(records) == 1000 {
				e.Step(Input{Records: records})
				records = records[:0]
			}
		}
	}
	e.Step(Input{Records: records})
	records = nil
	after := heapInUse()
	runtime.KeepAlive(e)
	return (after - before) / float64(n)
}

func heapInUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func footprintSet(tb testing.TB, rule string) *rules.Set {
	tb.Helper()
	set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: fmt.Appendf(nil, footprintRules, rule)}}, rules.Options{})
	if !report.OK() {
		tb.Fatal(report)
	}
	return set
}

// TestFootprints holds what is estimated of a key to what an engine takes for
// many.
func TestFootprints(t *testing.T) {
	for _, c := range []struct {
		rule   string
		events int
	}{
		{`{name: when, from: t, by: e.d, when: e.x > 80, alert: {summary: "${key} is at ${e.x}"}}`, 1},
		{`{name: limited, from: t, by: e.d, when: e.x > 80, limits: {keys: 1000000}, alert: {summary: "${key} is at ${e.x}"}}`, 1},
		{`{name: absent, from: t, by: e.d, absent: {for: 1h}, alert: {summary: "${key} ${e.note}"}}`, 1},
		{`{name: pattern, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 80, b: e.x < a.x}, within: 1h, alert: {summary: "${a.note} ${b.x}"}}`, 1},
		{`{name: plain, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 80, b: e.x < 0}, within: 1h, alert: {summary: "${a.note} ${b.x}"}}`, 1},
		{`{name: tumbling, from: t, by: e.d, window: {tumbling: 1h}, emit: {n: count(), a: avg(e.x), m: max(e.x)}}`, 3},
		{`{name: sliding, from: t, by: e.d, window: {sliding: 10s, every: 1s}, emit: {n: count(), a: avg(e.x), m: max(e.x)}}`, 12},
		{`{name: quantile, from: t, by: e.d, window: {tumbling: 1h}, emit: {q: "quantile(e.x, 0.9)"}}`, 10},
		{`{name: detect, from: t, by: e.d, detect: {value: e.x, method: ewma}, alert: {summary: "${value}"}}`, 5},
	} {
		set := footprintSet(t, c.rule)
		f := Footprints(set)[0]
		t.Run(f.Rule, func(t *testing.T) {
			got := heapOf(t, set, 5000, c.events)
			t.Logf("%d bytes for a key with %s (%d for each further %s); measured %.0f", f.Bytes, f.With, f.Each, f.Per, got)
			if est := float64(f.Bytes); est < got/2 || est > got*2 {
				t.Errorf("%d bytes are estimated for a key, and %.0f measured", f.Bytes, got)
			}
		})
	}
}
