package segment_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the format anew")

// fixture is a small directory of the present format: several files, and groups
// of several records. closed says whether the log was closed, at the end.
func fixture(t testing.TB, closed bool) (files map[string]string, records []string) {
	t.Helper()
	m := vfs.NewMem()
	l, _, err := segment.Open(m, dir, options(segment.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for len(records) < 56 {
		g := texts(len(records), 1+len(records)%3, len(records)%90)
		records = append(records, g...)
		if _, err := l.Append(group(g...)); err != nil {
			t.Fatal(err)
		}
		if len(records) == 7 { // a mark in the middle of a file
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if l, _, err = segment.Open(m, dir, options(segment.Options{})); err != nil {
				t.Fatal(err)
			}
		}
	}
	if closed {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return snapshot(t, m), records
}

// lastGroup is the number of records in the last group of the fixture.
const lastGroup = 2

// damaged opens a directory that somebody has damaged. Nothing may be missing
// without being said: neither by an error nor by a report.
func damaged(t *testing.T, files map[string]string, records []string, closed bool, what string) {
	t.Helper()
	m := restore(t, files)
	l, rec, err := segment.Open(m, dir, options(segment.Options{}))
	var got []string
	if err == nil {
		got, err = contents(l, 0)
	}
	if err == nil {
		err = l.Verify()
	}
	switch {
	case err != nil:
		if !errors.Is(err, segment.ErrCorrupt) && !errors.Is(err, segment.ErrVersion) && !strings.Contains(err.Error(), "holds ") {
			t.Errorf("%s: an error of the wrong kind: %v", what, err)
		}
		if errors.Is(err, segment.ErrCorrupt) && l == nil {
			unchanged(t, m, files, what)
		}
	case slices.Equal(got, records):
	case len(got) > len(records) || !slices.Equal(got, records[:len(got)]):
		t.Errorf("%s: reads %q", what, got)
	case closed && rec.Clean:
		t.Errorf("%s: %d records are missing, and nothing says so", what, len(records)-len(got))
	case len(rec.Repairs) == 0 && strings.HasPrefix(what, "flipped"):
		t.Errorf("%s: %d records are missing without a repair", what, len(records)-len(got))
	case len(got) < len(records)-lastGroup && strings.HasPrefix(what, "flipped"):
		t.Errorf("%s: %d records are missing; only the last group can be taken for torn", what, len(records)-len(got))
	}
}

func unchanged(t *testing.T, m *vfs.Mem, files map[string]string, what string) {
	t.Helper()
	if !maps.Equal(files, snapshot(t, m)) {
		t.Errorf("%s: the log is damaged, and its files were changed", what)
	}
}

// The fixture, with one bit in 64 of every file flipped, one after the other;
// and with each file cut short at every byte, and missing.
func TestDamage(t *testing.T) {
	for _, closed := range []bool{true, false} {
		files, records := fixture(t, closed)
		if n := len(files); n < 4 {
			t.Fatalf("the fixture has %d files", n)
		}
		for name, data := range files {
			with := func(changed string) map[string]string {
				out := maps.Clone(files)
				out[name] = changed
				return out
			}
			for word := 0; word < len(data)/8; word++ {
				bit := 64*word + 37*word%64 // another one of each word
				flipped := []byte(data)
				flipped[bit/8] ^= 1 << (bit % 8)
				damaged(t, with(string(flipped)), records, closed, fmt.Sprintf("flipped bit %d of %s, closed %v", bit, name, closed))
			}
			for n := range data {
				damaged(t, with(data[:n]), records, closed, fmt.Sprintf("cut %s to %d bytes, closed %v", name, n, closed))
			}
			without := maps.Clone(files)
			delete(without, name)
			m := restore(t, without)
			l, _, err := segment.Open(m, dir, options(segment.Options{}))
			if first := slices.Min(slices.Collect(maps.Keys(files))); name == first {
				if err != nil || l.First() == 1 {
					t.Errorf("without its first file: %v", err)
				}
			} else if !errors.Is(err, segment.ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Errorf("without %s: %v", name, err)
			}
		}
	}
}

// What is behind the end of a file that is not the last one was given up when the
// next one began, and does not count.
func TestGivenUp(t *testing.T) {
	files, records := fixture(t, true)
	name := slices.Min(slices.Collect(maps.Keys(files)))
	files[name] += "what fdatasync could not write"
	l, rec, err := segment.Open(restore(t, files), dir, options(segment.Options{}))
	if err != nil || !rec.Clean {
		t.Fatalf("%+v, error %v", rec, err)
	}
	wantContents(t, l, 0, records...)
}

// A message that contains what looks like a part of a log proves nothing about
// the log: the salt of a file is not known to who sends messages.
func TestForgery(t *testing.T) {
	m := vfs.NewMem()
	l := mustOpen(t, m, segment.Options{})
	mustAppend(t, l, texts(0, 1, 10)...)
	mustAppend(t, l, texts(1, 1, 10)...)
	first := snapshot(t, m)
	var file string
	for _, file = range first {
	}
	o := options(segment.Options{SegmentBytes: 1 << 20})
	o.Salt = func() uint64 { return 99 }
	m = vfs.NewMem()
	l, _, err := segment.Open(m, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "good")
	mustAppend(t, l, file) // the bytes of another log
	files := snapshot(t, m)
	for name, data := range files {
		files[name] = data[:len(data)-1]
	}
	l, rec, err := segment.Open(restore(t, files), dir, o)
	if err != nil {
		t.Fatalf("a torn tail is taken for corruption: %v", err)
	}
	if len(rec.Repairs) != 1 {
		t.Errorf("repairs: %v", rec.Repairs)
	}
	wantContents(t, l, 0, "good")
}

// The words of an error and of a repair.
func TestWords(t *testing.T) {
	files, _ := fixture(t, false)
	name := slices.Max(slices.Collect(maps.Keys(files)))
	torn := maps.Clone(files)
	torn[name] = torn[name][:len(torn[name])-1]
	_, rec, err := segment.Open(restore(t, torn), dir, options(segment.Options{}))
	want := "log/00000000000000000050.seg: cut off 187 bytes at 653, and nothing shows that they were durable: the group of record 56 is not whole"
	if err != nil || len(rec.Repairs) != 1 || rec.Repairs[0].String() != want {
		t.Errorf("got %v, error %v, want %s", rec.Repairs, err, want)
	}
	flipped := []byte(files[name])
	flipped[200] ^= 1
	torn[name] = string(flipped)
	_, _, err = segment.Open(restore(t, torn), dir, options(segment.Options{}))
	want = "log/00000000000000000050.seg: damaged at byte 72: record 51 does not match its checksum, and byte 653 of the file proves that it was durable. " +
		"It held what was acknowledged: restore it from a copy, and check the disk. `cepd state verify` says what else is damaged; no file was changed"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The golden directory of each format that there was is read, with the same
// records, and a program of today writes the present one byte by byte.
func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", fmt.Sprintf("v%d", segment.Format))
	present, records := fixture(t, true)
	if *rewrite {
		if err := os.MkdirAll(golden, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, data := range present {
			if err := os.WriteFile(filepath.Join(golden, name), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for v := 1; v <= segment.Format; v++ {
		files := map[string]string{}
		names, err := filepath.Glob(filepath.Join("testdata", fmt.Sprintf("v%d", v), "*"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no golden files of format %d: %v", v, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(name)] = string(data)
		}
		if v == segment.Format && !maps.Equal(files, present) {
			t.Errorf("the format has changed: give it another number, or, where it was never released, run `go test -rewrite`")
		}
		wantContents(t, mustOpen(t, restore(t, files), segment.Options{}), 0, records...)
	}
}

// Whatever the bytes of a file are, opening and reading it ends, without a panic
// and without much memory.
func FuzzOpen(f *testing.F) {
	for _, closed := range []bool{true, false} {
		files, _ := fixture(f, closed)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			f.Add([]byte(files[name]), []byte(nil))
			f.Add([]byte(files[name]), []byte("CEPG"))
		}
	}
	f.Fuzz(func(t *testing.T, data, tail []byte) {
		m := restore(t, map[string]string{"00000000000000000001.seg": string(data) + string(tail)})
		l, _, err := segment.Open(m, dir, options(segment.Options{}))
		if err != nil {
			return
		}
		before, err := contents(l, 0)
		if err != nil {
			t.Fatalf("what Open took for good cannot be read: %v", err)
		}
		if _, err := l.Append(group("more")); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		wantContents(t, mustOpen(t, m, segment.Options{}), 0, append(before, "more")...)
	})
}
