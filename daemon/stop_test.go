package daemon

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/state/vfs"
)

// untilFull waits until the daemon says that the disk is full.
func (r *rig) untilFull() {
	for err := r.Ready(); err == nil || !strings.Contains(err.Error(), "the disk is full"); err = r.Ready() {
		runtime.Gosched()
	}
}

// A daemon that waits for room on the disk can be stopped: while it starts,
// and while new rules wait for their place in the log.
func TestStopWhileFull(t *testing.T) {
	disk := &fullable{FS: vfs.OS()}
	dir := filepath.Join(t.TempDir(), "state")
	r := keptRig(t, tooHot, dir)
	r.fs = disk
	disk.full.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan error)
	go func() { started <- r.Start(ctx) }()
	r.untilFull()
	cancel()
	if err := <-started; !errors.Is(err, context.Canceled) {
		t.Errorf("a start that was given up: %v", err)
	}
	r.stop(t)

	disk.full.Store(false)
	r = keptRig(t, tooHot, dir)
	r.fs = disk
	r.start(t)
	disk.full.Store(true)
	r.write(t, strings.ReplaceAll(tooHot, "> 80", "> 50"))
	reloaded := make(chan error)
	go func() {
		_, err := r.Reload(context.WithoutCancel(t.Context()))
		reloaded <- err
	}()
	r.untilFull()
	stopped := make(chan error)
	go func() { stopped <- r.Stop(context.Background()) }()
	if err := <-reloaded; !errors.Is(err, errStopped) {
		t.Errorf("the reload: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}

	disk.full.Store(false)
	r = r.again(t, same)
	r.source.feed(time.Now(), reading("p1", 60))
	r.effect(t)
	r.stop(t)
	if got := r.out.changes(t); len(got) != 1 {
		t.Errorf("the rules of the files are not in force: %v", got)
	}
}

// slowLock is a file system on which taking a lock lasts.
type slowLock struct {
	vfs.FS
	asked, free chan struct{}
}

func (f *slowLock) Lock(name string) (io.Closer, error) {
	close(f.asked)
	<-f.free
	return f.FS.Lock(name)
}

// Rules that are reloaded while the daemon starts come into force when it has:
// they are kept before a record names them, and the next start finds them.
func TestReloadWhileStarting(t *testing.T) {
	disk := &slowLock{vfs.OS(), make(chan struct{}), make(chan struct{})}
	r := keptRig(t, tooHot, filepath.Join(t.TempDir(), "state"))
	r.fs = disk
	started, reloaded := make(chan error), make(chan error)
	go func() { started <- r.Start(t.Context()) }()
	<-disk.asked
	r.write(t, strings.ReplaceAll(tooHot, "> 80", "> 50"))
	go func() {
		_, err := r.Reload(t.Context())
		reloaded <- err
	}()
	for range 1000 {
		runtime.Gosched()
	}
	close(disk.free)
	if err := errors.Join(<-started, <-reloaded); err != nil {
		t.Fatal(err)
	}
	r.source.feed(time.Now(), reading("p1", 60))
	r.effect(t)
	r.stop(t)
	r = r.again(t, same)
	r.stop(t)
	if got := r.out.changes(t); len(got) != 1 {
		t.Errorf("after a reload while starting: %v", got)
	}
}
