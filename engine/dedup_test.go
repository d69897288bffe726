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

// TestRedeliveriesChangeNothing tells stories in which brokers and devices send
// messages again, at random: the output is that of the story without.
func TestRedeliveriesChangeNothing(t *testing.T) {
	text := strings.Replace(storyRules, "u: {source: other,", "u: {source: other, id: e.n,", 1)
	set, report := rules.Load([]rules.File{{Name: "story.yaml", Data: []byte(text)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	for seed := range int64(8) {
		told := story(seed, 400)
		for i := range told {
			if rec := &told[i]; rec.Source == "in" && rec.Kind == event.KindMessage {
				rec.Flags = 1
			} else if rec.Source == "other" && rec.Kind == event.KindMessage {
				rec.Payload = append(fmt.Appendf(nil, `{"n":"n%d",`, i), rec.Payload[1:]...)
			}
		}
		again, sent := redeliver(told, rand.New(rand.NewSource(seed)))
		want, _ := tellAll(t, set, told, seed, 1)
		if sent < 50 {
			t.Fatalf("seed %d: %d messages came again; too few to say anything", seed, sent)
		}
		got, known := tellAll(t, set, again, seed, 3)
		if got != want {
			t.Errorf("seed %d: output differs:\n%s", seed, firstDifference(got, want))
		}
		if known != int64(sent) {
			t.Errorf("seed %d: %d events were known, want %d", seed, known, sent)
		}
	}
}

// tellAll runs records that have positions, in batches, and with the state
// written and read now and then. It returns what came out but for the counts,
// and how many events were known.
func tellAll(t *testing.T, set *rules.Set, records []event.Record, seed int64, shards int) (out string, known int64) {
	t.Helper()
	c := Config{Shards: shards, Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }}
	e := New(c)
	outs := []Output{e.Step(Input{Records: []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})}
	rng := rand.New(rand.NewSource(seed))
	for len(records) > 0 {
		n := 1 + rng.Intn(min(len(records), 40))
		o := e.Step(Input{Records: records[:n]})
		known += o.Stats.Duplicates.Total("")
		o.Stats = Stats{}
		outs, records = append(outs, o), records[n:]
		if shards > 1 && rng.Intn(3) == 0 {
			again, _, err := Restore(c, set, inOrder(e.Rows()))
			if err != nil {
				t.Fatal(err)
			}
			e = again
		}
	}
	return printOutputs(outs), known
}

// redeliver gives records their positions, and puts some of the messages in
// again: of source "in" those of an earlier connection, marked, each once a
// connection; of "other", whose events have ids, any.
func redeliver(records []event.Record, rng *rand.Rand) (out []event.Record, sent int) {
	var open, before, others []event.Record // of this connection of "in", of those before, and of "other"
	clock := event.Time(0)
	for i := range records {
		rec := &records[i]
		rec.Pos = event.Position{Seq: uint64(i+1) * 1000}
		out = append(out, *rec)
		clock = max(clock, rec.Arrival)
		switch {
		case rec.Kind == event.KindEnd:
			return out, sent
		case rec.Kind == event.KindSourceUp && rec.Source == "in":
			before, open = append(before, open...), nil
		case rec.Kind == event.KindMessage && rec.Source == "in":
			open = append(open, *rec)
		case rec.Kind == event.KindMessage:
			others = append(others, *rec)
		}
		for j := range rng.Intn(3) {
			from := &others
			if rng.Intn(2) == 0 {
				from = &before
			}
			if len(*from) == 0 {
				continue
			}
			k := rng.Intn(len(*from))
			m := (*from)[k]
			if from == &before {
				m.Flags |= event.FlagDup
				before = slices.Delete(before, k, k+1)
				open = append(open, m)
			}
			m.Arrival, m.Pos.Seq = clock, rec.Pos.Seq+uint64(j)+1
			out = append(out, m)
			sent++
		}
	}
	return out, sent
}

// heard is a message or an event as an obvious list remembers it.
type heard struct {
	what string
	mark int64
}

// TestMemory compares what is known with an obvious list, over many chunks, and
// with the state written and read now and then.
func TestMemory(t *testing.T) {
	const text = `
streams:
  t: {source: in, id: {value: e.n, within: 90s, keep: 700}}
  u: {source: other}
rules: [{name: r, from: [t, u], when: e.n == "", alert: {}}]
`
	set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: []byte(text)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	c := Config{Load: func(string) (*rules.Set, error) { return set, nil }}
	for seed := range int64(3) {
		rng := rand.New(rand.NewSource(seed))
		w := &snapshotter{t: t, rng: rng, engine: New(c), store: rowStore{}}
		w.step([]event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}})
		var listed, sent []heard
		conn, clock, latest := int64(0), event.Time(1e18), event.MinTime
		for i := range 5000 {
			clock = clock.Add(time.Duration(rng.Intn(100)) * time.Millisecond)
			rec := event.Record{Kind: event.KindMessage, Arrival: clock, Pos: event.Position{Seq: uint64(i + 1)}, Flags: 1, Source: "in"}
			known, what := false, fmt.Sprint(rng.Intn(4000))
			if rng.Intn(2) == 0 {
				rec.Source = "other"
				if rng.Intn(200) == 0 {
					rec.Kind = event.KindSourceUp
					conn++
				}
				what = fmt.Sprint(rng.Intn(100))
				if rng.Intn(2) == 0 {
					rec.Flags |= event.FlagDup
				}
			}
			rec.Payload = fmt.Appendf(nil, `{"n":%q}`, what)
			switch {
			case rec.Kind == event.KindSourceUp:
			case rec.Source == "in":
				latest = max(latest, clock)
				recent := listed[max(0, len(listed)-700):]
				known = slices.ContainsFunc(recent, func(h heard) bool { return h.what == what && latest.Sub(event.Time(h.mark)) <= 90*time.Second })
				if !known {
					listed = append(listed, heard{what, int64(clock)})
				}
			default:
				at := slices.IndexFunc(sent, func(h heard) bool { return h.what == what })
				if known = rec.Flags.Dup() && at >= 0 && sent[at].mark < conn; known {
					sent = slices.Delete(sent, at, at+1)
				}
				sent = append(sent, heard{what, conn})
			}
			out := w.step([]event.Record{rec})
			if got := out.Stats.Duplicates.Total("") == 1; got != known {
				t.Fatalf("seed %d, record %d: known is %t, want %t", seed, i, got, known)
			}
			if rng.Intn(300) == 0 {
				w.storeAll()
				w.crash(c, set)
			}
		}
	}
}

