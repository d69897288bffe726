package durable

import (
	"errors"
	"fmt"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/failpoint"
	"github.com/cepd/cepd/state"
)

// Snapshot is a snapshot on its way to the store. [Snapshot.Next] belongs to the
// goroutine that steps, Write, Seal and Abandon to the one that writes; they are
// never at the same time of use for the same rows.
type Snapshot struct {
	Position event.Position // of the last record that it knows
	Full     bool           // it is the whole state

	engine *Engine
	rules  string
	inner  *engine.Snapshot
	epoch  *state.Epoch // nil before the first write
	rows   int
}

// Changed reports whether a snapshot would hold anything that the last one does
// not.
func (e *Engine) Changed() bool { return e.keep != nil && e.last != e.saved }

// Begin takes a snapshot of the state as it is now: the engine may go on. There
// is none, and Begin returns nil, where nothing outlives the process, where one
// is under way, and while something waits for [Engine.Deliver].
func (e *Engine) Begin() *Snapshot {
	if e.keep == nil || e.snapshot != nil || len(e.pending) > 0 || e.rules == "" {
		return nil
	}
	inner := e.engine.Snapshot(e.whole)
	e.snapshot = &Snapshot{Position: e.last, Full: inner.Full, engine: e, rules: e.rules, inner: inner}
	return e.snapshot
}

// Next returns up to max rows for Write, and whether they are the last. It is to
// be called where Step is, between steps.
func (s *Snapshot) Next(max int) (rows []state.Row, done bool) {
	all, done := s.inner.Next(max)
	rows = make([]state.Row, len(all))
	for i, r := range all {
		rows[i] = state.Row(r)
	}
	return rows, done
}

// Write writes rows to the store. After an error the snapshot can only be
// abandoned.
func (s *Snapshot) Write(rows []state.Row) (err error) {
	if s.epoch == nil {
		if err = failpoint.Hit("snapshot", "before-begin"); err == nil {
			s.epoch, err = s.engine.keep.Store.Begin(s.Full)
		}
		if err != nil {
			return fmt.Errorf("beginning a snapshot: %w", err)
		}
	}
	s.rows += len(rows)
	if err = failpoint.Hit("snapshot", "before-rows"); err == nil {
		err = s.epoch.Put(rows)
	}
	if err == nil {
		err = failpoint.Hit("snapshot", "after-rows")
	}
	if err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return nil
}

// Rows is how many rows were written.
func (s *Snapshot) Rows() int { return s.rows }

// Seal writes the marker that makes the snapshot count, after all of its rows,
// and lets go of what only older ones needed. An error that is no
// [CutError] means that the snapshot can only be abandoned.
func (s *Snapshot) Seal(taken event.Time) error {
	k := s.engine.keep
	// With a log that is not synced each time, the marker could be on the disk
	// and the records that it follows not.
	if err := k.Log.Sync(); err != nil {
		return fmt.Errorf("syncing the log before a snapshot: %w", err)
	}
	if s.epoch == nil {
		if err := s.Write(nil); err != nil {
			return err
		}
	}
	err := failpoint.Hit("snapshot", "before-marker")
	if err == nil {
		err = s.epoch.Commit(state.Marker{
			Log: k.Log.ID(), Position: s.Position, RuleSet: s.rules,
			Encoding: engine.Encoding, Semantics: k.Semantics, Taken: taken,
		})
	}
	if err != nil {
		return fmt.Errorf("sealing a snapshot: %w", err)
	}
	if err = failpoint.Hit("snapshot", "before-cut"); err == nil {
		err = k.cut()
	}
	if err == nil {
		err = failpoint.Hit("snapshot", "after-cut")
	}
	if err != nil {
		return &CutError{err}
	}
	return nil
}

// CutError says that a snapshot counts, but that what it made needless could not
// be removed. The next one tries again.
type CutError struct{ Err error }

func (e *CutError) Error() string {
	return fmt.Sprintf("removing what a snapshot made needless: %v", e.Err)
}

// Unwrap returns the cause.
func (e *CutError) Unwrap() error { return e.Err }

// cut removes what only snapshots before the older of the two that are kept
// needed: records, ids and rules.
func (k *Keep) cut() error {
	epochs := k.Store.Epochs()
	if len(epochs) < 2 {
		return nil
	}
	oldest := epochs[len(epochs)-1]
	err := k.Log.Truncate(event.Position{Seq: oldest.Position.Seq + 1})
	k.Outbox.Forget(oldest.Position)
	var hashes []string
	for _, m := range epochs {
		hashes = append(hashes, m.RuleSet)
	}
	return errors.Join(err, k.Bundles.prune(k.Log.First(), hashes))
}

// Abandon removes what was written of a snapshot.
func (s *Snapshot) Abandon() error {
	if s.epoch == nil {
		return nil
	}
	return s.epoch.Abandon()
}

// End ends a snapshot: err is what its writing came to. It belongs to the
// goroutine that steps, after the last call of the one that writes.
func (e *Engine) End(s *Snapshot, err error) {
	var cut *CutError
	var row *state.RowError
	e.snapshot = nil
	switch {
	case err == nil || errors.As(err, &cut):
		s.inner.Committed()
		e.saved, e.whole = s.Position, false
	default:
		s.inner.Abandoned()
		// What is stored of a damaged row cannot be built upon.
		e.whole = e.whole || errors.As(err, &row)
	}
}
