package engine

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// rowStore is what a store makes of snapshots.
type rowStore map[string]string

// put stores the rows of a snapshot on top of those that are there.
func (st rowStore) put(full bool, rows []Row) rowStore {
	next := rowStore{}
	if !full {
		next = maps.Clone(st)
	}
	for _, r := range rows {
		if r.Value == nil {
			delete(next, string(r.Name))
		} else {
			next[string(r.Name)] = string(r.Value)
		}
	}
	return next
}

func (st rowStore) rows() []Row {
	var rows []Row
	for _, name := range slices.Sorted(maps.Keys(st)) {
		rows = append(rows, Row{[]byte(name), []byte(st[name])})
	}
	return rows
}

// differ says how rows differ from those that are wanted; empty if not at all.
func differ(got, want []Row) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("row %q is missing", want[i].Name)
		case i >= len(want):
			return fmt.Sprintf("row %q is too much", got[i].Name)
		case !bytes.Equal(got[i].Name, want[i].Name):
			return fmt.Sprintf("row %d is %q, want %q", i, got[i].Name, want[i].Name)
		case !bytes.Equal(got[i].Value, want[i].Value):
			return fmt.Sprintf("row %q is %x, want %x", got[i].Name, got[i].Value, want[i].Value)
		}
	}
	return ""
}

// snapshotter steps an engine, and takes, writes, commits and abandons
// snapshots in between, as a daemon might.
type snapshotter struct {
	t      *testing.T
	rng    *rand.Rand
	engine *Engine
	store  rowStore // of the snapshots that were committed
	at     event.Position

	under *Snapshot
	rows  []Row // of the one under way, so far
	want  []Row // what it must come to

	committed, abandoned, full, tombstones int
}

func (w *snapshotter) step(records []event.Record) Output {
	out := w.engine.Step(Input{Records: records})
	if w.rng.Intn(5) == 0 {
		w.engine.Age()
	}
	switch {
	case w.under == nil && w.rng.Intn(2) == 0:
		w.begin()
	case w.under != nil && w.rng.Intn(12) == 0:
		w.under.Abandoned()
		w.under = nil
		w.abandoned++
	case w.under != nil:
		w.write()
	}
	return out
}

func (w *snapshotter) begin() {
	w.under, w.rows, w.want = w.engine.Snapshot(w.rng.Intn(10) == 0), nil, w.engine.Rows()
	if w.under.Position != w.engine.position {
		w.t.Fatalf("a snapshot is at %v, want %v", w.under.Position, w.engine.position)
	}
}

func (w *snapshotter) write() {
	rows, done := w.under.Next(1 + w.rng.Intn(40))
	w.rows = append(w.rows, rows...)
	if !done {
		return
	}
	w.commit()
}

func (w *snapshotter) commit() {
	seen := map[string]bool{}
	for _, r := range w.rows {
		if seen[string(r.Name)] {
			w.t.Fatalf("row %q comes twice", r.Name)
		}
		seen[string(r.Name)] = true
		if r.Value == nil {
			w.tombstones++
		}
	}
	w.store, w.at = w.store.put(w.under.Full, w.rows), w.under.Position
	if d := differ(w.store.rows(), w.want); d != "" {
		w.t.Fatalf("after the snapshot at %v: %s", w.at, d)
	}
	if w.under.Full {
		w.full++
	}
	w.under.Committed()
	w.under = nil
	w.committed++
}

// crash restarts from what is stored.
func (w *snapshotter) crash(c Config, set *rules.Set) {
	e, damage, err := Restore(c, set, inOrder(w.store.rows()))
	if err != nil || len(damage) > 0 {
		w.t.Fatalf("restore: %v, damage %v", err, damage)
	}
	if d := differ(e.Rows(), w.store.rows()); d != "" {
		w.t.Fatalf("after a restart at %v: %s", w.at, d)
	}
	w.engine, w.under = e, nil
}

// TestSnapshots runs random stories. Whatever is stepped while a snapshot is
// written, and however many came before, what is stored afterwards is the state
// at its position, row for row; and an engine restored from it goes on to give
// the same output.
func TestSnapshots(t *testing.T) {
	t.Run("streams", func(t *testing.T) { testSnapshots(t, storySet(t), story) })
	t.Run("keys", func(t *testing.T) { testSnapshots(t, loadSet(t, keyedRules), offline) })
	t.Run("evictions", func(t *testing.T) {
		set := storySet(t)
		testSnapshots(t, set, func(seed int64, n int) []event.Record { return evicting(t, set, story, seed, n) })
	})
	t.Run("evictions of keys", func(t *testing.T) {
		set := loadSet(t, keyedRules)
		testSnapshots(t, set, func(seed int64, n int) []event.Record { return evicting(t, set, offline, seed, n) })
	})
}

