//go:build unix

package bench

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// cpuTime returns what the process has used of processors so far. On a machine
// that others use as well it says more than a clock.
func cpuTime(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
	b.Run("cepd", func(b *testing.B) {
		w := load(b, PumpRule, readingPayloads(readings))
		measure(b, len(readings), func() func() {
			r := w.Start(Options{})
			return func() {
				if r.Run(0, len(readings)); r.Matches != loop.Matches || r.Matches == 0 {
					b.Fatalf("%d matches, the loop finds %d", r.Matches, loop.Matches)
				}
			}
		})
	})
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
