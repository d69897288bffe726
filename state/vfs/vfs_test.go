package vfs_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/state/vfs"
)

// each runs a test on the file system of the machine and on the one in memory,
// which must agree.
func each(t *testing.T, test func(t *testing.T, fs vfs.FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, vfs.OS(), t.TempDir()) })
	t.Run("mem", func(t *testing.T) { test(t, vfs.NewMem(), "top") })
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, top string) {
		dir := filepath.Join(top, "a", "b")
		name := filepath.Join(dir, "file")
		if _, err := fsys.Create(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("creating a file in no directory: %v", err)
		}
		ok(t, fsys.MkdirAll(dir), fsys.MkdirAll(dir))
		f := must(fsys.Create(name))(t)
		if _, err := fsys.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("creating it twice: %v", err)
		}
		must(f.WriteAt([]byte("hello"), 3))(t)
		must(f.WriteAt([]byte("H"), 3))(t)
		ok(t, f.Truncate(7), f.Sync(), f.Close(), fsys.SyncDir(dir))
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("closing it twice: %v", err)
		}
		if data := must(vfs.ReadFile(fsys, name))(t); string(data) != "\x00\x00\x00Hell" {
			t.Errorf("it holds %q", data)
		}
		r := must(fsys.Open(name))(t)
		if _, err := r.WriteAt([]byte("x"), 0); err == nil {
			t.Error("what is open for reading can be written")
		}
		if n := must(r.Size())(t); n != 7 {
			t.Errorf("size is %d", n)
		}
		if n, err := r.ReadAt(make([]byte, 9), 4); n != 3 || err == nil {
			t.Errorf("reading past the end: %d bytes, %v", n, err)
		}
		other := filepath.Join(dir, "other")
		ok(t, r.Close(), vfs.WriteFile(fsys, other, []byte("old")), fsys.Rename(name, other))
		want := []vfs.Info{{Name: "other", Size: 7}}
		if diff := cmp.Diff(want, must(fsys.List(dir))(t)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		ok(t, fsys.Remove(other), vfs.RemoveAny(fsys, other))
		for _, err := range []error{fsys.Remove(other), fsys.Rename(other, name), second(fsys.Open(other)), second(fsys.OpenWrite(other)), second(fsys.List(name))} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("of a file that is not there: %v", err)
			}
		}
		if free := must(fsys.Free(dir))(t); free <= 0 {
			t.Errorf("%d bytes are free", free)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, top string) {
		ok(t, fsys.MkdirAll(top))
		name := filepath.Join(top, "lock")
		l := must(fsys.Lock(name))(t)
		_, err := fsys.Lock(name)
		if !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), name) {
			t.Errorf("a second lock: %v", err)
		}
		ok(t, l.Close())
		ok(t, must(fsys.Lock(name))(t).Close())
	})
}

// A file that is written as a whole has the old contents or the new ones,
// whatever fails and whenever the power goes.
func TestWriteFile(t *testing.T) {
	for n, failed := 1, true; failed; n++ {
		for _, effect := range []vfs.Effect{vfs.None, vfs.Half, vfs.Whole} {
			failed = false
			m := vfs.NewMem()
			ok(t, m.MkdirAll("d"), vfs.WriteFile(m, "d/f", []byte("old contents")))
			err := vfs.WriteFile(vfs.NewFault(m, func(op vfs.Op) *vfs.Failure {
				if op.N != n {
					return nil
				}
				failed = true
				return &vfs.Failure{Err: syscall.EIO, Effect: effect}
			}), "d/f", []byte("new"))
			if err == nil && failed {
				t.Errorf("operation %d failed, and nobody says so", n)
			}
			m.Crash(rand.New(rand.NewPCG(uint64(n), 1)))
			got := string(must(vfs.ReadFile(m, "d/f"))(t))
			if got != "new" && (got != "old contents" || err == nil) {
				t.Errorf("operation %d: %q, error %v", n, got, err)
			}
		}
	}
}

// What a loss of power leaves of a file: what was synced, always; and of what was
// not, nothing, everything, and parts.
func TestCrash(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(300) {
		m := vfs.NewMem()
		ok(t, m.MkdirAll("d"))
		f := must(m.Create("d/f"))(t)
		must(f.WriteAt([]byte(strings.Repeat("a", 600)), 0))(t)
		ok(t, f.Sync(), m.SyncDir("d"))
		must(f.WriteAt([]byte(strings.Repeat("b", 600)), 600))(t)
		must(m.Create("d/g"))(t)
		if seed%2 == 0 {
			ok(t, f.Sync(), m.SyncDir("d"))
		}
		m.Crash(rand.New(rand.NewPCG(seed, 0)))
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, vfs.ErrCrashed) {
			t.Errorf("a file that was open answers %v", err)
		}
		data := string(must(vfs.ReadFile(m, "d/f"))(t))
		a := strings.TrimRight(data, "b\x00")
		b := data[len(a):]
		what := "some"
		switch {
		case len(a) != 600:
			t.Fatalf("seed %d: what was durable is lost: %q", seed, data)
		case b == "":
			what = "none"
		case b == strings.Repeat("b", 600):
			what = "all"
		case strings.Contains(b, "\x00b"):
			what = "holes"
		}
		if seed%2 == 0 && what != "all" {
			t.Fatalf("seed %d: what was durable is lost: %q", seed, data)
		}
		if second(m.Open("d/g")) == nil {
			what += " with g"
		}
		if seed%2 == 1 {
			seen[what] = true
		}
	}
	for _, what := range []string{"none", "some", "all", "holes", "none with g", "all with g"} {
		if !seen[what] {
			t.Errorf("no crash leaves %q", what)
		}
	}
}

// After a sync that failed another one succeeds, and proves nothing.
func TestLostPages(t *testing.T) {
	lost := false
	for seed := range uint64(20) {
		m := vfs.NewMem()
		ok(t, m.MkdirAll("d"))
		fails := true
		fsys := vfs.NewFault(m, func(op vfs.Op) *vfs.Failure {
			if op.Name != "sync" || !fails {
				return nil
			}
			fails = false
			return &vfs.Failure{Err: syscall.EIO}
		})
		f := must(fsys.Create("d/f"))(t)
		must(f.WriteAt([]byte("data"), 0))(t)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		ok(t, f.Sync(), fsys.SyncDir("d"))
		if data := must(vfs.ReadFile(fsys, "d/f"))(t); string(data) != "data" {
			t.Fatalf("it holds %q", data)
		}
		m.Crash(rand.New(rand.NewPCG(seed, 0)))
		lost = lost || string(must(vfs.ReadFile(m, "d/f"))(t)) != "data"
	}
	if !lost {
		t.Error("what a failed sync forgot is always there")
	}
}

func TestCapacity(t *testing.T) {
	m := vfs.NewMem()
	ok(t, m.MkdirAll("d"))
	f := must(m.Create("d/f"))(t)
	m.SetCapacity(10)
	n, err := f.WriteAt(make([]byte, 12), 0)
	if n != 10 || !vfs.IsFull(err) {
		t.Errorf("%d bytes, error %v", n, err)
	}
	must(f.WriteAt(make([]byte, 10), 0))(t) // what is there can be written again
	ok(t, f.Truncate(4))
	if free := must(m.Free("d"))(t); free != 6 {
		t.Errorf("%d bytes are free", free)
	}
	if vfs.IsFull(os.ErrExist) || !vfs.IsFull(syscall.EDQUOT) {
		t.Error("a quota is no disk that is full, or something else is")
	}
}
