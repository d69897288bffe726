package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/durable"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/failpoint"
	"github.com/cepd/cepd/state"
	"github.com/cepd/cepd/state/outbox"
	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
	"github.com/cepd/cepd/web"
)

// stateFormat is the number of the layout of a state directory. It is raised
// when an older cepd could not find its way in it any more.
const stateFormat = 1

// What lies in a state directory. Each part has a format of its own.
const (
	formatFile  = "FORMAT"
	lockFile    = "LOCK"
	logDir      = "log"       // the input log
	outboxDir   = "outbox"    // what sinks are to get
	snapshotDir = "snapshots" // the engine's state
	rulesDir    = "rules"     // rule sets that the log and the snapshots name
	clientDir   = "client-ids"
	sessionDir  = "sessions" // that sources have at brokers
)

// LogDir returns where in a state directory the input log is.
func LogDir(state string) string { return filepath.Join(state, logDir) }

// stateDir is an open state directory.
type stateDir struct {
	fs      vfs.FS
	path    string
	lock    io.Closer
	log     *wal.Log
	outbox  *outbox.Outbox
	store   *state.Store
	bundles *durable.Bundles
}

// lockState takes a state directory, which it makes if there is none. One of a
// newer format, or that somebody else has, is left as it is.
func lockState(fsys vfs.FS, path string) (*stateDir, error) {
	s := &stateDir{fs: fsys, path: path}
	if err := fsys.MkdirAll(path); err != nil {
		return nil, fmt.Errorf("state.dir: %w", err)
	}
	lock, err := fsys.Lock(filepath.Join(path, lockFile))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("state.dir: %s is in use by another cepd; each needs a directory of its own", path)
	}
	if err != nil {
		return nil, fmt.Errorf("state.dir: %w", err)
	}
	s.lock = lock
	if err := s.checkFormat(); err != nil {
		return nil, errors.Join(fmt.Errorf("state.dir: %w", err), lock.Close())
	}
	return s, nil
}

// checkFormat makes sure that this cepd can read the directory. A new one is
// given the format.
func (s *stateDir) checkFormat() error {
	name := filepath.Join(s.path, formatFile)
	data, err := vfs.ReadFile(s.fs, name)
	if errors.Is(err, fs.ErrNotExist) {
		return s.markNew(name)
	}
	if err != nil {
		return err
	}
	format := 0
	if _, err := fmt.Fscanf(bytes.NewReader(data), "cepd state %d\n", &format); err != nil {
		return fmt.Errorf("%s is not what cepd wrote: %q; is this the right directory?", name, data[:min(len(data), 40)])
	}
	if format > stateFormat {
		return fmt.Errorf("%s has format %d, and this cepd reads formats up to %d: start the newer cepd that wrote it; no file was changed", s.path, format, stateFormat)
	}
	return nil
}

// markNew makes a directory one of cepd's, unless it has parts of one already.
func (s *stateDir) markNew(name string) error {
	for _, part := range []string{logDir, outboxDir, snapshotDir} {
		if files, err := s.fs.List(filepath.Join(s.path, part)); err == nil && len(files) > 0 {
			return fmt.Errorf("%s is missing, and %s is not empty: restore it from a copy, or begin with an empty directory", name, part)
		}
	}
	if err := failpoint.Hit("state", "before-format"); err != nil {
		return err
	}
	if err := vfs.WriteFile(s.fs, name, fmt.Appendf(nil, "cepd state %d\n", stateFormat)); err != nil {
		return err
	}
	return failpoint.Hit("state", "after-format")
}

// has reports whether there is anything in a part.
func (s *stateDir) has(part string) bool {
	files, err := s.fs.List(filepath.Join(s.path, part))
	return err == nil && len(files) > 0
}

// checkParts makes sure that no part has gone. They are made one after the
// other, so a later one is not there without those before it. The snapshots may
// be moved away: the log leads to them, as far as it goes back.
func (s *stateDir) checkParts() error {
	parts := []string{logDir, outboxDir, snapshotDir}
	for i, part := range parts {
		if !s.has(part) && slices.ContainsFunc(parts[i+1:], s.has) {
			return s.missing(part)
		}
	}
	return nil
}

func (s *stateDir) missing(part string) error {
	return fmt.Errorf("%s is missing or empty, and other parts of %s are there: restore the whole directory from a copy, or begin with an empty one",
		filepath.Join(s.path, part), s.path)
}

// stateOptions say how the parts of a state directory are kept.
type stateOptions struct {
	wal    wal.Options
	outbox outbox.Options
	store  state.Options
}

