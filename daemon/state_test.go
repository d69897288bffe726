package daemon

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/state/vfs"
)

// keptRig is a rig with a state directory.
func keptRig(t *testing.T, rules, dir string) *rig {
	t.Helper()
	return keptRigWith(t, rules, dir, same)
}

// keptRigWith lets the test change options.
func keptRigWith(t *testing.T, rules, dir string, change func(*Options)) *rig {
	t.Helper()
	return newRigWith(t, rules, func(o *Options) {
		change(o)
		o.Config.State.Dir = dir
		o.Config.State.MinFree = 32 << 20
		o.Log = nil
	})
}

// again starts another daemon on the state of one that has stopped, with its
// rule file and its output.
func (r *rig) again(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	next := newRigWith(t, tooHot, func(o *Options) {
		o.Config.State = r.cfg.State
		o.Config.Rules = []string{r.file}
		o.Log = nil
		o.Stdout = r.out
		change(o)
	})
	next.file, next.out = r.file, r.out
	next.start(t)
	return next
}

func same(*Options) {}

// A daemon that was stopped goes on where it was: what fires is known, and
// nothing is told twice. It repeats nothing, since a stop takes a snapshot.
func TestRestart(t *testing.T) {
	r := keptRig(t, tooHot, filepath.Join(t.TempDir(), "state"))
	r.start(t)
	r.source.feed(time.Now(), reading("p1", 85), reading("p2", 60))
	r.effect(t)
	r.stop(t)
	for range 2 {
		r = r.again(t, same)
		if got := r.metric(t, "cepd_recovery_records"); got != "0" {
			t.Errorf("%s records took effect again after a clean stop", got)
		}
		if got := r.metric(t, `cepd_alerts_firing{rule="too-hot"}`); got != "1" {
			t.Errorf("%s alerts fire", got)
		}
		r.source.feed(time.Now(), reading("p1", 90))
		r.effect(t)
		r.stop(t)
	}
	r = r.again(t, same)
	r.source.feed(time.Now(), reading("p1", 60))
	r.effect(t)
	r.stop(t)
	if d := cmp.Diff([]string{"raised too-hot p1: p1 is at 85", "cleared too-hot p1: clear"}, r.out.changes(t)); d != "" {
		t.Error(d)
	}
}

// metric returns the value of a metric, as it is printed.
func (r *rig) metric(t *testing.T, name string) string {
	t.Helper()
	v, ok := metricOf(t, r.Daemon, name)
	if !ok {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// metricOf returns the value of a metric.
func metricOf(t testing.TB, d *Daemon, name string) (float64, bool) {
	t.Helper()
	families, err := d.metrics.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+`="`+l.GetValue()+`"`)
			}
			full := f.GetName()
			if labels != nil {
				full += "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case full != name:
			case m.Gauge != nil:
				return m.Gauge.GetValue(), true
			case m.Counter != nil:
				return m.Counter.GetValue(), true
			}
		}
	}
	return 0, false
}

// Rules that have changed while the daemon was away come into force by a record,
// after what was there took effect under the old ones.
func TestRulesChangedMeanwhile(t *testing.T) {
	r := keptRig(t, hotForLong+strings.TrimPrefix(tooHot[strings.Index(tooHot, "  - name"):], "\n"), filepath.Join(t.TempDir(), "state"))
	r.start(t)
	r.source.feed(time.Now(), reading("p1", 85))
	r.effect(t)
	r.stop(t)
	r.write(t, strings.ReplaceAll(tooHot, "> 80", "> 50"))
	r = r.again(t, same)
	r.source.feed(time.Now(), reading("p1", 60), reading("p2", 60))
	r.effect(t)
	r.stop(t)
	if d := cmp.Diff([]string{"raised too-hot p1: p1 is at 85", "raised too-hot p2: p2 is at 60"}, r.out.changes(t)); d != "" {
		t.Error(d)
	}
}

// Two daemons cannot have one directory, and what the second does not
// understand it leaves alone.
func TestStateRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	r := keptRig(t, tooHot, dir)
	r.start(t)
	second := keptRig(t, tooHot, dir)
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "is in use by another cepd") {
		t.Errorf("a second daemon: %v", err)
	}
	second.stop(t)
	r.stop(t)

	format := filepath.Join(dir, formatFile)
	for _, c := range []struct{ format, want string }{
		{"cepd state 2\n", "has format 2, and this cepd reads formats up to 1"},
		{"some other program\n", "is not what cepd wrote"},
		{"", "is not what cepd wrote"},
	} {
		save(t, format, c.format)
		before := listing(t, dir)
		next := keptRig(t, tooHot, dir)
		if err := next.Start(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("format %q: %v", c.format, err)
		}
		next.stop(t)
		if d := cmp.Diff(before, listing(t, dir)); d != "" {
			t.Errorf("format %q: files were changed: %s", c.format, d)
		}
	}
	if err := os.Remove(format); err != nil {
		t.Fatal(err)
	}
	next := keptRig(t, tooHot, dir)
	if err := next.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "FORMAT is missing, and log is not empty") {
		t.Errorf("without the format: %v", err)
	}
	next.stop(t)
}

// listing returns names and contents of all files.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			data, err := os.ReadFile(path)
			all[path] = string(data)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A disk without room: alive, not ready, nothing acknowledged; then it goes on.
func TestDiskFull(t *testing.T) {
	disk := &fullable{FS: vfs.OS()}
	r := keptRig(t, tooHot, filepath.Join(t.TempDir(), "state"))
	r.fs = disk
	r.start(t)
	defer r.stop(t)
	disk.full.Store(true)
	r.source.feed(time.Now(), reading("p1", 85))
	for r.Ready() == nil { // it looks before the next record
		runtime.Gosched()
	}
	if err := r.Ready(); !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("not ready: %v", err)
	}
	if got := r.source.acknowledged(); len(got) != 0 {
		t.Errorf("acknowledged: %v", got)
	}
	disk.full.Store(false)
	r.effect(t)
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	if got := r.source.acknowledged(); !slices.Equal(got, []error{nil}) {
		t.Errorf("acknowledged: %v", got)
	}
}

// fullable is a file system that can be full.
type fullable struct {
	vfs.FS
	full atomic.Bool
}

func (f *fullable) Free(dir string) (int64, error) {
	if f.full.Load() {
		return 0, nil
	}
	return f.FS.Free(dir)
}

// The clock of a daemon goes on from the log's, also where the wall clock does
// not.
func TestClockGoesOn(t *testing.T) {
	r := keptRig(t, tooHot, filepath.Join(t.TempDir(), "state"))
	r.start(t)
	r.stop(t)
	last := r.durable.Arrival()
	r = r.again(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) } })
	r.look(t, func() {
		if got := r.durable.Arrival(); got < last {
			t.Errorf("the log goes back by %v", last.Sub(got))
		}
	})
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "the clock is wrong") {
		t.Errorf("with a clock of yesterday: %v", err)
	}
	r.stop(t)
}

// A stop does not wait for a snapshot for ever: what is not in it is in the log.
func TestStopInHurry(t *testing.T) {
	r := keptRig(t, tooHot, filepath.Join(t.TempDir(), "state"))
	r.start(t)
	r.source.feed(time.Now(), reading("p1", 85))
	r.effect(t)
	close(r.hurry)
	r.stop(t)
	r = r.again(t, same)
	if got := r.metric(t, `cepd_alerts_firing{rule="too-hot"}`); got != "1" {
		t.Errorf("%q alerts fire", got)
	}
	r.stop(t)
	if got := r.out.changes(t); len(got) != 1 {
		t.Errorf("told %v", got)
	}
}
