package daemon

import (
	"context"
	"time"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
)

// clockEvery is how often the clock is looked at, and whether sinks are mended.
const clockEvery = 10 * time.Second

// notices are what the log is told that only this process can see: the engine
// makes alerts of it.
type notices struct {
	behind bool            // the log says that the clock is behind
	damage []engine.Damage // that recovery found
}

// startNotices tells the log what recovery found, and from then on what the clock
// does and what becomes of deliveries.
func (d *Daemon) startNotices(ctx context.Context) error {
	if damage := d.notices.damage; len(damage) > 0 {
		if err := d.notice(ctx, engine.NoticeOfDamage(damage)); err != nil {
			return err
		}
		d.notices.damage = nil
	}
	if err := d.watchClock(ctx); err != nil { // before an event is judged by it
		return err
	}
	if err := d.watchSinks(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(clockEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if d.watchClock(ctx) != nil || d.watchSinks(ctx) != nil {
					return // the daemon stops, or has failed
				}
			case <-d.givenUp.wake:
				if d.watchSinks(ctx) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	d.started("clock", func(context.Context) {
		cancel()
		<-done
	})
	return nil
}

// watchClock tells the log if the clock is not what it was.
func (d *Daemon) watchClock(ctx context.Context) error {
	if by := d.clock.leapt(); by > 0 {
		d.log.Warn("the clock went forward at once", "by", by)
		if err := d.notice(ctx, engine.Notice{Clock: engine.ClockAhead, By: seconds(by)}); err != nil {
			return err
		}
	}
	by := d.clock.behind()
	if behind := by > maxBehind; behind == d.notices.behind {
		return nil
	} else if !behind {
		d.log.Info("the clock is right again")
		d.notices.behind = false
		return d.notice(ctx, engine.Notice{Clock: engine.ClockRight})
	}
	d.log.Error("the clock is wrong: it is behind the last record of the log", "by", by)
	d.notices.behind = true
	return d.notice(ctx, engine.Notice{Clock: engine.ClockBehind, By: seconds(by)})
}

func seconds(d time.Duration) string { return d.Round(time.Second).String() }

// notice writes a record, and waits until it took effect.
func (d *Daemon) notice(ctx context.Context, n engine.Notice) error {
	return d.send(ctx, command{records: []event.Record{n.Record(d.clock.now())}, done: make(chan error, 1)})
}
