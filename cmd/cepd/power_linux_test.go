package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// disk is a file system in a file, of which a copy is what a loss of power
// leaves: what the kernel holds in memory is not in it.
type disk struct {
	t     *testing.T
	dir   string // where it is mounted
	files string // where its images are
	n     int    // of the image that is mounted
}

// newDisk mounts an ext4 of 192 MB, or skips the test.
func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	d := &disk{t: t, dir: dir, files: t.TempDir()}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(d.image(0))
	if err == nil {
		err = f.Truncate(192 << 20)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", "-m", "0", d.image(0)}, {"mount", "-o", "loop", d.image(0), dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: a file system in a file takes root and loop devices: %v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(d.unmount)
	return d
}

func (d *disk) image(n int) string { return filepath.Join(d.files, fmt.Sprintf("%d.img", n)) }

func (d *disk) unmount() { d.run("umount", d.dir) }

func (d *disk) run(args ...string) {
	d.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		d.t.Errorf("%v: %v: %s", args, err, out)
	}
}

// lose puts in place of the disk what a loss of power now would leave of it, for
// a program that is stopped and must be killed before the disk is changed.
func (d *disk) lose(kill func()) {
	d.t.Helper()
	d.n++
	d.run("cp", d.image(d.n-1), d.image(d.n))
	kill()
	d.unmount()
	d.run("mount", "-o", "loop", d.image(d.n), d.dir)
	if err := os.Remove(d.image(d.n - 1)); err != nil {
		d.t.Error(err)
	}
}

// TestPowerLoss takes the power away from a real file system, right after
// acknowledgements, and goes on with what is left: all that was acknowledged is
// in the log, takes effect once, and each change reaches the sink under one id.
func TestPowerLoss(t *testing.T) {
	s := newSurvivor(t, build(t), "", "always")
	d := newDisk(t, filepath.Join(s.dir, "state"))
	t.Cleanup(func() { // before the disk goes
		_ = s.cmd.Process.Kill()
		<-s.ended
	})
	lose := func() {
		t.Helper()
		s.up()
		if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		d.lose(func() {
			_ = s.cmd.Process.Kill()
			<-s.ended
		})
		out, err := exec.Command(s.bin, "log", "show", "first", "--count", "1000", "-o", "json", "-d", d.dir).Output()
		if err != nil {
			t.Fatalf("reading the log after a loss of power: %v", err)
		}
		for n := 1; n <= s.n; n++ {
			if !strings.Contains(string(out), fmt.Sprintf(`{\"n\":%d,`, n)) {
				t.Errorf("event %d was acknowledged and is lost", n)
			}
		}
	}
	for i := range 4 {
		s.post(i, 90, "")
		lose()
	}
	s.rulesOfTwo()
	s.reload()
	lose()
	for i := range 4 {
		s.post(i, 50, "")
	}
	lose()
	for i := range 3 {
		s.stop()
		s.post(4+i, 90, "")
		if i == 1 {
			lose()
		}
		s.post(4+i, 50, "")
	}
	s.post(8, 20, "")
	lose()
	s.check()
}
