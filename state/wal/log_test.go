package wal_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

// random returns a record with every field set, its position aside.
func random(rng *rand.Rand) event.Record {
	text := func() string { return fmt.Sprintf("t%d", rng.IntN(100)) }
	r := event.Record{
		Kind: event.RecordKind(1 + rng.IntN(10)), Flags: event.Flags(1 + rng.IntN(255)), Partition: 1 + rng.Uint32N(1<<31),
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
			if diff := cmp.Diff(want, read(t, l, 0)); diff != "" {
				t.Fatalf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff(want[min(50, len(want)):], read(t, l, 50)); diff != "" {
				t.Fatalf("-want +got\n%s", diff)
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
