package bench

import (
	"bytes"
	"strings"
	"testing"
)

// TestStreams pins the streams: the same seed gives the same bytes on every
// machine.
func TestStreams(t *testing.T) {
	r, again := Telemetry(100, 10, 1), Telemetry(200, 10, 1)
	if got, want := string(r[7].AppendJSON(nil)), string(again[7].AppendJSON(nil)); got != want {
		t.Errorf("%s, then %s", got, want)
	}
	a, b := Trades(50, Names, 3), Trades(50, Names, 3)
	for i := range a {
		if !bytes.Equal(a[i].AppendJSON(nil), b[i].AppendJSON(nil)) {
			t.Fatalf("trade %d differs", i)
		}
	}
}

// TestLoopAgrees holds the loop that cepd is measured against to the matches of
// cepd.
func TestLoopAgrees(t *testing.T) {
	readings := Telemetry(60_000, 100, 2)
	loop := NewPumpLoop()
	loop.Run(readings)
	payloads := make([][]byte, len(readings))
	for i := range readings {
		payloads[i] = readings[i].AppendJSON(nil)
	}
	w, err := Load(PumpRule, payloads)
	if err != nil {
		t.Fatal(err)
	}
	for _, shards := range []int{1, 2} {
		r := w.Start(Options{Shards: shards, Batch: 333})
		if r.Run(0, len(readings)); r.Matches != loop.Matches || r.Matches < 20 {
			t.Errorf("%d matches on %d shards, the loop has %d", r.Matches, shards, loop.Matches)
		}
	}
}

// TestQuietEvents holds events that match nothing to no allocation, with one
// rule and with many: what a batch allocates does not depend on its length.
func TestQuietEvents(t *testing.T) {
	readings := Telemetry(12_000, 50, 1)
	payloads := make([][]byte, len(readings))
	for i := range readings {
		readings[i].Temperature, readings[i].Vibration, readings[i].Status = 60, 0, "running"
		if i < 1000 && i%10 == 0 {
			readings[i].Temperature = 90 // every pump has an open run
		}
		payloads[i] = readings[i].AppendJSON(nil)
	}
	trades := Trades(12_000, 50, 1)
	others := make([][]byte, len(trades))
	for i := range trades {
		others[i] = trades[i].AppendJSON(nil)
	}
	for _, c := range []struct {
		name, rules string
		payloads    [][]byte
	}{
		{"linked", PumpRule, payloads},
		{"compact", strings.Replace(PumpRule, " && e.temperature < hot.temperature", "", 1), payloads},
		{"indexed", GuardedRules(300), others},
	} {
		w, err := Load(c.rules, c.payloads)
		if err != nil {
			t.Fatal(err)
		}
		allocated := func(batch int) float64 {
			r := w.Start(Options{Batch: batch})
			at := 1000
			r.Run(0, at)
			r.Run(0, 0)
			return testing.AllocsPerRun(2, func() {
				r.Run(at, at+batch)
				at += batch
			})
		}
		allocated(3000) // what is shared by all runners
		if short, long := allocated(1000), allocated(3000); long > short+20 {
			t.Errorf("%s: %v allocations for 1,000 events, %v for 3,000", c.name, short, long)
		}
	}
}
