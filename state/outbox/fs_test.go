package outbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
)

const dir = "outbox"

// small are options of an outbox whose files are as small as can be.
func small() Options {
	salt := uint64(0)
	return Options{MarksEvery: -1, MaxBytes: 1 << 20, SegmentBytes: 4 << 10, extent: 600, Now: func() time.Time { return time.Unix(1e9, 0) }, Salt: func() uint64 { salt++; return salt }}
}

// world is an outbox, what was put into it, and what its sinks have got.
type world struct {
	fs      vfs.FS
	opts    Options
	box     *Outbox
	step    uint64
	sent    map[string]bool // messages that Append took
	got     map[string]int  // messages that receivers have, by sink
	buried  map[string]bool // messages that are dead letters
	purged  map[string]bool
	pending []notify.Message // of an Append that failed, to be tried again
}

func newWorld(fs vfs.FS, opts Options) *world {
	return &world{fs: fs, opts: opts, sent: map[string]bool{}, got: map[string]int{}, buried: map[string]bool{}, purged: map[string]bool{}}
}

var worldSinks = []string{"a", "b"}

func (w *world) open() error {
	box, _, err := Open(w.fs, dir, w.opts)
	if err != nil {
		return err
	}
	w.box = box
	return box.Sinks(worldSinks)
}

// add appends a batch as a step of the engine does: what failed is tried again
// first.
func (w *world) add() error {
	if w.pending == nil {
		w.step++
		for i := range 3 {
			id := fmt.Sprint(w.step, "-", i)
			w.pending = append(w.pending, notify.Emitted(alerting.Derived{KnownID: id, Rule: "r", To: worldSinks, Fields: []event.Entry{{Name: "x", Value: event.String(strings.Repeat("x", 200))}}}))
		}
		w.pending = append(w.pending, notify.Changed(alerting.Transition{ID: fmt.Sprint(w.step, "-alert"), Fingerprint: "f", To: worldSinks,
			Change: alerting.Change(1 + w.step%2), Repeat: time.Hour}))
	}
	if err := w.box.Append(event.Position{Seq: w.step}, w.pending); err != nil {
		return err
	}
	for _, m := range w.pending {
		w.sent[m.Identity()] = true
	}
	w.pending = nil
	w.box.Forget(event.Position{Seq: w.step - min(w.step, 5)})
	return nil
}

// deliver sends what waits for a sink, at most n; every seventh is refused for
// good.
func (w *world) deliver(sink string, n int) error {
	es, err := w.box.Read(sink, 0, n)
	if err != nil {
		return err
	}
	for i, e := range es {
		if i%7 == 6 {
			w.buried[sink+" "+e.Identity()] = true
			if err := w.box.Bury(sink, notify.Failure{Reason: notify.ReasonClient}, e); err != nil {
				return err
			}
			continue
		}
		w.got[sink+" "+e.Identity()]++
		if err := w.box.Sent(sink, e.Seq, notify.Note{Name: sink, Length: int64(len(w.got))}); err != nil {
			return err
		}
	}
	return nil
}

// story is what happens to an outbox in tests.
func (w *world) story() error {
	if err := w.open(); err != nil {
		return err
	}
	for i := range 12 {
		if err := w.add(); err != nil {
			return err
		}
		if err := w.deliver("a", 5); err != nil {
			return err
		}
		if i == 6 {
			if err := w.deliver("b", 3); err != nil {
				return err
			}
			ls, err := w.box.DeadLetters(0, 2)
			if err != nil {
				return err
			}
			for _, l := range ls {
				if _, err := w.box.Retry([]uint64{l.Seq}); err != nil {
					return err
				}
			}
		}
		if i%4 == 3 {
			if err := w.box.Flush(); err != nil {
				return err
			}
			w.box.writing.Lock()
			err := w.box.carry(w.box.extents[0], keepAll)
			w.box.pop()
			err = errors.Join(err, w.box.truncate())
			w.box.writing.Unlock()
			if err != nil {
				return err
			}
		}
	}
	return w.box.Close()
}

