package notify_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	. "github.com/cepd/cepd/alerting/notify" // outside of it, since the outbox imports it
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/leak"
	"github.com/cepd/cepd/state/outbox"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fake is a sink whose answers a test decides.
type fake struct {
	answer func(ctx context.Context, d Delivery) error // nil: always well

	mu    sync.Mutex
	start time.Time
	log   []string // "seconds id [error]", as tries end
	now   int
	most  int
}

func newFake(answer func(context.Context, Delivery) error) *fake {
	return &fake{answer: answer, start: time.Now()}
}

func (f *fake) Notify(ctx context.Context, d Delivery) error {
	f.mu.Lock()
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	var err error
	if f.answer != nil {
		err = f.answer(ctx, d)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
	line := fmt.Sprintf("%gs %s", time.Since(f.start).Seconds(), d.Identity())
	if err != nil {
		line += " " + err.Error()
	}
	f.log = append(f.log, line)
	return err
}

// got returns the log so far, and empties it.
func (f *fake) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.log
	f.log = nil
	return l
}

// failFirst fails the first n tries of a delivery by err.
func failFirst(n int, id string, err error) func(context.Context, Delivery) error {
	var mu sync.Mutex
	return func(_ context.Context, d Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if d.Identity() == id && n != 0 {
			n--
			return err
		}
		return nil
	}
}

// change returns a transition called like alert and n: "a1".
func change(alert string, n int, to ...string) alerting.Transition {
	return alerting.Transition{ID: fmt.Sprintf("%s%d", alert, n), Fingerprint: alert, Rule: "r", Change: alerting.Raised, To: to}
}

// start returns a dispatcher that runs, and draws the longest waits.
func start(t *testing.T, cfg Config) *Dispatcher {
	t.Helper()
	if cfg.Rand == nil {
		cfg.Rand = func() float64 { return 1 }
	}
	if cfg.Outbox == nil {
		cfg.Outbox = outbox.NewMemory(outbox.Options{})
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		d.Stop(ctx)
	})
	return d
}

func enqueue(t *testing.T, d *Dispatcher, ts ...alerting.Transition) {
	t.Helper()
	if err := d.Enqueue(event.Position{}, Messages(ts, nil)); err != nil {
		t.Fatal(err)
	}
}

// letters returns the dead letters of an outbox.
func letters(t *testing.T, box Outbox) []DeadLetter {
	t.Helper()
	ls, err := box.DeadLetters(0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var errDown = errors.New("down")

// A raise that backs off holds back its own clear, and nothing else.
func TestOrderPerAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(failFirst(2, "a1", errDown))
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, Workers: 1}}})
		enqueue(t, d, change("a", 1), change("a", 2), change("b", 1), change("b", 2))
		time.Sleep(time.Minute)
		same(t, "tries", f.got(), []string{"0s a1 down", "0s b1", "0s b2", "1s a1 down", "3s a1", "3s a2"})
	})
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(context.Context, Delivery) error { return errDown })
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}}})
		enqueue(t, d, change("a", 1))
		time.Sleep(1112 * time.Second)
		same(t, "tries", f.got(), []string{
			"0s a1 down", "1s a1 down", "3s a1 down", "7s a1 down", "15s a1 down", "31s a1 down", "63s a1 down",
			"127s a1 down", "255s a1 down", "511s a1 down", "811s a1 down", "1111s a1 down", // never more than 5m
		})
		if st := d.Stats().Sinks[0]; st.Retries != 12 || st.Pending != 1 || st.Sent != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestFullJitter(t *testing.T) {
	for tries, bound := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1 << 40: 5 * time.Minute} {
		for _, draw := range []float64{0, 0.25, 1} {
			if got, want := Backoff(time.Second, 5*time.Minute, tries, draw), time.Duration(draw*float64(bound)); got != want {
				t.Errorf("backoff of try %d, draw %g = %v, want %v", tries, draw, got, want)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Run("of one alert", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(failFirst(1, "a1", RetryAfter(ReasonServer, 20*time.Second, errDown)))
			d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, Workers: 1}}})
			enqueue(t, d, change("a", 1), change("b", 1))
			time.Sleep(time.Minute)
			same(t, "tries", f.got(), []string{"0s a1 down", "0s b1", "20s a1"})
		})
	})
	t.Run("a limit is one for the whole sink", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(failFirst(1, "a1", RetryAfter(ReasonRateLimited, 20*time.Second, errDown)))
			d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, Workers: 1}}})
			enqueue(t, d, change("a", 1), change("b", 1))
			time.Sleep(10 * time.Second)
			enqueue(t, d, change("c", 1))
			time.Sleep(time.Minute)
			// Which of the two waits that end then is noticed first is open.
			same(t, "tries", slices.Sorted(slices.Values(f.got())), []string{"0s a1 down", "20s a1", "20s b1", "20s c1"})
		})
	})
	t.Run("not longer than an hour", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(failFirst(1, "a1", RetryAfter(ReasonServer, 1e6*time.Hour, errDown)))
			d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}}})
			enqueue(t, d, change("a", 1))
			time.Sleep(61 * time.Minute)
			same(t, "tries", f.got(), []string{"0s a1 down", "3600s a1"})
		})
	})
}

