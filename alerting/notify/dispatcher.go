package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cepd/cepd/event"
)

// Sink says how to deliver to one sink.
type Sink struct {
	// Name is what rules call it in `to` and `emit_to`.
	Name string
	// Notifier sends to it.
	Notifier Notifier
	// Workers is how many deliveries may be on their way at once, each
	// about another subject. Default 4; a [Keeper] has one.
	Workers int
	// Timeout bounds one try. Default 15s.
	Timeout time.Duration
	// MaxAge is how old a delivery may become before it is given up, counted
	// from when it came into the outbox. It is tried once at least. 0: any age.
	MaxAge time.Duration
}

// Config sets up a [Dispatcher].
type Config struct {
	// Sinks to deliver to. Their names must be distinct.
	Sinks []Sink
	// DefaultTo names the sinks of an alert that names none. nil: every sink.
	DefaultTo []string
	// Outbox keeps what is to be sent. Required. Whoever made it closes it after
	// [Dispatcher.Stop].
	Outbox Outbox
	// BackoffMin and BackoffMax are the first and the greatest bound of the
	// random wait before another try. Default 1s and 5m.
	BackoffMin, BackoffMax time.Duration
	// Rand returns a number in [0, 1) to draw waits by. Default: a random one.
	// It may be called from several goroutines at once.
	Rand func() float64
	// Logger is told of failures. Default: nobody.
	Logger *slog.Logger
	// Ended is told of each delivery that has come to an end: f is nil where the
	// sink has confirmed it, else it says why it was given up. It must return at
	// once, and may be called from several goroutines. Default: nobody.
	Ended func(d Delivery, f *Failure)
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	c.Sinks = slices.Clone(c.Sinks)
	for i := range c.Sinks {
		s := &c.Sinks[i]
		orDefault(&s.Workers, 4)
		if _, ok := s.Notifier.(Keeper); ok {
			s.Workers = 1
		}
		orDefault(&s.Timeout, 15*time.Second)
	}
	if c.DefaultTo == nil {
		for _, s := range c.Sinks {
			c.DefaultTo = append(c.DefaultTo, s.Name)
		}
	}
	orDefault(&c.BackoffMin, time.Second)
	orDefault(&c.BackoffMax, 5*time.Minute)
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Ended == nil {
		c.Ended = func(Delivery, *Failure) {}
	}
}

func orDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Validate reports every contradiction in c at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Outbox == nil {
		bad("there is no outbox")
	}
	names := map[string]bool{}
	for _, s := range c.Sinks {
		switch {
		case s.Name == "":
			bad("a sink has no name")
		case names[s.Name]:
			bad("two sinks are called %q", s.Name)
		}
		names[s.Name] = true
		if s.Notifier == nil {
			bad("sink %q has no notifier", s.Name)
		}
		if s.Workers < 0 || s.Timeout < 0 || s.MaxAge < 0 {
			bad("sink %q: workers, timeout and max_age may not be negative", s.Name)
		}
	}
	for _, to := range c.DefaultTo {
		if !names[to] {
			bad("there is no sink %q to send to by default", to)
		}
	}
	if c.BackoffMin < 0 || c.BackoffMax < c.BackoffMin {
		bad("the wait between tries cannot go from %v to %v", c.BackoffMin, c.BackoffMax)
	}
	return errors.Join(errs...)
}

// Dispatcher delivers messages to sinks. See the package comment.
type Dispatcher struct {
	cfg    Config
	sinks  map[string]*sink
	repeat *repeater
	ctx    context.Context // ends all tries
	cancel context.CancelFunc
	wg     sync.WaitGroup
	start  sync.Once
	stop   sync.Once
	left   []Left
}

