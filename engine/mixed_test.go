package engine

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// mixedStreams are streams of which two take the same messages of a source, and
// one those of another. What stands in capitals is drawn by lot.
const mixedStreams = `
streams:
  t: {source: in, topic: "p/{site}/{d}", time: e.ts, watermark: {lag: LAG, idle: IDLE, max_future: 40s KEYS}, ID RETAINED LATE fields: {ts: timestamp, k: string, code: int, kind: string, free: any, x: double, id: string}}
  u: {source: in, topic: "p/{where}/{d}", time: e.ts, watermark: {lag: OTHER, idle: 20s}}
  w: {source: other, time: e.ts, watermark: {lag: 2s, idle: 20s PER}}
  a: {source: other}
  stragglers:
rules:
`

// mixedRules are rules of every kind, of which sets are drawn by lot. Some of
// their keys are missing now and then.
const mixedRules = `
  - {name: hot, from: t, by: e.d, when: e.x > 80, clear: e.x < 60, alert: {summary: "${key} ${e.x}"}}
  - {name: hot-k, from: t, by: e.k, when: e.x > 70, clear: e.x < 40, alert: {summary: "${key} ${e.x}"}}
  - {name: long, from: t, by: {site: e.site, k: e.k}, when: e.x > 50, for: 7s, clear_for: 3s, alert: {summary: "${e.x}"}}
  - {name: rare, from: t, by: e.k, where: 'e.kind == "a" && e.code == 3', when: e.x > 30, for: 2s, alert: {summary: "${e.x}"}}
  - {name: rare-site, from: t, by: e.site, where: e.x > 95, window: {tumbling: 10s}, lateness: 5s, when: count() > 1, alert: {summary: "${count()} ${max(e.x)}"}}
  - {name: fails, from: t, by: e.k, where: e.x / 0.0 > 1.0 && e.free > 3, when: e.code == 3, alert: {summary: "no"}}
  - {name: where-fails, from: t, by: e.d, where: e.free > 3, pattern: a -> b, define: {a: e.code == 3, b: e.code > 3}, within: 1m, alert: {summary: "${b.x}"}}
  - {name: sequence, from: t, by: e.d, pattern: a -> b, define: {a: 'e.kind == "a"', b: 'e.kind == "b" && e.x < 50'}, within: 20s, alert: {summary: "${a.x}"}}
  - {name: numbers, from: t, by: e.k, pattern: a -> b -> c, define: {a: e.x > 70, b: e.code == 4, c: e.x < 50 && e.x < a.x}, within: 30s, timeout: {alert: {summary: "${a.x} timed out"}}, alert: {summary: "${a.x} ${c.x}"}}
  - {name: not, from: t, by: e.d, pattern: a -> !c -> b, define: {a: e.x > 60, b: e.x < 40, c: e.code == 4}, within: 20s, skip: to_next, alert: {summary: "${a.x}"}}
  - {name: next, from: t, by: e.k, pattern: a => b, define: {a: 'e.kind == "a"', b: 'e.kind == "b"'}, alert: {summary: "${a.x} ${b.d}"}}
  - {name: many, from: t, by: e.k, pattern: "a{2,} -> b", define: {a: 'e.kind == "a"', b: 'e.kind == "b"'}, within: 30s, limits: {idle: 15s}, alert: {summary: "${b.x} ${a.size()}"}}
  - {name: silence, from: t, by: e.k, pattern: a -> !b, define: {a: 'e.free == "x"', b: e.free == 7}, within: 5s, alert: {summary: "${a.x} ${a.free}"}}
  - {name: by-key, from: t, by: e.k, when: 'e.x > 50 && key == "k1"', clear: e.x < 50, alert: {summary: "${key}"}}
  - {name: no-key, from: t, pattern: a -> b, define: {a: e.x > 90, b: e.x < 10}, within: 9s, alert: {summary: "${b.x} ${b.d}"}}
  - {name: few, from: t, by: e.k, when: e.x > 60, limits: {keys: 1}, alert: {summary: "${key}"}}
  - {name: idle, from: t, by: e.k, when: e.x > 65, limits: {idle: 20s}, alert: {summary: "${key}"}}
  - {name: absent, from: t, by: e.k, where: 'e.kind == "b"', absent: {for: 12s, forget: 60s}, alert: {summary: "${key} is gone"}}
  - {name: held, from: t, by: e.d, when: e.x > 40, unless: {firing: hot}, alert: {summary: "${key}"}}
  - {name: held-k, from: t, by: e.k, when: e.x > 45, unless: {firing: hot-k}, alert: {summary: "${key}"}}
  - {name: data, from: t, by: e.k, when: e.code == 5, no_data: {after: 9s, do: raise}, alert: {summary: "${e.x}"}}
  - {name: flap, from: t, by: e.site, when: e.x > 90, clear_after: 4s, flap: {changes: 4, within: 40s}, alert: {summary: "${e.x}"}}
  - {name: peak, from: t, by: e.k, where: e.x > 85, emit: {site: e.site, k: e.k, x: e.x, all: key}}
  - {name: peaks, from: peak, by: e.site, pattern: "p{2}", define: {p: e.x > 85}, within: 1m, alert: {summary: "${key} ${p.sum(q, q.x)}"}}
  - {name: peak-window, from: peak, by: e.k, window: {sliding: 20s, every: 5s}, when: count() > 1, emit: {n: count()}, alert: {summary: "${count()}"}}
  - {name: share, from: t, by: e.site, window: {sliding: 20s, every: 5s}, lateness: 4s, let: {n: count(), usual: 'baseline(avg(e.x), "1h", "none")'}, when: 'n >= 3 && avg(e.x, e.x > 10) > usual + 5.0', emit: {site: key, n: n}, alert: {summary: "${n} ${usual}"}}
  - {name: bursts, from: t, by: e.k, where: e.x > 20, window: {session: 4s}, when: count() > 2, alert: {summary: "${count()} ${sum(e.x)}"}}
  - {name: tens, from: t, by: e.k, where: 'e.kind == "b"', window: {count: 3}, emit: {k: key, x: sum(e.x)}, when: count() > 0}
  - {name: ten-keys, from: tens, by: e.k, when: e.x > 100, clear_after: 5s, alert: {summary: "${key} ${e.x}"}}
  - {name: odd, from: t, by: e.d, detect: {value: e.x, method: range, with: {high: 85}, quiet: 4s}, for: 1s, clear_after: 20s, emit: {score: score, x: value}, alert: {summary: "${value} ${reason}"}}
  - {name: drift, from: t, by: e.k, detect: {value: e.x, method: ewma, with: {threshold: 0.9}}, alert: {summary: "${value} ${score}"}}
  - {name: ack, from: [t, w], by: e.k, pattern: low -> !ack, define: {low: {from: t, where: e.x < 20}, ack: {from: w, where: e.ok}}, within: 10s, alert: {summary: "${low.x}"}}
  - {name: both, from: [t, u], by: e.k, pattern: a -> b, define: {a: {from: t, where: e.x > 90}, b: {from: u, where: e.x < 10}}, within: 20s, alert: {summary: "${a.x} ${b.d}"}}
  - {name: u-hot, from: u, by: e.d, when: e.x > 90, clear_after: 7s, alert: {summary: "${key} ${e.k}"}}
  - {name: u-many, from: u, by: {k: e.k, d: e.d}, where: e.code == 4, pattern: a -> b, define: {a: e.x > 40, b: e.x < 40}, within: 40s, alert: {summary: "${key}"}}
  - {name: w-off, from: w, by: e.k, when: e.ok == false, for: 2s, alert: {summary: "${key}"}}
  - {name: a-off, from: a, by: e.k, when: e.ok == false, clear: e.ok, for: 2s, alert: {summary: "${key}"}}
  - {name: few-emit, from: t, by: e.k, when: e.x > 60, limits: {keys: 1}, emit: {x: e.x, n: e.code}, alert: {summary: "${key}"}}
  - {name: few-window, from: t, by: e.k, window: {tumbling: 4s}, limits: {keys: 1}, when: count() > 1, emit: {n: count()}, alert: {summary: "${count()}"}}
  - {name: few-session, from: t, by: e.k, where: e.x > 20, window: {session: 2s}, limits: {keys: 1, idle: 9s}, emit: {n: count(), x: sum(e.x)}}
  - {name: few-runs, from: t, by: e.k, pattern: a -> b, define: {a: e.x > 50, b: e.x < 20}, within: 25s, limits: {keys: 1}, timeout: {emit: {x: a.x}, alert: {summary: "${a.x}"}}, emit: {x: b.x}, alert: {summary: "${a.x} ${b.x}"}}
  - {name: few-absent, from: t, by: e.k, absent: {for: 6s, forget: 30s}, limits: {keys: 1}, emit: {at: 1}, alert: {summary: "${key} is gone"}}
  - {name: few-runs-read, from: few-runs, by: e.x, when: e.x > 10, clear_after: 6s, limits: {keys: 1}, alert: {summary: "${key} ${e.x}"}}
  - {name: slow-window, from: t, by: e.k, window: {sliding: 9s, every: 3s}, lateness: 3s, emit: {n: count(), x: avg(e.x), l: last(e.kind)}}
  - {name: late, from: stragglers, by: e.k, when: e.x > 50, clear_after: 30s, alert: {summary: "${key} ${e.x}"}}
`

