package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// BenchmarkDaemon is the whole way of an event: source, log, engine and
// acknowledgement, with a rule that holds for one reading in a thousand and a
// window; with nothing kept, and with a state directory. Batches of a thousand are in flight
// as a source has them: the next one does not wait for the last.
func BenchmarkDaemon(b *testing.B) {
	const batch = 1000
	for _, state := range []string{"none", config.SyncNever, config.SyncInterval, config.SyncAlways} {
		b.Run("state="+state, func(b *testing.B) {
			var payloads [batch][]byte
			for i := range payloads {
				temp := 60
				if i == 0 {
					temp = 90
				}
				payloads[i] = fmt.Appendf(nil, `{"device":"pump-%05d","temp":%d,"site":"oslo","pressure":3.25,"status":"running"}`, i, temp)
			}
			src := newSource()
			d := benchDaemon(b, state, src)
			var acked sync.WaitGroup
			for b.Loop() {
				records := make([]event.Record, batch)
				for i := range records {
					records[i] = event.Record{Kind: event.KindMessage, Source: "plant", Arrival: d.clock.now(), Payload: payloads[i]}
				}
				acked.Add(1)
				src.batches <- ingest.Batch{Records: records, Ack: func(error) { acked.Done() }}
			}
			acked.Wait()
			b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// hourly keeps something of every key.
const hourly = tooHot + `
  - name: warm-hour
    from: telemetry
    by: e.device
    window: {tumbling: 1h}
    let: {mean: avg(e.temp), most: max(e.temp)}
    when: mean > 70 && most > 100
    alert: {summary: "${key} was at ${mean}"}
`

// BenchmarkRestart is the start of a daemon that was killed: 100,000 keys in the
// last snapshot, and 600,000 events in the log behind it. One reading in a
// thousand raises an alert.
func BenchmarkRestart(b *testing.B) {
	const keys, tail, batch = 100_000, 600_000, 1000
	made := filepath.Join(b.TempDir(), "made")
	feed := func(snapshot time.Duration, events int) {
		src := newSource()
		d := benchDaemon(b, config.SyncNever, src, func(c *config.State) { c.Dir, c.Snapshot = made, snapshot })
		var acked sync.WaitGroup
		for n := 0; n < events; n += batch {
			records := make([]event.Record, batch)
			for i := range records {
				payload := fmt.Appendf(nil, `{"device":"pump-%06d","temp":%d,"site":"oslo","pressure":3.25,"status":"running"}`, (n+i)%keys, temperature(n+i))
				records[i] = event.Record{Kind: event.KindMessage, Source: "plant", Arrival: d.clock.now(), Payload: payload}
			}
			acked.Add(1)
			src.batches <- ingest.Batch{Records: records, Ack: func(error) { acked.Done() }}
		}
		acked.Wait()
		if err := d.send(context.Background(), command{done: make(chan error, 1)}); err != nil {
			b.Fatal(err)
		}
		if snapshot > time.Minute { // as it is now, without the snapshot of a stop
			made = copyOf(b, made)
		}
		_ = d.Stop(context.Background())
	}
	feed(time.Minute, keys)
	feed(time.Hour, tail)
	for b.Loop() {
		b.StopTimer()
		dir := copyOf(b, made)
		b.StartTimer()
		d := benchDaemon(b, config.SyncAlways, newSource(), func(c *config.State) { c.Dir = dir })
		b.StopTimer()
		if got, _ := metricOf(b, d, "cepd_recovery_records"); got < tail {
			b.Errorf("%v records took effect again", got)
		}
		took, _ := metricOf(b, d, "cepd_recovery_seconds")
		b.ReportMetric(took, "s-recovering")
		_ = d.Stop(context.Background())
		b.StartTimer()
	}
}

func temperature(n int) int {
	if n%1000 == 0 {
		return 90
	}
	return 60
}

// copyOf copies a folder, and has the copy on the disk.
func copyOf(b *testing.B, dir string) string {
	b.Helper()
	to := filepath.Join(b.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, _ os.DirEntry, err error) error {
		f, openErr := os.Open(path)
		if err = errors.Join(err, openErr); err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
	if err != nil {
		b.Fatal(err)
	}
	return to
}

func benchDaemon(b *testing.B, state string, src ingest.Source, change ...func(*config.State)) *Daemon {
	b.Helper()
	file := filepath.Join(os.TempDir(), "cepd-bench-rules.yaml") // the same for all: it is part of the rules' hash
	b.Cleanup(func() { _ = os.Remove(file) })
	if err := os.WriteFile(file, []byte(hourly), 0o600); err != nil {
		b.Fatal(err)
	}
	var kept config.State
	if state != "none" {
		kept = config.State{Dir: filepath.Join(b.TempDir(), "state"), Sync: state}
	}
	for _, f := range change {
		f(&kept)
	}
	d, err := New(Options{
		Config: &config.Config{
			State:   kept,
			Rules:   []string{file},
			HTTP:    config.HTTP{Listen: "off"},
			Sources: []config.Source{{Name: "plant", Type: "file", File: config.FileSource{Path: "-"}}},
			Sinks:   []config.Sink{{Name: "out", Type: "stdout"}},
		},
		Stdout: io.Discard, Shards: 1, Sources: map[string]ingest.Source{"plant": src},
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