// open opens the parts. After an error none is open; an error for which
// isFull holds may pass.
func (s *stateDir) open(o stateOptions) (repairs []segment.Repair, found *state.Recovery, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	var rec segment.Recovery
	if err = s.checkParts(); err != nil {
		return nil, nil, err
	}
	if s.bundles, err = durable.OpenBundles(s.fs, filepath.Join(s.path, rulesDir)); err != nil {
		return nil, nil, err
	}
	if s.log, rec, err = wal.Open(s.fs, filepath.Join(s.path, logDir), o.wal); err != nil {
		return nil, nil, err
	}
	repairs = append(repairs, rec.Repairs...)
	if !s.log.Last().IsZero() && !s.has(outboxDir) {
		return repairs, nil, s.missing(outboxDir)
	}
	if s.outbox, rec, err = outbox.Open(s.fs, filepath.Join(s.path, outboxDir), o.outbox); err != nil {
		return repairs, nil, err
	}
	repairs = append(repairs, rec.Repairs...)
	s.store, found, err = state.Open(filepath.Join(s.path, snapshotDir), o.store)
	return repairs, found, err
}

// close closes what open has opened, the lock not.
func (s *stateDir) close() error {
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.outbox != nil {
		errs = append(errs, s.outbox.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	s.store, s.outbox, s.log = nil, nil, nil
	return errors.Join(errs...)
}

// isFull reports whether an error says that there is no room left, which may
// pass.
func isFull(err error) bool {
	return vfs.IsFull(err) || errors.Is(err, state.ErrFull) || errors.Is(err, outbox.ErrFull)
}

// roomEvery is how often a disk that was full is looked at again.
const roomEvery = time.Second

// takeState takes the state directory, before anything else is touched: who
// starts cepd twice is to learn of that, not of an address that is in use.
func (d *Daemon) takeState(context.Context) (err error) {
	if d.cfg.State.Dir == "" {
		return nil
	}
	if d.taken, err = lockState(d.fs, d.cfg.State.Dir); err != nil {
		return err
	}
	d.started("lock", func(context.Context) {
		if err := d.taken.lock.Close(); err != nil {
			d.log.Error("letting go of the state", "err", err)
		}
	})
	return nil
}

// openState opens what is in the state directory. While the disk is full it
// waits.
func (d *Daemon) openState(ctx context.Context) (err error) {
	if d.taken == nil {
		return nil
	}
	s := d.taken
	d.started("state", func(context.Context) {
		if err := s.close(); err != nil {
			d.log.Error("closing the state", "err", err)
		}
	})
	d.health.set(recovering, "opening the state")
	var found *state.Recovery
	err = d.whileFull(ctx, func() (err error) {
		var repairs []segment.Repair
		repairs, found, err = s.open(d.stateOptions())
		for _, r := range repairs {
			d.log.Warn("a write that a crash had cut short was removed", "repair", r.String())
		}
		return err
	})
	if err != nil {
		return err
	}
	if found.Back() {
		d.metrics.Add(web.StateDamaged, 1, "snapshot")
		d.log.Error("the newest snapshot is damaged, and the one before is used", "found", found.String())
	}
	d.state = s
	return nil
}

// snapshotRoom is what the database of snapshots may need at once: tables and
// memory-mapped files, for which it asks nobody.
const snapshotRoom = 24 << 20

// stateOptions returns how cepd.yaml wants its state to be kept.
func (d *Daemon) stateOptions() stateOptions {
	c := d.cfg.State
	return stateOptions{
		wal: wal.Options{
			Sync:    map[string]wal.Sync{config.SyncInterval: wal.Interval, config.SyncNever: wal.Never}[c.Sync],
			History: event.Duration(c.History), Synced: d.metrics.ObserveSync,
		},
		outbox: d.outboxOptions(),
		store: state.Options{
			Encoding: engine.Encoding, Semantics: engine.Semantics,
			// The log stops before, so that a snapshot can still be written and
			// the log be cut.
			MinFree: max(c.MinFree/2, snapshotRoom), Ballast: min(16<<20, c.MinFree/4),
		},
	}
}

// room returns what keeps the log from growing: too little room on the disk,
// which was full already or not.
func (d *Daemon) room(full bool) error {
	if d.state == nil {
		return nil
	}
	free, err := d.state.fs.Free(d.state.path)
	if err != nil {
		return nil // who cannot tell cannot refuse
	}
	need := d.cfg.State.MinFree
	if full { // some more, so as not to stop again at once
		need += need / 16
	}
	if free >= need {
		return nil
	}
	return &state.FullError{Dir: d.state.path, Free: free, Need: need}
}
