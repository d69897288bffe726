package notify_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cepd/cepd/alerting"
	. "github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/outbox"
	"github.com/cepd/cepd/state/vfs"
)

// raised and cleared are changes of an alert that is repeated every hour.
func raised(alert string, to ...string) alerting.Transition {
	return alerting.Transition{ID: alert + "-up", Fingerprint: alert, Rule: "r", Change: alerting.Raised, To: to, Repeat: time.Hour}
}

func cleared(alert string, to ...string) alerting.Transition {
	return alerting.Transition{ID: alert + "-down", Fingerprint: alert, Rule: "r", Change: alerting.Cleared, To: to, Repeat: time.Hour}
}

// numbered is a sink that notes the numbers of repeats.
func numbered(answer func(context.Context, Delivery) error) *fake {
	f := newFake(nil)
	f.answer = func(ctx context.Context, d Delivery) error {
		if answer != nil {
			if err := answer(ctx, d); err != nil {
				return err
			}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.log = append(f.log, fmt.Sprintf("%v #%d", time.Since(f.start).Round(time.Minute), d.Repeat))
		if want := alerting.DeliveryID(d.Identity(), d.Sink, d.Repeat); d.ID != want {
			f.log = append(f.log, "wrong id "+d.ID)
		}
		return nil
	}
	return f
}

// times returns the log without what the fake adds.
func times(f *fake) (out []string) {
	for i, l := range f.got() {
		if i%2 == 0 {
			out = append(out, l)
		}
	}
	return out
}

// An alert is sent again while it fires, an hour after it was confirmed, for
// each sink, and no more once it has cleared.
func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		var mu sync.Mutex
		slow := numbered(func(context.Context, Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return errDown
			}
			return nil
		})
		f := numbered(nil)
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}, {Name: "slow", Notifier: slow}}})
		enqueue(t, d, raised("a", "s", "slow"))
		time.Sleep(150 * time.Minute)
		same(t, "sink s", times(f), []string{"0s #0", "1h0m0s #1", "2h0m0s #2"})
		mu.Lock()
		down = false
		mu.Unlock()
		slow.got()
		time.Sleep(2 * time.Hour) // the first comes within five minutes, and counts from then
		if got := times(slow); len(got) != 2 || got[1][len(got[1])-2:] != "#1" {
			t.Errorf("the sink that was down got %q", got)
		}
		same(t, "sink s", times(f), []string{"3h0m0s #3", "4h0m0s #4"})
		enqueue(t, d, cleared("a", "s", "slow"))
		time.Sleep(5 * time.Hour)
		same(t, "sink s, after the clear", times(f), []string{"4h30m0s #0"})
	})
}

// What was repeated, and when, outlives a restart.
func TestRepeatAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		f := numbered(nil)
		life := func(during func(d *Dispatcher)) {
			box, _, err := outbox.Open(fs, "outbox", outbox.Options{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := New(Config{Sinks: []Sink{{Name: "s", Notifier: f}}, Outbox: box})
			if err != nil {
				t.Fatal(err)
			}
			d.Start()
			during(d)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			d.Stop(ctx)
			if err := box.Close(); err != nil {
				t.Fatal(err)
			}
		}
		life(func(d *Dispatcher) {
			enqueue(t, d, raised("a", "s"))
			time.Sleep(90 * time.Minute)
		})
		same(t, "before", times(f), []string{"0s #0", "1h0m0s #1"})
		life(func(*Dispatcher) { time.Sleep(20 * time.Minute) })
		same(t, "20 minutes of another life", times(f), nil)
		time.Sleep(3 * time.Hour) // nobody is there
		life(func(*Dispatcher) { time.Sleep(70 * time.Minute) })
		same(t, "later", times(f), []string{"4h50m0s #2", "5h50m0s #3"})
		life(func(d *Dispatcher) {
			enqueue(t, d, cleared("a", "s"))
			time.Sleep(70 * time.Minute)
		})
		same(t, "after the clear", times(f), []string{"6h0m0s #0"})
	})
}

// A sink that has forgotten what it was told is told again, under the same ids,
// of what fires.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		var mu sync.Mutex
		f := newFake(func(_ context.Context, d Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, d.ID)
			return nil
		})
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}, {Name: "t", Notifier: newFake(nil)}}})
		enqueue(t, d, raised("a", "s"), raised("b", "s"), raised("c", "t"), cleared("a", "s"))
		synctest.Wait()
		ids = nil
		if n, err := d.Refresh("s"); n != 1 || err != nil {
			t.Errorf("%d alerts again, %v; want b", n, err)
		}
		synctest.Wait()
		same(t, "ids", ids, []string{alerting.DeliveryID("b-up", "s", 0)})
	})
}

// While a sink fails, one delivery at a time is tried; the first that comes
// through lets all others follow at once.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		down, tries := true, 0
		f := newFake(func(context.Context, Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			tries++
			if down {
				return errDown
			}
			return nil
		})
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}}})
		for i := range 1000 {
			enqueue(t, d, change(fmt.Sprint("x", i, "-"), 1))
		}
		time.Sleep(time.Hour)
		mu.Lock()
		if tries > 30 {
			t.Errorf("%d tries in an hour", tries)
		}
		down = false
		mu.Unlock()
		if st := d.Stats().Sinks[0]; !st.Broken || st.Pending != 1000 || st.Oldest != time.Hour {
			t.Errorf("stats %+v", st)
		}
		time.Sleep(5*time.Minute + time.Second)
		if st := d.Stats().Sinks[0]; st.Broken || st.Pending != 0 || st.Sent != 1000 {
			t.Errorf("stats after the outage %+v", st)
		}
	})
}

