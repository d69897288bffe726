package segment_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
)

const dir = "log"

// options are those of the tests: small files, and salts that come again.
func options(o segment.Options) segment.Options {
	o.Kind, o.Version = "test", max(o.Version, 1)
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 1000
	}
	salt := uint64(0)
	o.Salt = func() uint64 {
		salt++
		return salt
	}
	return o
}

func mustOpen(t *testing.T, fs vfs.FS, o segment.Options) *segment.Log {
	t.Helper()
	l, rec, err := segment.Open(fs, dir, options(o))
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Repairs) > 0 {
		t.Fatalf("repaired %v", rec.Repairs)
	}
	return l
}

func mustAppend(t *testing.T, l *segment.Log, records ...string) {
	t.Helper()
	if _, err := l.Append(group(records...)); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t *testing.T, l *segment.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func group(records ...string) [][]byte {
	var out [][]byte
	for _, r := range records {
		out = append(out, []byte(r))
	}
	return out
}

// contents returns the records after a number, and checks that they are
// numbered.
func contents(l *segment.Log, after uint64) (out []string, err error) {
	next := max(after+1, l.First())
	err = l.Read(after, func(seq uint64, data []byte) error {
		if seq != next {
			return fmt.Errorf("record %d where %d should be", seq, next)
		}
		next++
		out = append(out, string(data))
		return nil
	})
	return out, err
}

func wantContents(t *testing.T, l *segment.Log, after uint64, want ...string) {
	t.Helper()
	got, err := contents(l, after)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got\n%s", diff)
	}
}

// texts returns n records of about a size, all different.
func texts(from, n, size int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%d %s", from+i, strings.Repeat("x", size))
	}
	return out
}

func TestAppendAndRead(t *testing.T) {
	fs := vfs.NewMem()
	var all []string
	for round := range 4 {
		l := mustOpen(t, fs, segment.Options{})
		for range 10 {
			g := texts(len(all), 1+len(all)%4, 20*round)
			first, err := l.Append(group(g...))
			if err != nil || first != uint64(len(all)+1) {
				t.Fatalf("the group begins at %d, want %d; error %v", first, len(all)+1, err)
			}
			all = append(all, g...)
		}
		wantContents(t, l, 0, all...)
		wantContents(t, l, 7, all[7:]...)
		wantContents(t, l, uint64(len(all)))
		if first, err := l.Append(nil); first != 0 || err != nil {
			t.Errorf("an empty group is at %d, error %v", first, err)
		}
		if l.Last() != uint64(len(all)) || l.First() != 1 {
			t.Errorf("records %d to %d, want 1 to %d", l.First(), l.Last(), len(all))
		}
		if err := l.Verify(); err != nil {
			t.Error(err)
		}
		mustClose(t, l)
		mustClose(t, l)
		if _, err := l.Append(group("late")); !errors.Is(err, segment.ErrClosed) {
			t.Errorf("a closed log answers %v", err)
		}
	}
}

