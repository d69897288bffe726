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

// storyRules hold every kind of rule over two streams, and a second level.
const storyRules = `
streams:
  t: {source: in, time: e.ts, watermark: {lag: 5s, idle: 20s}}
  u: {source: other, time: e.ts, watermark: {lag: 1s, idle: 20s}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, clear: e.x < 60, alert: {summary: "${key} ${e.x}"}}
  - {name: long, from: t, by: {site: e.site, d: e.d}, when: e.x > 50, for: 7s, clear_for: 3s, alert: {summary: "${e.x}"}}
  - name: rise
    from: t
    by: e.d
    pattern: a -> b{2,} -> !c -> d
    define: {a: e.x < 40, b: e.x > a.x && e.x < 90, c: e.x == 0, d: "e.x > b.avg(h, h.x) + 20"}
    within: 40s
    skip: to_next
    timeout: {alert: {summary: "${a.x} timed out"}}
    alert: {summary: "${a.x} ${b.size()} ${d.x}"}
  - name: silent
    from: [t, u]
    by: e.d
    pattern: low -> !ack
    define: {low: {from: t, where: e.x < 20}, ack: {from: u, where: e.ok}}
    within: 10s
    alert: {summary: "${low.x}"}
  - {name: peak, from: t, by: e.d, where: e.x > 95, emit: {site: e.site, x: e.x}}
  - name: peaks-of-site
    from: peak
    by: e.site
    pattern: p{3}
    define: {p: e.x > 0}
    within: 1m
    alert: {summary: "${key} ${p.sum(q, q.x)}"}
  - {name: quiet, from: t, by: e.d, absent: {for: 8s, forget: 60s}, unless: {firing: site-hot}, alert: {summary: "${key}"}}
  - {name: site-hot, from: peak, when: e.x > 97, clear_after: 10s, flap: {changes: 5, within: 30s}, alert: {summary: "${e.site}"}}
  - {name: data, from: t, by: e.d, when: e.x < 30, no_data: {after: 9s, do: raise}, mode: shadow, alert: {summary: "${e.x}"}}
  - name: share
    from: t
    by: e.site
    window: {sliding: 20s, every: 5s}
    lateness: 4s
    let: {n: count(), usual: 'baseline(avg(e.x), "1h", "none")'}
    when: n >= 3 && avg(e.x, e.x > 10) > usual + 5.0
    emit: {site: key, n: n, top: max(e.x), median: median(e.x)}
    alert: {summary: "${n} ${avg(e.x)} ${usual}"}
  - {name: bursts, from: t, by: e.d, window: {session: 4s}, when: count() > 4, for: 1s, alert: {summary: "${count()} ${sum(e.x)}"}}
  - {name: tens, from: share, by: e.site, window: {count: 10, every: 5}, when: sum(e.n) > 30, alert: {summary: "${sum(e.n)}"}}
  - name: odd
    from: t
    by: e.d
    detect: {value: e.x, method: range, with: {high: 85}, quiet: 4s}
    for: 1s
    clear_after: 20s
    emit: {site: e.site, score: score, bad: anomaly, x: value, why: reason}
    alert: {summary: "${value} ${reason} ${e.x}"}
  - name: odd-stretch
    from: [t, u]
    by: e.d
    detect: {value: e.x, every: {every: 5s, by: max}, method: ewma, quiet: 0s, with: {threshold: 0.8}}
    when: anomaly || value > 99
    clear: score < 0.5
    no_data: {after: 15s, do: raise}
    flap: {changes: 4, within: 1m}
    alert: {summary: "${value} ${expected} ${e.x}"}
  - {name: twice-odd, from: odd, by: e.site, pattern: "a -> b", define: {a: e.bad, b: "!e.bad && e.score < 0.9"}, within: 20s, alert: {summary: "${a.x} ${b.x}"}}
  - {name: pair, from: t, by: e.site, detect: {value: [e.x, e.x * e.x], method: t2, learn: warmup}, alert: {summary: "${channel} ${value}"}}
  - {name: any, from: t, detect: {value: e.x, direction: up}, when: score > 0.99, limits: {idle: 1m}, emit: {score: score}, alert: {}}
  - {name: all, from: u, when: e.ok == false, for: 2s, alert: {summary: "no key"}}
`

