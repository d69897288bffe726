package engine

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// orderRules look at a stream in all ways but silence, whose keys share a
// watermark or, with PER, have one each.
const orderRules = `
streams: {t: {source: in, time: e.ts, watermark: {lag: 10s, PER}}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, clear: e.x < 60, alert: {summary: "${key} ${e.x}"}}
  - {name: long, from: t, by: {site: e.site, d: e.d}, when: e.x > 50, for: 7s, clear_for: 3s, flap: {changes: 4, within: 1m}, alert: {summary: "${e.x}"}}
  - name: rise
    from: t
    by: e.d
    pattern: a -> b{2,} -> !c -> d
    define: {a: e.x < 40, b: e.x > a.x && e.x < 90, c: e.x == 0, d: "e.x > b.avg(h, h.x) + 20"}
    within: 40s
    timeout: {alert: {summary: "${a.x} timed out"}}
    alert: {summary: "${a.x} ${b.size()} ${d.x}"}
  - {name: never, from: t, by: e.d, pattern: a -> !b, define: {a: e.x > 90, b: e.x < 50}, within: 15s, alert: {summary: "${a.x}"}}
  - {name: peak, from: t, by: e.d, where: e.x > 80, emit: {d: e.d, x: e.x}}
  - {name: peaks, from: peak, by: e.d, window: {session: 20s}, when: count() > 1, emit: {n: count(), x: sum(e.x)}, alert: {summary: "${key} ${count()}"}}
  - {name: share, from: t, by: e.d, window: {sliding: 20s, every: 5s}, let: {n: count()}, when: n >= 3 && avg(e.x) > 50.0, emit: {n: n, top: max(e.x)}, alert: {summary: "${n}"}}
`

// inOrderWithinLag returns events, each with a time of its own, and an order of
// them in which none is late: it comes after what is more than the lag behind
// it.
func inOrderWithinLag(rng *rand.Rand, n int) []event.Record {
	type sent struct {
		at  time.Duration // when it comes
		rec event.Record
	}
	var all []sent
	var at time.Duration
	start := event.Time(1_772_366_400_000_000_000)
	facts := rand.New(rand.NewSource(int64(n))) // what happened is the same in any order
	for range n {
		at += time.Duration(1+facts.Intn(3000)) * time.Millisecond
		payload := fmt.Appendf(nil, `{"ts":"%s","site":"s%d","d":"d%d","x":%d}`, start.Add(at), facts.Intn(2), facts.Intn(4), facts.Intn(101))
		delay := time.Duration(rng.Int63n(int64(10 * time.Second)))
		all = append(all, sent{at + delay, event.Record{Kind: event.KindMessage, Source: "in", Payload: payload}})
	}
	slices.SortStableFunc(all, func(a, b sent) int { return int(a.at - b.at) })
	records := make([]event.Record, 0, n+1)
	for _, s := range all {
		s.rec.Arrival = start.Add(24 * time.Hour) // the clock plays no part
		records = append(records, s.rec)
	}
	return append(records, event.Record{Kind: event.KindEnd, Arrival: event.MaxTime})
}

// TestAnyOrder: the same events in any order within the lag, split in any
// batches, on any number of shards, give the same output, byte by byte but for
// places in the log.
func TestAnyOrder(t *testing.T) {
	for _, per := range []string{"per: stream", "per: key"} {
		t.Run(per, func(t *testing.T) {
			set := loadSet(t, strings.Replace(orderRules, "PER", per, 1))
			var want []string
			for seed := range stories(4, 12) {
				rng := rand.New(rand.NewSource(seed))
				records := withRules(set, inOrderWithinLag(rng, 600))
				for _, shards := range []int{1, 2, 8} {
					var all Output
					all.Stats = Stats{}
					e := New(Config{Shards: shards, Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }})
					for rest := records; len(rest) > 0; {
						n := 1 + rng.Intn(min(len(rest), 100))
						out := e.Step(Input{Records: rest[:n]})
						all.Transitions, all.Emitted = append(all.Transitions, out.Transitions...), append(all.Emitted, out.Emitted...)
						all.Stats.Add(out.Stats)
						rest = rest[n:]
					}
					if late := all.Stats.Late.Total(""); late > 0 {
						t.Fatalf("seed %d: %d events are late", seed, late)
					}
					got := words(all)
					if want == nil {
						want = got
					}
					if len(want) < 200 || !slices.Equal(got, want) {
						t.Fatalf("seed %d, %d shards: %d lines, want %d:\n%s", seed, shards, len(got), len(want),
							firstDifference(strings.Join(got, "\n"), strings.Join(want, "\n")))
					}
				}
			}
		})
	}
}

