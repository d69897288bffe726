package durable

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state"
)

// Recovered says what Open found, and what it did about it.
type Recovered struct {
	Snapshot event.Position  // that the state began with; zero without one
	Records  int             // of the log that took effect again
	Known    bool            // there was something: this is not the first start
	Missing  bool            // the log begins behind the snapshot: what lies between is lost
	Damage   []engine.Damage // of keys that start afresh
	// Quiet is the position up to which nothing was told, since another cepd
	// had told what it thought of it; zero for none.
	Quiet event.Position
	// Untold is how many changes were not told for that reason, and Cleared how
	// many alerts were cleared that fire no more for this cepd.
	Untold, Cleared int
}

// Open returns an engine with the state that the newest good snapshot and the
// log behind it lead to. What is decided on the way goes into the outbox, as far
// as that has not got it.
func Open(c Config) (*Engine, *Recovered, error) {
	if c.BatchRecords == 0 {
		c.BatchRecords = 4096
	}
	e := &Engine{cfg: c, keep: c.Keep, load: c.Engine.Load, arrival: event.MinTime}
	e.cfg.Engine.Load = e.loadSet
	rec := &Recovered{}
	if c.Keep == nil {
		e.engine = engine.New(e.cfg.Engine)
		return e, rec, nil
	}
	e.cfg.Engine.LogID = c.Keep.Log.ID()
	if c.Keep.Semantics == 0 {
		c.Keep.Semantics = engine.Semantics
	}
	r := recovery{Engine: e, rec: rec}
	if err := r.run(); err != nil {
		return nil, nil, err
	}
	return e, rec, nil
}

// recovery leads an engine to where the log ends.
type recovery struct {
	*Engine
	rec   *Recovered
	batch []event.Record
}

func (r *recovery) run() error {
	log := r.keep.Log
	r.keep.Bundles.opened(log.Last())
	m, ok := r.keep.Store.Newest()
	if ok {
		if err := r.restore(m); err != nil {
			return err
		}
	} else {
		r.engine = engine.New(r.cfg.Engine)
	}
	r.rec.Known = ok || !log.Last().IsZero()
	if err := r.findGap(); err != nil {
		return err
	}
	if r.rec.Missing || ok && m.Semantics != r.keep.Semantics {
		r.rec.Quiet = r.keep.Outbox.Covered()
	}
	if err := r.replay(); err != nil {
		return err
	}
	if !r.rec.Quiet.IsZero() || len(r.rec.Damage) > 0 {
		if err := r.clearUnknown(); err != nil {
			return err
		}
	}
	return r.findArrival()
}

// restore makes the engine that a snapshot is of.
func (r *recovery) restore(m state.Marker) error {
	log := r.keep.Log
	if m.Log != log.ID() {
		return fmt.Errorf("the snapshots belong to another log (%s, and this one is %s): the parts of the state directory are not of one copy", m.Log, log.ID())
	}
	set, err := r.loadSet(m.RuleSet)
	if err != nil {
		return fmt.Errorf("loading the rules of the snapshot at %s: %w", m.Position, err)
	}
	r.keep.Bundles.inForce(m.RuleSet, m.Position)
	r.engine, r.rec.Damage, err = engine.Restore(r.cfg.Engine, set, rowsOf(r.keep.Store.Rows(m.Epoch)))
	if err != nil {
		return fmt.Errorf("reading the snapshot at %s: %w", m.Position, err)
	}
	r.rules, r.last, r.saved, r.rec.Snapshot = m.RuleSet, m.Position, m.Position, m.Position
	r.loaded = r.loaded[:0]
	return nil
}

// rowsOf gives rows of a store the engine's type.
func rowsOf(rows iter.Seq2[state.Row, error]) iter.Seq2[engine.Row, error] {
	return func(yield func(engine.Row, error) bool) {
		for row, err := range rows {
			if !yield(engine.Row(row), err) {
				return
			}
		}
	}
}