// variations are changes of rules that people make, most of which keep the state.
var variations = [][2]string{
	{"e.x > 50", "e.x > 45"}, {"e.x > 60", "e.x > 65"}, {"e.x < 40", "e.x < 35"}, {"for: 2s", "for: 6s"}, {"for: 7s", "for: 1s"}, {"clear_for: 3s", "clear_for: 8s"},
	{"clear_after: 4s", "clear_after: 9s"}, {"after: 9s", "after: 14s"}, {"forget: 60s", "forget: 20s"}, {"within: 20s", "within: 9s"}, {"within: 30s", "within: 45s"},
	{"idle: 20s", "idle: 5s"}, {"idle: 15s", "idle: 40s"}, {"keys: 1", "keys: 400"}, {"changes: 4", "changes: 3"}, {"high: 85", "high: 70"}, {"threshold: 0.9", "threshold: 0.7"}, {"{n: count(), usual", "{n: count(), more: n + 1, usual"}, {"within: 30s, timeout", "within: 30s, limits: {runs: 3}, timeout"}, {`summary: "${e.x}"`, `summary: "${e.x} ${e.code}"`},
	{`emit: {x: e.x, n: e.code}, alert: {summary: "${key}"}`, `emit: {x: e.x}`}, {`emit: {n: count()}, alert: {summary: "${count()}"}`, `emit: {n: count()}`}, {`emit: {x: a.x}, alert: {summary: "${a.x}"}`, `emit: {x: a.x}`}, {`emit: {x: b.x}, alert: {summary: "${a.x} ${b.x}"}`, `emit: {x: b.x, k: a.kind}`}, {`emit: {at: 1}, alert: {summary: "${key} is gone"}`, `alert: {summary: "${key} went"}`},
	{"limits: {keys: 1}, ", ""}, {"limits: {keys: 1, idle: 9s}", "limits: {idle: 9s}"}, {"limits: {keys: 1, idle: 9s}", "limits: {keys: 1, idle: 3s}"}, {", lateness: 3s, emit", ", emit"},
	{"${a.x}", "${a.x} ${a.kind}"}, {"${b.x}", "${b.code}"}, {"count() > 1", "count() > 2"}, {"lateness: 5s", "lateness: 2s"}, {"from: t, by", "from: t, mode: shadow, by"},
}

