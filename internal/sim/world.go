package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state"
	"github.com/cepd/cepd/state/vfs"
)

// start is when every simulation begins.
const start = event.Time(1_772_366_400_000_000_000)

// stormy is for how many steps things fail. After that nothing does, so that
// what is on its way arrives.
const stormy = 500

// patience bounds a simulation.
const patience = 20_000

// world is all that outlives a crash, and what must hold of it.
type world struct {
	rng   *rand.Rand
	trace io.Writer
	now   event.Time
	steps int

	disk  *vfs.Mem
	store *state.Memory
	salt  byte
	fuse  int  // operations until the power goes; 0: none
	flaw  int  // operations until one fails; 0: none
	dead  bool // the power is gone
	tight bool // the outbox has no room, and all else has
	small bool // there is not much memory

	p      *process
	broker broker
	story  []message // to be published
	told   int       // how many were
	reload int       // after so many the rules change
	want   string    // hash of the rules in the files
	sinks  map[string]*receiver

	// shadow is the log as it was when anybody looked, from its beginning.
	shadow []event.Record
	logged map[int]bool // the messages in it
	logID  string
	counts counts
}

// counts say what a simulation has seen, so that a test can tell that it sees
// everything.
type counts struct {
	crashes, kills, faults, full, damaged, snapshots, restored, duplicates, evicted, sent, own int
}

func newWorld(seed uint64, trace io.Writer) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 0)), trace: trace, now: start,
		disk: vfs.NewMem(), store: &state.Memory{},
		sinks: map[string]*receiver{"ops": newReceiver(), "log": newReceiver()}, logged: map[int]bool{},
	}
	w.story = tell(w.rng)
	w.reload = w.rng.IntN(2 * len(w.story)) // in half of the lives never
	w.want = keep(rulesBefore)
	w.small = w.rng.IntN(4) == 0
	w.store.Fault = func(op string) error {
		if x := w.fail("store " + op); x != nil {
			return x.Err
		}
		return nil
	}
	return w
}

// keep returns the name of rules.
func keep(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (w *world) log(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%4d %s\n", w.steps, fmt.Sprintf(format, args...))
	}
}

// files is the disk as a process sees it, with its failures.
func (w *world) files() vfs.FS {
	return vfs.NewFault(w.disk, func(op vfs.Op) *vfs.Failure { return w.fail(op.Name + " " + op.Path) })
}

// fail decides about an operation on any disk.
func (w *world) fail(what string) *vfs.Failure {
	if w.fuse > 0 {
		if w.fuse--; w.fuse == 0 {
			w.log("the power goes at %s", what)
			w.dead = true
		}
	}
	if w.dead {
		return &vfs.Failure{Err: vfs.ErrCrashed, Effect: vfs.Effect(w.rng.IntN(3))}
	}
	if w.tight && strings.HasPrefix(what, "write /outbox") {
		return &vfs.Failure{Err: syscall.ENOSPC, Effect: vfs.Half}
	}
	if w.flaw > 0 {
		if w.flaw--; w.flaw == 0 {
			w.log("%s fails", what)
			w.counts.faults++
			return &vfs.Failure{Err: syscall.EIO, Effect: vfs.Effect(w.rng.IntN(3))}
		}
	}
	return nil
}

// random fills b. It does not touch the source of chance that decides what
// happens.
func (w *world) random(b []byte) {
	for i := range b {
		w.salt++
		b[i] = w.salt
	}
}

// Run lives through a seed, and tells a trace of it, if there is one. The error
// says which promise was broken.
func Run(seed uint64, trace io.Writer) error {
	_, err := run(seed, trace)
	return err
}

func run(seed uint64, trace io.Writer) (counts, error) {
	w := newWorld(seed, trace)
	err := w.live()
	if err == nil {
		err = w.judge()
	}
	if err != nil {
		return w.counts, fmt.Errorf("seed %d, step %d: %w", seed, w.steps, err)
	}
	return w.counts, nil
}

// live goes on until everything has arrived.
func (w *world) live() error {
	for ; !w.settled(); w.steps++ {
		if w.steps == stormy {
			w.log("calm")
			w.fuse, w.flaw = 0, 0
			w.disk.SetCapacity(0)
			w.tight = false
		}
		if w.steps == patience {
			return errors.New("nothing goes on any more: " + w.String())
		}
		if w.steps < stormy {
			w.storm()
		}
		w.now += event.Time(w.rng.IntN(2e8))
		if err := w.after(w.step()); err != nil {
			return err
		}
	}
	return nil
}

// step lets somebody do something.
func (w *world) step() error {
	if w.p == nil {
		return w.boot()
	}
	return w.p.act()
}

// after deals with what came of a step, as the machine and whoever supervises
// the process would.
func (w *world) after(err error) error {
	switch {
	case w.dead:
		w.log("dark")
		w.counts.crashes++
		w.p, w.dead, w.fuse, w.flaw = nil, false, 0, 0
		w.broker.hangUp()
		w.disk.Crash(w.rng)
		if w.steps < stormy && w.rng.IntN(4) == 0 && w.store.Damage() {
			w.log("the newest snapshot is damaged")
			w.counts.damaged++
		}
	case errors.Is(err, syscall.EIO), errors.Is(err, errKilled):
		w.log("the process ends: %v", err)
		w.counts.kills++
		w.p = nil
		w.broker.hangUp()
		w.disk.Kill()
	default:
		return err
	}
	return nil
}

var errKilled = errors.New("killed")

// storm decides what goes wrong.
func (w *world) storm() {
	switch w.rng.IntN(120) {
	case 0:
		w.fuse = 1 + w.rng.IntN(60)
	case 1:
		w.flaw = 1 + w.rng.IntN(40)
	case 2:
		w.log("the disk is full")
		w.counts.full++
		w.disk.SetCapacity(w.disk.Bytes() + int64(w.rng.IntN(3000)))
	case 3, 4, 5:
		w.disk.SetCapacity(0)
		w.tight = false
	case 6:
		w.broker.hangUp()
	case 7:
		w.log("the outbox has no room")
		w.tight = true
	}
}

// settled reports whether everything that was published has arrived everywhere.
func (w *world) settled() bool {
	p := w.p
	if w.told < len(w.story) || p == nil || len(w.broker.queue)+len(w.broker.inflight) > 0 || !p.idle() || p.engine.Rules() != w.want {
		return false
	}
	for name := range w.sinks {
		if p.outbox.Pending(name) > 0 {
			return false
		}
	}
	return true
}

func (w *world) String() string {
	s := fmt.Sprintf("%d of %d messages told, %d waiting at the broker, %d not acknowledged", w.told, len(w.story), len(w.broker.queue), len(w.broker.inflight))
	if p := w.p; p != nil {
		s += fmt.Sprintf(", %d in the buffer, %d groups, %d confirmations", len(p.buffer), len(p.groups), len(p.confirmed))
		for name := range w.sinks {
			s += fmt.Sprintf(", %d for %s", p.outbox.Pending(name), name)
		}
	}
	return s
}
