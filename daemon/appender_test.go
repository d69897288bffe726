package daemon

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
)

// The log does not wait for the engine until so many groups are between them;
// then the sources wait for both.
func TestAppendAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, tooHot, func(o *Options) { o.BatchRecords = 1 })
		r.start(t)
		defer r.stop(t)
		free := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- r.send(t.Context(), command{
				records: []event.Record{{Kind: event.KindTick, Arrival: r.clock.now()}},
				after:   func(*engine.Output) { <-free },
				done:    make(chan error, 1),
			})
		}()
		synctest.Wait()
		const all = 20
		for i := range all {
			r.source.feed(time.Now(), reading(fmt.Sprint("p", i), 85))
		}
		synctest.Wait()
		if got := len(r.source.acknowledged()); got != waitingGroups+1 {
			t.Errorf("%d batches were acknowledged while the engine was busy, want %d", got, waitingGroups+1)
		}
		close(free)
		synctest.Wait()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := len(r.source.acknowledged()); got != all {
			t.Errorf("%d batches were acknowledged in the end, want %d", got, all)
		}
		if got := len(r.out.changes(t)); got != all {
			t.Errorf("%d alerts, want %d", got, all)
		}
	})
}

// What the outbox cannot take ends the daemon, and nothing is acknowledged any
// more.
func TestLoopFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tooHot)
		r.start(t)
		r.fail(errStopped)
		synctest.Wait()
		<-r.Done()
		r.source.feed(time.Now(), reading("p1", 85))
		synctest.Wait()
		if got := r.source.acknowledged(); len(got) != 1 || got[0] == nil {
			t.Errorf("acknowledged: %v", got)
		}
		if r.Ready() == nil {
			t.Error("a daemon that cannot go on is ready")
		}
		r.stop(t)
	})
}
