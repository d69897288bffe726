package durable

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state"
)

// Log is the input log. It gives each record its place; see package wal for
// what it promises.
type Log interface {
	Append(records []event.Record) (first event.Position, err error)
}

// KeptLog is a log that outlives the process.
type KeptLog interface {
	Log
	// Read calls f for each record after a position, in order. The record's
	// memory, but not what it points to, may be used again.
	Read(after event.Position, f func(*event.Record) error) error
	// First is the position of the first record that is kept, or to come.
	First() event.Position
	// Last is the position of the last record, the zero position without one.
	Last() event.Position
	// Sync makes durable whatever was appended.
	Sync() error
	// Truncate may remove the records below a position.
	Truncate(below event.Position) error
	// ID is the identity of the log.
	ID() string
}

// Outputs takes what the engine decides on the records up to a position, in
// order, and has it durable when Enqueue returns. What it has already, by its
// id, it leaves out.
type Outputs interface {
	Enqueue(through event.Position, ms []notify.Message) error
}

// KeptOutbox is what recovery asks of an outbox that outlives the process.
type KeptOutbox interface {
	// Covered is the position up to which it has all that came of the log.
	Covered() event.Position
	// Forget says that nothing that came of records up to a position will be
	// added again.
	Forget(through event.Position)
	// Firing returns the raises of the alerts that were raised and not cleared,
	// as far as it knows.
	Firing() ([]alerting.Transition, error)
}

// Keep is what outlives the process.
type Keep struct {
	Log     KeptLog
	Store   *state.Store
	Bundles *Bundles
	Outbox  KeptOutbox
	// Semantics is the number of what the rules mean. Default: the engine's.
	Semantics int
	// Progress, if not nil, is told of each step of recovery: how far it is, and
	// how far it goes. An error of it ends the recovery.
	Progress func(at, end event.Position) error
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
	// Keep is what outlives the process; nil: nothing does.
	Keep *Keep
	// BatchRecords is how many records recovery takes in one step. Default 4096.
	BatchRecords int
}

// Engine is an engine with the log that it reads and the outbox that it fills.
type Engine struct {
	cfg     Config
	keep    *Keep
	engine  *engine.Engine
	load    func(hash string) (*rules.Set, error)
	loadErr error       // why a rule set could not be loaded
	loaded  []loadedSet // in the present step
	rules   string      // hash of the rule set in force; empty before the first
	last    event.Position
	pending []notify.Message // decided, and not in the outbox yet

	snapshot *Snapshot      // that is under way; nil without one
	saved    event.Position // of the last snapshot
	whole    bool           // the next snapshot must be of the whole state

	arrival event.Time // of the last record that was appended; for Append alone
}

// loadedSet is a rule set that a record has named.
type loadedSet struct {
	hash string
	set  *rules.Set
}

// loadSet loads a rule set for the engine and notes its hash.
func (e *Engine) loadSet(hash string) (*rules.Set, error) {
	set, err := e.load(hash)
	if err != nil {
		e.loadErr = errors.Join(e.loadErr, err)
		return nil, err
	}
	e.loaded = append(e.loaded, loadedSet{hash, set})
	return set, nil
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
// decides waits for Deliver. The engine keeps the payloads of the records, but
// not their own memory.
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
	if e.keep != nil {
		for i := range records {
			if records[i].Kind == event.KindRuleSet {
				e.keep.Bundles.inForce(string(records[i].Payload), records[i].Pos)
			}
		}
	}
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
	e.discard()
	return nil
}

func (e *Engine) discard() {
	clear(e.pending)
	e.pending = e.pending[:0]
}

// Rules returns the hash of the rule set in force, empty before the first.
func (e *Engine) Rules() string { return e.rules }

// Set returns the rule set in force.
func (e *Engine) Set() *rules.Set { return e.engine.Rules() }

// Last returns the position of the last record that took effect.
func (e *Engine) Last() event.Position { return e.last }

// Arrival returns the time of arrival of the last record that was appended.
func (e *Engine) Arrival() event.Time { return e.arrival }

// Coldest lists a share of all keys, those that have not been heard of for
// longest, in notices that let their state go; held is how many events are held
// back.
func (e *Engine) Coldest(share float64) (notices []engine.Notice, held int) {
	return e.engine.Coldest(share), e.engine.Held()
}

// Age tells keys apart that are heard of from now on, and those before.
func (e *Engine) Age() { e.engine.Age() }

// MemoryNear reports whether, as far as the log says, memory is nearly used up.
func (e *Engine) MemoryNear() bool { return e.engine.MemoryNear() }

// GivenUp names the sinks of which the log says that deliveries to them are given
// up.
func (e *Engine) GivenUp() []string { return e.engine.GivenUp() }

// ClockWrong reports whether, as far as the log says, the clock is behind.
func (e *Engine) ClockWrong() bool { return e.engine.ClockWrong() }

// Watermarks returns the watermark of each stream, by name.
func (e *Engine) Watermarks() map[string]event.Time { return e.engine.Watermarks() }

// StreamTimes returns how far the time of each stream has come, by name; what it
// returns may be used while the engine goes on.
func (e *Engine) StreamTimes() map[string]engine.StreamTime { return e.engine.StreamTimes() }

// Firing counts the alerts that fire, by rule.
func (e *Engine) Firing() map[string]int64 {
	firing := map[string]int64{}
	e.engine.Firing(func(raise *alerting.Transition) { firing[raise.Rule]++ })
	return firing
}