// TestWrongClock: one event a year ahead changes nothing but a counter.
func TestWrongClock(t *testing.T) {
	for _, per := range []string{"per: stream", "per: key"} {
		set := loadSet(t, strings.Replace(orderRules, "PER", per, 1))
		records := withRules(set, inOrderWithinLag(rand.New(rand.NewSource(1)), 300))
		for i := range records {
			if records[i].Kind == event.KindMessage {
				records[i].Arrival = event.Time(1_772_366_400_000_000_000).Add(time.Duration(i) * 2 * time.Second)
			}
		}
		c := Config{Shards: 2, Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }}
		want := New(c).Step(Input{Records: records})
		ahead := records[100]
		ahead.Payload = []byte(strings.Replace(string(ahead.Payload), `"2026-`, `"2027-`, 1))
		got := New(c).Step(Input{Records: slices.Insert(slices.Clone(records), 100, ahead)})
		if n := got.Stats.Rejected[CounterKey{"t", "max_future"}]; n != 1 {
			t.Errorf("%s: %d events were set aside, want 1", per, n)
		}
		if a, b := words(got), words(want); !slices.Equal(a, b) {
			t.Errorf("%s: %s", per, firstDifference(strings.Join(a, "\n"), strings.Join(b, "\n")))
		}
	}
}

// TestSilentPartition: a partition that is quiet delays what others decide for
// `idle` and no longer.
func TestSilentPartition(t *testing.T) {
	set := loadSet(t, `
streams: {t: {source: in, time: e.ts, watermark: {idle: 20s}}}
rules: [{name: hot, from: t, by: e.d, when: e.x > 80, clear_after: 1h, alert: {summary: "${key}"}}]
`)
	start := event.Time(1_772_366_400_000_000_000)
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: withRules(set, nil)})
	at := func(s int, partition uint32, d string, x int) Output {
		now := start.Add(time.Duration(s) * time.Second)
		return e.Step(Input{Records: []event.Record{{
			Pos: event.Position{Seq: uint64(s + 2)}, Kind: event.KindMessage, Source: "in", Partition: partition, Arrival: now,
			Payload: fmt.Appendf(nil, `{"ts":"%s","d":"%s","x":%d}`, now, d, x),
		}}})
	}
	at(0, 1, "quiet", 1)
	var raised []int
	for s := 1; s <= 40; s++ {
		if out := at(s, 0, fmt.Sprint("d", s), 90); len(out.Transitions) > 0 {
			for _, tr := range out.Transitions {
				raised = append(raised, int(tr.Time.Sub(start)/time.Second))
			}
			if s < 20 {
				t.Errorf("an alert came after %d s, and the partition is idle after 20 s", s)
			}
		}
		if s >= 20 && len(raised) != s {
			t.Fatalf("after %d s there are %d alerts", s, len(raised))
		}
	}
}

// TestKeysNeverGoBack: no time of a key goes back (I7), unless the key was
// forgotten.
func TestKeysNeverGoBack(t *testing.T) {
	set := loadSet(t, keyedRules)
	for seed := range int64(4) {
		e := New(Config{Shards: 2, Load: func(string) (*rules.Set, error) { return set, nil }})
		last := map[string]event.Time{}
		for _, rec := range withRules(set, offline(seed, 400)) {
			e.Step(Input{Records: []event.Record{rec}})
			seen := map[string]bool{}
			for _, s := range e.shards {
				for _, l := range s.lanes {
					for i, tab := range l.tables {
						for key, kc := range tab.clocks {
							who := fmt.Sprint(l.plan.level, l.plan.name, i, key)
							if kc.gone {
								continue
							}
							if was, known := last[who]; known && kc.mark < was {
								t.Fatalf("seed %d, record %d: %s went from %s to %s", seed, rec.Pos.Seq, who, was, kc.mark)
							}
							last[who], seen[who] = kc.mark, true
						}
					}
				}
			}
			for who := range last {
				if !seen[who] {
					delete(last, who)
				}
			}
		}
	}
}
