package scenario

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

// BenchmarkDurable is what an event costs with its log in memory and on disk, by
// the size of the groups that one fdatasync covers.
func BenchmarkDurable(b *testing.B) {
	const events = 20_000
	var records []event.Record
	for line := range bytes.Lines(telemetry(events, 1000, 1)) {
		records = append(records, event.Record{
			Kind: event.KindMessage, Source: "plant", Topic: "plant/telemetry", Flags: 1, Conn: 1, Arrival: 1_772_366_400_000_000_000,
			Payload: bytes.TrimSpace(line),
		})
	}
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(telemetryRules)}}, rules.Options{})
	if !report.OK() {
		b.Fatal(report)
	}
	onDisk := func(b *testing.B, sync wal.Sync) appender {
		l, _, err := wal.Open(vfs.OS(), b.TempDir(), wal.Options{Sync: sync})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { l.Close() })
		return l
	}
	for _, size := range []int{100, 1000} {
		for _, c := range []struct {
			name string
			log  func(b *testing.B) appender
		}{
			{"memory", func(*testing.B) appender { return &wal.Memory{} }},
			{"never", func(b *testing.B) appender { return onDisk(b, wal.Never) }},
			{"always", func(b *testing.B) appender { return onDisk(b, wal.Always) }},
		} {
			b.Run(fmt.Sprintf("group=%d/log=%s", size, c.name), func(b *testing.B) {
				log := c.log(b)
				for b.Loop() {
					e := engine.New(engine.Config{
						Load:     func(string) (*rules.Set, error) { return set, nil },
						StandIns: map[string]engine.StandIn{"plant": {Stream: "telemetry"}},
					})
					feed(b, log, e, []event.Record{{Kind: event.KindRuleSet}})
					for batch := range slices.Chunk(slices.Clone(records), size) {
						feed(b, log, e, batch)
					}
				}
				b.ReportMetric(b.Elapsed().Seconds()*1e9/events/float64(b.N), "ns/event")
			})
		}
	}
}

// appender is a log.
type appender interface {
	Append(records []event.Record) (event.Position, error)
}

func feed(b *testing.B, log appender, e *engine.Engine, records []event.Record) {
	b.Helper()
	if _, err := log.Append(records); err != nil {
		b.Fatal(err)
	}
	e.Step(engine.Input{Records: records})
}
