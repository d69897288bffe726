package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/bench"
	"github.com/cepd/cepd/bench/overmqtt"
)

// TestResults holds what cepd gives for the filters and the window against what
// a few lines say, and the trades against Flink, which gave 405 matches.
func TestResults(t *testing.T) {
	const n = 30_000
	want := map[string]int64{"trades-past": 405}
	type pane struct {
		device string
		minute int64
	}
	panes := map[pane]bool{}
	for _, r := range bench.Telemetry(n, bench.Devices, 1) {
		if r.Temperature > 80 {
			want["filter"]++
		}
		panes[pane{r.Device, int64(r.Time) / int64(time.Minute)}] = true
	}
	want["window"] = int64(len(panes))
	for _, trade := range bench.Trades(n, 100, 1) {
		if trade.Volume > 990 {
			want["rules"]++
		}
	}
	got := map[string]result{}
	for _, w := range workloads(n) {
		load, err := bench.Load(w.stream.declared+w.rules, w.stream.payloads)
		if err != nil {
			t.Fatal(err)
		}
		var r result
		load.Start(bench.Options{Output: r.add}).Run(0, load.Len())
		got[w.name] = r
		if want, ok := want[w.name]; ok && r.results != want {
			t.Errorf("%s: %d results, want %d", w.name, r.results, want)
		}
	}
	if a, b := got["sequence"], got["sequence-filtered"]; !a.agrees(b) {
		t.Errorf("behind a filter a sequence gives %d results that add up to %v, without it %d and %v", b.results, b.sum, a.results, a.sum)
	}
}

func TestTable(t *testing.T) {
	own := result{cpu: 1000 * 100, events: 1000, results: 1234, sum: 7}
	times := func(x float64, results int64) result {
		return result{cpu: time.Duration(x * 1000 * 100), events: 1000, results: results, sum: 7}
	}
	var out strings.Builder
	rows := []row{
		{workload{what: "one"}, map[string]result{"cepd": own, "siddhi": times(0.5, 1234), "flink": times(20.4, 1234), "ekuiper": times(9.96, 1234)}},
		{workload{what: "two"}, map[string]result{"cepd": own, "flink": times(20, 1233)}},
	}
	printTable(&out, rows)
	const want = `| workload | results | cepd | Siddhi 5.1 | Flink CEP 2.3 | eKuiper 1.14 |
| --- | --- | --- | --- | --- | --- |
| one | 1,234 | 100 ns | 50 ns, 0.5 times | 2,040 ns, 20 times | 996 ns, 10.0 times |
| two | 1,234 | 100 ns | – | other results: 1,233 | – |
`
	if out.String() != want {
		t.Errorf("got:\n%s", out.String())
	}
	if err := disagreements(rows); err == nil || !strings.Contains(err.Error(), "flink gave 1233 results") {
		t.Errorf("got %v", err)
	}
}

func TestReaders(t *testing.T) {
	var out strings.Builder
	printReaders(&out, []reader{
		{title: "one", cost: overmqtt.Cost{CPU: 5000, Rate: 30_000}},
		{title: "peer", cost: overmqtt.Cost{CPU: 20_100, Rate: 20_000}},
	})
	const want = `| over MQTT | processor time for a message | of which eKuiper takes | messages a second | of eKuiper's |
| --- | --- | --- | --- | --- |
| one | 5,000 ns | 4.0 times | 30,000 | 1.5 times |
| peer | 20,100 ns | 1.0 times | 20,000 | 1.0 times |
`
	if out.String() != want {
		t.Errorf("got:\n%s", out.String())
	}
}
