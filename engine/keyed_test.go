package engine

import (
	"cmp"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// keyedRules hold every kind of rule over a stream whose keys have a time of
// their own, beside one whose keys have not, and what follows from them.
const keyedRules = `
streams:
  t: {source: in, time: e.ts, watermark: {lag: 5s, per: key}, late: stragglers}
  k: {source: other, time: e.ts, watermark: {lag: 2s, idle: 15s, per: key}}
  u: {source: third, time: e.ts, watermark: {lag: 1s, idle: 20s}}
  stragglers:
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, clear: e.x < 60, no_data: {after: 20s, do: clear}, alert: {summary: "${key} ${e.x}"}}
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
  - name: both
    from: [t, k]
    by: e.d
    pattern: low -> other
    define: {low: {from: t, where: e.x < 20}, other: {from: k, where: e.ok}}
    within: 30s
    alert: {summary: "${low.x}"}
  - {name: peak, from: t, by: e.d, where: e.x > 80, emit: {site: e.site, d: e.d, x: e.x, odd: e.x % 2 == 1.0}}
  - {name: peak-of-device, from: peak, by: e.d, pattern: "p -> !q", define: {p: e.x > 90, q: e.x < 90}, within: 15s, alert: {summary: "${key} ${p.x}"}}
  - {name: peak-of-parity, from: peak, by: {odd: e.odd, d: e.d}, pattern: "p -> q", define: {p: e.x > 80, q: e.x > p.x}, within: 60s, emit: {x: q.x}, alert: {summary: "${p.x} ${q.x}"}}
  - {name: peaks-of-site, from: peak, by: e.site, window: {tumbling: 20s}, lateness: 5s, emit: {n: count()}, when: count() > 1, alert: {summary: "${key} ${count()}"}}
  - {name: peakless, from: peak, by: e.d, absent: {for: 25s, forget: 80s}, alert: {summary: "${key}"}}
  - {name: quiet, from: t, by: e.d, absent: {for: 8s, forget: 60s}, unless: {firing: site-hot}, alert: {summary: "${key}"}}
  - {name: held, from: t, by: e.d, when: e.x > 60, unless: {firing: hot, on: [d]}, alert: {summary: "${key}"}}
  - {name: spared, from: u, by: e.d, when: e.ok, unless: {firing: hot, on: [d]}, clear_after: 5s, alert: {summary: "${key}"}}
  - {name: site-hot, from: peak, when: e.x > 97, clear_after: 10s, flap: {changes: 5, within: 30s}, alert: {summary: "${e.site}"}}
  - {name: data, from: t, by: e.d, when: e.x < 30, no_data: {after: 9s, do: raise}, mode: shadow, alert: {summary: "${e.x}"}}
  - {name: idle, from: k, by: e.d, pattern: "a -> b", define: {a: e.ok, b: e.ok == false}, limits: {idle: 40s}, timeout: {alert: {summary: "${a.ok}"}}, within: 12s, alert: {summary: x}}
  - name: share
    from: t
    by: e.site
    window: {sliding: 20s, every: 5s}
    lateness: 4s
    let: {n: count(), usual: 'baseline(avg(e.x), "1h", "none")'}
    when: n >= 3 && avg(e.x, e.x > 10) > usual + 5.0
    emit: {site: key, n: n, top: max(e.x), median: median(e.x)}
    alert: {summary: "${n} ${avg(e.x)} ${usual}"}
  - {name: tens, from: share, by: e.site, window: {count: 10, every: 5}, when: sum(e.n) > 30, alert: {summary: "${sum(e.n)}"}}
  - {name: late, from: stragglers, by: e.d, when: e.x > 50, clear_after: 30s, alert: {summary: "${key} ${e.x}"}}
  - {name: all, from: t, when: e.x > 98, for: 2s, alert: {summary: "no key"}}
`

func loadSet(t testing.TB, text string) *rules.Set {
	t.Helper()
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(text)}}, rules.Options{})
	if report.Errors > 0 {
		t.Fatal(report)
	}
	return set
}

