package durable

import (
	"fmt"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// Log is the input log. It gives each record its place; see package wal for
// what it promises.
type Log interface {
	Append(records []event.Record) (first event.Position, err error)
}

// Outputs takes what the engine decides, in order, and has it durable when
// Enqueue returns: all that came of records up to the given one. What it has
// already, by its id, it leaves out.
type Outputs interface {
	Enqueue(through event.Position, ms []notify.Message) error
}

// Config says what an [Engine] is made of.
type Config struct {
	// Engine is the configuration of the engine itself. Its Load is asked for
	// rule sets of the log, and must return the same set for the same hash.
	Engine engine.Config
	// Log is the input log.
	Log Log
	// Outputs takes what is decided.
	Outputs Outputs
}

// Engine is an engine with the log that it reads and the outbox that it fills.
type Engine struct {
	cfg     Config
	engine  *engine.Engine
	load    func(hash string) (*rules.Set, error)
	loaded  []loadedSet // in the present step
	rules   string      // hash of the rule set in force; empty before the first
	last    event.Position
	pending []notify.Message // decided, and not in the outbox yet

	arrival event.Time // of the last record that was appended; for Append alone
}

// loadedSet is a rule set that a record has named.
type loadedSet struct {
	hash string
	set  *rules.Set
}

// Open returns an engine with the state that its log, and its snapshots, lead
// to.
func Open(c Config) (*Engine, error) {
	e := &Engine{cfg: c, load: c.Engine.Load, arrival: event.MinTime}
	e.cfg.Engine.Load = e.loadSet
	e.engine = engine.New(e.cfg.Engine)
	return e, nil
}

// loadSet loads a rule set for the engine and notes its hash.
func (e *Engine) loadSet(hash string) (*rules.Set, error) {
	set, err := e.load(hash)
	if err == nil {
		e.loaded = append(e.loaded, loadedSet{hash, set})
	}
	return set, err
}

// Append gives records their places in the log. When it returns without an
// error they may be acknowledged, and are to be given to Step, in the order of
// the log. After an error nothing has happened, and they may be appended again.
func (e *Engine) Append(records []event.Record) error {
	arrival := e.arrival
	for i := range records { // sources read one clock, but not in the order of their batches
		arrival = max(arrival, records[i].Arrival)
		records[i].Arrival = arrival
	}
	if _, err := e.cfg.Log.Append(records); err != nil {
		return fmt.Errorf("appending to the log: %w", err)
	}
	e.arrival = arrival
	return nil
}

// Step lets records take effect that Append has put into the log. What it
// decides waits for Deliver. The records may not be changed afterwards: the
// engine keeps their payloads.
func (e *Engine) Step(records []event.Record) engine.Output {
	out := e.engine.Step(engine.Input{Records: records})
	e.last = records[len(records)-1].Pos
	for _, l := range e.loaded {
		if l.set == e.engine.Rules() {
			e.rules = l.hash
		}
	}
	clear(e.loaded)
	e.loaded = e.loaded[:0]
	e.pending = append(e.pending, notify.Messages(audible(out.Transitions), out.Emitted)...)
	return out
}

// audible returns the changes that sinks are told of. Those of rules in shadow
// mode are only shown.
func audible(all []alerting.Transition) []alerting.Transition {
	return slices.DeleteFunc(slices.Clone(all), func(t alerting.Transition) bool { return t.Shadow })
}

// Deliver puts what was decided into the outbox. After an error it is to be
// called again: it goes on where it was.
func (e *Engine) Deliver() error {
	if len(e.pending) == 0 {
		return nil
	}
	if err := e.cfg.Outputs.Enqueue(e.last, e.pending); err != nil {
		return err
	}
	clear(e.pending)
	e.pending = e.pending[:0]
	return nil
}

// Rules returns the hash of the rule set in force, empty before the first.
func (e *Engine) Rules() string { return e.rules }

// Last returns the position of the last record that took effect.
func (e *Engine) Last() event.Position { return e.last }

// Watermarks returns the watermark of each stream, by name.
func (e *Engine) Watermarks() map[string]event.Time { return e.engine.Watermarks() }
