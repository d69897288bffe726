package engine

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestLimitedKeys raises and clears alerts of random keys, and compares with an
// obvious list what a limit on keys does: whatever the number of shards, the
// batches and the restarts.
func TestLimitedKeys(t *testing.T) {
	const text = `
streams: {t: {source: in, time: e.ts}}
rules: [{name: r, from: t, by: e.d, when: e.x > 0, limits: {keys: 1}, alert: {}}]
`
	set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: []byte(text)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	for seed := range stories(1, 6) {
		rng := rand.New(rand.NewSource(seed))
		var records []event.Record
		var want strings.Builder
		var kept [event.Groups][]string
		evicted := 0
		for i := range 20_000 {
			at := event.Time(1_772_366_400_000_000_000).Add(event.Duration(i) * 1e9)
			key, x := fmt.Sprintf("k%d", rng.Intn(4000)), rng.Intn(4)
			records = append(records, event.Record{Kind: event.KindMessage, Source: "in", Payload: fmt.Appendf(nil, `{"ts":"%s","d":"%s","x":%d}`, at, key, x)})
			encoded, _ := event.AppendKey(nil, event.String(key))
			group := &kept[event.Group(encoded)]
			at2 := slices.Index(*group, key)
			if at2 >= 0 {
				*group = slices.Delete(*group, at2, at2+1)
			}
			switch {
			case x > 0:
				*group = append(*group, key)
				if at2 < 0 {
					fmt.Fprintf(&want, "%s raised %s condition\n", at, key)
				}
				if len(*group) > groupKeys(1) {
					fmt.Fprintf(&want, "%s cleared %s evicted\n", at, (*group)[0])
					*group = (*group)[1:]
					evicted++
				}
			case at2 >= 0:
				fmt.Fprintf(&want, "%s cleared %s clear\n", at, key)
			}
		}
		if evicted < 1000 {
			t.Fatalf("seed %d: %d keys were evicted; too few to say anything", seed, evicted)
		}
		for _, shards := range []int{1, 2, 8} {
			if got := limitedRun(t, set, slices.Clone(records), shards, rng); sorted(got, "") != sorted(want.String(), "") {
				t.Errorf("seed %d, %d shards: output differs:\n%s", seed, shards, firstDifference(sorted(got, ""), sorted(want.String(), "")))
			}
		}
	}
}

// limitedRun runs records in batches, with the state written and read now and
// then; all in one batch without rng.
func limitedRun(t *testing.T, set *rules.Set, records []event.Record, shards int, rng *rand.Rand) string {
	t.Helper()
	c := Config{Shards: shards, Load: func(string) (*rules.Set, error) { return set, nil }}
	e := New(c)
	e.Step(Input{Records: []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
	var got strings.Builder
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	for len(records) > 0 {
		n := len(records)
		if rng != nil {
			n = 1 + rng.Intn(min(n, 1000))
		}
		out := e.Step(Input{Records: records[:n]})
		for _, tr := range out.Transitions {
			fmt.Fprintf(&got, "%s %s %s %s\n", tr.Time, tr.Change, event.KeyText(tr.Key), tr.Reason)
		}
		if records = records[n:]; rng != nil && rng.Intn(4) == 0 {
			again, _, err := Restore(c, set, inOrder(e.Rows()))
			if err != nil {
				t.Fatal(err)
			}
			e = again
		}
	}
	return got.String()
}

// TestGroupKeys fills groups with as many random keys as a limit allows: none
// overflows.
func TestGroupKeys(t *testing.T) {
	for _, limit := range []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000} {
		var groups [event.Groups]int
		for i := range limit {
			key, _ := event.AppendKey(nil, event.String(fmt.Sprintf("device-%d", i)))
			groups[event.Group(key)]++
		}
		if most := slices.Max(groups[:]); most > groupKeys(limit) {
			t.Errorf("of %d keys one group has %d, and the limit leaves room for %d", limit, most, groupKeys(limit))
		}
		t.Logf("%d keys: at most %d", limit, groupKeys(limit)*event.Groups)
	}
}

// TestLimitedKeysOfTheirOwnTime limits keys that have a time of their own, and
// keys that follow those: the output is the same whatever the number of shards,
// the batches and the restarts.
func TestLimitedKeysOfTheirOwnTime(t *testing.T) {
	const text = `
streams: {t: {source: in, time: e.ts, watermark: {lag: 2s, idle: 3s, per: key}}}
rules:
  - {name: r, from: t, by: e.d, when: e.x > 0, for: 1s, limits: {keys: 1}, alert: {}}
  - {name: emits, from: t, by: e.d, where: e.x > 1, emit: {d: e.d, x: e.x}}
  - {name: follows, from: emits, by: {d: e.d, x: e.x}, pattern: a -> b, define: {a: e.x > 1, b: e.x > 5}, within: 90s, limits: {keys: 1}, timeout: {alert: {}}}
`
	set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: []byte(text)}}, rules.Options{})
	if report.Errors > 0 {
		t.Fatal(report)
	}
	for seed := range stories(1, 4) {
		rng := rand.New(rand.NewSource(seed))
		var records []event.Record
		start := event.Time(1_772_366_400_000_000_000)
		for i := range 4000 {
			key := rng.Intn(3000)
			at := start.Add(event.Duration(i)*1e8 - event.Duration(key%7)*1e9 - event.Duration(rng.Intn(2000))*1e6)
			records = append(records, event.Record{Kind: event.KindMessage, Source: "in", Arrival: start.Add(event.Duration(i) * 1e8),
				Payload: fmt.Appendf(nil, `{"ts":"%s","d":"k%d","x":%d}`, at, key, rng.Intn(4))})
		}
		records = append(records, event.Record{Kind: event.KindEnd, Arrival: event.MaxTime})
		want := limitedRun(t, set, slices.Clone(records), 1, nil)
		if n := strings.Count(want, "evicted"); n < 100 {
			t.Fatalf("seed %d: %d keys were evicted; too few to say anything", seed, n)
		}
		for _, shards := range []int{1, 8} {
			if got := limitedRun(t, set, slices.Clone(records), shards, rng); sorted(got, "") != sorted(want, "") {
				t.Errorf("seed %d, %d shards: output differs:\n%s", seed, shards, firstDifference(sorted(got, ""), sorted(want, "")))
			}
		}
	}
}