// vary changes a rule now and then.
func vary(rng *rand.Rand, rule string) string {
	for _, v := range variations {
		if rng.Intn(6) == 0 {
			rule = strings.Replace(rule, v[0], v[1], 1)
		}
	}
	return rule
}

// mixedSets draws streams, and some sets of rules over them.
func mixedSets(t *testing.T, rng *rand.Rand, n int) []*rules.Set {
	t.Helper()
	pick := func(texts ...string) string { return texts[rng.Intn(len(texts))] }
	id, retained, late, idle := pick("", `id: e.id,`, `id: {value: e.id, within: 20s},`), pick("", "retained: ignore,", "retained: state,"), pick("", "late: stragglers,"), pick("8s", "0s")
	per, keys, other := pick("", ", per: key"), pick("", "", ", per: key"), pick("0s", "2s")
	all := strings.Split(strings.TrimSpace(mixedRules), "\n")
	var sets []*rules.Set
	for len(sets) < n {
		head := strings.NewReplacer("LAG", pick("0s", "5s", "9s"), "IDLE", idle, "OTHER", other, "ID", id, "RETAINED", retained, "LATE", late, "PER", per, "KEYS", keys).Replace(mixedStreams)
		var some []string
		most := []int{3, 6, len(all)}[rng.Intn(3)]
		for _, i := range rng.Perm(len(all))[:most] {
			some = append(some, vary(rng, strings.TrimSpace(all[i])))
		}
		text := head + "  " + strings.Join(some, "\n  ") + "\n"
		has := func(name string) bool { return strings.Contains(text, "{name: "+name+",") }
		for _, needs := range [][2]string{{"peaks", "peak"}, {"peak-window", "peak"}, {"ten-keys", "tens"}, {"held", "hot"}, {"held-k", "hot-k"}, {"few-runs-read", "few-runs"}} {
			if has(needs[0]) && !has(needs[1]) {
				i := slices.IndexFunc(all, func(r string) bool { return strings.Contains(r, "{name: "+needs[1]+",") })
				text += "  " + strings.TrimSpace(all[i]) + "\n"
			}
		}
		set, report := rules.Load([]rules.File{{Name: "mixed.yaml", Data: []byte(text)}}, rules.Options{})
		if report.Errors > 0 {
			t.Fatal(report)
		}
		sets = append(sets, set)
	}
	return sets
}

