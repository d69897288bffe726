package engine

import (
	"cmp"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

// TestSortEmitted holds the order of what is emitted to that of a stable sort, for
// few and for many, near each other in the log and far apart.
func TestSortEmitted(t *testing.T) {
	inOrder := func(a, b alerting.Derived) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), a.Position.Compare(b.Position), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	}
	for seed := range int64(200) {
		rng := rand.New(rand.NewSource(seed))
		spread := []int64{2, 300, 1 << 40}[rng.Intn(3)]
		e, want := &Engine{shards: make([]*Shard, 2)}, []alerting.Derived(nil)
		for i := range e.shards {
			e.shards[i] = &Shard{}
			list := make([]alerting.Derived, rng.Intn(2*manyEmitted))
			for j := range list {
				list[j] = alerting.Derived{
					KnownID: fmt.Sprint(i, j),
					Time:    event.Time(rng.Int63n(spread) - spread/2), Position: event.Position{Seq: uint64(rng.Int63n(spread)), Partition: uint32(rng.Intn(2))},
					Rule: fmt.Sprint(rng.Intn(2)), Key: fmt.Sprint(rng.Intn(2)),
				}
			}
			switch { // now and then one shard has all, in order
			case seed%4 > 0:
			case i == 0:
				slices.SortStableFunc(list, inOrder)
			default:
				list = nil
			}
			e.emitted, want = append(e.emitted, list), append(want, list...)
		}
		slices.SortStableFunc(want, inOrder)
		got := e.orderEmitted()
		for _, s := range e.shards { // its memory is the shard's again
			clear(s.out.emitted[:cap(s.out.emitted)])
		}
		if !slices.EqualFunc(got, want, func(a, b alerting.Derived) bool { return a.KnownID == b.KnownID }) {
			t.Fatalf("seed %d: %d events are out of order", seed, len(got))
		}
	}
}
