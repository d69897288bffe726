package engine

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// evicting returns a story in which the state of keys is dropped now and then,
// as an engine that lives through it asks for.
func evicting(t *testing.T, set *rules.Set, story func(seed int64, n int) []event.Record, seed int64, n int) []event.Record {
	t.Helper()
	e := New(Config{Shards: 3, Load: func(string) (*rules.Set, error) { return set, nil }})
	step := func(rec event.Record) Output { return e.Step(Input{Records: []event.Record{rec}}) }
	step(event.Record{Pos: event.Position{Seq: 1}, Kind: event.KindRuleSet, Payload: []byte(set.Hash)})
	rng := rand.New(rand.NewSource(seed))
	var out []event.Record
	add := func(rec event.Record) Output {
		rec.Pos = event.Position{Seq: uint64(len(out) + 2)}
		out = append(out, rec)
		return step(rec)
	}
	for _, rec := range story(seed, n) {
		add(rec)
		if rec.Kind == event.KindMessage && rng.Intn(25) == 0 {
			e.Age()
			if rng.Intn(4) == 0 {
				add(Notice{Judge: true}.Record(rec.Arrival))
			}
			for _, notice := range e.Coldest(0.1 + 0.8*rng.Float64()) {
				add(notice.Record(rec.Arrival))
			}
		}
	}
	return out
}

// TestEvictionsInLog: where records drop the state of keys, the output is the same for any
// number of shards, any batches, and any restarts.
func TestEvictionsInLog(t *testing.T) {
	t.Run("streams", func(t *testing.T) { testEvictionsInLog(t, storySet(t), story) })
	t.Run("keys", func(t *testing.T) { testEvictionsInLog(t, loadSet(t, keyedRules), offline) })
}

