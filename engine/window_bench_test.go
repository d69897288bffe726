package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestHundredThousandKeys holds 100,000 keys with one tumbling window of three
// aggregates to 200 MB.
func TestHundredThousandKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("it sends 200,000 events")
	}
	set := footprintSet(t, `{name: w, from: t, by: e.d, window: {tumbling: 1h}, emit: {n: count(), a: avg(e.x), m: max(e.x)}}`)
	const keys = 100_000
	mb := heapOf(t, set, keys, 2) * keys / 1e6
	t.Logf("%d keys take %.0f MB", keys, mb)
	if mb > 200 {
		t.Errorf("%d keys take %.0f MB, want less than 200", keys, mb)
	}
}

// windowRun feeds an engine with a window, ten events a second.
type windowRun struct {
	engine  *Engine
	records []event.Record
	n       int
	took    time.Duration
}

func newWindowRun(b *testing.B, window string) *windowRun {
	b.Helper()
	rule := fmt.Sprintf("{name: w, from: t, by: e.d, window: %s, when: 'count() > 1000000 && sum(e.x) + avg(e.x) + min(e.x) + max(e.x) > 0', alert: {}}", window)
	set := footprintSet(b, rule)
	w := &windowRun{engine: New(Config{Load: func(string) (*rules.Set, error) { return set, nil }}), records: make([]event.Record, 500)}
	w.engine.Step(Input{Records: []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
	for range 90 { // the longest window is full
		w.step()
	}
	w.n, w.took = 0, 0
	return w
}

func (w *windowRun) step() {
	last := event.Position{Seq: w.records[len(w.records)-1].Pos.Seq}
	for i := range w.records {
		seq := last.Seq + uint64(i) + 1
		at := event.Time(1_772_366_400_000_000_000).Add(event.Duration(seq) * 100 * time.Millisecond)
		w.records[i] = event.Record{Kind: event.KindMessage, Source: "in", Pos: event.Position{Seq: seq}, Payload: fmt.Appendf(nil, `{"ts":"%s","d":"a","x":%d.25}`, at, seq%97)}
	}
	start := time.Now()
	w.engine.Step(Input{Records: w.records})
	w.took += time.Since(start)
	w.n += len(w.records)
}

// BenchmarkSlidingToTumbling compares a sliding window of an hour and ten seconds
// with a tumbling one of ten seconds, of five aggregates each, at 100 events in
// ten seconds.
func BenchmarkSlidingToTumbling(b *testing.B) {
	sliding, tumbling := newWindowRun(b, "{sliding: 1h, every: 10s}"), newWindowRun(b, "{tumbling: 10s}")
	for b.Loop() {
		sliding.step()
		tumbling.step()
	}
	each := func(w *windowRun) float64 { return float64(w.took.Nanoseconds()) / float64(w.n) }
	b.ReportMetric(each(sliding), "ns/sliding")
	b.ReportMetric(each(tumbling), "ns/tumbling")
	b.ReportMetric(each(sliding)/each(tumbling), "ratio")
	b.ReportMetric(0, "ns/op")
}
