package daemon

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cepd/cepd/engine"
)

// How much of the heap's budget may be in use, as the collector of garbage has
// found it, before something is done. The collector needs the rest to work with,
// and more of it on a busy machine, where garbage comes faster than it goes. Above
// nearHeap sources are given less; above fullHeap state goes, so much that
// targetHeap is left. Below enoughHeap all is well again.
const (
	enoughHeap = 0.4
	targetHeap = 0.4
	nearHeap   = 0.5
	fullHeap   = 0.6
)

// memoryEvery is how often memory is looked at, and enoughFor how long there must
// be enough before that is told.
const (
	memoryEvery = 100 * time.Millisecond
	enoughFor   = time.Minute
)

// ageEvery is how far apart keys are heard of, at least, where it is known which of
// them was heard of first.
const ageEvery = 5 * time.Second

// nearChecks is how many checks in a row must find memory nearly used up before
// that is told: a burst is no news.
const nearChecks = 20

// evictChecks is how many checks what goes may take to be gone, and maxFutile how
// often in a row nothing may come of it.
const (
	evictChecks = 20
	maxFutile   = 2
)

// A small heap is collected sooner: that costs little, and what a process has in
// memory is what its heap grows to. Where the collector takes long, since others have
// the processors, what comes meanwhile counts as in use: a heap is not small any more
// when it was found so twice. A heap of next to nothing grows by leastGrowth before it
// is collected: else that is done for every few hundred messages, again and again, and
// takes a quarter of what they cost. That is bounded by mostGC, since the heap may be
// larger a moment later.
const (
	smallHeap   = 48 << 20
	smallGC     = 60
	usualGC     = 100
	leastGrowth = 12 << 20
	mostGC      = 200
	gcStep      = 50
)

const (
	// maxWaitingBytes is how many bytes may wait in a source where memory is not
	// what bounds it.
	maxWaitingBytes = 16 << 20
	// leastBuffer is what buffers hold at least: with less, groups would be so
	// small that the disk bounds everything.
	leastBuffer = 256 << 10
)

// memory is what the daemon knows of its own.
type memory struct {
	limit   int64        // that the process may use; 0: none
	tunes   bool         // the limit of Go's runtime is ours to set
	percent int          // that the collector was told; 0: that is not ours to set
	lives   [2]int64     // what was in use when garbage was collected the last two times
	files   atomic.Int64 // the most that mapped files have taken

	mu     sync.Mutex // held while memory is looked at, by who may change what follows
	near   bool       // sources are given less
	checks int        // for so many checks already
	told   bool       // the log says so

	before   int64 // what was in use before room was made the last time
	waits    int   // checks since then
	patience int   // checks to wait for what comes of it; 0: no room is being made
	futile   int   // how often nothing has come of it, in a row
	stuck    bool  // nothing is let in, and nothing is left that could go

	enough time.Time // since when there is enough; zero: there is not
}

// use is how memory is used, in bytes.
type use struct {
	live   int64 // of the heap, when garbage was last collected
	own    int64 // all that Go's runtime has
	files  int64 // pages of files: the program, and the database of snapshots
	limit  int64 // of own; 0: there is none
	budget int64 // the part of it that is left for the heap
}

func (u use) share() float64 {
	if u.budget <= 0 {
		return 0
	}
	return float64(u.live) / float64(u.budget)
}

// figures are those of Go's runtime that tell how memory is used.
var figures = []string{
	"/gc/heap/live:bytes", "/memory/classes/total:bytes", "/memory/classes/heap/released:bytes",
	"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
}

// read reads how memory is used.
func (m *memory) read() use {
	samples := make([]metrics.Sample, len(figures))
	for i, name := range figures {
		samples[i].Name = name
	}
	metrics.Read(samples)
	figure := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	u := use{live: figure(0), own: figure(1) - figure(2), files: mappedFiles()}
	for most := m.files.Load(); u.files > most && !m.files.CompareAndSwap(most, u.files); {
		most = m.files.Load()
	}
	if m.limit > 0 {
		u.limit = m.goLimit()
		u.budget = u.limit - (u.own - figure(3) - figure(4) - figure(5))
	}
	return u
}

// goLimit returns what is left of the limit for Go's runtime. It knows nothing of
// mapped files. They come with snapshots, faster than a heap becomes smaller, so
// that what they have ever taken is left to them; but they may go when something
// else needs the room, so that it is never more than half. And the runtime is
// given an eighth less, since it is late at times, and some memory is not its own.
func (m *memory) goLimit() int64 {
	if !m.tunes {
		return m.limit
	}
	return max(m.limit-m.limit/8-m.files.Load(), m.limit/2)
}

