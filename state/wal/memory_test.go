package wal_test

import (
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/wal"
)

func TestMemory(t *testing.T) {
	var log wal.Memory
	if !log.Last().IsZero() {
		t.Errorf("an empty log ends at %v", log.Last())
	}
	next := uint64(1)
	for _, n := range []int{1, 3, 0, 2} {
		records := make([]event.Record, n)
		first, err := log.Append(records)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if !first.IsZero() {
				t.Errorf("nothing begins at %v", first)
			}
			continue
		}
		if want := (event.Position{Seq: next}); first != want {
			t.Errorf("first is %v, want %v", first, want)
		}
		for i, r := range records {
			if want := (event.Position{Seq: next}); r.Pos != want {
				t.Errorf("record %d of %d is at %v, want %v", i, n, r.Pos, want)
			}
			next++
		}
		if log.Last().Seq != next-1 {
			t.Errorf("the last is %v, want %d", log.Last(), next-1)
		}
	}
}
