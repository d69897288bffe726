package engine

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/cepd/cepd/event"
)

// TestQueue holds a queue to a sorted list: items mostly in order, some behind,
// and some far ahead, after which all others are behind.
func TestQueue(t *testing.T) {
	for seed := range int64(200) {
		rng := rand.New(rand.NewSource(seed))
		q, want := newQueue(), []event.Time{}
		at, seq := event.Time(1000), uint64(0)
		for range 300 {
			if rng.Intn(5) < 2 && len(want) > 0 {
				slices.Sort(want)
				if top := q.top().at; top != want[0] {
					t.Fatalf("seed %d: the first is %d, want %d", seed, top, want[0])
				}
				if got := q.pop(); got.at != want[0] || got.event == nil {
					t.Fatalf("seed %d: took %d, want %d", seed, got.at, want[0])
				}
				want = want[1:]
			} else {
				at += event.Time(rng.Intn(10))
				when := at
				switch rng.Intn(20) {
				case 0, 1:
					when -= event.Time(rng.Intn(100))
				case 2:
					when += event.Time(rng.Intn(100))
				}
				seq++
				q.push(&item{at: when, event: &event.Event{Time: when, Pos: event.Position{Seq: seq}}})
				want = append(want, when)
			}
			n := 0
			for range q.all() {
				n++
			}
			if n != len(want) || q.len() != n {
				t.Fatalf("seed %d: %d items, length %d, want %d", seed, n, q.len(), len(want))
			}
		}
	}
}

// TestOneMessageOfStreams: what several streams take of one message is judged in
// their order, whatever waits beside it.
func TestOneMessageOfStreams(t *testing.T) {
	q, e := newQueue(), &event.Event{}
	for _, stream := range []int32{3, 1, 2, 0} {
		q.push(&item{event: e, stream: stream})
	}
	for want := range int32(4) {
		if it := q.pop(); it.stream != want {
			t.Errorf("stream %d is judged, want %d", it.stream, want)
		}
	}
}