// findGap makes sure that the log goes on where the snapshot ends.
func (r *recovery) findGap() error {
	first, last := r.keep.Log.First(), r.keep.Log.Last()
	if last.Compare(r.last) < 0 {
		return fmt.Errorf("the log ends at %s and the snapshot is of %s: the end of the log is lost; restore it from a copy, "+
			"or move the whole state directory away to begin anew", last, r.last)
	}
	if first.Seq > r.last.Seq+1 {
		if !r.last.IsZero() {
			return fmt.Errorf("the log begins at %s and the newest good snapshot is of %s: what lies between is lost; restore a copy, "+
				"or move the snapshots away to begin with what the log has", first, r.last)
		}
		r.rec.Missing = true
	}
	return nil
}

// replay lets the log behind the snapshot take effect.
func (r *recovery) replay() error {
	err := r.keep.Log.Read(r.last, func(rec *event.Record) error {
		r.batch = append(r.batch, *rec)
		if len(r.batch) == r.cfg.BatchRecords || rec.Pos == r.rec.Quiet {
			return r.step()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	return r.step()
}

// step lets a batch take effect, and tells what comes of it if it is to.
func (r *recovery) step() error {
	if len(r.batch) == 0 {
		return nil
	}
	r.Step(r.batch)
	r.rec.Records += len(r.batch)
	clear(r.batch)
	r.batch = r.batch[:0]
	if r.loadErr != nil {
		return fmt.Errorf("loading rules that the log names: %w", r.loadErr)
	}
	if r.last.Compare(r.rec.Quiet) <= 0 {
		r.rec.Untold += len(r.pending)
		r.discard()
	}
	if err := r.Deliver(); err != nil {
		return err
	}
	if r.keep.Progress != nil {
		return r.keep.Progress(r.last, r.keep.Log.Last())
	}
	return nil
}

// clearUnknown clears the alerts that sinks were told of and that do not fire
// any more, since another cepd judged them or their state is damaged.
func (r *recovery) clearUnknown() error {
	told, err := r.keep.Outbox.Firing()
	if err != nil {
		return fmt.Errorf("reading which alerts fire: %w", err)
	}
	fires := map[string]bool{}
	r.engine.Firing(func(raise *alerting.Transition) { fires[raise.Fingerprint] = true })
	now := event.MinTime
	for _, t := range r.engine.Watermarks() {
		now = max(now, t)
	}
	reason := alerting.ReasonDamaged
	if !r.rec.Quiet.IsZero() {
		reason = alerting.ReasonUpgrade
	}
	var clears []notify.Message
	slices.SortFunc(told, func(a, b alerting.Transition) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
	for _, raise := range told {
		if !fires[raise.Fingerprint] {
			clears = append(clears, notify.Changed(clearOf(raise, reason, max(now, raise.Time), r.last)))
		}
	}
	if len(clears) == 0 {
		return nil
	}
	r.rec.Cleared = len(clears)
	if err := r.cfg.Outputs.Enqueue(r.last, clears); err != nil {
		return fmt.Errorf("clearing alerts that fire no more: %w", err)
	}
	return nil
}

// clearOf returns the clear of an alert. Its id follows from that of the raise.
func clearOf(raise alerting.Transition, reason string, at event.Time, pos event.Position) alerting.Transition {
	t := raise
	t.Change, t.Reason, t.Time, t.EndsAt, t.Position, t.Evidence = alerting.Cleared, reason, at, at, pos, nil
	t.ID = alerting.TransitionID(alerting.Identity{Log: raise.ID, Rule: raise.Rule, Key: raise.Key, Change: alerting.Cleared})
	return t
}

// errEnough ends the reading of a log.
var errEnough = errors.New("enough")

// findArrival finds when the last record arrived: what comes now arrives later.
func (r *recovery) findArrival() error {
	last := r.keep.Log.Last()
	if last.IsZero() || last.Compare(r.keep.Log.First()) < 0 {
		return nil
	}
	last.Seq--
	err := r.keep.Log.Read(last, func(rec *event.Record) error {
		r.arrival = rec.Arrival
		return errEnough
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
