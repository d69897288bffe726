package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/durable"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/pool"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state/outbox"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/web"
)

// waitingGroups bounds the channel between appender and loop: what the log has
// and the engine has not. A full one makes the appender wait.
const waitingGroups = 4

// waitingBatches bounds the channel between sources and appender. A full one
// makes sources wait, which makes their brokers keep what comes. What batches
// hold is bounded by the throttle.
const waitingBatches = 16

// Daemon is one cepd process: sources, engine and sinks, wired. See the package
// comment for its goroutines.
type Daemon struct {
	opts  Options
	cfg   *config.Config
	log   *slog.Logger
	clock *clock

	first      *ruleSet  // what to start with
	fs         vfs.FS    // of the state directory
	taken      *stateDir // is ours; nil: nothing outlives the process
	state      *stateDir // the same, once it is open
	durable    *durable.Engine
	began      event.Position // of the record that says so
	pool       *pool.Pool
	dispatcher *notify.Dispatcher
	delivery   atomic.Pointer[delivery] // for the HTTP server, which is there before
	refresh    refresher
	givenUp    *givenUp
	throttle   *throttle
	memory     memory
	metrics    *web.Metrics
	addr       string

	batches   chan sourceBatch
	commands  chan command
	groups    chan group          // that were appended, for the loop; closed by the appender
	spent     chan []event.Record // memory of groups, for the appender
	deadlines chan deadline       // at most one, the newest
	wantSave  chan struct{}       // holds a token when a snapshot is wanted before its time
	whenSaved chan chan struct{}  // to be closed when no snapshot is under way
	quit      chan struct{}       // closed when the sources have stopped
	hurry     chan struct{}       // closed when a stop cannot wait for a snapshot any more
	loopDone  chan struct{}
	saverDone chan struct{}

	// Of the loop alone.
	marked   event.Time                // when the watermarks were last exported
	standIns map[string]engine.StandIn // of sources whose messages have no topic
	unrouted map[string]bool           // sources of messages that no stream takes
	rejected map[string]event.Time     // when a message of a stream was last logged, by stream and reason

	rules     atomic.Pointer[ruleSet] // in force
	health    *health
	running   atomic.Bool       // all parts have started
	saved     atomic.Int64      // when the last snapshot was taken; 0: never
	reloading sync.Mutex        // held while rules are reloaded or sources replaced
	closing   bool              // guarded by reloading: no more reloads
	watcher   *fsnotify.Watcher // guarded by reloading: of the folders of rule files and tables; nil where none are watched

	mu      sync.Mutex
	sources map[string]*runningSource
	reading int // sources that have not ended
	stats   engine.Stats
	times   map[string]engine.StreamTime // how far streams have come, by name
	firing  map[string]int64             // alerts that fired after recovery, by rule
	tables  map[string]bool              // files that tables are or were read from
	coming  map[string]*ruleSet          // that a record names which did not take effect yet, by hash
	err     error
	ended   bool
	done    chan struct{} // closed when the daemon should stop by itself
	failed  chan struct{} // closed when it cannot go on
	failure error

	notices notices // of the goroutine that watches the clock, once it runs

	life    lifecycle
	undo    []step        // of Start, to be undone in reverse
	begun   chan struct{} // closed when all parts have started
	halted  chan struct{} // closed when Stop begins, or Start is given up: nobody waits for the log any more
	halting sync.Once
	stopped chan struct{}
	stopErr error
}

// lifecycle guards Start and Stop.
type lifecycle struct {
	sync.Mutex
	started, stopping bool
}

// step is something that Start did, and how to undo it.
type step struct {
	name string
	undo func(ctx context.Context)
}

