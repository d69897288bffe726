package engine

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestTimerQueue holds a queue to a sorted list: deadlines that come in order,
// many of one time, and some before others that are queued.
func TestTimerQueue(t *testing.T) {
	table := &table{tablePlan: &tablePlan{rules: []*rulePlan{{Rule: &rules.Rule{Name: "a"}}, {Rule: &rules.Rule{Name: "b"}}}}}
	for seed := range int64(300) {
		rng := rand.New(rand.NewSource(seed))
		q, want := newTimerQueue(), []timer{}
		now := event.Time(1000)
		for i := range 400 {
			if rng.Intn(5) < 2 && len(want) > 0 {
				slices.SortFunc(want, func(a, b timer) int { return a.compare(&b) })
				if soon, _ := q.soon(); soon.due() != want[0].due() {
					t.Fatalf("seed %d: due at %v, want %v", seed, soon.due(), want[0].due())
				}
				first, row := q.first()
				if *first != want[0] {
					t.Fatalf("seed %d: first is %v %s, want %v %s", seed, first.at, first.keys.key, want[0].at, want[0].keys.key)
				}
				if got := q.take(row); got != want[0] {
					t.Fatalf("seed %d: took %v, want %v", seed, got, want[0])
				}
				now, want = want[0].at, want[1:]
			} else {
				x := timer{at: now + event.Time(rng.Intn(3)*10), rule: int32(rng.Intn(2)), keys: &keyState{table: table, key: fmt.Sprint(rng.Intn(5), i)}}
				if rng.Intn(10) == 0 {
					x.kind = timerAlert
				}
				q.push(&x)
				want = append(want, x)
			}
			n := 0
			for range q.all() {
				n++
			}
			if n != len(want) {
				t.Fatalf("seed %d: %d timers, want %d", seed, n, len(want))
			}
		}
	}
}
