package wal_test

import (
	"fmt"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

// batch is n messages of 200 bytes, as they come from MQTT.
func batch(n int) []event.Record {
	records := make([]event.Record, n)
	for i := range records {
		records[i] = event.Record{
			Kind: event.KindMessage, Flags: 1, Arrival: 1_772_366_400_000_000_000 + event.Time(i), Conn: 1,
			Source: "plant", Topic: fmt.Sprintf("plant/pump-%03d/telemetry", i%500), Payload: make([]byte, 200),
		}
	}
	return records
}

// What a message costs in the log, by the size of the group that one fdatasync
// covers, on the disk of the temporary folder.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []struct {
		name   string
		policy wal.Sync
	}{{"always", wal.Always}, {"never", wal.Never}} {
		for _, n := range []int{1, 20, 100, 1000} {
			b.Run(fmt.Sprintf("sync=%s/group=%d", sync.name, n), func(b *testing.B) {
				l, _, err := wal.Open(vfs.OS(), b.TempDir(), wal.Options{Sync: sync.policy})
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				records := batch(n)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := l.Append(records); err != nil {
						b.Fatal(err)
					}
					if err := l.Truncate(l.Last()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(n)/float64(b.N), "ns/record")
			})
		}
	}
}

// What reading the log costs, as after a start.
func BenchmarkRead(b *testing.B) {
	const records = 100_000
	l, _, err := wal.Open(vfs.OS(), b.TempDir(), wal.Options{Sync: wal.Never})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for range records / 1000 {
		if _, err := l.Append(batch(1000)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := l.Read(event.Position{}, func(*event.Record) error { n++; return nil }); err != nil || n != records {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/records/float64(b.N), "ns/record")
}