func TestPermanent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(failFirst(1, "a1", fmt.Errorf("sending: %w", Permanent(ReasonAuth, errors.New("who are you")))))
		box := outbox.NewMemory(outbox.Options{})
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}}, Outbox: box})
		enqueue(t, d, change("a", 1), change("a", 2))
		synctest.Wait()
		same(t, "tries", f.got(), []string{"0s a1 sending: who are you", "0s a2"})
		st := d.Stats().Sinks[0]
		want := SinkStats{Name: "s", Sent: 1, Failed: map[Reason]uint64{ReasonAuth: 1}}
		if diff := cmp.Diff(want, st); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
		ls := letters(t, box)
		if len(ls) != 1 || ls[0].Reason != ReasonAuth || ls[0].Delivery.Transition.ID != "a1" || ls[0].Tries != 1 ||
			ls[0].Delivery.ID != alerting.DeliveryID("a1", "s", 0) {
			t.Errorf("dead letters %+v", ls)
		}
	})
}

func TestDeadLettersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(context.Context, Delivery) error { return Permanent(ReasonClient, errDown) })
		box := outbox.NewMemory(outbox.Options{DeadLetters: 2})
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}}, Outbox: box})
		enqueue(t, d, change("a", 1), change("a", 2), change("a", 3))
		synctest.Wait()
		var ids []string
		for _, l := range letters(t, box) {
			ids = append(ids, l.Delivery.Transition.ID)
		}
		same(t, "dead letters", ids, []string{"a2", "a3"})
		if n := d.Stats().Outbox.Losses[Loss{Reason: ReasonTooMany}]; n != 1 {
			t.Errorf("%d dead letters are counted as forgotten, want 1", n)
		}
	})
}

func TestTimeoutAndMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(ctx context.Context, _ Delivery) error { <-ctx.Done(); return errors.New("gave up") })
		box := outbox.NewMemory(outbox.Options{})
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, Timeout: 2 * time.Second, MaxAge: 9 * time.Second}}, Outbox: box})
		enqueue(t, d, change("a", 1))
		time.Sleep(time.Minute)
		same(t, "tries", f.got(), []string{"2s a1 gave up", "5s a1 gave up", "9s a1 gave up"})
		if l := letters(t, box); len(l) != 1 || l[0].Reason != ReasonExpired || l[0].Tries != 3 {
			t.Errorf("dead letters %+v", l)
		}
	})
}

