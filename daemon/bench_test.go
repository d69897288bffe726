package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// BenchmarkDaemon is the whole way of an event in memory: source, log, engine
// and acknowledgement, with a rule that holds for one reading in a thousand.
func BenchmarkDaemon(b *testing.B) {
	const batch = 1000
	for _, shards := range []int{1, 2} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			var payloads [batch][]byte
			for i := range payloads {
				temp := 60
				if i == 0 {
					temp = 90
				}
				payloads[i] = fmt.Appendf(nil, `{"device":"pump-%05d","temp":%d,"site":"oslo","pressure":3.25,"status":"running"}`, i, temp)
			}
			src := newSource()
			d := benchDaemon(b, shards, src)
			acked := make(chan struct{}, waitingBatches)
			for b.Loop() {
				records := make([]event.Record, batch)
				for i := range records {
					records[i] = event.Record{Kind: event.KindMessage, Source: "plant", Arrival: d.clock.now(), Payload: payloads[i]}
				}
				src.batches <- ingest.Batch{Records: records, Ack: func(error) { acked <- struct{}{} }}
				<-acked
			}
			b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func benchDaemon(b *testing.B, shards int, src ingest.Source) *Daemon {
	b.Helper()
	file := filepath.Join(b.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(tooHot), 0o600); err != nil {
		b.Fatal(err)
	}
	d, err := New(Options{
		Config: &config.Config{
			Rules:   []string{file},
			HTTP:    config.HTTP{Listen: "off"},
			Sources: []config.Source{{Name: "plant", Type: "file", File: config.FileSource{Path: "-"}}},
			Sinks:   []config.Sink{{Name: "out", Type: "stdout"}},
		},
		Stdout: io.Discard, Shards: shards, Sources: map[string]ingest.Source{"plant": src},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := d.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Stop(context.Background()) })
	return d
}