// mappedFiles returns how many bytes of files are in the process's memory, 0
// where the system does not say.
func mappedFiles() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident, shared int64
	if _, err := fmt.Fscan(strings.NewReader(string(text)), &size, &resident, &shared); err != nil {
		return 0
	}
	return shared * int64(os.Getpagesize())
}

// tune tells the collector how hard it is to work.
func (m *memory) tune(u use) {
	if m.limit > 0 && m.tunes {
		debug.SetMemoryLimit(m.goLimit())
	}
	if m.percent == 0 {
		return
	}
	if u.live != m.lives[1] {
		m.lives = [2]int64{m.lives[1], u.live}
	}
	if percent := growth(m.lives); percent != m.percent {
		m.percent = percent
		debug.SetGCPercent(percent)
	}
}

// growth returns by how many percent a heap may grow before it is collected, by
// what was in use the last two times. It is a multiple of gcStep where it depends on
// the size, since each change stops the program for a moment.
func growth(lives [2]int64) int {
	small, large := min(lives[0], lives[1]), max(lives[0], lives[1])
	if small >= smallHeap {
		return usualGC
	}
	least := min(100*leastGrowth/max(large, 1), mostGC)
	return max(int(least/gcStep*gcStep), smallGC)
}

// limitMemory finds what the process may use: what cepd.yaml says, else nine
// tenths of what its control group allows, since not all memory is the process's.
// What the environment sets with GOMEMLIMIT and GOGC stays.
func (d *Daemon) limitMemory(context.Context) error {
	m := &d.memory
	m.limit, m.tunes = d.cfg.State.Memory, true
	if m.limit == 0 {
		m.limit = groupLimit(os.DirFS("/")) / 10 * 9
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		m.limit, m.tunes = debug.SetMemoryLimit(-1), false
		if m.limit == math.MaxInt64 {
			m.limit = 0
		}
	}
	if m.limit > 0 {
		d.log.Info("memory is limited", "bytes", m.limit)
	}
	if d.cfg.State.Dir != "" {
		m.files.Store(mappedFiles() + snapshotRoom)
	}
	if m.tunes && m.limit > 0 {
		was := debug.SetMemoryLimit(-1)
		d.started("memory limit", func(context.Context) { debug.SetMemoryLimit(was) })
	}
	m.tune(m.read())
	if os.Getenv("GOGC") == "" { // recovery, which comes first, makes a heap larger than it was found
		m.percent = smallGC
		was := debug.SetGCPercent(smallGC)
		d.started("collector", func(context.Context) { debug.SetGCPercent(was) })
	}
	d.throttle.bound(m.underway())
	return nil
}

// underway returns how many bytes may be on their way from sources to their
// effect.
func (m *memory) underway() int { return m.part(maxUnderway) }

// waiting returns how many bytes may wait in each source.
func (m *memory) waiting() int { return m.part(maxWaitingBytes) }

// part returns the part of memory for something that never takes more than most.
func (m *memory) part(most int64) int {
	if m.limit > 0 {
		most = min(most, m.limit/16)
	}
	if m.near {
		most /= 8
	}
	return int(max(most, leastBuffer))
}

// bounded is a source whose buffer may be made smaller. Of what finds no room,
// messages of QoS 1 wait at the broker, those of QoS 0 are shed and counted, and
// requests are answered 429.
type bounded interface{ Bound(bytes int) }

// boundSources tells all sources how much may wait in them.
func (d *Daemon) boundSources() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.sources {
		if b, ok := r.Source.(bounded); ok {
			b.Bound(d.memory.waiting())
		}
	}
}

