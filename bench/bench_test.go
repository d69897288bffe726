//go:build unix

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/buger/jsonparser"
	"github.com/cepd/cepd/ingest/file"
	"github.com/cepd/cepd/internal/pool"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/scenario"
)

func cpuTime(b testing.TB) time.Duration {
	used, err := CPUTime()
	if err != nil {
		b.Fatal(err)
	}
	return used
}

// measure runs what prepare returns again and again, and reports what one of
// its events costs, without the preparation.
func measure(b *testing.B, events int, prepare func() func()) {
	b.Helper()
	b.ReportAllocs()
	used, n := time.Duration(0), 0
	for b.Loop() {
		b.StopTimer()
		f := prepare()
		runtime.GC()
		b.StartTimer()
		from := cpuTime(b)
		f()
		used += cpuTime(b) - from
		n++
	}
	total := float64(n) * float64(events)
	b.ReportMetric(float64(used.Nanoseconds())/total, "cpu-ns/event")
	b.ReportMetric(total/b.Elapsed().Seconds(), "events/s")
}

func readingPayloads(readings []Reading) [][]byte {
	out := make([][]byte, len(readings))
	for i := range readings {
		out[i] = readings[i].AppendJSON(nil)
	}
	return out
}

func load(b *testing.B, ruleFile string, payloads [][]byte) *Workload {
	b.Helper()
	w, err := Load(ruleFile, payloads)
	if err != nil {
		b.Fatal(err)
	}
	return w
}

const telemetryEvents = 500_000

// BenchmarkMemory is a pattern with a linked condition over events that are in
// memory, of 10,000 devices, against the loop that somebody would write by hand.
func BenchmarkMemory(b *testing.B) {
	readings := Telemetry(telemetryEvents, 10_000, 1)
	loop := NewPumpLoop()
	loop.Run(readings)
	b.Run("loop", func(b *testing.B) {
		measure(b, len(readings), func() func() { return func() { NewPumpLoop().Run(readings) } })
	})
	for _, lag := range []string{"", "5s"} {
		name, rule := "cepd", PumpRule
		if lag != "" { // events wait until those that may come before them have come
			name, rule = "lag="+lag, strings.Replace(PumpRule, "{lag: 0s}", "{lag: "+lag+"}", 1)
		}
		b.Run(name, func(b *testing.B) {
			w := load(b, rule, readingPayloads(readings))
			measure(b, len(readings), func() func() {
				r := w.Start(Options{})
				return func() {
					if r.Run(0, len(readings)); r.Matches == 0 || lag == "" && r.Matches != loop.Matches {
						b.Fatalf("%d matches, the loop finds %d", r.Matches, loop.Matches)
					}
				}
			})
		})
	}
}

func tradePayloads(trades []Trade) [][]byte {
	out := make([][]byte, len(trades))
	for i := range trades {
		out[i] = trades[i].AppendJSON(nil)
	}
	return out
}

// BenchmarkRules is a number of rules, each of which asks first whether the
// trade is one of a certain name. The names are as many as the most rules.
func BenchmarkRules(b *testing.B) {
	const events, names = 200_000, 10_000
	payloads := tradePayloads(Trades(events, names, 1))
	for _, n := range []int{1, 10, 100, 1000, names} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			w := load(b, GuardedRules(n), payloads)
			measure(b, events, func() func() {
				r := w.Start(Options{})
				return func() { r.Run(0, events) }
			})
		})
	}
}

// BenchmarkSequence is a sequence of trades that never completes, with windows
// of as many trades as the name says: partial matches pile up.
func BenchmarkSequence(b *testing.B) {
	const events = 200_000
	payloads := tradePayloads(Trades(events, Names, 1))
	for _, follow := range []string{"->", "~>"} {
		for _, steps := range []int{3, 12, 25} {
			for _, window := range []int{100, 1000, 10_000} {
				b.Run(fmt.Sprintf("follow=%s/steps=%d/window=%d", follow, steps, window), func(b *testing.B) {
					runTrades(b, SequenceRule(steps, window, follow), payloads)
				})
			}
		}
	}
}

// BenchmarkPattern is other patterns of the paper: loops, alternatives, and one
// partial match for each name.
func BenchmarkPattern(b *testing.B) {
	const events = 200_000
	payloads := tradePayloads(Trades(events, Names, 1))
	const abc = "      a: 'e.name == \"S01\"'\n      b: 'e.name == \"S02\"'\n      c: 'e.name == \"never\"'\n      d: 'e.name == \"S03\"'"
	const sides = "      a: 'e.kind == \"BUY\"'\n      b: 'e.kind == \"SELL\" && e.volume > 900'\n      c: 'e.name == \"never\"'"
	for _, x := range []struct{ name, pattern, define, by string }{
		{"loop", "a -> b+ -> c", strings.TrimSuffix(abc, "\n      d: 'e.name == \"S03\"'"), ""},
		{"either", "a -> (b | d) -> c", abc, ""},
		{"by", "a -> b -> c", sides, "\n    by: e.name"},
	} {
		for _, window := range []int{100, 1000, 10_000} {
			b.Run(fmt.Sprintf("pattern=%s/window=%d", x.name, window), func(b *testing.B) {
				runTrades(b, PatternRule(x.pattern, x.define, window, x.by), payloads)
			})
		}
	}
}