func testSnapshots(t *testing.T, set *rules.Set, story func(seed int64, n int) []event.Record) {
	var committed, abandoned, full, tombstones, crashes int
	n := stories(2, 6)
	for seed := range n {
		rng := rand.New(rand.NewSource(seed))
		records := withRules(set, story(seed, 500))
		c := Config{Shards: 1 + int(seed)%4, Emitted: true, Do: together, Load: func(string) (*rules.Set, error) { return set, nil }}
		want := printOutputs([]Output{New(c).Step(Input{Records: records})})

		w := &snapshotter{t: t, rng: rng, engine: New(c), store: rowStore{}}
		outs := make([]Output, len(records)) // by record, so that what is replayed takes its own place
		for i := 0; i < len(records); i++ {
			outs[i] = w.step(records[i : i+1])
			if w.committed > 0 && rng.Intn(40) == 0 {
				c.Shards = 1 + rng.Intn(9)
				w.crash(c, set)
				i = int(w.at.Seq) - 1
				crashes++
			}
		}
		if got := printOutputs(outs); got != want {
			t.Fatalf("seed %d: output differs:\n%s", seed, firstDifference(got, want))
		}
		committed, abandoned, full, tombstones = committed+w.committed, abandoned+w.abandoned, full+w.full, tombstones+w.tombstones
	}
	t.Logf("%d snapshots committed, %d of them full, %d abandoned; %d tombstones; %d crashes", committed, full, abandoned, tombstones, crashes)
	if committed < 40*int(n) || abandoned < 5*int(n) || full < int(n) || tombstones < 50*int(n) || crashes < 5*int(n) {
		t.Error("the stories are too few to say anything")
	}
}

// together runs shards at the same time.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// storyRecords returns a story with positions, behind the record that brings
// its rules into force.
func storyRecords(set *rules.Set, seed int64, n int) []event.Record {
	return withRules(set, story(seed, n))
}

// withRules puts the record of a rule set before others, and numbers them all.
func withRules(set *rules.Set, records []event.Record) []event.Record {
	records = slices.Concat([]event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}, records)
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	return records
}

// TestSnapshotEqualsReplay: what a snapshot at p and those before it stored is,
// row for row, the state of an engine that has read the log up to p, whatever
// the number of shards and the batches.
func TestSnapshotEqualsReplay(t *testing.T) {
	t.Run("streams", func(t *testing.T) { testSnapshotEqualsReplay(t, storySet(t), story) })
	t.Run("keys", func(t *testing.T) { testSnapshotEqualsReplay(t, loadSet(t, keyedRules), offline) })
}

func testSnapshotEqualsReplay(t *testing.T, set *rules.Set, story func(seed int64, n int) []event.Record) {
	for seed := range stories(2, 8) {
		records := withRules(set, story(seed, 400))
		c := Config{Shards: 3, Load: func(string) (*rules.Set, error) { return set, nil }}
		w := &snapshotter{t: t, rng: rand.New(rand.NewSource(seed)), engine: New(c), store: rowStore{}}
		for i := range records {
			before := w.committed
			w.step(records[i : i+1])
			if w.committed == before || w.committed%10 != 0 {
				continue
			}
			c.Shards = 1 + w.rng.Intn(8)
			e := New(c)
			for rest := records[:w.at.Seq]; len(rest) > 0; {
				n := 1 + w.rng.Intn(len(rest))
				e.Step(Input{Records: rest[:n]})
				rest = rest[n:]
			}
			if d := differ(w.store.rows(), e.Rows()); d != "" {
				t.Fatalf("seed %d, position %v: %s", seed, w.at, d)
			}
		}
	}
}

// TestSnapshotAcrossReload: a reload while a snapshot is written leaves it what
// it was, and the one after it holds everything anew.
func TestSnapshotAcrossReload(t *testing.T) {
	sets := map[string]*rules.Set{}
	var hashes []string
	for _, text := range []string{storyRules, storyRules + "  - {name: more, from: t, by: e.site, when: e.x > 70, for: 3s, alert: {summary: more}}\n"} {
		set, report := rules.Load([]rules.File{{Name: "story.yaml", Data: []byte(text)}}, rules.Options{})
		if !report.OK() {
			t.Fatal(report)
		}
		sets[set.Hash] = set
		hashes = append(hashes, set.Hash)
	}
	c := Config{Shards: 2, Load: func(hash string) (*rules.Set, error) { return sets[hash], nil }}
	records := storyRecords(sets[hashes[0]], 1, 500)
	w := &snapshotter{t: t, rng: rand.New(rand.NewSource(1)), engine: New(c), store: rowStore{}}
	across := 0
	for i := range records {
		if i%25 == 24 {
			records[i].Kind, records[i].Payload = event.KindRuleSet, []byte(hashes[i/25%2])
			if w.under != nil {
				across++
			}
		}
		w.step(records[i : i+1])
	}
	if across < 5 || w.full < across/2 {
		t.Errorf("%d reloads came while a snapshot was written, and %d were full", across, w.full)
	}
}

