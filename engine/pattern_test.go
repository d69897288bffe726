package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestMachineAcrossReload: a pattern whose last condition looks at the first
// event no more is for another machine. What the one left behind serves no key
// that begins later, so that what is stored of that key does not depend on
// which keys there were in its shard since the last start.
func TestMachineAcrossReload(t *testing.T) {
	const linked = `
streams:
  t: {source: in, format: json, time: e.ts}
rules:
  - name: r
    from: t
    by: e.d
    pattern: a -> b
    define:
      a: e.x == 1
      b: e.x == 2 && e.ts > a.ts
    alert: {summary: r}
`
	sets := map[string]*rules.Set{}
	var hashes []string
	for _, text := range []string{linked, strings.Replace(linked, " && e.ts > a.ts", "", 1)} {
		set := loadSet(t, text)
		sets[set.Hash] = set
		hashes = append(hashes, set.Hash)
	}
	seq := uint64(0)
	record := func(kind event.RecordKind, payload string) event.Record {
		seq++
		return event.Record{Kind: kind, Source: "in", Payload: []byte(payload), Pos: event.Position{Seq: seq}}
	}
	message := func(key string, x int) event.Record {
		return record(event.KindMessage, fmt.Sprintf(`{"ts":"2026-03-01T12:00:%02dZ","d":%q,"x":%d}`, seq, key, x))
	}
	c := Config{Shards: 1, Load: func(hash string) (*rules.Set, error) { return sets[hash], nil }}
	e := New(c)
	out := e.Step(Input{Records: []event.Record{
		record(event.KindRuleSet, hashes[0]), message("one", 1),
		record(event.KindRuleSet, hashes[1]), message("one", 2), message("past", 0),
	}})
	if out.Stats.Matches[CounterKey{Name: "r"}] != 1 {
		t.Fatalf("matches: %v", out.Stats.Matches)
	}
	again, _, err := Restore(c, sets[hashes[1]], inOrder(e.Rows()))
	if err != nil {
		t.Fatal(err)
	}
	later := []event.Record{message("two", 1), message("past", 0)}
	e.Step(Input{Records: later})
	again.Step(Input{Records: later})
	if d := differ(e.Rows(), again.Rows()); d != "" {
		t.Error(d)
	}
}
