package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/cepd/cepd/state/vfs"
)

// contents returns what lies in a directory, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range files(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(data)
	}
	return all
}

// TestUnknownFormat: what a newer version wrote is refused, and not a byte of it
// is touched.
func TestUnknownFormat(t *testing.T) {
	dir, want := built(t, true)
	text, err := os.ReadFile(filepath.Join(dir, headFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, from, to string }{
		{"format", `"format": 1,`, `"format": 2,`},
		{"encoding of rows", `"encoding": 1,`, `"encoding": 2,`},
		{"semantics", `"semantics": 1,`, `"semantics": 2,`},
		{"format", `"format": 1,`, `"format": 0,`},
	} {
		to := t.TempDir()
		copyDir(t, dir, to)
		body := strings.Replace(string(text[:bytes.LastIndex(text, []byte("crc32c"))]), c.from, c.to, 1)
		if body == string(text) {
			t.Fatalf("there is no %s", c.from)
		}
		if err := os.WriteFile(filepath.Join(to, headFile), sealText([]byte(body)), 0o600); err != nil {
			t.Fatal(err)
		}
		before := contents(t, to)
		var format *FormatError
		if _, _, err := Open(to, plenty()); !errors.As(err, &format) || format.What != c.what {
			t.Errorf("%s: %v, want a refusal for the %s", c.to, err, c.what)
		}
		if !maps.Equal(before, contents(t, to)) {
			t.Errorf("%s: files were touched", c.to)
		}
	}
	if v, err := openJudged(t, dir, want); v != whole || err != nil {
		t.Errorf("the present format: %s, %v", v, err)
	}
}

// TestForeignDirectory: a directory with other files in it is refused, and not
// touched.
func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "holiday.jpg"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(dir, plenty()); err == nil || !strings.Contains(err.Error(), "are no snapshots") {
		t.Errorf("Open: %v", err)
	}
	if names := files(t, dir); len(names) != 1 {
		t.Errorf("the directory has now %v", names)
	}
}

// TestBegunDirectory: a kill while the directory was made leaves a part of the
// ballast, or a file that has not got its name yet. The next start goes on.
func TestBegunDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{ballastFile, headFile + vfs.Temporary} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := plenty()
	o.Ballast = 1 << 20
	s, _, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, ballastFile)); err != nil || info.Size() != o.Ballast {
		t.Errorf("the ballast is not whole: %v, %v", info, err)
	}
}

