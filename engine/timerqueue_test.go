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
			slices.SortFunc(want, func(a, b timer) int { return a.compare(&b) })
			at, phase := now+event.Time(rng.Intn(5)*5), phaseEvents+uint8(rng.Intn(2))
			if got, any := q.before(at, phase), slices.ContainsFunc(want, func(x timer) bool { return x.before(at, phase) }); got != any {
				t.Fatalf("seed %d: a timer fires before phase %d of %v: %v, want %v", seed, phase, at, got, any)
			}
			if rng.Intn(5) < 2 && len(want) > 0 {
				if soon, _ := q.soon(); soon.due() != want[0].due() {
					t.Fatalf("seed %d: due at %v, want %v", seed, soon.due(), want[0].due())
				}
				top, row := q.first()
				first := *top
				i := slices.Index(want, first) // of those that come first together
				if i < 0 || first.compare(&want[0]) != 0 {
					t.Fatalf("seed %d: first is %v of kind %d, want %v of kind %d", seed, first.at, first.kind, want[0].at, want[0].kind)
				}
				if got := q.take(row); got != first {
					t.Fatalf("seed %d: took %v, want %v", seed, got, first)
				}
				now, want = first.at, slices.Delete(want, i, i+1)
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
