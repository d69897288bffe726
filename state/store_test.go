package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cepd/cepd/event"
)

// plenty are options for a disk with room.
func plenty() Options {
	return Options{Encoding: 1, Semantics: 1, Ballast: -1, Free: func(string) (int64, error) { return 1 << 40, nil }}
}

// disk is where a test keeps snapshots.
type disk interface {
	open(o Options) (*Store, *Recovery, error)
	// crash gives up the store that is open: what it wrote so far is there.
	crash()
}

type memoryDisk struct{ Memory }

func (d *memoryDisk) open(o Options) (*Store, *Recovery, error) { return d.Memory.Open(o) }
func (d *memoryDisk) crash()                                    {}

// badgerDisk crashes by going on with a copy of the files as they are.
type badgerDisk struct {
	t     *testing.T
	dir   string
	store *Store
}

func (d *badgerDisk) open(o Options) (s *Store, rec *Recovery, err error) {
	if d.store != nil {
		_ = d.store.Close()
	}
	d.store, rec, err = Open(d.dir, o)
	return d.store, rec, err
}

func (d *badgerDisk) crash() {
	to := d.t.TempDir()
	copyDir(d.t, d.dir, to)
	d.dir = to
}

// copyDir copies files, and leaves holes where they hold nothing but zeros. If
// files come or go meanwhile, as badger's do that writes tables, or are cut to
// nothing before they go, it begins anew: a process that is killed leaves what was
// there at one moment.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	for range 100 {
		before := files(t, from)
		err := copyFiles(from, to, before)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, io.EOF):
			t.Fatal(err)
		case err == nil && slices.Equal(before, files(t, from)):
			return
		}
		for _, name := range files(t, to) {
			if err := os.Remove(filepath.Join(to, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatalf("the files in %s are never at rest", from)
}

func copyFiles(from, to string, names []string) error {
	for _, name := range names {
		data, size, err := readFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(to, name))
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err := errors.Join(err, f.Truncate(size), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// readFile reads a file without the hole at its end. Badger makes files much
// longer than what they hold.
func readFile(name string) (data []byte, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return nil, 0, err
	}
	const seekHole = 4
	end, err := f.Seek(0, seekHole)
	if err != nil { // not every file system knows
		end = size
	}
	data = make([]byte, end)
	_, err = f.ReadAt(data, 0)
	return bytes.TrimRight(data, "\x00"), size, err
}

// files returns the names of the files in a directory, in order.
func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// disks runs a test on every kind of disk.
func disks(t *testing.T, test func(t *testing.T, d disk)) {
	t.Run("memory", func(t *testing.T) { test(t, &memoryDisk{}) })
	t.Run("badger", func(t *testing.T) { test(t, &badgerDisk{t: t, dir: filepath.Join(t.TempDir(), "snapshots")}) })
}

// rowsOf reads the rows of an epoch into a map.
func rowsOf(s *Store, epoch uint64) (map[string]string, error) {
	got, last := map[string]string{}, ""
	for row, err := range s.Rows(epoch) {
		if err != nil {
			return got, err
		}
		if len(got) > 0 && string(row.Name) <= last {
			return got, fmt.Errorf("row %q comes after %q", row.Name, last)
		}
		last = string(row.Name)
		got[last] = string(row.Value)
	}
	return got, nil
}

// write writes an epoch and commits it.
func write(s *Store, full bool, seq uint64, batches ...[]Row) error {
	e, err := s.Begin(full)
	if err != nil {
		return err
	}
	for _, rows := range batches {
		if err := e.Put(rows); err != nil {
			return errors.Join(err, e.Abandon())
		}
	}
	if err := e.Commit(marker(seq)); err != nil {
		return errors.Join(err, e.Abandon())
	}
	return nil
}

// differ names the first row that is not as wanted.
func differ(got, want map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if v, ok := want[name]; !ok || v != got[name] {
			return fmt.Sprintf("row %q is %.20q (%d bytes), want %.20q (%d bytes, there: %t)", name, got[name], len(got[name]), v, len(v), ok)
		}
	}
	return fmt.Sprintf("%d rows, want %d", len(got), len(want))
}

func marker(seq uint64) Marker {
	return Marker{Log: "log", Position: event.Position{Seq: seq}, RuleSet: "rules", Encoding: 1, Semantics: 1}
}

func row(name, value string) Row { return Row{[]byte(name), []byte(value)} }

func TestEpochs(t *testing.T) {
	disks(t, func(t *testing.T, d disk) {
		s, rec, err := d.open(plenty())
		if err != nil || rec.Chosen != 0 {
			t.Fatalf("a new store: %v, %v", rec, err)
		}
		if _, ok := s.Newest(); ok {
			t.Error("a new store has an epoch")
		}
		long := strings.Repeat("x", 5*partBytes/2)
		for i, rows := range [][]Row{
			{row("a", "1"), row("b", "1"), row("a\x00", "zero"), row("long", long), row("empty", "")},
			{row("a", "2"), {Name: []byte("b")}, row("long", long[:2*partBytes]+"y")},
			{row("b", "3"), row("long", "short"), {Name: []byte("never")}},
		} {
			if err := write(s, false, uint64(10*i+10), rows); err != nil {
				t.Fatal(err)
			}
		}
		want := map[uint64]map[string]string{
			2: {"a": "2", "a\x00": "zero", "long": long[:2*partBytes] + "y", "empty": ""},
			3: {"a": "2", "a\x00": "zero", "b": "3", "long": "short", "empty": ""},
		}
		check := func() {
			t.Helper()
			for epoch, rows := range want {
				got, err := rowsOf(s, epoch)
				if err != nil || !maps.Equal(got, rows) {
					t.Errorf("epoch %d has %d rows %v, %v", epoch, len(got), slices.Sorted(maps.Keys(got)), err)
				}
			}
			if _, err := rowsOf(s, 1); err == nil {
				t.Error("epoch 1 is still there")
			}
			if m, _ := s.Newest(); m.Epoch != 3 || m.Position.Seq != 30 {
				t.Errorf("the newest is %+v", m)
			}
			if m, _ := s.Oldest(); m.Epoch != 2 || m.Position.Seq != 20 {
				t.Errorf("the oldest is %+v", m)
			}
		}
		check()
		d.crash()
		if s, rec, err = d.open(plenty()); err != nil || rec.Chosen != 3 {
			t.Fatalf("%v, %v", rec, err)
		}
		check()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// teller writes random epochs and knows what must be there.
type teller struct {
	t    *testing.T
	rng  *rand.Rand
	d    disk
	s    *Store
	want []told // committed epochs, the newest first
	// maybe is an epoch whose Commit failed or was not reached: it may be there
	// after a crash.
	maybe *told

	committed, abandoned, crashes, failed int
}

type told struct {
	seq  uint64
	rows map[string]string
}

func (w *teller) open() {
	w.t.Helper()
	s, rec, err := w.d.open(plenty())
	if err != nil { // it fails once
		w.fail(err)
		s, rec, err = w.d.open(plenty())
	}
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	w.s = s
	w.settle(rec)
}

// settle finds out which of the epochs that may be there are.
func (w *teller) settle(rec *Recovery) {
	w.t.Helper()
	m, _ := w.s.Newest()
	if w.maybe != nil && m.Position.Seq == w.maybe.seq {
		w.want = append([]told{*w.maybe}, w.want...)
	}
	w.maybe = nil
	if len(rec.Damaged) > 0 || rec.Back() {
		w.t.Fatalf("without damage the recovery is:\n%s", rec)
	}
	w.check()
}

func (w *teller) check() {
	w.t.Helper()
	epochs := w.s.Epochs()
	if len(epochs) != min(len(w.want), keepEpochs) {
		w.t.Fatalf("%d epochs are kept, want those of %d", len(epochs), len(w.want))
	}
	for i, m := range epochs {
		if m.Position.Seq != w.want[i].seq {
			w.t.Fatalf("epoch %d is at %d, want %d", m.Epoch, m.Position.Seq, w.want[i].seq)
		}
		got, err := rowsOf(w.s, m.Epoch)
		if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) { // it fails once
			got, err = rowsOf(w.s, m.Epoch)
		}
		if err != nil || !maps.Equal(got, w.want[i].rows) {
			w.t.Fatalf("epoch %d, number %d: %v, %s", m.Epoch, i, err, differ(got, w.want[i].rows))
		}
	}
}

// tell writes one epoch, which may be abandoned or lost in a crash, or fail.
func (w *teller) tell(seq uint64) {
	full := w.rng.Intn(6) == 0
	next := told{seq: seq, rows: map[string]string{}}
	if len(w.want) > 0 && !full {
		next.rows = maps.Clone(w.want[0].rows)
	}
	e, err := w.s.Begin(full)
	if err != nil {
		w.fail(err)
		return
	}
	names := w.rng.Perm(40)[:w.rng.Intn(30)]
	for part := range slices.Chunk(names, 1+w.rng.Intn(8)) {
		var rows []Row
		for _, n := range part {
			name := fmt.Sprintf("row %d", n)
			switch {
			case !full && w.rng.Intn(3) == 0:
				delete(next.rows, name)
				rows = append(rows, Row{Name: []byte(name)})
			default:
				value := strings.Repeat(fmt.Sprint(w.rng.Intn(10)), w.rng.Intn(5))
				if w.rng.Intn(12) == 0 {
					value += strings.Repeat("x", w.rng.Intn(3*partBytes))
				}
				next.rows[name] = value
				rows = append(rows, row(name, value))
			}
		}
		if err := e.Put(rows); err != nil {
			w.abandon(e, err)
			return
		}
		if w.rng.Intn(25) == 0 {
			w.crash()
			return
		}
	}
	if w.rng.Intn(8) == 0 {
		w.abandon(e, nil)
		return
	}
	w.maybe = &next
	if err := e.Commit(marker(seq)); err != nil {
		w.abandon(e, err)
		return
	}
	w.maybe = nil
	w.want = append([]told{next}, w.want[:min(len(w.want), 3)]...)
	w.committed++
	w.check()
}

func (w *teller) fail(err error) {
	w.t.Helper()
	if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
		w.t.Fatal(err)
	}
	w.failed++
}

func (w *teller) abandon(e *Epoch, err error) {
	w.t.Helper()
	if err != nil {
		w.fail(err)
	}
	if err := e.Abandon(); err != nil {
		w.fail(err)
	} else {
		w.maybe = nil
	}
	w.abandoned++
}

func (w *teller) crash() {
	w.d.crash()
	w.open()
	w.crashes++
}

// TestRandomEpochs: whatever is committed, abandoned or cut off by a crash, what
// is kept are the epochs that were committed last, row for row.
func TestRandomEpochs(t *testing.T) {
	for _, c := range []struct {
		name         string
		seeds, steps int
		disk         func() disk
	}{
		{"memory", 30, 60, func() disk { return &memoryDisk{} }},
		{"badger", 1, 40, func() disk { return &badgerDisk{t: t, dir: filepath.Join(t.TempDir(), "snapshots")} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var committed, abandoned, crashes int
			for seed := range c.seeds {
				w := &teller{t: t, rng: rand.New(rand.NewSource(int64(seed))), d: c.disk()}
				w.open()
				for i := range c.steps {
					w.tell(uint64(i + 1))
				}
				w.crash()
				_ = w.s.Close()
				committed, abandoned, crashes = committed+w.committed, abandoned+w.abandoned, crashes+w.crashes
			}
			t.Logf("%d committed, %d abandoned, %d crashes", committed, abandoned, crashes)
		})
	}
}

// TestEveryOperationFailsOnce lets the N-th operation of a story fail, for N =
// 1, 2, … until no operation is left: what is kept is what was committed, and
// the next snapshot is well. So it is if the program crashes there.
func TestEveryOperationFailsOnce(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, crash := range []bool{false, true} {
			runs := 0
			for n := 1; ; n++ {
				d := &memoryDisk{}
				w := &teller{t: t, rng: rand.New(rand.NewSource(3)), d: d}
				w.open()
				calls := 0
				d.Fault = func(string) error {
					if calls++; calls == n {
						return fault
					}
					return nil
				}
				for i := range 8 {
					w.tell(uint64(i + 1))
					if crash && calls >= n { // here the program dies
						break
					}
				}
				failed := calls >= n
				d.Fault = nil
				w.crash()
				w.tell(100)
				if !failed {
					break
				}
				runs++
			}
			if runs < 50 {
				t.Errorf("%v, crash %t: only %d operations failed", fault, crash, runs)
			}
		}
	}
}
