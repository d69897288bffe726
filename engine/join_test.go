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

// joinStreams are a stream whose events windows take in any case. What stands in
// capitals is drawn by lot.
const joinStreams = `
streams:
  s: {source: in, time: e.ts, watermark: {lag: LAG, idle: 20s KEYS}, fields: {ts: timestamp, k: string, g: string, n: int, x: double, d: duration, t: string, free: any}}
rules:
`

// joinRules are windows that most events do nothing but join, and what else a key may
// have in the same table.
var joinRules = strings.Split(strings.TrimSpace(`
{name: all-KIND, from: s, BY WINDOW MORE emit: {n: count(), s: sum(e.x), i: sum(e.n), a: avg(e.n), lo: min(e.x), hi: max(e.n), f: first(e.x), l: last(e.t), v: variance(e.x), c: collect(e.n)}}
{name: plain-KIND, from: s, BY WINDOW MORE when: count() > 1 && max(e.x) > 60, emit: {k: key, m: max(e.x)}, alert: {summary: "${count()} ${max(e.x)}"}}
{name: free-KIND, from: s, BY WINDOW MORE emit: {n: count(e.free), t: distinct(e.t), lo: min(e.t), w: sum(e.d), q: 'quantile(e.x, 0.5)'}}
{name: some-KIND, from: s, BY WINDOW MORE emit: {n: count(e.x > 50), s: 'sum(e.x, e.n > 2)', t: 'topk(e.t, 2)[0].value'}}
{name: fails-KIND, from: s, BY WINDOW MORE emit: {n: count(), s: sum(e.x / 0.0), m: max(e.x * 2.0)}}
{name: usual-KIND, from: s, BY WINDOW let: {usual: 'baseline(avg(e.x), "1h", "none")'}, when: avg(e.x) > usual + 20.0, for: 6s, alert: {summary: "${avg(e.x)} ${usual}"}}
{name: where-KIND, from: s, BY where: e.x > 30, WINDOW MORE emit: {n: count(), a: avg(e.x)}}
{name: few-KIND, from: s, BY WINDOW LIMIT emit: {n: count()}}
{name: idle-KIND, from: s, BY WINDOW limits: {idle: 9s}, emit: {n: count(), s: sum(e.n)}}
{name: clears-KIND, from: s, BY WINDOW when: avg(e.x) > 50, clear: avg(e.x) < 45, for: 3s, clear_after: 9s, alert: {summary: "${avg(e.x)}"}}
{name: hot-KIND, from: s, BY when: e.x > 80, clear: e.x < 60, alert: {summary: "${e.x}"}}
{name: held-KIND, from: s, BY when: e.x > 40, for: 2s, unless: {firing: hot-KIND}, alert: {summary: "${e.x}"}}
{name: runs-KIND, from: s, BY pattern: a -> b, define: {a: e.x > 80, b: e.x < 20}, within: 20s, alert: {summary: "${a.x} ${b.x}"}}
{name: absent-KIND, from: s, BY absent: {for: 7s, forget: 60s}, alert: {summary: "gone"}}
{name: odd-KIND, from: s, BY emit: {k: e.k, g: e.g, q: e.x / (e.x - 50.0), r: (e.x - 50.0) / (e.x - 50.0), n: e.n, m: '[dyn(e.n), dyn(e.x)][e.n > 3 ? 0 : 1]'}}
`), "\n")

// joinReader reads what the last of them emits: numbers that are not finite, and
// fields that are now an int and now a double.
const joinReader = `{name: read-KIND, from: odd-KIND, by: e.k, WINDOW MORE emit: {n: count(), s: sum(e.q), a: avg(e.q), lo: min(e.q), hi: max(e.m), nan: max(e.r), m: sum(e.m), f: first(e.m), l: last(e.q)}}`

