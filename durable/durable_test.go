package durable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

// hot raises for each device that is too hot, and clears when it is not.
const hot = `
streams:
  telemetry: {source: plant, fields: {device: string, temp: double}}
rules:
  - name: hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    alert: {summary: "${key} is at ${e.temp}"}
`

// disk is what outlives a crash.
type disk struct {
	files     *vfs.Mem
	store     *state.Memory
	outbox    *outbox
	semantics int // 0: the engine's
}

func newDisk() *disk {
	return &disk{files: vfs.NewMem(), store: &state.Memory{}, outbox: &outbox{known: map[string]bool{}, firing: map[string]alerting.Transition{}}}
}

// power takes the power away: what was not synced may be gone.
func (d *disk) power() { d.files.Crash(rand.New(rand.NewPCG(1, 2))) }

// outbox is an outbox that is durable by definition.
type outbox struct {
	got       []string // change, key and reason
	ids       []string
	known     map[string]bool
	firing    map[string]alerting.Transition
	covered   event.Position
	forgotten event.Position
	fail      error
}

func (o *outbox) Enqueue(through event.Position, ms []notify.Message) error {
	if o.fail != nil {
		return o.fail
	}
	for _, m := range ms {
		t := m.Transition
		if o.known[t.ID] {
			continue
		}
		o.known[t.ID] = true
		o.ids = append(o.ids, t.ID)
		o.got = append(o.got, fmt.Sprint(t.Change, " ", event.KeyText(t.Key), " ", t.Reason))
		if t.Change == alerting.Raised {
			o.firing[t.Fingerprint] = *t
		} else {
			delete(o.firing, t.Fingerprint)
		}
	}
	o.covered = through
	return nil
}

func (o *outbox) Covered() event.Position       { return o.covered }
func (o *outbox) Forget(through event.Position) { o.forgotten = through }
func (o *outbox) Firing() (all []alerting.Transition, err error) {
	for _, t := range o.firing {
		all = append(all, t)
	}
	return all, nil
}

// node is an engine on a disk, driven by one goroutine.
type node struct {
	*Engine
	t       *testing.T
	disk    *disk
	rec     *Recovered
	bundles *Bundles
	log     *wal.Log
	now     event.Time
}

func (d *disk) open() (*node, error) {
	n := &node{disk: d}
	var err error
	if n.log, _, err = wal.Open(d.files, "/log", wal.Options{SegmentBytes: 3000}); err != nil {
		return nil, err
	}
	if n.bundles, err = OpenBundles(d.files, "/rules"); err != nil {
		return nil, err
	}
	store, _, err := d.store.Open(state.Options{Encoding: engine.Encoding, Semantics: 9})
	if err != nil {
		return nil, err
	}
	n.Engine, n.rec, err = Open(Config{
		Engine: engine.Config{Load: func(hash string) (*rules.Set, error) {
			data, err := n.bundles.Get(hash)
			if err != nil {
				return nil, err
			}
			set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: data}}, rules.Options{})
			if !report.OK() {
				return nil, errors.New(report.String())
			}
			return set, nil
		}},
		Log: n.log, Outputs: d.outbox, BatchRecords: 7,
		Keep: &Keep{Log: n.log, Store: store, Bundles: n.bundles, Outbox: d.outbox, Semantics: d.semantics},
	})
	if err != nil {
		return nil, err
	}
	n.now = max(n.Arrival(), 1_000_000_000)
	return n, nil
}

func start(t *testing.T, d *disk) *node {
	t.Helper()
	n, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	n.t = t
	return n
}