// New returns a dispatcher that [Dispatcher.Start] sets going. It tells the
// outbox which sinks there are.
func New(cfg Config) (*Dispatcher, error) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("setting up delivery: %w", err)
	}
	d := &Dispatcher{cfg: cfg, sinks: map[string]*sink{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for _, s := range cfg.Sinks {
		d.sinks[s.Name] = newSink(d, s)
	}
	if err := cfg.Outbox.Sinks(d.names()); err != nil {
		return nil, fmt.Errorf("setting up delivery: %w", err)
	}
	for _, name := range d.names() {
		if err := d.sinks[name].restore(); err != nil {
			return nil, fmt.Errorf("setting up delivery: %w", err)
		}
	}
	d.repeat = newRepeater(d)
	return d, nil
}

// Start begins to deliver, with what the outbox holds already.
func (d *Dispatcher) Start() {
	d.start.Do(func() {
		for _, name := range d.names() {
			s := d.sinks[name]
			for range s.Workers {
				d.wg.Go(s.work)
			}
		}
		d.repeat.wake()
	})
}

func (d *Dispatcher) names() []string { return slices.Sorted(maps.Keys(d.sinks)) }

// Enqueue adds messages to the outbox, in order, for delivery. They are all that
// came of the records of the input log up to the given one. It waits for the
// outbox only, never for a sink. After [Dispatcher.Stop] messages still reach
// the outbox, but no sink.
func (d *Dispatcher) Enqueue(through event.Position, ms []Message) error {
	entries := make([]Message, len(ms))
	for i, m := range ms {
		if m.Transition != nil && len(m.Transition.To) == 0 {
			m = m.toSinks(d.cfg.DefaultTo)
		}
		for _, name := range m.Sinks() {
			if d.sinks[name] == nil {
				d.cfg.Logger.Error("there is no sink of that name: a dead letter", attrs(NewDelivery(m, name, 0))...)
			}
		}
		entries[i] = m
	}
	if err := d.cfg.Outbox.Append(through, entries); err != nil {
		return err
	}
	if len(ms) > 0 {
		d.wake()
	}
	return nil
}

// wake makes all sinks look into the outbox.
func (d *Dispatcher) wake() {
	for _, s := range d.sinks {
		s.wake()
	}
}

// Retry puts dead letters back, and returns how many it found. It is for
// whoever has mended what was in the way.
func (d *Dispatcher) Retry(seqs []uint64) (int, error) {
	n, err := d.cfg.Outbox.Retry(seqs)
	d.wake()
	return n, err
}

// Refresh sends again all alerts that fire and that a sink knows of, to a sink
// that has forgotten them. It returns how many they are.
func (d *Dispatcher) Refresh(sink string) (int, error) {
	n, err := d.cfg.Outbox.Refresh(sink)
	d.wake()
	return n, err
}

// awaitEvery is how often [Dispatcher.Await] looks again.
const awaitEvery = 10 * time.Millisecond

// Await returns when no sink has more than limit messages still to get, or with
// an error when ctx is done. It is for those who can make messages faster than
// sinks take them, and need not.
func (d *Dispatcher) Await(ctx context.Context, limit int) error {
	behind := func(name string) bool { return d.cfg.Outbox.Pending(name) > limit }
	var tick *time.Ticker
	for names := d.names(); slices.ContainsFunc(names, behind); {
		if tick == nil {
			tick = time.NewTicker(awaitEvery)
			defer tick.Stop()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func attrs(v Delivery) []any {
	if d := v.Derived; d != nil {
		return []any{"sink", v.Sink, "rule", d.Rule, "key", event.KeyText(d.Key), "id", v.ID, "position", d.Position.String()}
	}
	t := v.Transition
	return []any{"sink", v.Sink, "rule", t.Rule, "change", t.Change.String(),
		"alert", t.Fingerprint, "id", v.ID, "position", t.Position.String()}
}

// Left says what a sink did not get before its dispatcher was stopped.
type Left struct {
	Sink       string
	Deliveries int
}

// Stop delivers what can be delivered until ctx is done, tries that back off
// included where they fall due in time, and then cuts what is under way. It
// returns what is left, by sink, and may be called again, to no further effect.
func (d *Dispatcher) Stop(ctx context.Context) []Left {
	d.stop.Do(func() {
		d.start.Do(func() {}) // a dispatcher that never started does not do so now
		d.repeat.stop()
		for _, s := range d.sinks {
			s.drain(ctx)
		}
		cut := context.AfterFunc(ctx, func() {
			for _, s := range d.sinks {
				s.close()
			}
			d.cancel()
		})
		d.wg.Wait()
		cut()
		d.cancel()
		for _, name := range d.names() {
			s := d.sinks[name]
			s.close()
			if n := d.cfg.Outbox.Pending(name); n > 0 {
				d.left = append(d.left, Left{name, n})
			}
		}
	})
	return d.left
}

// Stats are counts since the start, for metrics.
type Stats struct {
	Sinks  []SinkStats // by name
	Outbox OutboxStats
}

// SinkStats are the counts of one sink.
type SinkStats struct {
	Name    string
	Sent    uint64
	Failed  map[Reason]uint64 // given up, by the reason of the last try
	Retries uint64            // tries that failed and are followed by another
	Pending int               // not sent yet
	Oldest  time.Duration     // how long the oldest of those has been waiting
	Broken  bool              // the circuit breaker is open: only one is tried at a time
}

// Stats returns the counts so far.
func (d *Dispatcher) Stats() Stats {
	st := Stats{Outbox: d.cfg.Outbox.Stats()}
	for _, name := range d.names() {
		one := d.sinks[name].stats()
		one.Pending = d.cfg.Outbox.Pending(name)
		st.Sinks = append(st.Sinks, one)
	}
	return st
}