// mixedStory returns records by lot: messages that several streams take, or none;
// that are late, far ahead, or come twice; without a key or any other field.
func mixedStory(rng *rand.Rand, sets []*rules.Set, n int) []event.Record {
	start := event.Time(1_772_366_400_000_000_000)
	clock, at := start.Add(time.Minute), start
	records := []event.Record{{Kind: event.KindStart, Arrival: clock}, {Kind: event.KindRuleSet, Arrival: clock, Payload: []byte(sets[0].Hash)},
		{Kind: event.KindSourceUp, Source: "in", Arrival: clock}, {Kind: event.KindSourceUp, Source: "other", Arrival: clock}}
	pick := func(values ...string) string { return values[rng.Intn(len(values))] }
	partitions := 1 + rng.Intn(2)
	keys := [][]string{{`"k0"`, `"k1"`, `"k\u0031"`, `"k2"`, `"k3"`, `"k\n4"`, `7`}, oneGroup}[rng.Intn(2)]
	for i := range n {
		step := time.Duration(rng.Intn(900)) * time.Millisecond
		at, clock = at.Add(step), clock.Add(step)
		rec := event.Record{Kind: event.KindMessage, Source: "in", Arrival: clock, Partition: uint32(rng.Intn(partitions)), Packet: uint16(1 + i%1000), Conn: 1,
			Topic: fmt.Sprintf("p/s%d/d%d", rng.Intn(2), rng.Intn(5))}
		ts := at
		if rng.Intn(3) > 0 {
			ts = ts.Add(-time.Duration(rng.Intn(7000)) * time.Millisecond)
		}
		switch rng.Intn(60) {
		case 0, 1, 2, 3, 4, 5:
			rec.Source, rec.Topic = "other", ""
		case 6:
			rec = event.Record{Kind: event.KindTick, Arrival: clock}
		case 7:
			rec = event.Record{Kind: event.KindSourceUp + event.RecordKind(rng.Intn(2)), Source: pick("in", "other"), Arrival: clock}
		case 8:
			rec = event.Record{Kind: event.KindRuleSet, Arrival: clock, Payload: []byte(sets[rng.Intn(len(sets))].Hash)}
		case 9:
			rec.Topic = pick("p/s0", "other", "p/s1/d1/x")
		case 10:
			ts = ts.Add(time.Hour)
		case 11:
			ts = ts.Add(20 * time.Second)
		case 12:
			rec.Flags = event.FlagRetained
		case 13:
			rec.Flags = 1
		case 14:
			if last := records[len(records)-1]; last.Kind == event.KindMessage {
				rec = last
				rec.Flags, rec.Arrival = rec.Flags|event.FlagDup, clock
				records = append(records, rec)
				continue
			}
		case 15:
			rec.SenderID = fmt.Sprint("m", rng.Intn(20))
		case 16:
			at, clock = at.Add(10*time.Second), clock.Add(10*time.Second)
		}
		if rec.Kind == event.KindMessage {
			fields := []string{fmt.Sprintf(`"ts":"%s"`, ts)}
			for _, f := range []string{
				`"k":` + pick(keys...), `"kind":` + pick(`"a"`, `"b"`, `"c"`), `"code":` + pick("3", "4", "5", "6", `"three"`),
				`"free":` + pick(`"x"`, `"y\tz"`, "7", "3.0", "true", "[1]"), fmt.Sprintf(`"x":%d`, rng.Intn(101)),
				fmt.Sprintf(`"id":"i%d"`, i-rng.Intn(2)*rng.Intn(30)), fmt.Sprintf(`"ok":%t`, rng.Intn(2) == 0),
			} {
				if rng.Intn(7) > 0 {
					fields = append(fields, f)
				}
			}
			if rng.Intn(60) == 0 {
				fields[0] = "nonsense"
			}
			rec.Payload = []byte("{" + strings.Join(fields, ",") + "}")
		}
		records = append(records, rec)
	}
	records = append(records, event.Record{Kind: event.KindEnd, Arrival: event.MaxTime})
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	return records
}