// One alert that no receiver can take does not open the breaker.
func TestBreakerIgnoresOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(failFirst(-1, "a1", errDown))
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, Workers: 1}}})
		enqueue(t, d, change("a", 1))
		time.Sleep(time.Hour)
		f.got()
		enqueue(t, d, change("b", 1))
		synctest.Wait()
		same(t, "tries", f.got(), []string{"3600s b1"})
	})
}

// While a sink fails, what becomes too old is given up without a try of its own.
func TestMaxAgeOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(context.Context, Delivery) error { return errDown })
		box := outbox.NewMemory(outbox.Options{})
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, MaxAge: 10 * time.Minute}}, Outbox: box})
		for i := range 500 {
			enqueue(t, d, change(fmt.Sprint("x", i, "-"), 1))
		}
		time.Sleep(9 * time.Minute)
		if st := d.Stats(); st.Sinks[0].Pending != 500 || st.Outbox.DeadLetters != 0 {
			t.Errorf("before: %+v", st)
		}
		time.Sleep(7 * time.Minute)
		if st := d.Stats(); st.Sinks[0].Pending != 0 || st.Outbox.DeadLetters != 500 || st.Sinks[0].Failed[ReasonExpired] != 500 {
			t.Errorf("after: %+v", st)
		}
	})
}

// A sink that was taken away leaves dead letters; what comes back can be sent.
func TestSinkRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := outbox.NewMemory(outbox.Options{})
		if err := box.Sinks([]string{"old"}); err != nil {
			t.Fatal(err)
		}
		if err := box.Append(event.Position{Seq: 1}, Messages([]alerting.Transition{raised("a", "old")}, nil)); err != nil {
			t.Fatal(err)
		}
		d := start(t, Config{Sinks: []Sink{{Name: "new", Notifier: newFake(nil)}}, Outbox: box})
		ls := letters(t, box)
		if len(ls) != 1 || ls[0].Reason != ReasonSinkRemoved || d.Stats().Outbox.Losses[Loss{"old", ReasonSinkRemoved}] != 1 {
			t.Fatalf("dead letters %+v", ls)
		}
		if n, err := d.Retry([]uint64{ls[0].Seq}); n != 0 || err != nil {
			t.Errorf("%d sent again to nobody, %v", n, err)
		}
		f := newFake(nil)
		d = start(t, Config{Sinks: []Sink{{Name: "old", Notifier: f}}, Outbox: box})
		if n, err := d.Retry([]uint64{ls[0].Seq}); n != 1 || err != nil {
			t.Errorf("%d sent again, %v", n, err)
		}
		synctest.Wait()
		same(t, "the sink that came back", f.got(), []string{"0s a-up"})
	})
}

// keeper is a sink with a file that is as long as it has lines.
type keeper struct {
	lines    []string
	restored []Note
	fail     bool
}

func (k *keeper) Note(Delivery) (Note, error) { return Note{"file", int64(len(k.lines))}, nil }

func (k *keeper) Restore(ns []Note) error {
	k.restored = ns
	for _, n := range ns {
		k.lines = k.lines[:n.Length]
	}
	return nil
}

func (k *keeper) Notify(_ context.Context, d Delivery) error {
	if k.fail {
		return errors.New("no")
	}
	k.lines = append(k.lines, d.Identity())
	return nil
}

// What a crash leaves in a file beyond what was marked as sent is cut off before
// it is sent again; a clean stop leaves nothing to cut.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		k := &keeper{}
		open := func() (*outbox.Outbox, *Dispatcher) {
			box, _, err := outbox.Open(fs, "outbox", outbox.Options{MarksEvery: -1})
			if err != nil {
				t.Fatal(err)
			}
			return box, start(t, Config{Sinks: []Sink{{Name: "s", Notifier: k, Workers: 8}}, Outbox: box})
		}
		box, d := open()
		enqueue(t, d, change("a", 1), change("b", 1))
		synctest.Wait()
		if err := box.Flush(); err != nil {
			t.Fatal(err)
		}
		enqueue(t, d, change("a", 2))
		synctest.Wait()
		same(t, "lines", k.lines, []string{"a1", "b1", "a2"}) // the last is not marked durably
		fs.Kill()
		box, d = open()
		synctest.Wait()
		same(t, "lines after a crash", k.lines, []string{"a1", "b1", "a2"})
		if len(k.restored) != 1 || k.restored[0].Length != 2 {
			t.Errorf("restored %v, want the length 2", k.restored)
		}
		d.Stop(t.Context())
		if err := box.Close(); err != nil {
			t.Fatal(err)
		}
		open()
		if len(k.restored) != 0 {
			t.Errorf("restored %v after a clean stop", k.restored)
		}
	})
}
