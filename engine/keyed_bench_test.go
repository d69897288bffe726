package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// BenchmarkKeyed compares a stream with one watermark for all, one with a
// watermark for each of 10,000 keys, and one where the order of the log matters
// to what comes out, so that it runs record by record. It reports the memory of a
// key too.
func BenchmarkKeyed(b *testing.B) {
	const keys, rounds = 10_000, 5
	const text = `
streams: {t: {source: in, time: e.ts, watermark: {lag: 5s, PER}, fields: {ts: timestamp, d: string, x: double}}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, NODATA alert: {summary: "${key}"}}
  - {name: rise, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 98, b: e.x > 99}, within: 1m, alert: {summary: "${key}"}}
`
	start := event.Time(1_772_366_400_000_000_000)
	var records []event.Record
	for i := range keys * rounds {
		at := start.Add(time.Duration(i) * time.Millisecond)
		records = append(records, event.Record{Kind: event.KindMessage, Source: "in", Arrival: at, Pos: event.Position{Seq: uint64(i + 2)},
			Payload: fmt.Appendf(nil, `{"ts":"%s","d":"device-%d","x":%d}`, at, i%keys, i*7%97)})
	}
	for _, c := range []struct{ name, per, noData string }{
		{"stream", "per: stream", ""}, {"key", "per: key", ""}, {"stepwise", "per: key", "no_data: {after: 1h, do: clear},"},
	} {
		b.Run(c.name, func(b *testing.B) {
			set := loadSet(b, strings.NewReplacer("PER", c.per, "NODATA", c.noData).Replace(text))
			var before, after runtime.MemStats
			for b.Loop() {
				e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
				e.Step(Input{Records: withRules(set, nil)})
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&before)
				b.StartTimer()
				for i := 0; i < len(records); i += 500 {
					e.Step(Input{Records: records[i : i+500]})
				}
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(e)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/event")
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/keys, "B/key")
		})
	}
}