// TestDatabaseOfSomebodyElse: one that has nothing of ours in it, or that was
// put in the place of ours, is not taken for an empty store.
func TestDatabaseOfSomebodyElse(t *testing.T) {
	dir, _ := built(t, true)
	for _, name := range files(t, dir) {
		if name != headFile {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if _, _, err := Open(dir, plenty()); !errors.As(err, &damaged) {
		t.Errorf("Open: %v, want a refusal", err)
	}
}

// TestKilledInRotation: a process that is killed right after it made a memory
// table leaves an empty file, at which badger fails once.
func TestKilledInRotation(t *testing.T) {
	dir, want := built(t, false)
	mems, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil || len(mems) == 0 {
		t.Fatalf("no memory table: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00009.mem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	copyDir(t, dir, to)
	if db, err := badger.Open(badgerOptions(to)); err == nil {
		_ = db.Close()
		t.Error("badger opens it at once: this test, and the second try, are not needed any more")
	}
	if v, err := openJudged(t, dir, want); v != whole || err != nil {
		t.Errorf("%s, %v", v, err)
	}
}

// TestPanics: what badger panics for is an error.
func TestPanics(t *testing.T) {
	err := guarded(func() error { panic("checksum mismatch") })
	if err == nil || !strings.Contains(err.Error(), "checksum mismatch") {
		t.Errorf("got %v", err)
	}
	// A mapped file that became shorter is a fault of memory; so is this.
	err = guarded(func() error { return fmt.Errorf("%d", *(*int)(nil)) })
	if err == nil {
		t.Error("a fault of memory is no error")
	}
}

// scale is a disk whose room a test says.
type scale struct{ free int64 }

func (s *scale) options() Options {
	o := plenty()
	o.Free, o.MinFree, o.Ballast = func(string) (int64, error) { return s.free, nil }, 10<<20, 1<<20
	return o
}

// TestNoRoom: without room nothing is opened and nothing written; with room
// again all goes on.
func TestNoRoom(t *testing.T) {
	disk := &scale{free: 5 << 20}
	dir := filepath.Join(t.TempDir(), "snapshots")
	if _, _, err := Open(dir, disk.options()); !errors.Is(err, ErrFull) {
		t.Fatalf("Open: %v, want %v", err, ErrFull)
	}
	if got := files(t, dir); len(got) > 0 {
		t.Errorf("without room %v were made", got)
	}
	disk.free = 100 << 20
	s, _, err := Open(dir, disk.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := write(s, false, 1, []Row{row("a", "1")}); err != nil {
		t.Fatal(err)
	}
	ballast := func() bool {
		_, err := os.Stat(filepath.Join(dir, ballastFile))
		return err == nil
	}
	if !ballast() {
		t.Error("there is no ballast")
	}
	e, err := s.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	disk.free = 5 << 20
	if err := e.Put([]Row{row("b", "2")}); !errors.Is(err, ErrFull) {
		t.Errorf("Put: %v, want %v", err, ErrFull)
	}
	if ballast() {
		t.Error("the ballast was not thrown off")
	}
	if err := e.Commit(marker(2)); err == nil {
		t.Error("an epoch was committed that lacks a row")
	}
	_ = e.Abandon()
	if _, err := s.Begin(false); !errors.Is(err, ErrFull) {
		t.Errorf("Begin: %v, want %v", err, ErrFull)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	before := contents(t, dir)
	if _, _, err := Open(dir, disk.options()); !errors.Is(err, ErrFull) {
		t.Errorf("Open: %v, want %v", err, ErrFull)
	}
	if !maps.Equal(before, contents(t, dir)) {
		t.Error("without room files were touched")
	}
	disk.free = 100 << 20
	// The database is still locked by the store that found no room to close.
	to := t.TempDir()
	copyDir(t, dir, to)
	s, rec, err := Open(to, disk.options())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rowsOf(s, rec.Chosen); err != nil || !maps.Equal(got, map[string]string{"a": "1"}) {
		t.Errorf("with room again there is %v, %v", got, err)
	}
	if err := write(s, false, 2, []Row{row("b", "2")}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestLargeEpoch: an epoch that is larger than memory tables and many times
// larger than a transaction is there as a whole or not at all.
func TestLargeEpoch(t *testing.T) {
	d := &badgerDisk{t: t, dir: filepath.Join(t.TempDir(), "snapshots")}
	s, _, err := d.open(plenty())
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 1000)
	batch := func(from int) []Row {
		rows := make([]Row, 1000)
		for i := range rows {
			rows[i] = row(fmt.Sprintf("row %d", from+i), value)
		}
		return rows
	}
	if err := write(s, false, 1, batch(0), batch(1000)); err != nil {
		t.Fatal(err)
	}
	e, err := s.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 24 {
		if err := e.Put(batch(1000 * i)); err != nil {
			t.Fatal(err)
		}
	}
	d.crash() // all is written but the marker
	if s, _, err = d.open(plenty()); err != nil {
		t.Fatal(err)
	}
	if got, err := rowsOf(s, s.Epochs()[0].Epoch); err != nil || len(got) != 2000 {
		t.Fatalf("after a crash there are %d rows, want 2000; %v", len(got), err)
	}
	var batches [][]Row
	for i := range 24 {
		batches = append(batches, batch(1000*i))
	}
	if err := write(s, true, 2, batches...); err != nil {
		t.Fatal(err)
	}
	d.crash()
	s, rec, err := d.open(plenty())
	if err != nil || rec.Back() {
		t.Fatal(rec, err)
	}
	if got, err := rowsOf(s, rec.Chosen); err != nil || len(got) != 24_000 {
		t.Fatalf("after the commit there are %d rows, want 24000; %v", len(got), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSecondStore: badger's own lock keeps a second process out.
func TestSecondStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "snapshots")
	s, _, err := Open(dir, plenty())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := Open(dir, plenty()); err == nil {
		t.Error("a directory that is in use was opened")
	}
}

// TestOnlyWhatChanged: of a row of several parts those that are as before are
// not written again, and what epochs replaced does not pile up.
func TestOnlyWhatChanged(t *testing.T) {
	d := &Memory{}
	s, _, err := d.Open(plenty())
	if err != nil {
		t.Fatal(err)
	}
	ring := bytes.Repeat([]byte("0123456789abcdef"), 10*partBytes/16)
	other := row("other", "as ever")
	if err := write(s, false, 1, []Row{{[]byte("ring"), ring}, other}); err != nil {
		t.Fatal(err)
	}
	versions := func() (all, newest int) {
		m, _ := s.Newest()
		for key := range d.rows {
			if k, ok := parseRowKey([]byte(key)); ok {
				if all++; k.epoch == m.Epoch {
					newest++
				}
			}
		}
		return all, newest
	}
	for seq := uint64(2); seq < 30; seq++ {
		ring = slices.Clone(ring)
		ring[int(seq)*1000]++
		if err := write(s, false, seq, []Row{{[]byte("ring"), ring}, other}); err != nil {
			t.Fatal(err)
		}
		if all, newest := versions(); newest != 1 || all > 13 {
			t.Fatalf("epoch %d wrote %d parts, want 1; there are %d, want at most 13", seq, newest, all)
		}
	}
}
