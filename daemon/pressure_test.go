package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
)

// remembering keeps a long text of each device, and an alert.
const remembering = `
streams:
  telemetry: {source: plant, fields: {device: string, temp: double, note: string}}
rules:
  - name: hot-then-cold
    from: telemetry
    by: e.device
    pattern: hot -> cold
    define: {hot: e.temp > 80, cold: e.temp < 20}
    within: 24h
    alert: {summary: "${hot.note}"}
  - name: hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    alert: {summary: "${key}"}
`

// TestMemoryHeld: a state that does not fit into memory loses the keys that were
// not heard of for longest, and so much that the rest fits. All of them are
// counted, their alerts are cleared, and after a restart it is the same.
func TestMemoryHeld(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	dir, limit := filepath.Join(t.TempDir(), "state"), int64(160<<20)
	change := func(o *Options) {
		o.Config.State = config.State{Dir: dir, Memory: limit, MinFree: 32 << 20, Snapshot: time.Hour, Sync: config.SyncNever}
		o.Config.OwnAlerts.To = nil
	}
	r := newRigWith(t, remembering, change)
	r.start(t)
	const batches, devices, text = 100, 100, 8 << 10 // 80 MB
	for i := range batches {
		payloads := make([]string, devices)
		for j := range payloads {
			payloads[j] = fmt.Sprintf(`{"device":"d%d","temp":90,"note":"%s"}`, i*devices+j, strings.Repeat("x", text))
		}
		r.source.feed(time.Now(), payloads...)
		r.effect(t)
	}
	for { // the last batches may be news to it
		runtime.GC()
		if r.memory.read().share() < fullHeap {
			break
		}
		if err := r.checkMemory(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.memory.mu.Lock() // nothing goes while we count
	st := r.Stats()
	evicted := st.Evictions[engine.CounterKey{Name: "hot", Detail: "memory"}]
	if of := st.Evictions[engine.CounterKey{Name: "hot-then-cold", Detail: "memory"}]; evicted == 0 || evicted != of {
		t.Errorf("the state of %d and %d keys went", evicted, of)
	}
	if evicted == batches*devices {
		t.Error("nothing is left")
	}
	if n := st.Cleared[engine.CounterKey{Name: "hot", Detail: "memory"}]; n != evicted {
		t.Errorf("%d keys went, and %d alerts were cleared", evicted, n)
	}
	if n := st.Raised.Total("cepd:memory"); n == 0 {
		t.Error("nobody was told")
	}
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	over := make(chan struct{}) // a snapshot, which comes sooner where steps take long
	r.whenSaved <- over
	<-over
	firing := r.firing(t)
	if want := st.Raised.Total("hot") - evicted; firing["hot"] != want {
		t.Errorf("%d alerts fire, want %d", firing["hot"], want)
	}
	killed := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	r.memory.mu.Unlock()
	r.stop(t)
	// What the first daemon held may be in memory still, and would count: with the
	// same limit, the second might let state go once more.
	limit = 8 << 30
	for _, left := range []string{dir, killed} { // by a stop, and by a kill: the log has it all
		dir = left
		again := newRigWith(t, remembering, change)
		again.start(t)
		if got := again.firing(t)["hot"]; got != firing["hot"] {
			t.Errorf("after a restart %d alerts fire, and before %d", got, firing["hot"])
		}
		again.stop(t)
	}
}

// TestMemoryNear: where memory is nearly used up sources are given less, and an
// alert says so until there has been enough for a while.
func TestMemoryNear(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	now := time.Now()
	r := newRigWith(t, tooHot, func(o *Options) {
		o.Config.State.Memory = 1 << 30
		o.Now = func() time.Time { return now }
	})
	ctx := context.Background()
	r.start(t)
	usual := r.throttle.limit
	m := &r.memory
	m.mu.Lock()
	m.near, m.told = true, true
	m.mu.Unlock()
	if err := r.notice(ctx, engine.Notice{Memory: engine.MemoryNear, By: "9 MB of 10 MB are in use"}); err != nil {
		t.Fatal(err)
	}
	r.throttle.bound(m.underway())
	if r.throttle.limit >= usual {
		t.Errorf("sources may have %d bytes under way, and %d where memory is short", usual, r.throttle.limit)
	}
	check := func(at time.Time) {
		m.mu.Lock()
		defer m.mu.Unlock()
		now = at
		if err := r.memoryEnough(ctx, use{live: 1, budget: 10}); err != nil {
			t.Fatal(err)
		}
	}
	check(now)
	check(now.Add(enoughFor - time.Second))
	if !m.near {
		t.Error("a moment is enough")
	}
	check(now.Add(2 * time.Second))
	if m.near || m.told || r.throttle.limit != usual {
		t.Errorf("near %t, told %t, %d bytes", m.near, m.told, r.throttle.limit)
	}
	r.stop(t)
	var own []string
	for _, line := range r.out.changes(t) {
		if strings.Contains(line, "cepd:memory") {
			own = append(own, line)
		}
	}
	want := []string{"raised cepd:memory near: cepd has little memory left: 9 MB of 10 MB are in use", "cleared cepd:memory near: clear"}
	if strings.Join(own, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", own)
	}
}

// TestThrottle: what is on its way is bounded; what is larger than all of the
// bound comes alone, and nothing while the bound is 0.
func TestThrottle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	th := newThrottle(100)
	for _, n := range []int{60, 40} {
		if err := th.acquire(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan error, 1)
	go func() { got <- th.acquire(ctx, 500) }()
	th.release(60)
	select {
	case <-got:
		t.Error("there is no room")
	default:
	}
	th.bound(0)
	th.release(40)
	select {
	case <-got:
		t.Error("nothing may come in")
	default:
	}
	th.bound(1)
	if err := <-got; err != nil {
		t.Error(err)
	}
	go func() { got <- th.acquire(ctx, 1) }()
	cancel()
	if err := <-got; err == nil {
		t.Error("it waits for nobody any more")
	}
}

func TestSizeOf(t *testing.T) {
	if got := sizeOf([]event.Record{{Topic: "abc", Payload: make([]byte, 10)}, {}}); got != 13+2*recordBytes {
		t.Error(got)
	}
}