// judge checks that what was added has reached its sinks, or waits for them, or
// is a dead letter.
func (w *world) judge() error {
	there := map[string]bool{}
	for _, sink := range worldSinks {
		es, err := w.box.Read(sink, 0, 1000)
		if err != nil {
			return err
		}
		for _, e := range es {
			there[sink+" "+e.Identity()] = true
		}
	}
	ls, err := w.box.DeadLetters(0, 1000)
	if err != nil {
		return err
	}
	for _, l := range ls {
		if k := l.Delivery.Sink + " " + l.Delivery.Identity(); !w.buried[k] {
			return fmt.Errorf("%s is a dead letter, and nobody gave it up", k)
		}
		there[l.Delivery.Sink+" "+l.Delivery.Identity()] = true
	}
	for id := range w.sent {
		for _, sink := range worldSinks {
			if k := sink + " " + id; !there[k] && w.got[k] == 0 {
				return fmt.Errorf("%s was added, and neither waits nor was it received", k)
			}
		}
	}
	return nil
}

// finish adds what the engine would give out again, and delivers everything.
func (w *world) finish() error {
	if w.pending != nil {
		if err := w.add(); err != nil {
			return err
		}
	}
	for _, sink := range worldSinks {
		for w.box.Pending(sink) > 0 {
			es, err := w.box.Read(sink, 0, 6)
			if err != nil {
				return err
			}
			for _, e := range es {
				w.got[sink+" "+e.Identity()]++
				if err := w.box.Sent(sink, e.Seq, notify.Note{}); err != nil {
					return err
				}
			}
		}
	}
	for id := range w.sent {
		for _, sink := range worldSinks {
			if k := sink + " " + id; w.got[k] == 0 && !w.buried[k] {
				return fmt.Errorf("%s was never received", k)
			}
		}
	}
	return w.box.Close()
}

// TestEveryOperationFails lets each operation of the file system fail once. What
// was under way is tried again, first with the outbox as it is and then with one
// that is opened anew. Nothing is lost.
func TestEveryOperationFails(t *testing.T) {
	for _, f := range []vfs.Failure{
		{Err: syscall.EIO}, {Err: syscall.ENOSPC}, {Err: syscall.EIO, Effect: vfs.Half}, {Err: syscall.ENOSPC, Effect: vfs.Half}, {Err: syscall.EIO, Effect: vfs.Whole},
	} {
		failed := true
		for n := 1; failed; n++ {
			failed = false
			over := false
			var what vfs.Op
			fs := vfs.NewFault(vfs.NewMem(), func(op vfs.Op) *vfs.Failure {
				if op.N != n || over {
					return nil
				}
				failed, what = true, op
				return &f
			})
			if err := failsOnce(fs, &over); err != nil {
				t.Fatalf("%v (%d) at %v: %v", f.Err, f.Effect, what, err)
			}
		}
	}
}

func failsOnce(fs vfs.FS, over *bool) error {
	w := newWorld(fs, small())
	if err := w.story(); err != nil && w.box != nil {
		again := errors.Join(w.add(), w.deliver("a", 5), w.judge())
		if again != nil && !errors.Is(again, segment.ErrClosed) {
			return fmt.Errorf("after %w: %w", err, again)
		}
		_ = w.box.Close()
	}
	if err := w.open(); err != nil { // what failed may have been here
		if err := w.open(); err != nil {
			return fmt.Errorf("opened after a failure: %w", err)
		}
	}
	*over = true
	return errors.Join(w.judge(), w.finish())
}

// TestCrashAnywhere takes the power away before each operation of the file
// system, and after it.
func TestCrashAnywhere(t *testing.T) {
	seeds, operations := 6, 0
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		crashed := true
		for n := 1; crashed; n++ {
			crashed = false
			var what vfs.Op
			mem := vfs.NewMem()
			fs := vfs.NewFault(mem, func(op vfs.Op) *vfs.Failure {
				if op.N < n {
					return nil
				}
				if !crashed {
					crashed, what = true, op
					if seed%2 == 1 {
						return &vfs.Failure{Err: vfs.ErrCrashed, Effect: vfs.Whole}
					}
				}
				return &vfs.Failure{Err: vfs.ErrCrashed}
			})
			w := newWorld(fs, small())
			_ = w.story()
			mem.Crash(rand.New(rand.NewPCG(uint64(seed), uint64(n))))
			w.fs = mem
			if err := w.open(); err != nil {
				t.Fatalf("seed %d, crash at %v: %v", seed, what, err)
			}
			if err := errors.Join(w.judge(), w.finish()); err != nil {
				t.Fatalf("seed %d, crash at %v: %v", seed, what, err)
			}
			operations = n
		}
	}
	t.Logf("%d operations", operations)
}

