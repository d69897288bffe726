package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of 64 MB for the length of a test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("cepd-test", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("SKIPPED: a file system of 64 MB can be mounted by root only: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullFileSystem fills a real file system of 64 MB: by somebody else, and by
// the log itself. The daemon lives, says why it is not ready, acknowledges
// nothing, also when it is started then, and goes on when there is room.
func TestFullFileSystem(t *testing.T) {
	disk := smallDisk(t)
	change := func(o *Options) {
		o.Config.State.Dir, o.Config.State.MinFree = filepath.Join(disk, "state"), 32<<20
		o.Config.State.Snapshot = time.Second
		o.Config.State.History = 24 * time.Hour // so that snapshots make no room
		o.Log = nil
	}
	r := newRigWith(t, tooHot, change)
	r.start(t)
	r.source.feed(time.Now(), reading("p1", 85))
	r.effect(t)

	filler := filepath.Join(disk, "of somebody else")
	fill(t, filler)
	r.source.feed(time.Now(), reading("p2", 85))
	r.awaitFull(t)
	if got := r.source.acknowledged(); len(got) != 1 {
		t.Errorf("%d batches were acknowledged, the second one with a full disk", len(got))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.effect(t)
	r.stop(t)

	fill(t, filler)
	started := make(chan error)
	next := newRigWith(t, tooHot, change)
	go func() { started <- next.Start(t.Context()) }()
	next.awaitFull(t)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	r = next
	if got := r.metric(t, `cepd_alerts_firing{rule="too-hot"}`); got != "2" {
		t.Errorf("after a start on a full disk %q alerts fire", got)
	}

	taken := 0
	for full := false; !full; {
		r.source.feed(time.Now(), bulk()...)
		for waiting := true; waiting; {
			select {
			case <-r.source.acked:
				taken++
				waiting = false
			default:
				if full = r.Ready() != nil; full {
					waiting = false
				}
				runtime.Gosched()
			}
		}
	}
	r.awaitFull(t)
	if taken < 10 || taken > 31 {
		t.Errorf("%d MB were taken of 64, of which 32 are not ours", taken)
	}
	if err := syscall.Mount("", disk, "tmpfs", syscall.MS_REMOUNT, "size=128m"); err != nil {
		t.Fatal(err)
	}
	r.effect(t)
	if err := r.Ready(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	r.stop(t)
}

// awaitFull waits until the daemon says that the disk is full.
func (r *rig) awaitFull(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		if err := r.Ready(); err != nil && strings.Contains(err.Error(), "the disk is full") {
			return
		}
	}
	t.Errorf("on a full disk: %v", r.Ready())
}

// bulk is a megabyte of readings.
func bulk() []string {
	var all []string
	pad := strings.Repeat("x", 64<<10)
	for range 16 {
		all = append(all, fmt.Sprintf(`{"device":"p2","temp":20,"pad":%q}`, pad))
	}
	return all
}

// fill takes all the room that there is.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for zeros := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(zeros)
	}
}