func joinSet(t *testing.T, rng *rand.Rand, keys string) *rules.Set {
	t.Helper()
	pick := func(texts ...string) string { return texts[rng.Intn(len(texts))] }
	text := strings.NewReplacer("LAG", pick("0s", "0s", "2s"), "KEYS", keys).Replace(joinStreams)
	by := []string{pick("by: e.k,", "by: e.g,", "by: {k: e.k, g: e.g},", ""), pick("by: e.k,", "")}
	add := func(kind int, rule string) {
		window := pick("{tumbling: 5s}", "{tumbling: 5s}", "{tumbling: 4s, offset: 1s}", "{sliding: 3s, every: 5s}", "{sliding: 6s, every: 2s}", "{session: 2s}", "{count: 4}", `{cron: "* * * * *"}`)
		more := pick("", "", "lateness: 3s,", "early: 2s,", "lateness: 4s, early: 1s,")
		if strings.Contains(window, "count") {
			more = ""
		}
		limit := "limits: {keys: 300},"
		if by[kind%2] == "" {
			limit = ""
		}
		text += "  - " + strings.NewReplacer("KIND", fmt.Sprint(kind), "BY", by[kind%2], "WINDOW", "window: "+window+",", "MORE", more, "LIMIT", limit).Replace(rule) + "\n"
	}
	has := func(kind int, rule string) bool {
		return strings.Contains(text, fmt.Sprintf("{name: %s-%d,", rule, kind))
	}
	hot := slices.IndexFunc(joinRules, func(rule string) bool { return strings.HasPrefix(rule, "{name: hot-") })
	for i := range 1 + rng.Intn(4) {
		for _, n := range rng.Perm(len(joinRules))[:1+rng.Intn(5)] {
			switch rule := joinRules[n]; {
			case n == hot && has(i, "hot"):
				continue
			case strings.Contains(rule, "{firing: hot-") && !has(i, "hot"):
				add(i, joinRules[hot])
			case strings.HasPrefix(rule, "{name: odd-"):
				add(i, joinReader)
			}
			add(i, joinRules[n])
		}
	}
	set, report := rules.Load([]rules.File{{Name: "join.yaml", Data: []byte(text)}}, rules.Options{})
	if report.Errors > 0 {
		t.Fatal(report)
	}
	return set
}

func joinStory(rng *rand.Rand, sets []*rules.Set, n int) []event.Record {
	at := event.Time(1_772_366_400_000_000_000)
	clock := at.Add(time.Minute)
	records := []event.Record{{Kind: event.KindStart, Arrival: clock}, {Kind: event.KindRuleSet, Arrival: clock, Payload: []byte(sets[0].Hash)},
		{Kind: event.KindSourceUp, Source: "in", Arrival: clock}}
	keys := 1 + rng.Intn(5)
	pick := func(values ...string) string { return values[rng.Intn(len(values))] }
	for range n {
		step := time.Duration(rng.Intn(3)*rng.Intn(500)) * time.Millisecond
		if rng.Intn(5) == 0 {
			step = 0
		}
		at, clock = at.Add(step), clock.Add(step)
		ts := at
		rec := event.Record{Kind: event.KindMessage, Source: "in", Arrival: clock}
		k, x := fmt.Sprintf(`"k%d"`, rng.Intn(keys)), pick(fmt.Sprint(rng.Intn(101)), fmt.Sprint(float64(rng.Intn(1000))/7), "50", "1e308", "-1e308", "0.1", "-0.0")
		switch rng.Intn(50) {
		case 0:
			rec = event.Record{Kind: event.KindTick, Arrival: clock}
		case 1:
			if rng.Intn(4) == 0 {
				rec = event.Record{Kind: event.KindSourceDown - event.RecordKind(rng.Intn(2)), Source: "in", Arrival: clock}
			}
		case 2:
			if rng.Intn(2) == 0 {
				rec = event.Record{Kind: event.KindRuleSet, Arrival: clock, Payload: []byte(sets[rng.Intn(len(sets))].Hash)}
			}
		case 3, 4, 5:
			ts = ts.Add(-time.Duration(rng.Intn(6000)) * time.Millisecond)
		case 6:
			at, clock = at.Add(9*time.Second), clock.Add(9*time.Second)
		case 7:
			k = "7"
		case 8:
			x = `"x"`
		case 9:
			x = "null"
		case 10:
			at = event.Time(int64(at) / 1e9 * 1e9).Add(time.Second)
			ts = at
		}
		if rec.Kind == event.KindMessage {
			fields := []string{fmt.Sprintf(`"ts":"%s"`, ts)}
			for _, f := range []string{`"k":` + k, fmt.Sprintf(`"g":"g%d"`, rng.Intn(3)), `"x":` + x, `"n":` + pick("1", "2", "3", "4", "5", "9007199254740993", "null"),
				`"t":` + pick(`"a"`, `"bb"`, `"a longer text of some length"`, `"same len"`, `"samf len"`), `"d":"` + pick("1s", "2ms", "1h") + `"`, `"free":` + pick("1", "2.5", `"x"`, "true", "[1]", "null")} {
				if rng.Intn(20) > 0 {
					fields = append(fields, f)
				}
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

// TestJoins holds what is quick about events that windows take in any case to what
// shows each event to every rule: with several shards or one, in any batches, with
// rules that change, and with restarts.
func TestJoins(t *testing.T) {
	var counts Stats
	for seed := range stories(6, 60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(seed))
			keys := []string{"", "", ", per: key"}[rng.Intn(3)]
			sets := []*rules.Set{joinSet(t, rng, keys), joinSet(t, rng, keys)}
			counts.Add(allAlike(t, sets, joinStory(rng, sets, 300), rng).counts)
		})
	}
	for _, c := range []Counter{counts.Late, counts.KeyErrors, counts.Mismatched, counts.EvalErrors, counts.Emitted} {
		if len(c) == 0 {
			t.Errorf("the stories are too few to say anything: %v", counts)
		}
	}
}