// An error of the reader ends the reading.
func TestReadEnds(t *testing.T) {
	l := mustOpen(t, vfs.NewMem(), segment.Options{})
	mustAppend(t, l, "a", "b", "c")
	enough, n := errors.New("enough"), 0
	err := l.Read(0, func(uint64, []byte) error {
		if n++; n == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 2 {
		t.Errorf("%d records, error %v", n, err)
	}
}

// Empty records and records larger than a file are records.
func TestSizes(t *testing.T) {
	fs := vfs.NewMem()
	l := mustOpen(t, fs, segment.Options{})
	big := strings.Repeat("b", 300_000)
	mustAppend(t, l, "", "a", "")
	mustAppend(t, l, big, "")
	mustAppend(t, l, "c")
	mustClose(t, l)
	wantContents(t, mustOpen(t, fs, segment.Options{}), 0, "", "a", "", big, "", "c")
}

// Only whole files below a number go; the last one stays.
func TestTruncate(t *testing.T) {
	fs := vfs.NewMem()
	l := mustOpen(t, fs, segment.Options{})
	var all []string
	for i := range 30 {
		all = append(all, texts(i, 1, 200)...)
		mustAppend(t, l, all[i])
	}
	files := l.Segments()
	if len(files) < 5 {
		t.Fatalf("there are %d files", len(files))
	}
	bytes := l.Bytes()
	for _, c := range []struct{ below, first uint64 }{
		{0, 1}, {files[1].First - 1, 1}, {files[1].First, files[1].First}, {files[3].Last, files[3].First}, {1000, files[len(files)-1].First},
	} {
		if err := l.Truncate(c.below); err != nil {
			t.Fatal(err)
		}
		if l.First() != c.first {
			t.Errorf("below %d the log begins at %d, want %d", c.below, l.First(), c.first)
		}
		wantContents(t, l, 0, all[c.first-1:]...)
	}
	if l.Bytes() >= bytes/2 {
		t.Errorf("the files hold %d bytes after %d", l.Bytes(), bytes)
	}
	mustAppend(t, l, "next")
	mustClose(t, l)
	l = mustOpen(t, fs, segment.Options{})
	if l.Last() != 31 {
		t.Errorf("the last record is %d", l.Last())
	}
}

// A reader of a directory changes nothing in it, and sees what is there while
// somebody writes.
func TestReadOnly(t *testing.T) {
	fs := vfs.NewMem()
	if _, _, err := segment.Open(fs, dir, options(segment.Options{ReadOnly: true})); err == nil {
		t.Error("a directory that is not there can be read")
	}
	l := mustOpen(t, fs, segment.Options{})
	var all []string
	for i := range 20 {
		all = append(all, texts(i, 1, 100)...)
		mustAppend(t, l, all[i])
		before := snapshot(t, fs)
		r := mustOpen(t, fs, segment.Options{ReadOnly: true})
		wantContents(t, r, 0, all...)
		if _, err := r.Append(group("no")); !errors.Is(err, segment.ErrReadOnly) {
			t.Errorf("Append answers %v", err)
		}
		if err := r.Truncate(100); !errors.Is(err, segment.ErrReadOnly) {
			t.Errorf("Truncate answers %v", err)
		}
		mustClose(t, r)
		if diff := cmp.Diff(before, snapshot(t, fs)); diff != "" {
			t.Fatal(diff)
		}
	}
}

// A directory can be opened and read at any moment while another process writes
// to it, begins files and removes others: what is read is without a gap, and
// nothing is taken for damage.
func TestReadWhileWritten(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			l, _, err := segment.Open(fsys, dir, options(segment.Options{Sync: segment.Never}))
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				var err error
				for i := 0; i < 300 && err == nil; i++ {
					_, err = l.Append(group(texts(i, 1+i%3, i%200)...))
					if i%10 == 9 {
						err = errors.Join(err, l.Truncate(l.Last()-min(l.Last(), 40)))
					}
				}
				done <- err
			}()
			for running := true; running; {
				select {
				case err := <-done:
					if running = false; err != nil {
						t.Error(err)
					}
				default:
				}
				r, _, err := segment.Open(fsys, dir, options(segment.Options{ReadOnly: true}))
				if err == nil {
					after := r.Last() - min(r.Last(), 20)
					next := uint64(0)
					err = r.Read(after, func(seq uint64, _ []byte) error {
						if next != 0 && seq != next {
							t.Errorf("record %d where %d should be", seq, next)
						}
						next = seq + 1
						return nil
					})
				}
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
		})
	}
}

// What is removed while somebody reads is passed over where it is the beginning,
// and an error in the middle.
func TestReadWhileTruncated(t *testing.T) {
	fs := vfs.NewMem()
	l := mustOpen(t, fs, segment.Options{})
	var all []string
	for i := range 30 {
		all = append(all, texts(i, 1, 100)...)
		mustAppend(t, l, all[i])
	}
	r := mustOpen(t, fs, segment.Options{ReadOnly: true})
	if err := l.Truncate(20); err != nil {
		t.Fatal(err)
	}
	var got []string
	read := func(then func() error) error {
		got = nil
		return r.Read(0, func(_ uint64, data []byte) error {
			got = append(got, string(data))
			return then()
		})
	}
	if err := read(func() error { return nil }); err != nil || !slices.Equal(got, all[l.First()-1:]) {
		t.Errorf("read %d records, error %v; want those from %d on", len(got), err, l.First())
	}
	if err := read(func() error { return l.Truncate(100) }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("with a hole: %v", err)
	}
}

// snapshot returns all files of the directory.
func snapshot(t testing.TB, fs vfs.FS) map[string]string {
	t.Helper()
	infos, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, i := range infos {
		data, err := vfs.ReadFile(fs, filepath.Join(dir, i.Name))
		if err != nil {
			t.Fatal(err)
		}
		out[i.Name] = string(data)
	}
	return out
}