// offline returns records of six devices, which are offline now and then and
// bring a backlog.
func offline(seed int64, n int) []event.Record {
	rng := rand.New(rand.NewSource(seed))
	clock := event.Time(1_772_366_400_000_000_000)
	records := []event.Record{{Kind: event.KindStart, Arrival: clock}}
	for _, source := range []string{"in", "other", "third"} {
		records = append(records, event.Record{Kind: event.KindSourceUp, Source: source, Arrival: clock})
	}
	backlog := make([][]event.Record, 6)
	away := make([]int, 6)
	for range n {
		clock = clock.Add(time.Duration(rng.Intn(1500)) * time.Millisecond)
		d := rng.Intn(6)
		rec := event.Record{Kind: event.KindMessage, Source: "in", Arrival: clock, Partition: uint32(rng.Intn(2))}
		ts := clock.Add(-time.Duration(rng.Intn(6000)) * time.Millisecond)
		rec.Payload = fmt.Appendf(nil, `{"ts":"%s","site":"s%d","d":"d%d","x":%d}`, ts, rng.Intn(2), d, rng.Intn(101))
		switch rng.Intn(14) {
		case 0, 1:
			rec.Source = []string{"other", "third"}[rng.Intn(2)]
			rec.Payload = fmt.Appendf(nil, `{"ts":"%s","d":"d%d","ok":%t}`, ts, d, rng.Intn(3) > 0)
		case 2:
			clock = clock.Add(time.Duration(rng.Intn(20)) * time.Second)
			records = append(records, event.Record{Kind: event.KindTick, Arrival: clock})
			continue
		case 3:
			kinds := []event.RecordKind{event.KindSourceDown, event.KindSourceUp, event.KindSourceUp}
			records = append(records, event.Record{Kind: kinds[rng.Intn(3)], Source: []string{"in", "other", "third"}[rng.Intn(3)], Arrival: clock})
			continue
		}
		if away[d] == 0 && rng.Intn(20) == 0 {
			away[d] = 5 + rng.Intn(15)
		}
		if away[d] > 0 {
			backlog[d] = append(backlog[d], rec)
			if away[d]--; away[d] == 0 {
				for _, b := range backlog[d] {
					b.Arrival = clock
					records = append(records, b)
				}
				backlog[d] = nil
			}
			continue
		}
		records = append(records, rec)
	}
	return append(records, event.Record{Kind: event.KindEnd, Arrival: event.MaxTime})
}

// TestKeyedSameOutput runs stories of devices that are offline now and then:
// whatever the number of shards, the batches and the restarts, the output is
// the same.
func TestKeyedSameOutput(t *testing.T) {
	set := loadSet(t, keyedRules)
	for seed := range stories(2, 12) {
		records := offline(seed, 500)
		want := tell(t, set, records, 1, false, rand.New(rand.NewSource(seed)))
		for _, r := range set.Rules {
			if n := strings.Count(want, " raised "+r.Name); r.Alert != nil && n == 0 && seed == 0 {
				t.Errorf("rule %s raised no alert", r.Name)
			}
		}
		for _, shards := range []int{1, 2, 8} {
			for _, restores := range []bool{false, true} {
				rng := rand.New(rand.NewSource(seed*100 + int64(shards)))
				if got := tell(t, set, records, shards, restores, rng); got != want {
					t.Fatalf("seed %d, %d shards, restores %t: output differs:\n%s", seed, shards, restores, firstDifference(got, want))
				}
			}
		}
	}
}

// TestKeyedRows restarts an engine now and then: row for row it has the state of
// one that was never restarted.
func TestKeyedRows(t *testing.T) {
	set := loadSet(t, keyedRules)
	for seed := range stories(1, 6) {
		rng := rand.New(rand.NewSource(seed))
		c := Config{Load: func(string) (*rules.Set, error) { return set, nil }}
		a, b := New(c), New(c)
		for _, rec := range withRules(set, offline(seed, 400)) {
			a.Step(Input{Records: []event.Record{rec}})
			b.Step(Input{Records: []event.Record{rec}})
			if rng.Intn(4) == 0 {
				c.Shards = 1 + rng.Intn(8)
				var err error
				if b, _, err = Restore(c, set, inOrder(b.Rows())); err != nil {
					t.Fatal(err)
				}
			}
			if d := differ(b.Rows(), a.Rows()); d != "" {
				t.Fatalf("seed %d, record %d: %s", seed, rec.Pos.Seq, d)
			}
		}
	}
}