// oneGroup are keys of one group, more than fit into it under a limit of one key.
var oneGroup = func() (keys []string) {
	for i := 0; len(keys) < 12; i++ {
		key, _ := event.AppendKey(nil, event.String(fmt.Sprint("g", i)))
		if event.Group(key) == 0 {
			keys = append(keys, fmt.Sprintf(`"g%d"`, i))
		}
	}
	return keys
}()

// told is what comes of records: the output in words, all counts, and the state
// at some of them.
type told struct {
	words  string
	counts Stats
	rows   map[int][]Row // after so many records

	raised, across int // alerts, and reloads while events were held back
}

// oneByOne steps an engine of one shard record by record. With all, every rule is
// shown every event, and every condition is asked for itself.
func oneByOne(c Config, all bool, records []event.Record, checks map[int]bool) told {
	c.Shards = 1
	e := New(c)
	e.options.noIndex = all
	var outs []Output
	out := told{rows: map[int][]Row{}}
	for i := range records {
		if records[i].Kind == event.KindRuleSet && e.holds() {
			out.across++
		}
		outs = append(outs, e.Step(Input{Records: records[i : i+1]}))
		out.counts.Add(outs[i].Stats)
		if all && outs[i].Reload != nil {
			for k := range e.plan.order {
				e.shards[0].memos[k].guards, e.router.readers[0].memos[k].guards = nil, nil
			}
		}
		outs[i].Reload = nil // a batch tells of its last
		if checks[i+1] {
			out.rows[i+1] = e.Rows()
		}
	}
	out.words = printOutputs(outs)
	return out
}