// restore makes a file system of what snapshot returned.
func restore(t testing.TB, files map[string]string) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := m.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := vfs.WriteFile(m, filepath.Join(dir, name), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// A newer format of the files or of what they hold, and a directory of another
// kind, are refused, and nothing is touched: not even what a crash left.
func TestRefusals(t *testing.T) {
	m := vfs.NewMem()
	l := mustOpen(t, m, segment.Options{Version: 2})
	mustAppend(t, l, "a")
	files := snapshot(t, m)
	name := l.Segments()[0].Name
	files[filepath.Base(name)] += "torn"
	files["00000000000000000009.seg.tmp"] = "torn"
	newer := restore(t, files)
	data := []byte(files[filepath.Base(name)])
	data[8] = 9
	files[filepath.Base(name)] = string(data)
	newest := restore(t, files)
	for _, c := range []struct {
		fs   *vfs.Mem
		opts segment.Options
		want string
	}{
		{newer, options(segment.Options{}), "has format 2, and this cepd reads formats up to 1: start the newer cepd"},
		{newest, options(segment.Options{Version: 2}), "has format 9, and this cepd reads formats up to 1: start the newer cepd"},
		{newer, segment.Options{Kind: "other", Version: 2}, `holds "test", not "other"`},
		{newer, segment.Options{}, "kind \"\" is not of one to 8 bytes\nthe version is missing"},
	} {
		before := snapshot(t, c.fs)
		_, _, err := segment.Open(c.fs, dir, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want %q", err, c.want)
		}
		if errors.Is(err, segment.ErrVersion) != strings.Contains(c.want, "newer") {
			t.Errorf("%v is of the wrong kind", err)
		}
		if diff := cmp.Diff(before, snapshot(t, c.fs)); diff != "" {
			t.Errorf("the directory was changed: %s", diff)
		}
	}
}

// What a newer program appends goes into a file of its own, so that an older one
// refuses the directory.
func TestUpgrade(t *testing.T) {
	m := vfs.NewMem()
	l := mustOpen(t, m, segment.Options{})
	mustAppend(t, l, "a")
	mustClose(t, l)
	l = mustOpen(t, m, segment.Options{Version: 2})
	mustClose(t, l)
	l = mustOpen(t, m, segment.Options{})
	mustClose(t, l)
	l = mustOpen(t, m, segment.Options{Version: 2})
	mustAppend(t, l, "b")
	mustClose(t, l)
	wantContents(t, mustOpen(t, m, segment.Options{Version: 2}), 0, "a", "b")
	if _, _, err := segment.Open(m, dir, options(segment.Options{})); !errors.Is(err, segment.ErrVersion) {
		t.Errorf("the older program gets %v", err)
	}
}

// A full disk undoes the group; when there is room, the log goes on.
func TestDiskFull(t *testing.T) {
	for _, sync := range []segment.Policy{segment.Always, segment.Interval, segment.Never} {
		m := vfs.NewMem()
		l := mustOpen(t, m, segment.Options{Sync: sync})
		var all []string
		full := 0
		for capacity := int64(1000); len(all) < 60; capacity += 300 {
			m.SetCapacity(capacity)
			for range 4 {
				g := texts(len(all), 2, 100)
				if _, err := l.Append(group(g...)); err == nil {
					all = append(all, g...)
				} else if full++; !vfs.IsFull(err) {
					t.Fatal(err)
				}
			}
			wantContents(t, l, 0, all...)
		}
		if full == 0 {
			t.Error("the disk was never full")
		}
		m.SetCapacity(0)
		mustClose(t, l)
		wantContents(t, mustOpen(t, m, segment.Options{}), 0, all...)
	}
}

// A failed fdatasync is not called again: the group is written anew, into
// another file, and what the first one lost is not missed. If that fails too, the
// group is not in the log, and the next one goes into a file of its own.
func TestFailedSync(t *testing.T) {
	const ofGroup, ofNewHeader, ofGroupAnew = 1, 2, 3
	for _, fails := range [][]int{{ofGroup}, {ofGroup, ofNewHeader}, {ofGroup, ofGroupAnew}} {
		m := vfs.NewMem()
		syncs := -1 << 30
		l := mustOpen(t, vfs.NewFault(m, func(op vfs.Op) *vfs.Failure {
			if op.Name != "sync" {
				return nil
			}
			if syncs++; slices.Contains(fails, syncs) {
				return &vfs.Failure{Err: errDisk}
			}
			return nil
		}), segment.Options{SegmentBytes: 1 << 20})
		mustAppend(t, l, "a")
		syncs = 0
		_, err := l.Append(group("b"))
		if (err == nil) != (len(fails) == 1) || err != nil && !errors.Is(err, errDisk) {
			t.Fatalf("where syncs %d fail: %v", fails, err)
		}
		want := []string{"a", "b", "c"}
		if err != nil {
			want = []string{"a", "c"}
		}
		wantContents(t, l, 0, want[:len(want)-1]...)
		mustAppend(t, l, "c")
		if n := len(l.Segments()); n != 2 {
			t.Errorf("where syncs %d fail there are %d files, want 2", fails, n)
		}
		wantContents(t, l, 0, want...)
		m.Crash(rand.New(rand.NewPCG(1, 1)))
		wantContents(t, mustOpen(t, m, segment.Options{}), 0, want...)
	}
}

// Readers, and who asks for figures, may do so while another goroutine writes.
func TestConcurrentRead(t *testing.T) {
	l := mustOpen(t, vfs.NewMem(), segment.Options{})
	done := make(chan error)
	go func() {
		var err error
		for err == nil && l.Last() < 500 {
			_, err = contents(l, l.Last()/2)
			if errors.Is(err, fs.ErrNotExist) { // truncated meanwhile
				err = nil
			}
			_, _ = l.Segments(), l.Bytes()
		}
		done <- err
	}()
	for i := range 500 {
		mustAppend(t, l, texts(i, 1, 50)...)
		if i%100 == 99 {
			if err := l.Truncate(uint64(i / 2)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
