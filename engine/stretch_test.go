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

// stretchRules are streams that have a source for themselves, and rules that want
// few of their events. What stands in capitals is drawn by lot.
const stretchRules = `
streams:
  plain: {source: plain, time: e.ts, watermark: {lag: 0s IDLE FUTURE}, LATE fields: {ts: timestamp, k: string, x: double, kind: string}}
  topics: {source: topics, topic: "p/{d}/{rest...}", time: e.ts, watermark: {lag: 0s IDLE}}
  clocked: {source: clocked, fields: {k: string, x: double}}
  stragglers:
rules:
  - {name: sequence, from: plain, by: e.k, pattern: a -> b -> c, define: {a: e.x > 80, b: e.x < 8, c: e.x > 70 && e.x < a.x}, within: 40s, alert: {summary: "${a.x} ${c.x}"}}
  - {name: waits, from: plain, by: e.k, pattern: a -> !b, define: {a: e.x > 90, b: e.x < 50}, within: 6s, alert: {summary: "${a.x}"}}
  - {name: high, from: plain, where: e.x > 95, emit: {k: e.k, x: e.x}}
  - {name: topic, from: topics, by: e.d, where: 'e.x > 85 && e.d != "d0"', window: {tumbling: 10s}, when: count() > 0, alert: {summary: "${count()}"}}
  - {name: arrives, from: clocked, by: e.k, pattern: a -> b, define: {a: e.x > 80, b: e.x < 20}, within: 30s, alert: {summary: "${b.x}"}}
`

// stretchWindows is rules that want all events of a stream.
var stretchWindows = []string{
	"  - {name: means, from: plain, by: e.k, window: {tumbling: 20s}, emit: {k: key, n: count(), m: avg(e.x), top: max(e.x)}}\n",
	"  - {name: late, from: plain, by: e.k, window: {tumbling: 8s}, lateness: 2s, emit: {n: count(), first: first(e.ts)}}\n",
	"  - {name: idle, from: plain, by: e.k, window: {tumbling: 30s}, limits: {idle: 3s}, emit: {n: count()}}\n",
	"  - {name: few, from: clocked, by: e.k, window: {tumbling: 6s}, limits: {keys: 2}, emit: {n: count()}}\n",
	"  - {name: counts, from: clocked, by: e.k, window: {tumbling: 5s}, emit: {n: count()}}\n",
	"  - {name: devices, from: topics, by: e.d, window: {sliding: 9s, every: 3s}, when: avg(e.x) > 50, alert: {summary: '${avg(e.x)}'}}\n",
}

// stretchIndex is rules that are filed under what they want.
const stretchIndex = `  - {name: kind-N, from: plain, by: e.k, where: 'e.kind == "N" && e.x > 50', emit: {k: key, x: e.x}}
`

func stretchSet(t *testing.T, rng *rand.Rand) *rules.Set {
	t.Helper()
	pick := func(texts ...string) string { return texts[rng.Intn(len(texts))] }
	text := strings.NewReplacer("IDLE", pick("", ", idle: 5s"), "FUTURE", pick("", ", max_future: 30s"), "LATE", pick("", "late: stragglers,")).Replace(stretchRules)
	if rng.Intn(2) == 0 {
		for i := range 5 {
			text += strings.ReplaceAll(stretchIndex, "N", fmt.Sprint(i))
		}
	}
	for _, rule := range stretchWindows {
		if rng.Intn(2) == 0 {
			text += rule
		}
	}
	if rng.Intn(8) == 0 {
		text += "  - {name: peaks, from: [plain, clocked], by: e.k, pattern: a -> b, define: {a: {from: plain, where: e.x > 80}, b: {from: clocked, where: e.x > 80}}, within: 30s, alert: {summary: two}}\n"
	}
	set, report := rules.Load([]rules.File{{Name: "stretch.yaml", Data: []byte(text)}}, rules.Options{})
	if report.Errors > 0 {
		t.Fatal(report)
	}
	return set
}

