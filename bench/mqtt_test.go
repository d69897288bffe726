package bench_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cepd/cepd/bench/overmqtt"
	"github.com/cepd/cepd/internal/mosquitto"
)

func TestMain(m *testing.M) {
	overmqtt.Main()
	os.Exit(m.Run())
}

// BenchmarkMQTT is cepd on a mosquitto, in a process of its own that keeps a
// state directory, syncs its log before it acknowledges and runs a pattern,
// against a Paho that acknowledges messages and does nothing with them. They take
// turns, and each figure is the median of its own.
func BenchmarkMQTT(b *testing.B) {
	names := []string{"bare-paho", "cepd-native", "cepd-paho"}
	var subscribers []overmqtt.Subscriber
	for _, name := range names {
		subscribers = append(subscribers, overmqtt.Role(name))
	}
	costs, err := overmqtt.Compare(7, subscribers)
	if errors.Is(err, mosquitto.ErrNotInstalled) {
		fmt.Fprintln(os.Stderr, "SKIPPED: BenchmarkMQTT:", err) // a benchmark that is skipped says nothing
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	for i, name := range names {
		b.Run(name, func(b *testing.B) {
			for b.Loop() { // it has been run
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(costs[i].CPU, "cpu-ns/event")
			b.ReportMetric(costs[i].Rate, "events/s")
		})
	}
}
