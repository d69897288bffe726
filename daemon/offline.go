package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/doctor"
	"github.com/cepd/cepd/durable"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state"
	"github.com/cepd/cepd/state/outbox"
	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

// offline is a state directory that no daemon uses, opened to be looked at. Log
// and outbox lie under an overlay and the snapshots are a copy, so that what
// opening mends is mended there and the directory is left as it is.
type offline struct {
	stateDir
	temp     string // of the copy
	found    *state.Recovery
	standIns map[string]engine.StandIn
	find     func(doctor.Finding)
	worst    doctor.Level
}

const adviceCopy = "restore the whole directory from a copy that was made while cepd was stopped"

func (o *offline) say(about string, level doctor.Level, text string, advice ...string) {
	o.worst = max(o.worst, level)
	o.find(doctor.Finding{About: about, Level: level, Text: text, Advice: advice})
}

// openOffline takes a state directory. The caller calls close.
func openOffline(path string, find func(doctor.Finding)) (*offline, error) {
	o := &offline{find: find, standIns: map[string]engine.StandIn{}}
	o.fs, o.path = vfs.NewOverlay(vfs.OS()), path
	if _, err := os.Stat(filepath.Join(path, formatFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no state directory: it has no file %s; name the directory that state.dir names", path, formatFile)
	}
	// The file is there if a daemon ever ran.
	lock, err := vfs.OS().Lock(filepath.Join(path, lockFile))
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("%s is in use by a cepd that runs: stop it first, or look at a copy", path)
	case err != nil:
		return nil, err
	}
	o.lock = lock
	if err := o.checkFormat(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if o.temp, err = os.MkdirTemp("", "cepd-state-"); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return o, nil
}

func (o *offline) close() error {
	return errors.Join(o.stateDir.close(), o.lock.Close(), os.RemoveAll(o.temp))
}

// openParts opens what is in the directory, and says what is wrong with it. It
// reports whether everything is there.
func (o *offline) openParts() bool {
	for _, open := range []struct {
		about string
		open  func() error
	}{{"log", o.openLog}, {"outbox", o.openOutbox}, {"rules", o.openRules}, {"snapshots", o.openSnapshots}} {
		if err := open.open(); err != nil {
			o.say(open.about, doctor.Fail, err.Error(), adviceCopy)
		}
	}
	return o.log != nil && o.outbox != nil && o.bundles != nil && o.store != nil
}

func (o *offline) openLog() (err error) {
	dir := filepath.Join(o.path, logDir)
	if files, err := o.fs.List(dir); err != nil || len(files) == 0 {
		return fmt.Errorf("there is no log in %s", dir)
	}
	var rec segment.Recovery
	if o.log, rec, err = wal.Open(o.fs, dir, wal.Options{}); err != nil {
		return err
	}
	text := fmt.Sprintf("records %d to %d, %s, id %s", o.log.First().Seq, o.log.Last().Seq, size(o.log.Bytes()), o.log.ID())
	if o.log.Last().IsZero() {
		text = "no record yet, id " + o.log.ID()
	}
	o.say("log", doctor.OK, text)
	o.sayRepairs("log", rec)
	return nil
}

func (o *offline) sayRepairs(about string, rec segment.Recovery) {
	for _, r := range rec.Repairs {
		o.say(about, doctor.Warn, "a start removes a write that a crash had cut short, and that nobody was told of: "+r.String())
	}
}

func (o *offline) openOutbox() (err error) {
	dir := filepath.Join(o.path, outboxDir)
	if files, err := o.fs.List(dir); err != nil || len(files) == 0 {
		return fmt.Errorf("there is no outbox in %s", dir)
	}
	var rec segment.Recovery
	if o.outbox, rec, err = outbox.Open(o.fs, dir, outbox.Options{}); err != nil {
		return err
	}
	st := o.outbox.Stats()
	o.say("outbox", doctor.OK, fmt.Sprintf("%s not cleared yet, %s, %s", plural(st.Firing, "alert"), plural(st.DeadLetters, "dead letter"), size(st.Bytes)))
	o.sayRepairs("outbox", rec)
	return nil
}

// openRules reads all rule sets that are kept.
func (o *offline) openRules() (err error) {
	dir := filepath.Join(o.path, rulesDir)
	if o.bundles, err = durable.OpenBundles(o.fs, dir); err != nil {
		return err
	}
	files, err := o.fs.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range files {
		if _, err := o.bundles.Get(f.Name); err != nil {
			o.say("rules", doctor.Fail, err.Error(), adviceCopy)
		}
	}
	o.say("rules", doctor.OK, plural(len(files), "rule set"))
	return nil
}

func (o *offline) openSnapshots() (err error) {
	dir := filepath.Join(o.path, snapshotDir)
	if files, err := vfs.OS().List(dir); errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
		o.say("snapshots", doctor.OK, "none yet")
		o.store, o.found, err = (&state.Memory{}).Open(state.Options{})
		return err
	}
	o.store, o.found, err = state.OpenCopy(dir, filepath.Join(o.temp, snapshotDir), state.Options{
		Encoding: engine.Encoding, Semantics: engine.Semantics, MinFree: -1,
	})
	if o.found != nil {
		for i := range o.found.Epochs {
			o.sayEpoch(&o.found.Epochs[i])
		}
	}
	return err
}