// TestRandomCrashes lets an outbox live a few lives that end at any moment, with
// sinks that fail at random.
func TestRandomCrashes(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		mem := vfs.NewMem()
		w := newWorld(nil, small())
		for range 1 + rng.IntN(6) {
			end := 1 + rng.IntN(120)
			w.fs = vfs.NewFault(mem, func(op vfs.Op) *vfs.Failure {
				if op.N < end {
					return nil
				}
				return &vfs.Failure{Err: vfs.ErrCrashed, Effect: vfs.Effect(rng.IntN(3))}
			})
			w.box = nil
			for err := w.open(); err == nil; {
				err = w.anything(rng)
			}
			mem.Crash(rng)
		}
		w.fs = mem
		if err := w.open(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := errors.Join(w.judge(), w.finish()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// anything does something to an outbox.
func (w *world) anything(rng *rand.Rand) error {
	switch rng.IntN(12) {
	case 0, 1, 2, 3:
		return w.add()
	case 4, 5, 6:
		return w.deliver("a", 1+rng.IntN(20))
	case 7:
		return w.deliver("b", 1+rng.IntN(20))
	case 8:
		return w.box.Flush()
	case 9:
		_, err := w.box.Refresh(worldSinks[rng.IntN(2)])
		return err
	case 10:
		ls, err := w.box.DeadLetters(0, 1)
		if err == nil && len(ls) > 0 {
			_, err = w.box.Retry([]uint64{ls[0].Seq})
		}
		return err
	}
	w.box.writing.Lock()
	defer w.box.writing.Unlock()
	if len(w.box.extents) < 2 {
		return nil
	}
	err := errors.Join(w.box.carry(w.box.extents[0], keepAll), w.box.carryIDs(w.box.extents[0]))
	w.box.pop()
	return errors.Join(err, w.box.truncate())
}

// fixture returns the one file of a small outbox, and what waited in it at each
// moment, as far as the disk knew.
func fixture(t *testing.T) (name string, data []byte, states [][]string) {
	mem := vfs.NewMem()
	w := newWorld(mem, small())
	w.opts.SegmentBytes = 64 << 10
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	look := func() {
		infos, err := mem.List(dir)
		if err != nil || len(infos) != 1 {
			t.Fatalf("%d files, %v", len(infos), err)
		}
		name = infos[0].Name
		if data, err = vfs.ReadFile(mem, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
		o, _, err := Open(restore(t, name, data), dir, small())
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, waits(t, o))
	}
	look()
	for range 4 {
		if err := w.add(); err != nil {
			t.Fatal(err)
		}
		look()
		if err := w.deliver("a", 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.box.Flush(); err != nil {
		t.Fatal(err)
	}
	look()
	if len(data) > 64<<10 {
		t.Fatalf("the fixture has %d bytes", len(data))
	}
	return name, data, states
}

func restore(t *testing.T, name string, data []byte) *vfs.Mem {
	mem := vfs.NewMem()
	if err := mem.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	f, err := mem.Create(dir + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close(), mem.SyncDir(dir)); err != nil {
		t.Fatal(err)
	}
	return mem
}

// waits lists what an outbox says of its sinks and its dead letters.
func waits(t *testing.T, o *Outbox) []string {
	var out []string
	for _, sink := range worldSinks {
		es, err := o.Read(sink, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			out = append(out, sink+" "+e.Identity())
		}
	}
	return out
}

// TestDamage truncates an outbox at every byte, and flips every 64th bit. It is
// an error, or a tail is missing, as after a crash: then what waits is what did
// wait at some moment, and the repair is told of.
func TestDamage(t *testing.T) {
	name, whole, states := fixture(t)
	check := func(what string, at int, data []byte) {
		o, rec, err := Open(restore(t, name, data), dir, small())
		if errors.Is(err, segment.ErrCorrupt) || errors.Is(err, segment.ErrVersion) {
			return
		}
		if err != nil {
			t.Fatalf("%s %d: %v is not marked as damage", what, at, err)
		}
		got := waits(t, o)
		switch i := slices.IndexFunc(states, func(s []string) bool { return slices.Equal(s, got) }); {
		case i < 0:
			t.Fatalf("%s %d: what waits never did", what, at)
		case i < len(states)-1 && len(rec.Repairs) == 0 && rec.Clean:
			t.Fatalf("%s %d: silently less", what, at)
		}
	}
	for n := range len(whole) {
		check("cut at byte", n, whole[:n])
	}
	for bit := 0; bit < 8*len(whole); bit += 64 {
		data := slices.Clone(whole)
		data[bit/8] ^= 1 << (bit % 8)
		check("flipped bit", bit, data)
	}
}