// New checks options and rules and builds a daemon. It starts no goroutine and
// opens no connection. Mistakes in rules are an error that holds their report.
func New(opts Options) (*Daemon, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	d := &Daemon{
		opts: opts, cfg: opts.Config, fs: vfs.OS(), log: opts.Logger, clock: newClock(opts.Now),
		health: newHealth(), throttle: newThrottle(maxUnderway), givenUp: newGivenUp(),
		batches: make(chan sourceBatch, waitingBatches), commands: make(chan command), quit: make(chan struct{}), loopDone: make(chan struct{}), saverDone: make(chan struct{}), hurry: make(chan struct{}),
		groups: make(chan group, waitingGroups), spent: make(chan []event.Record, waitingGroups), deadlines: make(chan deadline, 1), wantSave: make(chan struct{}, 1), whenSaved: make(chan chan struct{}),
		coming: map[string]*ruleSet{}, tables: map[string]bool{}, firing: map[string]int64{},
		sources: map[string]*runningSource{}, rejected: map[string]event.Time{}, unrouted: map[string]bool{}, standIns: map[string]engine.StandIn{}, marked: event.MinTime,
		done: make(chan struct{}), failed: make(chan struct{}), stopped: make(chan struct{}), begun: make(chan struct{}), halted: make(chan struct{}),
	}
	first, report, err := d.readRules()
	if err == nil && !report.OK() {
		err = &MistakesError{report}
	}
	if err != nil {
		return nil, err
	}
	for _, i := range report.Issues {
		d.log.Warn("rule file", "issue", i.String())
	}
	d.first = first
	d.metrics = newMetrics(d)
	return d, nil
}

// Start connects and begins to work. If anything fails it undoes what it did.
func (d *Daemon) Start(ctx context.Context) error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.life.started || d.life.stopping {
		return errors.New("a daemon starts once")
	}
	d.life.started = true
	defer context.AfterFunc(ctx, d.halt)()
	for _, f := range []func(context.Context) error{d.limitMemory, d.takeState, d.startHTTP, d.openState, d.startSinks, d.startLoop, d.startNotices, d.startMemory, d.startSources, d.startWatch} {
		if err := f(ctx); err != nil {
			d.halt()
			// Nothing new was decided. What waits for a sink that is down, waits on.
			bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
			defer cancel()
			d.unwind(bound)
			if errors.Is(err, errStopped) && ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
	}
	d.health.set(notStarted, "")
	d.running.Store(true)
	close(d.begun)
	d.log.Info("cepd is running", "version", d.opts.Version, "rules", len(d.first.set.Rules), "sources", len(d.cfg.Sources),
		"sinks", len(d.cfg.Sinks), "http", d.Addr())
	return nil
}

func (d *Daemon) started(name string, undo func(ctx context.Context)) {
	d.undo = append(d.undo, step{name, undo})
}

// halt lets go of who waits for a record to take effect. That may take for ever:
// as long as the disk or the outbox is full.
func (d *Daemon) halt() { d.halting.Do(func() { close(d.halted) }) }

// unwind undoes what Start did, last things first.
func (d *Daemon) unwind(ctx context.Context) {
	for i := len(d.undo) - 1; i >= 0; i-- {
		d.undo[i].undo(ctx)
		d.log.Debug("stopped", "part", d.undo[i].name)
	}
	d.undo = nil
}

// Stop reads nothing more, lets what was read take effect, delivers what can be
// delivered until ctx is done (or StopTimeout, whichever comes first), and
// returns when every goroutine has ended. Its error says what could not be
// delivered. It may be called more than once.
func (d *Daemon) Stop(ctx context.Context) error {
	d.life.Lock()
	if d.life.stopping {
		d.life.Unlock()
		<-d.stopped
		return d.stopErr
	}
	d.life.stopping = true
	d.life.Unlock()
	d.halt()
	defer close(d.stopped)
	ctx, cancel := context.WithTimeout(ctx, d.opts.StopTimeout)
	defer cancel()
	d.health.set(notStarted, "stopping")
	d.unwind(ctx)
	d.log.Info("cepd has stopped", d.counted()...)
	return d.stopErr
}

// counted says what there was, for the log.
func (d *Daemon) counted() []any {
	st := d.Stats()
	attrs := []any{"events", st.Events.Total(""), "raised", st.Raised.Total(""), "cleared", st.Cleared.Total("")}
	for _, c := range []struct {
		what string
		n    int64
	}{{"rejected", st.Rejected.Total("")}, {"late", st.Late.Total("")}, {"unrouted", st.Unrouted.Total("")}} {
		if c.n > 0 {
			attrs = append(attrs, c.what, c.n)
		}
	}
	return attrs
}

