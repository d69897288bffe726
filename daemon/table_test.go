package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const tooHotForIt = `
streams:
  telemetry: {source: plant, fields: {device: string, temp: double}}
tables:
  ratings: {file: data/ratings.csv, key: device}
rules:
  - name: too-hot
    from: telemetry
    by: e.device
    when: e.temp > ratings[e.device].max
    alert: {summary: "${key} is at ${e.temp}"}
`

// TestWatchTable: a table that is saved is a reload that keeps the state of the
// rules; with a mistake it is refused, and its correction is noticed.
func TestWatchTable(t *testing.T) {
	type told struct {
		report ReloadReport
		err    error
	}
	reloads := make(chan told, 10)
	var table string
	r := newRigWith(t, tooHotForIt, func(o *Options) {
		table = filepath.Join(filepath.Dir(o.Config.Rules[0]), "data", "ratings.csv")
		if err := os.Mkdir(filepath.Dir(table), 0o700); err != nil {
			t.Fatal(err)
		}
		save(t, table, "device,max\np1,80\np2,80\n")
		o.Config.Watch = true
		o.OnReload = func(r ReloadReport, err error) { reloads <- told{r, err} }
	})
	r.start(t)
	defer r.stop(t)
	// until waits for a reload; a write may be seen half done, or twice.
	until := func(want func(told) bool) told {
		for {
			select {
			case v := <-reloads:
				if want(v) {
					return v
				}
			case <-time.After(time.Minute):
				t.Fatal("no reload")
			}
		}
	}
	r.source.feed(time.Now(), reading("p1", 90), reading("p2", 70))
	r.effect(t)
	save(t, table, "device,max\np1,80\np2\n")
	until(func(v told) bool { return v.err != nil })
	save(t, table, "device,max\np1,100\np2,60.5\n")
	done := until(func(v told) bool { return v.err == nil && !v.report.Same })
	if !slices.Equal(done.report.Kept, []string{"too-hot"}) {
		t.Errorf("kept %v", done.report.Kept)
	}
	r.source.feed(time.Now(), reading("p1", 90), reading("p2", 70))
	r.effect(t)
	if raised, cleared := r.Stats().Raised.Total("too-hot"), r.Stats().Cleared.Total("too-hot"); raised != 2 || cleared != 1 {
		t.Errorf("%d raised, %d cleared", raised, cleared)
	}
}

func save(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