func (o *offline) sayEpoch(e *state.EpochReport) {
	text := fmt.Sprintf("epoch %d of %s, at record %d, %s, rules %.12s",
		e.Epoch, e.Taken.Go().UTC().Format(time.RFC3339), e.Position.Seq, plural(int(e.Rows), "row"), e.RuleSet)
	if e.Good() {
		o.say("snapshots", doctor.OK, text)
		return
	}
	advice := "no epoch is whole, and a start refuses to go on; " + adviceCopy
	switch {
	case e.Epoch == o.found.Chosen:
		advice = "a start uses it all the same: what is damaged starts afresh"
	case o.found.Chosen != 0:
		advice = fmt.Sprintf("a start uses epoch %d, and the log from there on", o.found.Chosen)
	}
	for _, p := range e.Problems {
		o.say("snapshots", doctor.Fail, text+": "+p, advice)
	}
}

// load loads rules as recovery does.
func (o *offline) load(hash string) (*rules.Set, error) {
	r, err := compileKept(o.bundles, hash)
	if err != nil {
		return nil, err
	}
	standIns(o.standIns, r)
	return r.set, nil
}

// tally counts what a recovery would tell, and tells nobody.
type tally struct{ outbox *outbox.Outbox }

func (t tally) Enqueue(through event.Position, ms []notify.Message) error {
	return t.outbox.Append(through, ms)
}

