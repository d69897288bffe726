package wal_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the format anew")

// random returns a record with every field set, its position aside.
func random(rng *rand.Rand) event.Record {
	text := func() string { return fmt.Sprintf("t%d", rng.IntN(100)) }
	r := event.Record{
		Kind: event.RecordKind(1 + rng.IntN(10)), Flags: event.Flags(1 + rng.IntN(255)), Partition: 1 + rng.Uint32N(1<<31), Packet: uint16(1 + rng.IntN(math.MaxUint16)),
		Arrival: event.Time(rng.Int64() - rng.Int64()), Conn: 1 + rng.Uint64N(1<<60),
		Source: text(), Topic: text() + "/" + text(), SenderID: text(), Payload: make([]byte, 1+rng.IntN(300)),
	}
	for i := range r.Payload {
		r.Payload[i] = byte(rng.Uint32())
	}
	return r
}

func open(t *testing.T, fs vfs.FS, o wal.Options) *wal.Log {
	t.Helper()
	l, rec, err := wal.Open(fs, "log", o)
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Repairs) > 0 {
		t.Fatalf("repaired: %v", rec.Repairs)
	}
	return l
}

func read(t *testing.T, l *wal.Log, after uint64) []event.Record {
	t.Helper()
	var out []event.Record
	err := l.Read(event.Position{Seq: after}, func(r *event.Record) error {
		out = append(out, *r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func equal(a, b event.Record) bool { return reflect.DeepEqual(a, b) }

// What is appended is read again, every field of it, in the same log and in
// the next one on the directory; positions go on.
func TestLog(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, sync := range []wal.Sync{wal.Always, wal.Interval, wal.Never} {
		fs := vfs.NewMem()
		var want []event.Record
		id := ""
		for range 5 {
			l := open(t, fs, wal.Options{Sync: sync, SegmentBytes: 4000})
			if id == "" {
				id = l.ID()
			}
			if l.ID() != id || len(id) != 32 {
				t.Errorf("the log is %q, and was %q", l.ID(), id)
			}
			for range 10 {
				batch := make([]event.Record, rng.IntN(20))
				for i := range batch {
					batch[i] = random(rng)
				}
				first, err := l.Append(batch)
				if err != nil {
					t.Fatal(err)
				}
				if len(batch) > 0 && (first.Seq != uint64(len(want))+1 || batch[0].Pos != first) {
					t.Errorf("a batch got %v in its record, and %v; want %d", batch[0].Pos, first, len(want)+1)
				}
				want = append(want, batch...)
			}
			for _, after := range []int{0, 50, len(want)} {
				after = min(after, len(want))
				if got := read(t, l, uint64(after)); !slices.EqualFunc(got, want[after:], equal) {
					t.Fatalf("after %d: -want +got\n%s", after, cmp.Diff(want[after:], got))
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Every field of a record is stored: one that is added is not forgotten.
func TestEveryField(t *testing.T) {
	r := random(rand.New(rand.NewPCG(3, 4)))
	v := reflect.ValueOf(r)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name != "Pos" && v.Field(i).IsZero() {
			t.Errorf("the test sets no %s", name)
		}
	}
}

// A log without its identity, or an identity without its log, is damage, not a
// new log: the ids of alerts would change, and records be missing.
func TestIdentity(t *testing.T) {
	fill := func() *vfs.Mem {
		fs := vfs.NewMem()
		l := open(t, fs, wal.Options{})
		if _, err := l.Append([]event.Record{{Kind: event.KindStart}}); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	for name, harm := range map[string]func(fs *vfs.Mem) error{
		"no identity":    func(fs *vfs.Mem) error { return fs.Remove("log/id") },
		"no segment":     func(fs *vfs.Mem) error { return fs.Remove("log/00000000000000000001.seg") },
		"empty identity": func(fs *vfs.Mem) error { return vfs.WriteFile(fs, "log/id", nil) },
		"wrong identity": func(fs *vfs.Mem) error {
			data, err := vfs.ReadFile(fs, "log/id")
			data[12] ^= 1
			return errors.Join(err, vfs.WriteFile(fs, "log/id", data))
		},
	} {
		fs := fill()
		if err := harm(fs); err != nil {
			t.Fatal(err)
		}
		for _, readOnly := range []bool{true, false} {
			if _, _, err := wal.Open(fs, "log", wal.Options{ReadOnly: readOnly}); !errors.Is(err, segment.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A log that a crash left without records or an identity is begun anew.
func TestCrashAtTheBeginning(t *testing.T) {
	for n, crashed := 1, true; crashed; n++ {
		for seed := range uint64(10) {
			m := vfs.NewMem()
			crashed = false
			_, _, err := wal.Open(vfs.NewFault(m, func(op vfs.Op) *vfs.Failure {
				if op.N < n {
					return nil
				}
				crashed = true
				return &vfs.Failure{Err: vfs.ErrCrashed, Effect: vfs.Effect(seed % 3)}
			}), "log", wal.Options{})
			if crashed && err == nil {
				t.Errorf("operation %d fails, and nobody says so", n)
			}
			m.Crash(rand.New(rand.NewPCG(seed, uint64(n))))
			l, _, err := wal.Open(m, "log", wal.Options{})
			if err != nil || l.ID() == "" {
				t.Errorf("after a crash at operation %d, seed %d: %v", n, seed, err)
			}
		}
	}
}

// History keeps the files in which it lies, whoever says that nobody needs them.
func TestHistory(t *testing.T) {
	const hour = 3600 * event.Duration(1e9)
	start := event.Time(1_772_366_400_000_000_000)
	for _, c := range []struct {
		history event.Duration
		below   uint64
		first   event.Time // arrival of the first record that is kept, at the latest
		atLeast event.Time // and at the earliest
	}{
		{0, 1000, start.Add(99 * hour), start.Add(95 * hour)},
		{0, 50, start.Add(49 * hour), start.Add(40 * hour)},
		{24 * hour, 1000, start.Add(75 * hour), start.Add(60 * hour)},
		{24 * hour, 50, start.Add(49 * hour), start.Add(40 * hour)},
		{1000 * hour, 1000, start, start},
	} {
		l := open(t, vfs.NewMem(), wal.Options{History: c.history, SegmentBytes: 300})
		for i := range 100 {
			r := []event.Record{{Kind: event.KindMessage, Arrival: start.Add(hour * event.Duration(i)), Payload: make([]byte, 30)}}
			if _, err := l.Append(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Truncate(event.Position{Seq: c.below}); err != nil {
			t.Fatal(err)
		}
		got := read(t, l, 0)[0].Arrival
		if got > c.first || got < c.atLeast {
			t.Errorf("history of %s, cut below %d: begins at %s, want from %s to %s", event.FormatDuration(c.history), c.below, got, c.atLeast, c.first)
		}
		all, err := l.Segments()
		if err != nil || all[0].Start != got || all[0].First != l.First().Seq {
			t.Errorf("the first file is %+v, error %v; want one that begins at %s", all[0], err, got)
		}
	}
}

// The golden log of each format that there was is read, and a program of today
// writes the present one byte by byte.
func TestGolden(t *testing.T) {
	m := vfs.NewMem()
	seed := byte(0)
	l := open(t, m, wal.Options{Rand: func(b []byte) {
		for i := range b {
			seed++
			b[i] = seed
		}
	}})
	rng := rand.New(rand.NewPCG(5, 6))
	var want []event.Record
	for i := range 40 {
		r := random(rng)
		r.Kind = event.RecordKind(1 + i%10)
		want = append(want, r, event.Record{Kind: r.Kind}) // all fields, and none
	}
	for batch := range slices.Chunk(want, 10) {
		if _, err := l.Append(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "00000000000000000001.seg"} {
		present, err := vfs.ReadFile(m, filepath.Join("log", name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", fmt.Sprintf("v%d", wal.Format), name)
		if *rewrite {
			err := errors.Join(os.MkdirAll(filepath.Dir(golden), 0o755), os.WriteFile(golden, present, 0o644))
			if err != nil {
				t.Fatal(err)
			}
		}
		stored, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stored, present) {
			t.Errorf("%s: the format has changed: give it another number, or, where it was never released, run `go test -rewrite`", golden)
		}
	}
	for v := 1; v <= wal.Format; v++ {
		l, _, err := wal.Open(vfs.OS(), filepath.Join("testdata", fmt.Sprintf("v%d", v)), wal.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, l, 0); !slices.EqualFunc(got, want, equal) {
			t.Errorf("format %d: -want +got\n%s", v, cmp.Diff(want, got))
		}
		if want := "090a0b0c0d0e0f101112131415161718"; l.ID() != want {
			t.Errorf("format %d: the log is %s, want %s", v, l.ID(), want)
		}
	}
}