// Done is closed when the daemon has a reason to stop by itself: every source
// has ended, or something failed that it cannot do without; see [Daemon.Err].
func (d *Daemon) Done() <-chan struct{} { return d.done }

// Err returns why Done is closed; nil where the sources have ended.
func (d *Daemon) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// fail notes an error that ends the daemon.
func (d *Daemon) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure != nil {
		return
	}
	d.log.Error("cannot go on", "err", err)
	d.failure = err
	close(d.failed)
	d.finish(err)
}

// finish closes Done, once; d.mu is held.
func (d *Daemon) finish(err error) {
	if d.err == nil {
		d.err = err
	}
	if !d.ended {
		d.ended = true
		close(d.done)
	}
}

// Rules returns the rule set in force, nil before Start.
func (d *Daemon) Rules() *rules.Set {
	if r := d.rules.Load(); r != nil {
		return r.set
	}
	return nil
}

// Stats returns what the engine has counted since the start.
func (d *Daemon) Stats() engine.Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	var s engine.Stats
	s.Add(d.stats)
	return s
}

// startSinks starts to deliver.
func (d *Daemon) startSinks(context.Context) error {
	open, err := d.openSinks()
	if err != nil {
		return err
	}
	box := d.outbox()
	d.dispatcher, err = notify.New(notify.Config{Sinks: open.list, Outbox: box, Logger: d.log, Ended: d.givenUp.ended})
	if err != nil {
		open.close(context.Background())
		return err
	}
	d.delivery.Store(&delivery{box, d.dispatcher})
	d.refresh.begin(d.dispatcher, d.log)
	if err := d.publishAddress(); err != nil {
		d.log.Warn("commands will not find this cepd by its state directory", "err", err)
	}
	d.dispatcher.Start()
	d.started("sinks", func(ctx context.Context) {
		d.stopErr = d.stopSinks(ctx)
		open.close(ctx)
	})
	return nil
}

// outbox returns the outbox of the state directory, or one in memory.
func (d *Daemon) outbox() notify.Outbox {
	if d.state != nil {
		return d.state.outbox
	}
	o := d.outboxOptions()
	if limit := d.memory.limit; limit > 0 {
		o.MaxBytes = min(o.MaxBytes, limit/8)
	}
	return outbox.NewMemory(o)
}

func (d *Daemon) outboxOptions() outbox.Options {
	return outbox.Options{MaxBytes: d.cfg.Outbox.MaxBytes, DeadLetters: d.cfg.Outbox.DeadLetters, Logger: d.log}
}

// stopGrace is how long a sink may take to notice that its time is over.
const stopGrace = time.Second

// stopSinks delivers what can be delivered and says what is left. A sink that
// does not let go, such as a terminal that takes no output, is left behind.
func (d *Daemon) stopSinks(ctx context.Context) error {
	stopped := make(chan []notify.Left, 1)
	go func() { stopped <- d.dispatcher.Stop(ctx) }()
	bound, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })()
	select {
	case all := <-stopped:
		var errs []error
		for _, left := range all {
			if d.state != nil {
				d.log.Warn("what a sink has not got is kept for the next start", "sink", left.Sink, "deliveries", left.Deliveries)
				continue
			}
			errs = append(errs, fmt.Errorf("%s to sink %s could not be delivered", plural(left.Deliveries, "change"), left.Sink))
		}
		return errors.Join(errs...)
	case <-bound.Done():
		return errors.New("a sink does not stop")
	}
}

// send gives a command to the appender and waits for the loop's answer. It waits
// on when ctx ends, since what was taken will take effect, but not when the
// daemon is to stop.
func (d *Daemon) send(ctx context.Context, c command) error {
	if err := d.post(ctx, c); err != nil {
		return err
	}
	select {
	case err := <-c.done:
		return err
	case <-d.halted:
		return errStopped
	}
}

// post gives a command to the appender.
func (d *Daemon) post(ctx context.Context, c command) error {
	select {
	case d.commands <- c:
		return nil
	case <-d.loopDone:
		return errStopped
	case <-d.halted:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}