// VerifyState looks at everything in a state directory that no daemon uses: it
// reads all that is stored, lets the log lead from the older snapshot to the
// newer and compares the two, and tries what a start would do. It tells find
// what it finds and returns the worst. The directory is left as it is.
func VerifyState(ctx context.Context, path string, find func(doctor.Finding)) (worst doctor.Level, err error) {
	o, err := openOffline(path, find)
	if err != nil {
		return doctor.Fail, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if !o.openParts() {
		o.say("start", doctor.Fail, "cepd would not start")
		return o.worst, nil
	}
	if err := o.compareEpochs(ctx); err != nil {
		o.say("snapshots", doctor.Fail, err.Error())
	}
	o.tryStart(ctx)
	return o.worst, ctx.Err()
}

// tryStart does what a start would do.
func (o *offline) tryStart(ctx context.Context) {
	start := time.Now()
	e, rec, err := durable.Open(durable.Config{
		Engine: engine.Config{StandIns: o.standIns, Load: o.load}, Log: o.log, Outputs: tally{o.outbox},
		Keep: &durable.Keep{Log: o.log, Store: o.store, Bundles: o.bundles, Outbox: o.outbox, Progress: func(_, _ event.Position) error { return ctx.Err() }},
	})
	if err != nil {
		if ctx.Err() == nil {
			o.say("start", doctor.Fail, "cepd would not start: "+err.Error(), adviceCopy)
		}
		return
	}
	for _, d := range rec.Damage {
		o.say("start", doctor.Fail, "lost: "+d.What, d.Err.Error())
	}
	if rec.Missing {
		o.say("start", doctor.Fail, "the beginning of the log is missing, and no snapshot stands for it: the state is made of what is left")
	}
	if !rec.Quiet.IsZero() {
		o.say("start", doctor.Warn, fmt.Sprintf("another version judged the events up to record %d: %s not told again, %s cleared", rec.Quiet.Seq, plural(rec.Untold, "change"), plural(rec.Cleared, "alert")))
	}
	firing := int64(0)
	for _, n := range e.Firing() {
		firing += n
	}
	from := "the beginning"
	if !rec.Snapshot.IsZero() {
		from = fmt.Sprintf("the snapshot at record %d", rec.Snapshot.Seq)
	}
	o.say("start", doctor.OK, fmt.Sprintf("cepd would begin with %s and read %s, which took %v here; %s would fire",
		from, plural(rec.Records, "record"), time.Since(start).Round(time.Millisecond), plural(int(firing), "alert")))
}

// compareEpochs lets the log lead from the older snapshot to the newer.
func (o *offline) compareEpochs(ctx context.Context) error {
	epochs := o.store.Epochs()
	if len(epochs) < 2 || o.log.First().Seq > epochs[1].Position.Seq+1 || len(o.found.Damaged) > 0 {
		return nil
	}
	newer, older := epochs[0], epochs[1]
	set, err := o.load(older.RuleSet)
	if err != nil {
		return err
	}
	e, _, err := engine.Restore(engine.Config{LogID: o.log.ID(), StandIns: o.standIns, Load: o.load}, set, o.store.Rows(older.Epoch))
	if err != nil {
		return fmt.Errorf("epoch %d: %w", older.Epoch, err)
	}
	errThere := errors.New("there")
	batch := make([]event.Record, 0, 4096)
	step := func() {
		e.Step(engine.Input{Records: batch})
		batch = batch[:0]
	}
	err = o.log.Read(older.Position, func(rec *event.Record) error {
		if rec.Pos.Compare(newer.Position) > 0 {
			return errThere
		}
		if batch = append(batch, *rec); len(batch) == cap(batch) {
			step()
		}
		return ctx.Err()
	})
	if err != nil && !errors.Is(err, errThere) {
		return err
	}
	step()
	return o.compareRows(e, older, newer)
}

func (o *offline) compareRows(e *engine.Engine, older, newer state.Marker) error {
	stored := map[string]string{}
	for row, err := range o.store.Rows(newer.Epoch) {
		if err != nil {
			return err
		}
		stored[string(row.Name)] = string(row.Value)
	}
	n := len(stored)
	var differ []string
	for _, row := range e.Rows() {
		if stored[string(row.Name)] != string(row.Value) {
			differ = append(differ, engine.DescribeRow(row.Name).String())
		}
		delete(stored, string(row.Name))
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		differ = append(differ, engine.DescribeRow([]byte(name)).String())
	}
	if len(differ) == 0 {
		o.say("snapshots", doctor.OK, fmt.Sprintf("records %d to %d lead from epoch %d to epoch %d, row for row (%s)",
			older.Position.Seq+1, newer.Position.Seq, older.Epoch, newer.Epoch, plural(n, "row")))
		return nil
	}
	slices.Sort(differ)
	differ = slices.Compact(differ)
	shown := differ[:min(len(differ), 10)]
	o.say("snapshots", doctor.Fail, fmt.Sprintf("records %d to %d do not lead from epoch %d to epoch %d: the log gives another state for %s",
		older.Position.Seq+1, newer.Position.Seq, older.Epoch, newer.Epoch, plural(len(differ), "row")), shown...)
	return nil
}

// size prints a number of bytes.
func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

// InspectState tells what is in a state directory that no daemon uses: its
// parts, and how much of the newest snapshot belongs to which rule. The
// directory is left as it is.
func InspectState(path string, find func(doctor.Finding)) (worst doctor.Level, err error) {
	o, err := openOffline(path, find)
	if err != nil {
		return doctor.Fail, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	o.openParts()
	if o.store == nil {
		return o.worst, nil
	}
	if m, ok := o.store.Newest(); ok {
		o.sayState(m)
	}
	return o.worst, nil
}

// sayState tells what the rows of an epoch are.
func (o *offline) sayState(m state.Marker) {
	type share struct{ rows, bytes int64 }
	shares := map[engine.RowInfo]*share{}
	for row, err := range o.store.Rows(m.Epoch) {
		about := engine.DescribeRow(row.Name)
		var damaged *state.RowError
		if errors.As(err, &damaged) {
			o.say("state", doctor.Fail, about.String()+": "+err.Error())
			continue
		}
		if err != nil {
			o.say("state", doctor.Fail, err.Error())
			return
		}
		about.Key = ""
		if shares[about] == nil {
			shares[about] = &share{}
		}
		shares[about].rows++
		shares[about].bytes += int64(len(row.Name) + len(row.Value))
	}
	byName := map[string]*share{}
	for about, s := range shares {
		byName[about.String()] = s
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		o.say("state", doctor.OK, fmt.Sprintf("%s: %s, %s", name, plural(int(byName[name].rows), "row"), size(byName[name].bytes)))
	}
}

// BackupState copies a state directory that no daemon uses to one that is new
// or empty, durably.
func BackupState(from, to string) (err error) {
	o, err := openOffline(from, func(doctor.Finding) {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if err := state.CopyDir(from, to); err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	return nil
}