// A slow sink slows neither the caller nor another sink, and has as many
// deliveries under way as it has workers.
func TestSlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newFake(func(context.Context, Delivery) error { time.Sleep(10 * time.Second); return nil })
		fast := newFake(nil)
		d := start(t, Config{Sinks: []Sink{{Name: "slow", Notifier: slow, Workers: 3}, {Name: "fast", Notifier: fast}}})
		before := time.Now()
		for i := range 30 {
			enqueue(t, d, change(fmt.Sprint("x", i, "-"), 1))
		}
		synctest.Wait()
		if n := len(fast.got()); n != 30 || time.Since(before) != 0 {
			t.Errorf("the fast sink got %d of 30 within %v", n, time.Since(before))
		}
		if st := d.Stats(); st.Sinks[1].Pending != 30 || st.Sinks[0].Pending != 0 {
			t.Errorf("stats %+v", st)
		}
		time.Sleep(101 * time.Second)
		if n := len(slow.got()); n != 30 || slow.most != 3 {
			t.Errorf("the slow sink got %d of 30, up to %d at once", n, slow.most)
		}
	})
}

func TestWhereTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFake(nil), newFake(nil)
		box := outbox.NewMemory(outbox.Options{})
		d := start(t, Config{Sinks: []Sink{{Name: "a", Notifier: a}, {Name: "b", Notifier: b}}, DefaultTo: []string{"b"}, Outbox: box})
		to := []string{"x", "a", "y", "a"}
		enqueue(t, d, change("n", 1, to...), change("n", 2), change("n", 3, "z"), change("n", 4, "a", "b"), change("n", 4, "a", "b"))
		synctest.Wait()
		same(t, "sink a", a.got(), []string{"0s n1", "0s n4"})
		same(t, "sink b", b.got(), []string{"0s n2", "0s n4"})
		same(t, "the caller's list", to, []string{"x", "a", "y", "a"})
		var dead []string
		for _, l := range letters(t, box) {
			dead = append(dead, l.Delivery.Sink+" "+string(l.Reason))
		}
		same(t, "dead letters", dead, []string{"x unknown_sink", "y unknown_sink", "z unknown_sink"})
		if n := d.Stats().Outbox.Losses[Loss{"y", ReasonUnknownSink}]; n != 1 {
			t.Errorf("%d deliveries to sink y, which there is not, want 1", n)
		}
	})
}

func TestStop(t *testing.T) {
	slow := func(context.Context, Delivery) error { time.Sleep(2 * time.Second); return nil }
	tests := []struct {
		name   string
		answer func(context.Context, Delivery) error
		within time.Duration
		left   []Left
		took   time.Duration
	}{
		{"all is sent", slow, time.Minute, nil, 6 * time.Second},
		{"a try falls due in time", failFirst(2, "a1", errDown), time.Minute, nil, 3 * time.Second},
		{"no try falls due in time, so nobody waits", failFirst(9, "a1", RetryAfter(ReasonServer, time.Hour, errDown)), time.Minute, []Left{{"s", 2}}, 0},
		{"a limit outlasts the bound", failFirst(9, "a1", RetryAfter(ReasonRateLimited, time.Hour, errDown)), time.Minute, []Left{{"s", 3}}, 0},
		{"time is up", slow, 3 * time.Second, []Left{{"s", 1}}, 4 * time.Second}, // what ignores its context is waited for
		{"what is under way is cut", func(ctx context.Context, _ Delivery) error { <-ctx.Done(); return ctx.Err() }, 3 * time.Second, []Left{{"s", 3}}, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: newFake(tt.answer), Workers: 1}}})
				enqueue(t, d, change("a", 1), change("a", 2), change("b", 1))
				synctest.Wait()
				before := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), tt.within)
				defer cancel()
				left := d.Stop(ctx)
				if diff := cmp.Diff(tt.left, left); diff != "" {
					t.Errorf("left (-want +got):\n%s", diff)
				}
				if took := time.Since(before); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if diff := cmp.Diff(left, d.Stop(ctx)); diff != "" {
					t.Errorf("the second Stop says otherwise:\n%s", diff)
				}
				enqueue(t, d, change("z", 1)) // must neither block nor send
				d.Start()
			})
		})
	}
}

