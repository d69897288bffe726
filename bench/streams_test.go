package bench

import (
	"bytes"
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