// stretchStory returns records of which many that follow each other are of one
// source and in order, and whatever may end a stretch of them.
func stretchStory(rng *rand.Rand, sets []*rules.Set, n int) []event.Record {
	at := event.Time(1_772_366_400_000_000_000)
	clock := at.Add(time.Minute)
	records := []event.Record{{Kind: event.KindStart, Arrival: clock}, {Kind: event.KindRuleSet, Arrival: clock, Payload: []byte(sets[0].Hash)}}
	for _, source := range []string{"plain", "topics", "clocked"} {
		records = append(records, event.Record{Kind: event.KindSourceUp, Source: source, Arrival: clock})
	}
	source := "plain"
	for range n {
		if rng.Intn(12) == 0 {
			source = []string{"plain", "plain", "topics", "clocked"}[rng.Intn(4)]
		}
		step := time.Duration(rng.Intn(500)) * time.Millisecond
		ts, lot := at.Add(step), rng.Intn(70)
		at, clock = ts, clock.Add(step)
		rec := event.Record{Kind: event.KindMessage, Source: source, Arrival: clock, Topic: fmt.Sprintf("p/d%d/x", rng.Intn(3)), Conn: 1}
		k, x := fmt.Sprintf(`"k%d"`, rng.Intn(4)), fmt.Sprint(rng.Intn(101))
		switch lot {
		case 0:
			rec = event.Record{Kind: event.KindTick, Arrival: clock}
		case 1:
			rec = event.Record{Kind: event.KindSourceDown - event.RecordKind(rng.Intn(2)), Source: source, Arrival: clock}
		case 2:
			rec = event.Record{Kind: event.KindRuleSet, Arrival: clock, Payload: []byte(sets[rng.Intn(len(sets))].Hash)}
		case 3:
			rec.Partition = 1
		case 4:
			rec.Flags = event.Flags(1 + rng.Intn(2))
		case 5:
			rec.Flags = event.FlagRetained
		case 6:
			rec.SenderID = fmt.Sprint("m", rng.Intn(3))
		case 7:
			rec.Topic = "other"
		case 8, 9, 10:
			ts = ts.Add(-time.Duration(rng.Intn(3000)) * time.Millisecond)
		case 11:
			ts = ts.Add(2 * time.Minute)
		case 12:
			at, clock = at.Add(9*time.Second), clock.Add(9*time.Second)
		case 13:
			k = "7"
		case 14:
			x = `"x"`
		case 15:
			rec.Source = "nobody's"
		}
		if rec.Kind == event.KindMessage {
			rec.Payload = fmt.Appendf(nil, `{"ts":"%s","k":%s,"x":%s,"kind":"%d"}`, ts, k, x, rng.Intn(9))
			switch lot {
			case 16:
				rec.Payload = fmt.Appendf(nil, `{"ts":"%s"}`, ts)
			case 17:
				rec.Payload = []byte(`{"k":"k1","x":99}`)
			case 18:
				rec.Payload = fmt.Appendf(nil, `{"ts":"%s","x":%s}`, ts, x)
			case 19:
				rec.Payload = []byte("nonsense")
			}
		}
		records = append(records, rec)
	}
	records = append(records, event.Record{Kind: event.KindEnd, Arrival: event.MaxTime})
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	return records
}

// TestStretches holds what passes over many events at once to what looks at each.
func TestStretches(t *testing.T) {
	var counts Stats
	for seed := range stories(8, 240) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(seed))
			sets := []*rules.Set{stretchSet(t, rng), stretchSet(t, rng)}
			counts.Add(allAlike(t, sets, stretchStory(rng, sets, 300), rng).counts)
		})
	}
	for _, c := range []Counter{counts.Matches, counts.Late, counts.KeyErrors, counts.Rejected, counts.Mismatched, counts.Duplicates, counts.Unrouted} {
		if len(c) == 0 {
			t.Errorf("the stories are too few to say anything: %v", counts)
		}
	}
}

// stretchRecords returns messages of a source that the engine has some rules for, one
// for each payload, which come at the time that it names.
func stretchRecords(set *rules.Set, source string, payloads ...string) []event.Record {
	arrival := event.Time(1_772_366_400_000_000_000)
	records := []event.Record{{Kind: event.KindRuleSet, Arrival: arrival, Payload: []byte(set.Hash)}}
	for _, p := range payloads {
		records = append(records, event.Record{Kind: event.KindMessage, Source: source, Arrival: arrival, Payload: []byte(p)})
	}
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	return records
}

func stretchLoad(t *testing.T, text string) *rules.Set {
	t.Helper()
	set, report := rules.Load([]rules.File{{Name: "stretch.yaml", Data: []byte(text)}}, rules.Options{})
	if report.Errors > 0 {
		t.Fatal(report)
	}
	return set
}