// lasting leaves out the state of patterns that drop what is past its time
// with the next event that they are shown, which nothing else can tell.
func lasting(sets []*rules.Set, rows []Row) []Row {
	return slices.DeleteFunc(slices.Clone(rows), func(row Row) bool {
		return slices.ContainsFunc(sets, func(s *rules.Set) bool {
			return slices.ContainsFunc(s.Rules, func(r *rules.Rule) bool {
				return r.Pattern != nil && r.Pattern.Prog.Compact() && len(row.Name) > 1 && bytes.HasPrefix(row.Name[2:], event.AppendText(nil, r.Name))
			})
		})
	})
}

// live runs records in batches by lot on some shards, with restarts from rows or
// from what snapshots stored, and wants what came of them one by one.
func live(t *testing.T, c Config, records []event.Record, want told, restarts bool, rng *rand.Rand) {
	t.Helper()
	type step struct {
		end int
		out Output
	}
	var done []step
	var batch []event.Record
	w := &snapshotter{t: t, rng: rng, engine: New(c), store: rowStore{}}
	inForce := map[int]*rules.Set{} // by number of records
	snapshots := restarts && rng.Intn(2) == 0
	for i := 0; i < len(records); {
		n := 1 + rng.Intn(min(len(records)-i, 1+rng.Intn(80)))
		for k := 1; k < n; k++ {
			if want.rows[i+k] != nil {
				n = k
			}
		}
		var out Output
		batch = append(batch[:0], records[i:i+n]...)
		if snapshots {
			out = w.step(batch)
		} else {
			out = w.engine.Step(Input{Records: batch})
		}
		clear(batch) // sources use the records again
		i += n
		out.Reload = nil // a batch tells of its last
		done, inForce[i] = append(done, step{i, out}), w.engine.Rules()
		if rows := want.rows[i]; rows != nil {
			if d := differ(w.engine.Rows(), rows); d != "" {
				t.Fatalf("%d shards, restarts %t, after %d records: %s", c.Shards, restarts, i, d)
			}
		}
		if !restarts || rng.Intn(6) > 0 {
			continue
		}
		c.Shards = []int{1, 2, 3, 8}[rng.Intn(4)]
		if !snapshots {
			again, damage, err := Restore(c, w.engine.Rules(), inOrder(w.engine.Rows()))
			if err != nil || len(damage) > 0 {
				t.Fatal(err, damage)
			}
			w.engine = again
		} else if w.committed > 0 {
			i = int(w.at.Seq)
			w.crash(c, inForce[i])
			for len(done) > 0 && done[len(done)-1].end > i {
				done = done[:len(done)-1]
			}
		}
	}
	var outs []Output
	var st Stats
	for _, b := range done {
		outs = append(outs, b.out)
		st.Add(b.out.Stats)
	}
	if got := printOutputs(outs); got != want.words {
		t.Fatalf("%d shards, restarts %t: output differs:\n%s", c.Shards, restarts, firstDifference(got, want.words))
	}
	if fmt.Sprint(st) != fmt.Sprint(want.counts) {
		t.Fatalf("%d shards, restarts %t: counts are\n%v\nwant\n%v", c.Shards, restarts, st, want.counts)
	}
}