// startMemory watches memory from now on.
func (d *Daemon) startMemory(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(memoryEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if d.checkMemory(ctx) != nil {
					return // the daemon stops, or has failed
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	d.started("memory", func(context.Context) {
		cancel()
		<-done
	})
	return nil
}

// checkMemory looks at memory and does what helps, the least first.
func (d *Daemon) checkMemory(ctx context.Context) error {
	m := &d.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.read()
	m.tune(u)
	if u.own > u.limit && u.limit > 0 { // the collector is behind
		d.throttle.bound(0)
		debug.FreeOSMemory()
		u = m.read()
	}
	if u.share() < nearHeap {
		m.checks = 0
		return d.memoryEnough(ctx, u)
	}
	m.enough = time.Time{}
	m.checks++
	if !m.near {
		m.near = true
		d.throttle.bound(m.underway())
		d.boundSources()
	}
	if u.share() < fullHeap {
		d.letIn()
	} else if err := d.evict(ctx); err != nil {
		return err
	}
	if m.told || m.checks < nearChecks {
		return nil
	}
	m.told = true
	d.log.Warn("memory is nearly used up, and sources are given less", u.attrs()...)
	return d.notice(ctx, engine.Notice{Memory: engine.MemoryNear, By: u.String()})
}

// memoryEnough goes back to work as usual, once there is memory for it.
func (d *Daemon) memoryEnough(ctx context.Context, u use) error {
	m := &d.memory
	d.letIn()
	if !m.near || u.share() >= enoughHeap {
		return nil
	}
	now := d.opts.Now()
	if m.enough.IsZero() {
		m.enough = now
	}
	if now.Sub(m.enough) < enoughFor {
		return nil
	}
	m.near, m.enough = false, time.Time{}
	d.throttle.bound(m.underway())
	d.boundSources()
	if !m.told {
		return nil
	}
	m.told = false
	d.log.Info("there is enough memory again", u.attrs()...)
	return d.notice(ctx, engine.Notice{Memory: engine.MemoryEnough})
}

// heldBytes is what an event takes that is held back, about.
const heldBytes = 500

// evict makes room by records of the log: where much is held back, that is judged,
// else the state of keys goes. Meanwhile nothing is let in, until there is room:
// what went may have to be told to sinks before it is gone. Where twice nothing has come
// of it, only time can make room.
func (d *Daemon) evict(ctx context.Context) error {
	m := &d.memory
	d.throttle.bound(0)
	runtime.GC() // what has come and gone does not count
	u := m.read()
	if u.share() < fullHeap {
		d.letIn()
		return nil
	}
	if m.waits++; m.stuck || m.waits < m.patience {
		return nil
	}
	if m.patience > 0 && u.live > m.before-u.budget/64 {
		m.futile++
	} else {
		m.futile = 0
	}
	if m.futile == maxFutile {
		m.stuck = true
		d.log.Error("memory is used up by what cannot go: nothing is taken in", u.attrs()...)
		d.health.set(memoryFull, "memory is used up, and nothing is taken in: "+u.String())
		return nil
	}
	m.before, m.waits, m.patience = u.live, 0, evictChecks
	done, err := d.makeRoom(ctx, u)
	if err == nil {
		d.log.Error("memory was used up", append(u.attrs(), "done", done)...)
	}
	return err
}

// letIn gives sources what they may have.
func (d *Daemon) letIn() {
	m := &d.memory
	if m.stuck {
		m.stuck = false
		d.health.set(memoryFull, "")
	}
	m.patience, m.waits, m.futile = 0, 0, 0
	d.throttle.bound(m.underway())
}

// makeRoom writes the records that make room, once, and says what they do. A
// snapshot takes room while it is written, so that one that is under way comes
// first; and it gives back what it knows to be gone, so that another follows.
func (d *Daemon) makeRoom(ctx context.Context, u use) (string, error) {
	if waited, err := d.awaitSnapshot(ctx); err != nil {
		return "", err
	} else if waited {
		runtime.GC()
		if u = d.memory.read(); u.share() < fullHeap {
			return "a snapshot has given room back", nil
		}
	}
	var notices []engine.Notice
	var held int
	ask := command{after: func(*engine.Output) { notices, held = d.durable.Coldest(1 - targetHeap/u.share()) }, done: make(chan error, 1)}
	if err := d.send(ctx, ask); err != nil {
		return "", err
	}
	if int64(held)*heldBytes > u.budget/8 {
		return fmt.Sprintf("%d events that were held back are judged", held), d.notice(ctx, engine.Notice{Judge: true})
	}
	keys := 0
	for _, n := range notices {
		for _, of := range n.Evict {
			keys += len(of.Keys)
		}
		if err := d.notice(ctx, n); err != nil {
			return "", err
		}
	}
	if d.saved.Load() != 0 { // else no snapshot knows of them
		d.saveSoon()
	}
	return fmt.Sprintf("the state of %d keys was dropped that were not heard of for longest", keys), nil
}

// awaitSnapshot waits for the end of the snapshot that is under way, and reports
// whether there was one.
func (d *Daemon) awaitSnapshot(ctx context.Context) (waited bool, err error) {
	over := make(chan struct{})
	select {
	case d.whenSaved <- over:
	case <-d.loopDone:
		return false, errStopped
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case <-over:
		return false, nil
	default:
	}
	select {
	case <-over:
		return true, nil
	case <-d.loopDone:
		return false, errStopped
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// saveSoon has a snapshot begun, unless one is under way.
func (d *Daemon) saveSoon() {
	select {
	case d.wantSave <- struct{}{}:
	default: // somebody has asked already
	}
}

func (u use) String() string {
	return fmt.Sprintf("%d MB of %d MB are in use", u.live>>20, u.budget>>20)
}

func (u use) attrs() []any { return []any{"live", u.live, "budget", u.budget, "files", u.files} }