// BenchmarkSnapshot measures for how long the engine stands still for a
// snapshot of 100,000 keys with two rules: when it is taken, for each call that
// encodes 512 rows, and when it is committed. The median and the longest of all
// rounds are given; the longest are mostly those in which memory was collected.
func BenchmarkSnapshot(b *testing.B) {
	const keys = 100_000
	e, next := keyed(b, keys)
	for _, step := range []struct {
		name    string
		changed int
		full    bool
	}{{"all", keys, false}, {"full", 0, true}, {"tenth", keys / 10, false}, {"none", 0, false}} {
		b.Run(step.name, func(b *testing.B) {
			var begin, encode, end pauses
			rows := 0
			for b.Loop() {
				b.StopTimer()
				if step.changed > 0 {
					e.Step(Input{Records: next(step.changed)})
				}
				b.StartTimer()
				rows = snapshotTimed(e, step.full, &begin, &encode, &end)
			}
			b.ReportMetric(float64(rows), "rows")
			begin.report(b, "begin")
			encode.report(b, "encode")
			end.report(b, "commit")
		})
	}
}

// BenchmarkSnapshotHeldBack is the same with 100,000 events held back.
func BenchmarkSnapshotHeldBack(b *testing.B) {
	set, report := rules.Load([]rules.File{{Name: "bench.yaml", Data: []byte(`
streams:
  t: {source: in, time: e.ts, watermark: {lag: 100h}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, alert: {summary: "${e.x}"}}
`)}}, rules.Options{})
	if !report.OK() {
		b.Fatal(report)
	}
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
	seq := uint64(0)
	feed := func(n int) {
		records := make([]event.Record, n)
		for i := range records {
			seq++
			records[i] = event.Record{Kind: event.KindMessage, Source: "in", Arrival: 1_772_366_400_000_000_000, Pos: event.Position{Seq: seq},
				Payload: fmt.Appendf(nil, `{"ts":"2026-03-01T12:00:00.%06dZ","d":"device-%d","x":%d}`, seq%1e6, seq%1000, seq%100)}
		}
		e.Step(Input{Records: records})
	}
	feed(100_000)
	var begin, encode, end pauses
	rows := 0
	for b.Loop() {
		b.StopTimer()
		feed(1000)
		b.StartTimer()
		rows = snapshotTimed(e, false, &begin, &encode, &end)
	}
	b.ReportMetric(float64(rows), "rows")
	begin.report(b, "begin")
	encode.report(b, "encode")
	end.report(b, "commit")
}

// pauses are the times for which an engine stood still.
type pauses []time.Duration

func (p *pauses) time(f func()) {
	start := time.Now()
	f()
	*p = append(*p, time.Since(start))
}

func (p *pauses) report(b *testing.B, what string) {
	slices.Sort(*p)
	b.ReportMetric(float64((*p)[len(*p)/2].Microseconds()), "µs-"+what)
	b.ReportMetric(float64((*p)[len(*p)-1].Microseconds()), "µs-"+what+"-max")
}

// snapshotTimed takes a snapshot and returns how many rows it has.
func snapshotTimed(e *Engine, full bool, begin, encode, end *pauses) (rows int) {
	var s *Snapshot
	begin.time(func() { s = e.Snapshot(full) })
	for done := false; !done; {
		encode.time(func() {
			var some []Row
			some, done = s.Next(512)
			rows += len(some)
		})
	}
	end.time(s.Committed)
	return rows
}

// keyed returns an engine with state for n keys, and what makes records that
// change that of some of them.
func keyed(b *testing.B, n int) (e *Engine, next func(changed int) []event.Record) {
	set, report := rules.Load([]rules.File{{Name: "bench.yaml", Data: []byte(`
streams:
  t: {source: in}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, for: 10h, alert: {summary: "${e.x}"}}
  - {name: rise, from: t, by: e.d, pattern: a -> b, define: {a: e.x > 0, b: e.x < 0}, within: 100h, skip: to_next, alert: {summary: "${a.x}"}}
`)}}, rules.Options{})
	if !report.OK() {
		b.Fatal(report)
	}
	seq, clock, at := uint64(0), event.Time(1_772_366_400_000_000_000), 0
	next = func(changed int) []event.Record {
		records := make([]event.Record, changed)
		for i := range records {
			seq, clock, at = seq+1, clock.Add(time.Millisecond), (at+1)%n
			records[i] = event.Record{Kind: event.KindMessage, Source: "in", Arrival: clock, Pos: event.Position{Seq: seq},
				Payload: fmt.Appendf(nil, `{"d":"device-%d","x":%d}`, at, 81+seq%10)}
		}
		return records
	}
	e = New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: []event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}})
	e.Step(Input{Records: next(n)})
	return e, next
}

func TestDescribeRow(t *testing.T) {
	set := storySet(t)
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: storyRecords(set, 1, 250)[:250]})
	said := map[string]bool{}
	for _, row := range e.Rows() {
		said[DescribeRow(row.Name).String()] = true
	}
	for _, want := range []string{"clock", "watermark", "definition of rule hot", `state of rule quiet and key "d1"`, "state of rule any", "events held back"} {
		if !said[want] {
			t.Errorf("no row is said to be %s", want)
		}
	}
	if said["unknown"] || DescribeRow([]byte("?")).What != "unknown" || DescribeRow(nil).What != "unknown" {
		t.Error("what is known is said to be unknown, or the other way round")
	}
}