// step lets records take effect and tells what comes of it.
func (n *node) step(records ...event.Record) {
	n.t.Helper()
	for i := range records {
		n.now = n.now.Add(1e9)
		records[i].Arrival = n.now
	}
	if err := n.Append(records); err != nil {
		n.t.Fatal(err)
	}
	n.Step(records)
	if err := n.Deliver(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) rules(text string) {
	n.t.Helper()
	hash, err := n.bundles.Put([]byte(text))
	if err != nil {
		n.t.Fatal(err)
	}
	n.step(event.Record{Kind: event.KindRuleSet, Payload: []byte(hash)})
}

// feed gives readings such as "p1=90".
func (n *node) feed(readings ...string) {
	n.t.Helper()
	var records []event.Record
	for _, r := range readings {
		device, temp, _ := strings.Cut(r, "=")
		records = append(records, event.Record{Kind: event.KindMessage, Source: "plant", Payload: fmt.Appendf(nil, `{"device":%q,"temp":%s}`, device, temp)})
	}
	n.step(records...)
}

// save takes a snapshot, a row at a time.
func (n *node) save() error {
	n.t.Helper()
	s := n.Begin()
	if s == nil {
		n.t.Fatal("no snapshot")
	}
	err := write(s)
	n.End(s, err)
	return err
}

func write(s *Snapshot) error {
	for {
		rows, done := s.Next(1)
		if err := s.Write(rows); err != nil {
			return errors.Join(err, s.Abandon())
		}
		if !done {
			continue
		}
		err := s.Seal(0)
		if err != nil {
			err = errors.Join(err, s.Abandon())
		}
		return err
	}
}

func (n *node) want(changes ...string) {
	n.t.Helper()
	if d := cmp.Diff(changes, n.disk.outbox.got); d != "" {
		n.t.Error(d)
	}
}

// Without a snapshot everything takes effect again, and nothing is told twice.
func TestReplay(t *testing.T) {
	d := newDisk()
	n := start(t, d)
	if n.rec.Known {
		t.Error("an empty disk is known")
	}
	n.rules(hot)
	n.feed("p1=90", "p2=60")
	d.power()
	n = start(t, d)
	if !n.rec.Known || n.rec.Records != 3 || !n.rec.Snapshot.IsZero() {
		t.Errorf("recovered %+v", n.rec)
	}
	if got := n.Firing(); got["hot"] != 1 {
		t.Errorf("firing: %v", got)
	}
	n.feed("p1=95", "p1=60", "p2=99")
	n.want("raised p1 condition", "cleared p1 clear", "raised p2 condition")
}

// What was decided, and did not reach the outbox before a crash, reaches it
// afterwards, under the same id as without a crash.
func TestCrashBeforeOutbox(t *testing.T) {
	var ids [][]string
	for _, crash := range []bool{false, true} {
		d := newDisk()
		d.files = vfs.NewMem()
		n := start(t, d)
		n.rules(hot)
		record := event.Record{Kind: event.KindMessage, Source: "plant", Arrival: n.now.Add(1e9), Payload: []byte(`{"device":"p1","temp":90}`)}
		if err := n.Append([]event.Record{record}); err != nil {
			t.Fatal(err)
		}
		if crash {
			d.power()
			n = start(t, d)
		} else {
			record.Pos = n.log.Last()
			n.Step([]event.Record{record})
			if err := n.Deliver(); err != nil {
				t.Fatal(err)
			}
		}
		n.want("raised p1 condition")
		ids = append(ids, d.outbox.ids)
	}
	if len(ids[0]) != 1 || len(ids[1]) != 1 {
		t.Errorf("ids %v", ids) // they differ by the identity of the log
	}
}

// A snapshot spares the log behind it; the log is cut behind the older of two,
// rule sets that nobody names any more go, and ids are forgotten.
func TestSnapshots(t *testing.T) {
	d := newDisk()
	n := start(t, d)
	n.rules(strings.Replace(hot, "> 80", "> 70", 1))
	for i := range 50 {
		n.feed(fmt.Sprintf("p%d=90", i), "p1=20", "p1=95")
	}
	n.rules(hot)
	if err := n.save(); err != nil {
		t.Fatal(err)
	}
	if n.log.First().Seq != 1 || !d.outbox.forgotten.IsZero() {
		t.Errorf("with one snapshot the log begins at %v, and ids up to %v are forgotten", n.log.First(), d.outbox.forgotten)
	}
	if n.Changed() {
		t.Error("a snapshot a moment later would hold something")
	}
	older := n.Last()
	n.feed("q1=90")
	if err := n.save(); err != nil {
		t.Fatal(err)
	}
	if first := n.log.First(); first.Seq < 2 || first.Compare(older) > 0 || d.outbox.forgotten != older {
		t.Errorf("with two snapshots the log begins at %v, and ids up to %v are forgotten; the older one is of %v", first, d.outbox.forgotten, older)
	}
	kept := func() int { files, _ := d.files.List("/rules"); return len(files) }
	if kept() != 2 {
		t.Errorf("%d rule sets are kept, and the log, from %v on, names 2", kept(), n.log.First())
	}
	n.feed("q2=90")
	told := len(d.outbox.got)
	d.power()
	n = start(t, d)
	if n.rec.Snapshot != (event.Position{Seq: older.Seq + 1}) || n.rec.Records != 1 {
		t.Errorf("recovered %+v", n.rec)
	}
	if got := n.Firing(); got["hot"] != 52 {
		t.Errorf("firing: %v", got)
	}
	n.feed("q1=20", "q2=20", "p7=20")
	if got, want := d.outbox.got[told:], []string{"cleared q1 clear", "cleared q2 clear", "cleared p7 clear"}; !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("got %v", got)
	}
	for range 2 {
		for range 40 {
			n.feed("q1=20", "q1=20", "q1=20")
		}
		if err := n.save(); err != nil {
			t.Fatal(err)
		}
	}
	if kept() != 1 {
		t.Errorf("%d rule sets are kept, and the log names 1", kept())
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// While something waits for the outbox there is no snapshot: its marker would
// say that all was told.
func TestNoSnapshotBeforeOutbox(t *testing.T) {
	d := newDisk()
	n := start(t, d)
	n.rules(hot)
	d.outbox.fail = errors.New("no room")
	record := []event.Record{{Kind: event.KindMessage, Source: "plant", Arrival: n.now, Payload: []byte(`{"device":"p1","temp":90}`)}}
	if err := n.Append(record); err != nil {
		t.Fatal(err)
	}
	n.Step(record)
	if err := n.Deliver(); err == nil {
		t.Fatal("the outbox has room")
	}
	if s := n.Begin(); s != nil {
		t.Error("a snapshot although something waits")
	}
	d.outbox.fail = nil
	if err := n.Deliver(); err != nil {
		t.Fatal(err)
	}
	n.want("raised p1 condition")
	if err := n.save(); err != nil {
		t.Error(err)
	}
}

// A snapshot that fails is no harm: the next one has what it had.
func TestSnapshotFails(t *testing.T) {
	for _, operation := range []string{"write", "head", "room"} {
		for after := range 12 {
			d := newDisk()
			n := start(t, d)
			n.rules(hot)
			n.feed("p1=90", "p2=90", "p3=60")
			if err := n.save(); err != nil {
				t.Fatal(err)
			}
			n.feed("p1=60", "p3=90")
			count := 0
			d.store.Fault = func(op string) error {
				if op == operation {
					if count++; count == after {
						return errors.New("injected")
					}
				}
				return nil
			}
			failed := n.save() != nil
			d.store.Fault = nil
			n.feed("p4=90")
			if failed {
				if err := n.save(); err != nil {
					t.Fatalf("%s %d: after a failure: %v", operation, after, err)
				}
			}
			d.power()
			n = start(t, d)
			if got := n.Firing(); got["hot"] != 3 {
				t.Errorf("%s %d: firing %v after a recovery %+v", operation, after, got, n.rec)
			}
			n.want("raised p1 condition", "raised p2 condition", "cleared p1 clear", "raised p3 condition", "raised p4 condition")
		}
	}
}

// Rules that the log names and that are gone stop a recovery: without them
// nobody knows what came of the events.
func TestRulesMissing(t *testing.T) {
	d := newDisk()
	n := start(t, d)
	n.rules(hot)
	n.feed("p1=90")
	files, err := d.files.List("/rules")
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	name := "/rules/" + files[0].Name
	if err := d.files.Remove(name); err != nil {
		t.Fatal(err)
	}
	d.files.Kill()
	if _, err := d.open(); err == nil || !strings.Contains(err.Error(), "is missing, the rules that the log or a snapshot names") {
		t.Errorf("without the rules: %v", err)
	}
	if err := vfs.WriteFile(d.files, name, []byte(strings.Replace(hot, "> 80", "> 8", 1))); err != nil {
		t.Fatal(err)
	}
	d.files.Kill()
	if _, err := d.open(); err == nil || !strings.Contains(err.Error(), "do not have that hash") {
		t.Errorf("with other rules under that name: %v", err)
	}
}

// A log that ends before its snapshot, or begins behind it, is refused.
func TestGaps(t *testing.T) {
	d := newDisk()
	n := start(t, d)
	n.rules(hot)
	n.feed("p1=90")
	if err := n.save(); err != nil {
		t.Fatal(err)
	}
	lost := *d
	lost.files = vfs.NewMem()
	if _, err := lost.open(); err == nil || !strings.Contains(err.Error(), "belong to another log") {
		t.Errorf("with an empty log: %v", err)
	}
}

// With another semantics number nothing is told that another cepd had its say
// about, and what fires no more is cleared.
func TestUpgrade(t *testing.T) {
	d := newDisk()
	n := start(t, d)
	n.rules(hot)
	n.feed("p1=90")
	if err := n.save(); err != nil {
		t.Fatal(err)
	}
	n.feed("p2=90")
	key, err := event.AppendKey(nil, event.String("p9"))
	if err != nil {
		t.Fatal(err)
	}
	// The other cepd had raised what this one does not, and told it under other
	// ids. It had not told of what comes last.
	d.outbox.firing["odd"] = alerting.Transition{ID: "raise", Rule: "hot", Key: string(key), Fingerprint: "odd", Change: alerting.Raised, Time: 7}
	d.outbox.known, d.outbox.got = map[string]bool{}, nil
	record := []event.Record{{Kind: event.KindMessage, Source: "plant", Arrival: n.now, Payload: []byte(`{"device":"p3","temp":90}`)}}
	if err := n.Append(record); err != nil {
		t.Fatal(err)
	}
	d.power()
	d.semantics = 2
	for range 2 { // should it crash again at once, nothing is told twice
		n = start(t, d)
		n.want("raised p3 condition", "cleared p9 upgrade")
	}
	if got := n.Firing(); got["hot"] != 3 {
		t.Errorf("firing: %v", got)
	}
}

// Whatever a loss of power leaves of the unsynced, nothing that was appended is
// lost, and nothing is told twice.
func TestPowerLoss(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := newDisk()
		n := start(t, d)
		n.rules(hot)
		hotNow := map[string]bool{}
		var want []string
		for range 30 {
			device, temp := fmt.Sprintf("p%d", rng.IntN(4)), 60+rng.IntN(2)*30
			n.feed(fmt.Sprintf("%s=%d", device, temp))
			switch is := temp > 80; {
			case is && !hotNow[device]:
				want = append(want, "raised "+device+" condition")
			case !is && hotNow[device]:
				want = append(want, "cleared "+device+" clear")
			}
			hotNow[device] = temp > 80
			switch rng.IntN(6) {
			case 0:
				if n.Changed() {
					if err := n.save(); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
				}
			case 1:
				d.files.Crash(rng)
				n = start(t, d)
			}
		}
		if diff := cmp.Diff(want, d.outbox.got); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}
