package notify

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cepd/cepd/alerting"
)

// An outbox in memory does what the slowest and plainest one would do.
func TestMemoryAgainstModel(t *testing.T) {
	type kept struct {
		id   string
		open []string
	}
	rapid.Check(t, func(t *rapid.T) {
		m := NewMemory()
		var model []kept // by place - 1
		sinks := []string{"a", "b", "c"}
		sink := rapid.SampledFrom(sinks)
		known := map[string]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				id := fmt.Sprint(rapid.IntRange(0, 40).Draw(t, "id"))
				to := rapid.SliceOfN(sink, 0, 3).Draw(t, "to")
				if err := m.Append([]Message{Changed(alerting.Transition{ID: id, To: to})}); err != nil {
					t.Fatal(err)
				}
				if !known[id] {
					known[id] = true
					model = append(model, kept{id, slices.Compact(slices.Sorted(slices.Values(to)))})
				}
			},
			"mark": func(t *rapid.T) {
				s, seq := sink.Draw(t, "sink"), rapid.IntRange(0, len(model)+1).Draw(t, "place")
				if err := m.Mark(s, uint64(seq), Sent); err != nil {
					t.Fatal(err)
				}
				if seq >= 1 && seq <= len(model) {
					k := &model[seq-1]
					k.open = slices.DeleteFunc(slices.Clone(k.open), func(o string) bool { return o == s })
				}
			},
			"": func(t *rapid.T) {
				after, limit := rapid.IntRange(0, len(model)).Draw(t, "after"), rapid.IntRange(0, 5).Draw(t, "limit")
				for _, s := range sinks {
					var want, got []string
					pending := 0
					for i, k := range model {
						if !slices.Contains(k.open, s) {
							continue
						}
						pending++
						if i+1 > after && len(want) < limit {
							want = append(want, fmt.Sprint(i+1, " ", k.id))
						}
					}
					es, err := m.Read(s, uint64(after), limit)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range es {
						got = append(got, fmt.Sprint(e.Seq, " ", e.Transition.ID))
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("sink %s (-want +got):\n%s", s, diff)
					}
					if got := m.Pending(s); got != pending {
						t.Fatalf("sink %s: %d pending, want %d", s, got, pending)
					}
				}
			},
		})
	})
}

func TestMemoryForgetsOldIDs(t *testing.T) {
	m := NewMemory()
	for i := range rememberedIDs + 10 {
		_ = m.Append([]Message{Changed(alerting.Transition{ID: fmt.Sprint(i)})})
	}
	if len(m.ids) != rememberedIDs || len(m.order) != rememberedIDs || len(m.entries) != 0 {
		t.Errorf("%d ids, %d in order, %d entries", len(m.ids), len(m.order), len(m.entries))
	}
	_ = m.Append([]Message{
		Changed(alerting.Transition{ID: "0", To: []string{"s"}}),
		Emitted(alerting.Derived{ID: fmt.Sprint(rememberedIDs), To: []string{"s"}}),
	})
	if n := m.Pending("s"); n != 1 {
		t.Errorf("%d pending, want 1: the oldest id is forgotten, a newer one is not", n)
	}
}