// story returns records of two sources by seed, out of order within the lag
// and now and then beyond it.
func story(seed int64, n int) []event.Record {
	rng := rand.New(rand.NewSource(seed))
	start := event.Time(1_772_366_400_000_000_000)
	clock := start.Add(time.Hour)
	at := start
	var records []event.Record
	records = append(records, event.Record{Kind: event.KindStart, Arrival: clock},
		event.Record{Kind: event.KindSourceUp, Source: "in", Arrival: clock}, event.Record{Kind: event.KindSourceUp, Source: "other", Arrival: clock})
	for range n {
		step := time.Duration(rng.Intn(1500)) * time.Millisecond
		at, clock = at.Add(step), clock.Add(step)
		rec := event.Record{Kind: event.KindMessage, Source: "in", Arrival: clock, Partition: uint32(rng.Intn(2))}
		ts := at.Add(-time.Duration(rng.Intn(6000)) * time.Millisecond)
		switch rng.Intn(12) {
		case 0:
			rec.Source = "other"
			rec.Payload = fmt.Appendf(nil, `{"ts":"%s","d":"d%d","ok":%t}`, ts, rng.Intn(6), rng.Intn(3) > 0)
		case 1:
			rec = event.Record{Kind: event.KindTick, Arrival: clock}
		case 2:
			if rng.Intn(10) == 0 {
				kind := event.KindSourceDown + event.RecordKind(rng.Intn(2))
				if kind != event.KindSourceDown {
					kind = event.KindSourceUp
				}
				rec = event.Record{Kind: kind, Source: "in", Arrival: clock, Flags: event.FlagLost}
				break
			}
			at, clock = at.Add(step), clock.Add(10*step)
			fallthrough
		default:
			rec.Payload = fmt.Appendf(nil, `{"ts":"%s","site":"s%d","d":"d%d","x":%d}`, ts, rng.Intn(2), rng.Intn(6), rng.Intn(101))
		}
		records = append(records, rec)
	}
	return append(records, event.Record{Kind: event.KindEnd, Arrival: event.MaxTime})
}

func storySet(t *testing.T) *rules.Set {
	t.Helper()
	set, report := rules.Load([]rules.File{{Name: "story.yaml", Data: []byte(storyRules)}}, rules.Options{
		Own: &rules.Own{Sources: []string{"in", "other"}, SourceDown: 2 * time.Second},
	})
	if !report.OK() {
		t.Fatal(report)
	}
	return set
}

// tell runs records in batches of random size over a number of shards, and
// writes and reads the state now and then.
func tell(t *testing.T, set *rules.Set, records []event.Record, shards int, restores bool, rng *rand.Rand) string {
	t.Helper()
	c := Config{Shards: shards, Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }}
	e := New(c)
	records = slices.Concat([]event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}, records)
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	var outs []Output
	for len(records) > 0 {
		n := 1 + rng.Intn(min(len(records), 60))
		outs = append(outs, e.Step(Input{Records: records[:n]}))
		records = records[n:]
		if restores && rng.Intn(4) == 0 {
			c.Shards = 1 + rng.Intn(9)
			again, _, err := Restore(c, set, inOrder(e.Rows()))
			if err != nil {
				t.Fatal(err)
			}
			e = again
		}
	}
	return printOutputs(outs)
}

// TestSameOutput runs random stories: whatever the number of shards, the
// batches and the restarts, the output is the same, ids included.
func TestSameOutput(t *testing.T) {
	set := storySet(t)
	for seed := range stories(4, 12) {
		records := story(seed, 400)
		want := tell(t, set, records, 1, false, rand.New(rand.NewSource(seed)))
		if n := strings.Count(want, "raised"); n < 20 {
			t.Fatalf("seed %d: the story has %d alerts; too few to say anything", seed, n)
		}
		for _, shards := range []int{1, 2, 8} {
			for _, restores := range []bool{false, true} {
				rng := rand.New(rand.NewSource(seed*100 + int64(shards)))
				if got := tell(t, set, records, shards, restores, rng); got != want {
					t.Errorf("seed %d, %d shards, restores %t: output differs:\n%s", seed, shards, restores, firstDifference(got, want))
				}
			}
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\ngot  %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

// TestOneRaiseOneClear holds every story to it: raises and clears of a rule and
// key alternate, and no id comes twice.
func TestOneRaiseOneClear(t *testing.T) {
	set := storySet(t)
	for seed := range int64(6) {
		c := Config{Shards: 3, Load: func(string) (*rules.Set, error) { return set, nil }}
		e := New(c)
		records := slices.Concat([]event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}, story(seed, 600))
		for i := range records {
			records[i].Pos = event.Position{Seq: uint64(i + 1)}
		}
		out := e.Step(Input{Records: records})
		firing, ids := map[string]bool{}, map[string]bool{}
		for _, tr := range out.Transitions {
			who := tr.Rule + "|" + tr.Fingerprint
			raised := tr.Change.String() == "raised"
			if firing[who] == raised {
				t.Fatalf("seed %d: %s %s twice in a row at %s", seed, who, tr.Change, tr.Time)
			}
			if ids[tr.ID] {
				t.Fatalf("seed %d: id %s comes twice", seed, tr.ID)
			}
			firing[who], ids[tr.ID] = raised, true
		}
	}
}