func runTrades(b *testing.B, rule string, payloads [][]byte) {
	b.Helper()
	w := load(b, rule, payloads)
	measure(b, len(payloads), func() func() {
		r := w.Start(Options{})
		return func() {
			if r.Run(0, len(payloads)); r.Evicted > 0 {
				b.Fatalf("%d partial matches were dropped", r.Evicted)
			}
		}
	})
}

// BenchmarkJSONL is the way from the bytes of a file to alerts, on one core,
// against what reading such a file costs without an engine.
func BenchmarkJSONL(b *testing.B) {
	var data []byte
	readings := Telemetry(200_000, Devices, 1)
	for i := range readings {
		data = append(readings[i].AppendJSON(data), '\n')
	}
	b.Run("newlines", func(b *testing.B) {
		measure(b, len(readings), func() func() {
			return func() {
				if bytes.Count(data, []byte{'\n'}) != len(readings) {
					b.Fatal("lines are missing")
				}
			}
		})
	})
	b.Run("jsonparser", func(b *testing.B) {
		measure(b, len(readings), func() func() { return func() { eachKey(b, data) } })
	})
	b.Run("encoding-json", func(b *testing.B) {
		measure(b, len(readings), func() func() { return func() { unmarshal(b, data) } })
	})
	b.Run("cepd", func(b *testing.B) {
		set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(PumpRule)}}, rules.Options{})
		if !report.OK() {
			b.Fatal(report)
		}
		measure(b, len(readings), func() func() {
			src, err := file.Open(file.Config{Path: "telemetry.jsonl", Reader: bytes.NewReader(data)})
			if err != nil {
				b.Fatal(err)
			}
			return func() {
				if _, err := scenario.Replay(context.Background(), scenario.Options{Rules: set, Source: src, Print: scenario.NewJSON(io.Discard)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// eachKey finds the fields that PumpRule uses, and believes that the rest is
// JSON.
func eachKey(b *testing.B, data []byte) {
	paths := [][]string{{"ts"}, {"device"}, {"temperature"}, {"vibration"}, {"status"}}
	found := 0
	for len(data) > 0 {
		n := bytes.IndexByte(data, '\n')
		jsonparser.EachKey(data[:n], func(i int, value []byte, _ jsonparser.ValueType, _ error) {
			if i == 2 || i == 3 {
				if _, err := jsonparser.ParseFloat(value); err != nil {
					b.Fatal(err)
				}
			}
			found++
		}, paths...)
		data = data[n+1:]
	}
	if found == 0 {
		b.Fatal("no field was found")
	}
}

// unmarshal reads every line into a struct with the fields that PumpRule uses.
func unmarshal(b *testing.B, data []byte) {
	var r struct {
		TS          time.Time `json:"ts"`
		Device      string    `json:"device"`
		Temperature float64   `json:"temperature"`
		Vibration   float64   `json:"vibration"`
		Status      string    `json:"status"`
	}
	for len(data) > 0 {
		n := bytes.IndexByte(data, '\n')
		if err := json.Unmarshal(data[:n], &r); err != nil {
			b.Fatal(err)
		}
		data = data[n+1:]
	}
}

// BenchmarkShards is the same work on one shard and on two that run at the same
// time: ten patterns, so that what is shared by all shards does not decide. Two
// engines that share nothing, with the same work each, are what the machine allows.
// Batches are as large as those of cepd replay.
func BenchmarkShards(b *testing.B) {
	const batch = 1 << 14
	readings := Telemetry(200_000, Devices, 1)
	var text strings.Builder
	text.WriteString(PumpRule)
	for i := range 9 {
		_, rule, _ := strings.Cut(PumpRule, "rules:\n")
		text.WriteString(strings.NewReplacer("pump-failure", fmt.Sprintf("pump-failure-%d", i), "> 80", fmt.Sprintf("> %d", 80+i)).Replace(rule))
	}
	w := load(b, text.String(), readingPayloads(readings))
	both := pool.New(2)
	defer both.Stop()
	for _, shards := range []int{1, 2} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			measure(b, len(readings), func() func() {
				r := w.Start(Options{Shards: shards, Do: both.Do, Batch: batch})
				return func() { r.Run(0, len(readings)) }
			})
		})
	}
	b.Run("apart", func(b *testing.B) {
		measure(b, 2*len(readings), func() func() {
			r := [2]*Runner{w.Start(Options{Batch: batch}), w.Start(Options{Batch: batch})}
			return func() { both.Do(2, func(i int) { r[i].Run(0, len(readings)) }) }
		})
	})
}

// BenchmarkKeys is what a key with one open partial match holds.
func BenchmarkKeys(b *testing.B) {
	const keys = 1_000_000
	payloads := make([][]byte, keys)
	for i := range payloads {
		r := Reading{Time: begin.Add(time.Duration(i) * 1000), Device: "pump-" + pad(i, 7), Temperature: 90, Status: "running"}
		payloads[i] = r.AppendJSON(nil)
	}
	w := load(b, PumpRule, payloads)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := w.Start(Options{})
		r.Run(0, keys)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/keys, "B/key")
		runtime.KeepAlive(r)
	}
}
