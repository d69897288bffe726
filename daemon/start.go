package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/durable"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/pool"
	"github.com/cepd/cepd/web"
)

// startLoop recovers the engine, starts appender, loop and saver, and brings the
// rules of the files into force, if others are.
func (d *Daemon) startLoop(ctx context.Context) error {
	d.pool = pool.New(d.opts.Shards)
	d.started("helpers", func(context.Context) { d.pool.Stop() })
	if err := d.recover(ctx); err != nil {
		return err
	}
	inForce := d.durable.Rules()
	l := &loop{d: d, told: noDeadline.at, saving: saving{chunks: make(chan chunk), saved: make(chan saved)}}
	go (&appender{d: d, due: noDeadline}).run()
	go l.run()
	go d.saver(l.saving.chunks, l.saving.saved)
	d.started("loop", func(ctx context.Context) {
		close(d.quit)
		stopTimer := d.hurryAfter(ctx)
		<-d.loopDone
		stopTimer()
		d.closeSources()
	})
	d.startSyncing()
	start := command{
		records: []event.Record{{Kind: event.KindStart, Arrival: d.clock.now()}}, done: make(chan error, 1),
		after: func(*engine.Output) { d.began = d.durable.Last() },
	}
	if err := d.send(ctx, start); err != nil {
		return err
	}
	if inForce == d.first.hash {
		d.first.bundle = nil
		d.inForce(d.first)
		d.log.Info("rules are those of the last time", "rules", len(d.first.set.Rules), "hash", inForce)
		return nil
	}
	report, err := d.bringIntoForce(ctx, d.first)
	if err != nil {
		return err
	}
	d.log.Info("rules loaded", "rules", report.Rules, "kept", len(report.Kept), "afresh", report.Afresh, "removed", report.Removed, "hash", report.Hash)
	return nil
}

// hurryAfter gives the last snapshot half of the time that is left to stop in: the
// rest is for the sinks.
func (d *Daemon) hurryAfter(ctx context.Context) (stop func()) {
	left := d.opts.StopTimeout
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	timer := time.AfterFunc(left/2, func() { close(d.hurry) })
	return func() { timer.Stop() }
}

// recover makes the engine what the state directory leads to. While the outbox
// has no room for what the log leads to, it waits.
func (d *Daemon) recover(ctx context.Context) error {
	c := durable.Config{
		Engine:       engine.Config{Shards: d.opts.Shards, StandIns: d.standIns, Load: d.loadRules, Do: d.pool.Do},
		Log:          d.opts.Log,
		Outputs:      d.dispatcher,
		BatchRecords: d.opts.BatchRecords,
	}
	if s := d.state; s != nil {
		c.Log = s.log
		c.Keep = &durable.Keep{Log: s.log, Store: s.store, Bundles: s.bundles, Outbox: s.outbox, Progress: func(at, end event.Position) error {
			d.health.set(recovering, fmt.Sprintf("recovering: record %d of %d", at.Seq, end.Seq))
			return ctx.Err()
		}}
	}
	start := time.Now()
	d.health.set(recovering, "recovering")
	var rec *durable.Recovered
	err := d.whileFull(ctx, func() (err error) {
		d.durable, rec, err = durable.Open(c)
		return err
	})
	if err != nil {
		return fmt.Errorf("recovering: %w", err)
	}
	d.health.set(recovering, "")
	d.clock.reached(d.durable.Arrival())
	d.firing = d.durable.Firing()
	d.memory.told = d.durable.MemoryNear()
	d.memory.near = d.memory.told
	d.givenUp.recovered(d.durable.GivenUp())
	d.notices.behind, d.notices.damage = d.durable.ClockWrong(), rec.Damage
	if d.state != nil {
		d.recovered(rec, time.Since(start))
	}
	return nil
}

// maxDamage is how many damaged keys are logged one by one.
const maxDamage = 20

// recovered tells what a recovery found.
func (d *Daemon) recovered(rec *durable.Recovered, took time.Duration) {
	d.metrics.Set(web.RecoverySeconds, took.Seconds())
	d.metrics.Set(web.RecoveryRecords, float64(rec.Records))
	d.metrics.Add(web.StateDamaged, int64(len(rec.Damage)), "key")
	for i, x := range rec.Damage {
		if i == maxDamage {
			d.log.Error("more keys are damaged", "keys", len(rec.Damage)-i)
			break
		}
		d.log.Error("what was kept of a key is damaged; its rule starts afresh for it", "rule", x.Rule, "key", event.KeyText(x.Key), "err", x.Err)
	}
	if rec.Missing {
		d.log.Error("the beginning of the log is missing, and there is no snapshot: the state is made of what is left", "first", d.state.log.First().String())
	}
	if !rec.Quiet.IsZero() {
		d.log.Warn("another version of cepd had judged these events; what it told stands, and alerts that do not fire any more are cleared",
			"until", rec.Quiet.String(), "untold", rec.Untold, "cleared", rec.Cleared)
	}
	if rec.Known {
		d.log.Info("recovered", "snapshot", rec.Snapshot.String(), "records", rec.Records, "took", took, "rules", d.durable.Rules())
	}
}

// whileFull does something, again and again as long as it fails because the disk
// or the outbox has no room.
func (d *Daemon) whileFull(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			d.health.set(diskFull, "")
		}
		if err == nil || !isFull(err) {
			return err
		}
		if d.health.set(diskFull, err.Error()) {
			d.log.Error("waiting for room on the disk", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(roomEvery):
		}
	}
}

// syncEvery is how often the log is synced with `sync: interval`.
const syncEvery = time.Second

// startSyncing syncs the log now and then where cepd.yaml wants it so.
func (d *Daemon) startSyncing() {
	if d.state == nil || d.cfg.State.Sync != config.SyncInterval {
		return
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(syncEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := d.state.log.Sync(); err != nil {
					d.fail(fmt.Errorf("syncing the log: %w", err))
					return
				}
			case <-quit:
				return
			}
		}
	}()
	d.started("syncing", func(context.Context) {
		close(quit)
		<-done
	})
}