func testEvictionsInLog(t *testing.T, set *rules.Set, story func(seed int64, n int) []event.Record) {
	for seed := range stories(2, 6) {
		records := evicting(t, set, story, seed, 400)
		want := tell(t, set, records, 1, false, rand.New(rand.NewSource(seed)))
		if n := strings.Count(want, "(memory)"); n < 3 {
			t.Fatalf("seed %d: %d alerts were cleared for want of memory; too few to say anything:\n%s", seed, n, want)
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

const heardRules = `
streams:
  t: {source: in, time: e.ts}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, clear: e.x < 60, alert: {}}
  - {name: rise, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 50, b: e.x > a.x + 10}, within: 1h, alert: {}}
  - {name: count, from: t, by: e.site, window: {tumbling: 1h}, when: count() > 1000, alert: {}}
`

// TestColdest: the keys go first that were heard of longest ago, all that is
// kept of them, and nothing of others.
func TestColdest(t *testing.T) {
	set := loadSet(t, heardRules)
	e := New(Config{Shards: 4, Load: func(string) (*rules.Set, error) { return set, nil }})
	seq := uint64(0)
	step := func(rec event.Record) Output {
		seq++
		rec.Pos = event.Position{Seq: seq}
		return e.Step(Input{Records: []event.Record{rec}})
	}
	step(event.Record{Kind: event.KindRuleSet, Payload: []byte(set.Hash)})
	start := mustTime(t, "2026-03-01T12:00:00Z")
	feed := func(second int, device string) {
		at := start.Add(event.Duration(second) * 1e9)
		step(event.Record{Kind: event.KindMessage, Source: "in", Arrival: at, Payload: fmt.Appendf(nil, `{"ts":"%s","d":"%s","site":"s","x":90}`, at, device)})
	}
	for i := range 1000 {
		if i%50 == 0 {
			e.Age()
		}
		feed(i, fmt.Sprint("d", i))
	}
	feed(1000, "d0") // it is heard of again
	rows := len(e.Rows())
	if got := e.Coldest(0); got != nil {
		t.Errorf("nothing was asked for: %v", got)
	}
	notices := e.Coldest(0.25)
	var names []string
	for _, n := range notices {
		for _, of := range n.Evict {
			for _, key := range of.Keys {
				names = append(names, event.KeyText(string(key)))
			}
		}
	}
	if len(names) != 251 || slices.Contains(names, "d0") || slices.Contains(names, "s") || !slices.Contains(names, "d1") || slices.Contains(names, "d300") || !slices.Contains(names, "d249") {
		t.Errorf("the coldest quarter are %d keys: %v", len(names), names)
	}
	if len(e.Rows()) != rows {
		t.Error("asking has changed the state")
	}
	var evicted, cleared int64
	for _, n := range notices {
		rec := n.Record(start.Add(1001e9))
		out := step(rec)
		evicted += out.Stats.Evictions.Total("")
		for _, tr := range out.Transitions {
			if tr.Reason == "memory" {
				cleared++
			}
		}
		if out := step(rec); out.Stats.Evictions.Total("") != 0 {
			t.Error("keys went twice")
		}
	}
	if evicted != 502 || cleared != 251 {
		t.Errorf("%d states of keys went, and %d alerts were cleared", evicted, cleared)
	}
	if got := rows + 1 - len(e.Rows()); got != 502 { // there is one of the alert of cepd itself
		t.Errorf("%d rows went", got)
	}
	for _, s := range e.shards {
		for _, l := range s.lanes {
			for timer := range l.timers.all() {
				if d := timer.deadline(); d.at == never {
					t.Fatal("a timer is left that nobody wants")
				}
			}
		}
	}
}

// TestEvictUnknown: rules and keys that are not there are passed over, and so is
// what cannot be read.
func TestEvictUnknown(t *testing.T) {
	set := storySet(t)
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: []event.Record{{Pos: event.Position{Seq: 1}, Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
	n := Notice{Evict: []Evicted{{Rules: []string{"hot", "gone"}, Keys: [][]byte{[]byte("x"), nil}}, {}}}
	payload, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range [][]byte{payload, []byte(`{"evict": 7}`), []byte(`{"evict": [{"rules": null, "keys": [null]}]}`)} {
		e.Step(Input{Records: []event.Record{{Pos: event.Position{Seq: uint64(i + 2)}, Kind: event.KindNotice, Payload: p}}})
	}
}

// TestJudgeHeld: what is held back is judged at once, and what comes after it and
// was before it is late.
func TestJudgeHeld(t *testing.T) {
	set := loadSet(t, `
streams:
  t: {source: in, time: e.ts, watermark: {lag: 1h}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, alert: {}}
`)
	e := New(Config{Shards: 2, Load: func(string) (*rules.Set, error) { return set, nil }})
	start := mustTime(t, "2026-03-01T12:00:00Z")
	message := func(seq uint64, at event.Time) event.Record {
		return event.Record{Pos: event.Position{Seq: seq}, Kind: event.KindMessage, Source: "in", Arrival: start, Payload: fmt.Appendf(nil, `{"ts":"%s","d":"d%d","x":90}`, at, seq)}
	}
	out := e.Step(Input{Records: []event.Record{
		{Pos: event.Position{Seq: 1}, Kind: event.KindRuleSet, Payload: []byte(set.Hash)}, message(2, start), message(3, start.Add(60e9)),
	}})
	if len(out.Transitions) != 0 || e.Held() != 2 {
		t.Fatalf("%d events are held back, and %v", e.Held(), out.Transitions)
	}
	judge := Notice{Judge: true}.Record(start)
	judge.Pos = event.Position{Seq: 4}
	out = e.Step(Input{Records: []event.Record{judge, message(5, start.Add(30e9)), message(6, start.Add(60e9))}})
	if len(out.Transitions) != 3 || out.Stats.Late.Total("t") != 1 || e.Held() != 0 {
		t.Errorf("%d events are held back, %d are late, and %v", e.Held(), out.Stats.Late.Total("t"), out.Transitions)
	}
}