// What the outbox holds before the start is sent.
func TestStartWithBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := outbox.NewMemory(outbox.Options{})
		for i := range Window + 10 {
			_ = box.Append(event.Position{}, []Message{Changed(change("a", i, "s"))})
		}
		f := newFake(nil)
		start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}}, Outbox: box})
		synctest.Wait()
		got := f.got()
		if len(got) != Window+10 || got[0] != "0s a0" || got[Window+9] != fmt.Sprintf("0s a%d", Window+9) {
			t.Errorf("got %d", len(got))
		}
		if n := box.Pending("s"); n != 0 {
			t.Errorf("%d entries still wait", n)
		}
	})
}

// brokenBox is an outbox that cannot be read at first.
type brokenBox struct {
	*outbox.Outbox
	left int
}

func (b *brokenBox) Read(sink string, after uint64, limit int) ([]Entry, error) {
	if b.left--; b.left >= 0 {
		return nil, errors.New("no disk")
	}
	return b.Outbox.Read(sink, after, limit)
}

func TestOutboxFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(nil)
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f}}, Outbox: &brokenBox{outbox.NewMemory(outbox.Options{}), 3}})
		enqueue(t, d, change("a", 1))
		time.Sleep(10 * time.Second)
		if got := f.got(); len(got) != 1 {
			t.Errorf("got %q, want a1 once", got)
		}
	})
}

// Whatever fails, each change reaches each sink exactly once (receivers answer
// truly here), those of one alert in order.
func TestRandomFailures(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			seen := map[string][]string{}
			answer := func(ctx context.Context, d Delivery) error {
				mu.Lock()
				dice, wait := r.IntN(10), time.Duration(r.IntN(3000))*time.Millisecond
				mu.Unlock()
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return ctx.Err()
				}
				switch dice {
				case 0:
					return errDown
				case 1:
					return RetryAfter(ReasonRateLimited, wait, errDown)
				case 2:
					return RetryAfter(ReasonServer, wait, errDown)
				case 3:
					<-ctx.Done()
					return ctx.Err()
				}
				mu.Lock()
				defer mu.Unlock()
				id := d.Sink + " " + d.Transition.Fingerprint
				seen[id] = append(seen[id], d.Transition.ID)
				return nil
			}
			f := newFake(answer)
			d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, Workers: 2}, {Name: "t", Notifier: f, Workers: 5}}})
			want := map[string][]string{}
			load := rand.New(rand.NewPCG(seed, 2))
			for i := range 60 {
				alert := string(rune('a' + load.IntN(6)))
				c := change(alert, i)
				enqueue(t, d, c)
				want["s "+alert] = append(want["s "+alert], c.ID)
				want["t "+alert] = append(want["t "+alert], c.ID)
				if load.IntN(3) == 0 {
					time.Sleep(time.Second)
				}
			}
			if left := d.Stop(t.Context()); len(left) > 0 {
				t.Errorf("seed %d: left %v", seed, left)
			}
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("seed %d (-want +got):\n%s", seed, diff)
			}
		})
	}
}