// TestKeyAlone is the oracle of keys with a time of their own: what comes of all
// keys together is what comes of each alone. Silence is left out, which is
// judged by the time of all.
func TestKeyAlone(t *testing.T) {
	const text = `
streams: {t: {source: in, time: e.ts, watermark: {lag: 3s, per: key}}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, clear: e.x < 60, alert: {summary: "${key} ${e.x}"}}
  - {name: long, from: t, by: e.d, when: e.x > 50, for: 7s, clear_for: 3s, alert: {summary: "${e.x}"}}
  - name: rise
    from: t
    by: e.d
    pattern: a -> b{2,} -> !c
    define: {a: e.x < 40, b: e.x > a.x && e.x < 90, c: e.x == 0}
    within: 40s
    alert: {summary: "${a.x} ${b.size()}"}
  - {name: minute, from: t, by: e.d, window: {sliding: 20s, every: 5s}, lateness: 4s, emit: {d: key, n: count(), x: sum(e.x)}}
  - {name: tens, from: minute, by: e.d, window: {tumbling: 60s}, emit: {n: sum(e.n)}}
`
	set := loadSet(t, text)
	for seed := range int64(20) {
		records := slices.DeleteFunc(offline(seed, 400), func(r event.Record) bool { return r.Kind == event.KindMessage && r.Source != "in" })
		all := words(stepOnce(t, set, records, 3))
		var each []string
		for d := range 6 {
			own := slices.Clone(records)
			for i := range own {
				if own[i].Kind == event.KindMessage && !strings.Contains(string(own[i].Payload), fmt.Sprintf(`"d":"d%d"`, d)) {
					own[i] = event.Record{Kind: event.KindTick, Arrival: own[i].Arrival} // in its place
				}
			}
			each = append(each, words(stepOnce(t, set, own, 1))...)
		}
		slices.Sort(each)
		if !slices.Equal(all, each) || len(all) < 50 {
			t.Fatalf("seed %d: %d lines together, %d alone:\n%s", seed, len(all), len(each), firstDifference(strings.Join(all, "\n"), strings.Join(each, "\n")))
		}
	}
}

// stepOnce runs records as one batch.
func stepOnce(t testing.TB, set *rules.Set, records []event.Record, shards int) Output {
	t.Helper()
	e := New(Config{Shards: shards, Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }})
	return e.Step(Input{Records: withRules(set, records)})
}

// words says what came out, without what depends on places in the log, sorted.
func words(o Output) []string {
	var lines []string
	for _, tr := range o.Transitions {
		lines = append(lines, fmt.Sprint(tr.Time, tr.Change, tr.Rule, tr.Key, tr.Reason, tr.Summary, tr.AtEnd, tr.Matches))
	}
	for _, d := range o.Emitted {
		lines = append(lines, fmt.Sprint(d.Time, d.Rule, d.Key, string(event.AppendObject(nil, d.Fields))))
	}
	slices.SortFunc(lines, cmp.Compare[string])
	return lines
}

// TestDeadlines lets the clock run on after the last event: ticks at the times
// that the engine asks for decide all that ticks at any time would, and come to
// an end.
func TestDeadlines(t *testing.T) {
	for name, c := range map[string]struct {
		set   *rules.Set
		story func(seed int64, n int) []event.Record
	}{"streams": {storySet(t), story}, "keys": {loadSet(t, keyedRules), offline}} {
		t.Run(name, func(t *testing.T) {
			for seed := range stories(2, 8) {
				records := withRules(c.set, c.story(seed, 200))
				records = records[:len(records)-1] // the input goes on
				now := records[len(records)-1].Arrival
				end := now.Add(3 * time.Hour)
				asked, often := ticking(c.set, records), ticking(c.set, records)
				ticks := 0
				for at := asked.deadline; at < end; at = asked.deadline {
					asked.tick(at)
					if ticks++; ticks > 5000 {
						t.Fatalf("seed %d: asks for a tick at %s, the 5000th", seed, at)
					}
				}
				for at := now; at < end; at = at.Add(700 * time.Millisecond) {
					often.tick(at)
				}
				asked.tick(end)
				often.tick(end)
				if a, b := words(asked.out), words(often.out); !slices.Equal(a, b) {
					t.Fatalf("seed %d, after %d ticks: %s", seed, ticks, firstDifference(strings.Join(a, "\n"), strings.Join(b, "\n")))
				}
				if len(asked.last) > 0 {
					t.Errorf("seed %d: at the end, long after the last tick that was asked for, this was decided: %v", seed, asked.last)
				}
			}
		})
	}
}

// ticker runs an engine by the clock.
type ticker struct {
	engine   *Engine
	seq      uint64
	deadline event.Time
	out      Output
	last     []string // decided by the last tick
}

func ticking(set *rules.Set, records []event.Record) *ticker {
	e := New(Config{Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }})
	out := e.Step(Input{Records: records})
	return &ticker{engine: e, seq: uint64(len(records)), deadline: out.Deadline, out: out}
}

func (k *ticker) tick(at event.Time) {
	k.seq++
	out := k.engine.Step(Input{Records: []event.Record{{Kind: event.KindTick, Arrival: at, Pos: event.Position{Seq: k.seq}}}})
	k.deadline, k.last = out.Deadline, words(out)
	k.out.Transitions, k.out.Emitted = append(k.out.Transitions, out.Transitions...), append(k.out.Emitted, out.Emitted...)
}