// TestTakenInWithoutKey: an event without a key is none of a rule that has one, and its
// time is not how far the rule's events go, taken in together with others or not. Of
// alerts, what is due behind that when the input ends is at its end.
func TestTakenInWithoutKey(t *testing.T) {
	set := stretchLoad(t, `
streams:
  plain: {source: plain, time: e.ts, fields: {ts: timestamp, k: string, x: double}}
rules:
  - {name: hot, from: plain, by: e.k, window: {tumbling: 5s}, when: max(e.x) > 50, clear_after: 4s, alert: {summary: "${max(e.x)}"}}
`)
	records := stretchRecords(set, "plain", `{"ts":"2026-03-01T12:00:00Z","k":"a","x":90}`, `{"ts":"2026-03-01T12:00:01Z","k":"a","x":91}`,
		`{"ts":"2026-03-01T12:00:02Z","k":"a","x":92}`, `{"ts":"2026-03-01T12:00:30Z","x":93}`)
	end := event.Record{Kind: event.KindEnd, Arrival: event.MaxTime, Pos: event.Position{Seq: 9}}
	allAlike(t, []*rules.Set{set}, append(records, end), rand.New(rand.NewSource(1)))
}

// TestHeldBackUnwanted: an event that nobody wants is shown to nobody, held back over a
// restart or not. A pattern that is shown one drops what is past its time.
func TestHeldBackUnwanted(t *testing.T) {
	set := stretchLoad(t, `
streams:
  plain: {source: plain, time: e.ts, watermark: {lag: 5s}, fields: {ts: timestamp, k: string, x: double}}
rules:
  - {name: peaks, from: plain, by: e.k, pattern: a -> b, define: {a: e.x > 80, b: e.x < 10}, within: 30s, alert: {summary: "${b.x}"}}
`)
	records := stretchRecords(set, "plain", `{"ts":"2026-03-01T12:00:00Z","k":"a","x":90}`, `{"ts":"2026-03-01T12:00:20Z","k":"a","x":91}`,
		`{"ts":"2026-03-01T12:00:40Z","k":"a","x":50}`, `{"ts":"2026-03-01T12:00:46Z","k":"b","x":50}`)
	c := Config{Load: func(string) (*rules.Set, error) { return set, nil }}
	e := New(c)
	e.Step(Input{Records: records[:4]})
	again, damage, err := Restore(c, set, inOrder(e.Rows()))
	if err != nil || len(damage) > 0 {
		t.Fatal(err, damage)
	}
	for _, e := range []*Engine{e, again} {
		e.Step(Input{Records: records[4:]})
	}
	if d := differ(again.Rows(), e.Rows()); d != "" {
		t.Error("after a restart", d)
	}
}

// TestTakenInAfterShorterLag: under rules that wait less, what comes behind the new
// watermark is late, whether it comes in the same batch as the rules or not.
func TestTakenInAfterShorterLag(t *testing.T) {
	var sets []*rules.Set
	for _, lag := range []string{"5s", "0s"} {
		for _, where := range []string{"", "where: e.x > 95, "} {
			sets = append(sets, stretchLoad(t, `
streams:
  plain: {source: plain, time: e.ts, watermark: {lag: `+lag+`}, fields: {ts: timestamp, k: string, x: double}}
rules:
  - {name: means, from: plain, by: e.k, `+where+`window: {tumbling: 20s}, emit: {n: count()}}
`))
		}
	}
	for i, before := range sets[:2] {
		records := stretchRecords(before, "plain", `{"ts":"2026-03-01T12:00:10Z","k":"a","x":90}`, "", `{"ts":"2026-03-01T12:00:08Z","k":"a","x":92}`)
		records[2] = event.Record{Kind: event.KindRuleSet, Arrival: records[1].Arrival, Pos: records[2].Pos, Payload: []byte(sets[2+i].Hash)}
		for _, shards := range []int{1, 2} {
			c := Config{Shards: shards, Do: together, Load: func(hash string) (*rules.Set, error) {
				return sets[slices.IndexFunc(sets, func(s *rules.Set) bool { return s.Hash == hash })], nil
			}}
			e := New(c)
			if late := e.Step(Input{Records: records}).Stats.Late; len(late) != 1 {
				t.Errorf("%s, %d shards: late are %v, want the last", before.Rules[0].Name, shards, late)
			}
		}
	}
}
