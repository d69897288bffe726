package scenario

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest/file"
	"github.com/cepd/cepd/rules"
)

// telemetry returns n messages of about 200 bytes from keys devices, by seed,
// one JSON object a line. One device in a thousand readings runs hot, spikes
// and stops.
func telemetry(n, keys int, seed int64) []byte {
	rng := rand.New(rand.NewSource(seed))
	var b bytes.Buffer
	at := event.Time(1_772_366_400_000_000_000)
	for i := range n {
		at = at.Add(event.Duration(rng.Intn(2_000_000)))
		temperature, vibration, status := 40+30*rng.Float64(), rng.Float64(), "running"
		switch rng.Intn(300) {
		case 0, 1, 2:
			temperature = 85 + 10*rng.Float64()
		case 3:
			vibration = 3
		case 4:
			status = "stopped"
		}
		fmt.Fprintf(&b, `{"ts":"%s","msg_id":"m-%08d","site":"plant-%d","device":"pump-%05d","temperature":%.2f,"vibration":%.3f,"pressure":%.2f,"status":"%s","fw":"2.4.1"}`+"\n",
			at, i, rng.Intn(8), rng.Intn(keys), temperature, vibration, 3+rng.Float64(), status)
	}
	return b.Bytes()
}

const telemetryRules = `
streams:
  telemetry:
    time: e.ts
    watermark: {lag: 0s}
    fields: {ts: timestamp, msg_id: string, site: string, device: string, temperature: double, vibration: double, pressure: double, status: string, fw: string}
rules:
  - name: pump-failure
    from: telemetry
    by: e.device
    pattern: hot -> spike -> stop
    define:
      hot: e.temperature > 80
      spike: e.vibration > 2
      stop: e.status == "stopped"
    within: 5m
    alert:
      summary: ${key} stopped after ${hot.temperature} degrees and a spike of ${spike.vibration}
`

// BenchmarkReplay is the whole path of `cepd replay`: bytes of a file to
// alerts, on one goroutine.
func BenchmarkReplay(b *testing.B) {
	const events = 200_000
	for _, keys := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			data := telemetry(events, keys, 1)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				replayBytes(b, telemetryRules, data)
			}
			b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(events)/float64(b.N), "ns/event")
		})
	}
}

// BenchmarkNewlines is the least that reading such a file can cost: a count of
// its lines.
func BenchmarkNewlines(b *testing.B) {
	const events = 200_000
	data := telemetry(events, 10_000, 1)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if bytes.Count(data, []byte{'\n'}) != events {
			b.Fatal("lines are missing")
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(events)/float64(b.N), "ns/event")
}

func replayBytes(b *testing.B, ruleFile string, data []byte) {
	b.Helper()
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(ruleFile)}}, rules.Options{})
	if !report.OK() {
		b.Fatal(report)
	}
	src, err := file.Open(file.Config{Path: "telemetry.jsonl", Reader: bytes.NewReader(data)})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := Replay(context.Background(), Options{Rules: set, Source: src, Print: NewJSON(io.Discard)}); err != nil {
		b.Fatal(err)
	}
}