// Derived events of one rule and key keep their order, and wait for nothing
// else; they go to no sink by default.
func TestEventsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		failed, got := false, []string{}
		f := newFake(nil)
		f.answer = func(_ context.Context, d Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if d.Identity() == "a1" && !failed {
				failed = true
				return errDown
			}
			got = append(got, d.Sink+" "+d.Identity())
			return nil
		}
		box := outbox.NewMemory(outbox.Options{})
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, Workers: 2}, {Name: "t", Notifier: f}}, Outbox: box})
		derived := func(id, key string, to ...string) alerting.Derived {
			return alerting.Derived{KnownID: id, Rule: "r", Key: key, To: to}
		}
		ds := []alerting.Derived{derived("a1", "a", "s"), derived("a2", "a", "s"), derived("b1", "b", "s", "gone"), derived("c1", "c")}
		if err := d.Enqueue(event.Position{}, Messages(nil, ds)); err != nil {
			t.Fatal(err)
		}
		if left := d.Stop(t.Context()); len(left) > 0 {
			t.Errorf("left %v", left)
		}
		same(t, "delivered", got, []string{"s b1", "s a1", "s a2"})
		if st := d.Stats(); st.Outbox.Losses[Loss{"gone", ReasonUnknownSink}] != 1 || st.Sinks[0].Sent != 3 {
			t.Errorf("counted %+v", st)
		}
		if l := letters(t, box); len(l) != 1 || l[0].Delivery.Identity() != "b1" {
			t.Errorf("dead letters: %+v", l)
		}
	})
}

// One worker sends all in the order of the outbox.
func TestOneWorkerKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(nil)
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: f, Workers: 1}}})
		enqueue(t, d, change("a", 1), change("b", 1), change("a", 2), change("c", 1), change("a", 3), change("b", 2))
		synctest.Wait()
		same(t, "tries", f.got(), []string{"0s a1", "0s b1", "0s a2", "0s c1", "0s a3", "0s b2"})
	})
}

// Await holds back who is too fast for the slowest sink.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newFake(func(context.Context, Delivery) error { time.Sleep(time.Second); return nil })
		d := start(t, Config{Sinks: []Sink{{Name: "s", Notifier: slow, Workers: 1}, {Name: "t", Notifier: newFake(nil)}}})
		begin := time.Now()
		for i := range 10 {
			enqueue(t, d, change("a", i))
			if err := d.Await(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin).Round(100 * time.Millisecond); took != 7*time.Second {
			t.Errorf("ten messages a second each, three of which may wait, took %v, want 7s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := d.Await(ctx, 0); err == nil {
			t.Error("Await does not end with its context")
		}
		if err := d.Await(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
}

func TestMessages(t *testing.T) {
	ts := []alerting.Transition{{ID: "t1", Time: 1}, {ID: "t3", Time: 3}, {ID: "t5", Time: 5}}
	ds := []alerting.Derived{{KnownID: "d0", To: []string{"s"}}, {KnownID: "kept", Time: 1}, {KnownID: "d3", Time: 3, To: []string{"s"}}}
	var got []string
	for _, m := range Messages(ts, ds) {
		got = append(got, m.Identity())
	}
	same(t, "order", got, []string{"d0", "t1", "t3", "d3", "t5"})
}

func TestConfigErrors(t *testing.T) {
	_, err := New(Config{Sinks: []Sink{{Name: "a", Notifier: newFake(nil)}, {Name: "a"}, {Workers: -1}}, DefaultTo: []string{"b"}, BackoffMin: time.Hour})
	for _, want := range []string{"no outbox", `two sinks are called "a"`, "has no name", "has no notifier", "may not be negative", `no sink "b"`, "from 1h0m0s to 5m0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want it to say %q", err, want)
		}
	}
}

func BenchmarkDispatch(b *testing.B) {
	d, err := New(Config{Sinks: []Sink{{Name: "s", Notifier: nothing{}}}, Outbox: outbox.NewMemory(outbox.Options{})})
	if err != nil {
		b.Fatal(err)
	}
	d.Start()
	ms := make([]Message, 1)
	for n := 0; b.Loop(); n++ {
		ms[0] = Changed(alerting.Transition{ID: fmt.Sprint(n), Fingerprint: fmt.Sprint(n % 1000)})
		if err := d.Enqueue(event.Position{}, ms); err != nil {
			b.Fatal(err)
		}
	}
	d.Stop(context.Background())
}

type nothing struct{}

func (nothing) Notify(context.Context, Delivery) error { return nil }