// storeAll stores the state as it is.
func (w *snapshotter) storeAll() {
	if w.under != nil {
		w.under.Abandoned()
	}
	w.begin()
	for w.under != nil {
		w.write()
	}
}

// BenchmarkKnown measures what it costs to know an event by its id, and a
// message by what is in it.
func BenchmarkKnown(b *testing.B) {
	for _, known := range []struct{ name, stream string }{
		{"not at all", "t: {source: in}"}, {"by id", "t: {source: in, id: e.n}"}, {"by content", "t: {source: in}"},
	} {
		b.Run(known.name, func(b *testing.B) {
			set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: []byte("streams: {" + known.stream + "}\nrules: [{name: r, from: t, when: e.x > 1000, alert: {}}]")}}, rules.Options{})
			if !report.OK() {
				b.Fatal(report)
			}
			e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
			e.Step(Input{Records: []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
			records := make([]event.Record, 256)
			n := 0
			for b.Loop() {
				for i := range records {
					n++
					records[i] = event.Record{Kind: event.KindMessage, Source: "in", Arrival: event.Time(1e18 + n), Pos: event.Position{Seq: uint64(n)},
						Payload: fmt.Appendf(nil, `{"n":"message-%d","x":1,"site":"oslo","device":"pump-17","status":"running"}`, n)}
					if known.name == "by content" {
						records[i].Flags = 1
					}
				}
				e.Step(Input{Records: records})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
		})
	}
}