// allAlike wants the same of records with several shards or one, in any batches,
// with restarts, and with every rule asked about every event.
func allAlike(t *testing.T, sets []*rules.Set, records []event.Record, rng *rand.Rand) told {
	t.Helper()
	c := Config{Emitted: true, Do: together, Load: func(hash string) (*rules.Set, error) {
		return sets[slices.IndexFunc(sets, func(s *rules.Set) bool { return s.Hash == hash })], nil
	}}
	checks := map[int]bool{len(records): true}
	for range 20 {
		checks[1+rng.Intn(len(records))] = true
	}
	want, all := oneByOne(c, false, records, checks), oneByOne(c, true, records, checks)
	if want.words != all.words || fmt.Sprint(want.counts) != fmt.Sprint(all.counts) {
		t.Fatalf("where every rule is asked, it differs:\n%s\n%v\n%v", firstDifference(want.words, all.words), want.counts, all.counts)
	}
	for at, rows := range want.rows {
		if d := differ(lasting(sets, rows), lasting(sets, all.rows[at])); d != "" {
			t.Fatalf("after %d records, where every rule is asked: %s", at, d)
		}
	}
	for _, shards := range []int{1, 2, 3, 8} {
		for _, restarts := range []bool{false, true} {
			c := c
			c.Shards = shards
			live(t, c, records, want, restarts, rng)
		}
	}
	return want
}

// TestMixed holds everything that makes an engine fast to the one that asks every
// rule about every event: with several shards or one, in any batches, with rules
// that change while events are held back, and with restarts.
func TestMixed(t *testing.T) {
	var sum told
	n := stories(4, 20)
	for seed := range n {
		switch seed {
		case n - 1:
			seed = 7179 // idle keys wake of which a rule keeps so many
		case n - 2:
			seed = 97179 // keys are idle anew after a reload that makes something due of them
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(seed))
			sets := mixedSets(t, rng, 3)
			records := mixedStory(rng, sets, 300)
			want := allAlike(t, sets, records, rng)
			sum.raised, sum.across = sum.raised+strings.Count(want.words, " raised "), sum.across+want.across
			sum.counts.Add(want.counts)
		})
	}
	t.Logf("%d alerts, %d reloads while events were held back", sum.raised, sum.across)
	sum.counts.ForgottenIDs.add("none", "", 1) // there are too few to forget any
	counters := sum.counts.counters()
	if sum.raised < 30*int(n) || sum.across < int(n) || *many && slices.ContainsFunc(counters[:], func(c *Counter) bool { return len(*c) == 0 }) {
		t.Error("the stories are too few to say anything")
	}
}

// TestRestoreUnderOtherRules: what is stored after the first snapshot of an engine
// that was restored with rules other than those that the rows were of, as a later
// version may make of the same files, is its state and no more.
func TestRestoreUnderOtherRules(t *testing.T) {
	for seed := range int64(10) {
		rng := rand.New(rand.NewSource(seed))
		sets := mixedSets(t, rng, 3)
		records := mixedStory(rng, sets, 80)
		c := Config{Shards: 1 + rng.Intn(3), Load: func(hash string) (*rules.Set, error) {
			return sets[slices.IndexFunc(sets, func(s *rules.Set) bool { return s.Hash == hash })], nil
		}}
		e := New(c)
		for i := range records[:len(records)-1] {
			e.Step(Input{Records: records[i : i+1]})
			if i < 10 || rng.Intn(4) > 0 {
				continue
			}
			store := rowStore{}.put(true, e.Rows())
			again, damage, err := Restore(c, sets[rng.Intn(len(sets))], inOrder(store.rows()))
			if err != nil || len(damage) > 0 {
				t.Fatal(err, damage)
			}
			s := again.Snapshot(false)
			var rows []Row
			for done := false; !done; {
				var more []Row
				more, done = s.Next(100)
				rows = append(rows, more...)
			}
			if d := differ(namesOf(store.put(s.Full, rows).rows()), namesOf(again.Rows())); d != "" {
				t.Fatalf("seed %d, record %d: %s", seed, i, d)
			}
		}
	}
}

// namesOf returns rows without what is in them: the fields of an event that is
// held back are those that rules use.
func namesOf(rows []Row) []Row {
	names := make([]Row, len(rows))
	for i, row := range rows {
		names[i].Name = row.Name
	}
	return names
}
