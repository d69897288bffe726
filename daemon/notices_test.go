package daemon

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/mqttconn"
)

// brokered makes the source of a rig one that is connected to a broker.
func brokered(o *Options) {
	o.Config.Sources = []config.Source{{Name: "plant", Type: "mqtt", MQTT: config.MQTTSource{Conn: mqttconn.Config{URL: "mqtt://127.0.0.1"}}}}
}

// tells feeds a record that is about the source's connection.
func (r *rig) tells(kind event.RecordKind, flags event.Flags) {
	rec := event.Record{Kind: kind, Flags: flags, Source: "plant", Arrival: r.clock.now()}
	r.source.batches <- ingest.Batch{Records: []event.Record{rec}, Ack: func(error) { r.source.acked <- struct{}{} }}
}

// tick lets the log know what time it is.
func (r *rig) tick(t *testing.T) {
	t.Helper()
	c := command{records: []event.Record{{Kind: event.KindTick, Arrival: r.clock.now()}}, done: make(chan error, 1)}
	if err := r.send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// TestSourceDown: a source that is disconnected for longer than a minute is an
// alert, without any event, and one that comes back clears it.
func TestSourceDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, tooHot, brokered)
		r.start(t)
		defer r.stop(t)
		steps := []struct {
			kind  event.RecordKind
			flags event.Flags
			then  time.Duration
			want  []string
		}{
			{0, 0, 59 * time.Second, nil},
			{event.KindSourceUp, 0, time.Hour, nil},
			{event.KindSourceDown, 0, 30 * time.Second, nil},
			{event.KindSourceUp, event.FlagSession, time.Hour, nil},
			{event.KindSourceDown, 0, 61 * time.Second, []string{"raised cepd:source-down plant: source plant has been disconnected since 2000-01-01T02:01:29Z"}},
			{0, 0, time.Hour, nil},
			{event.KindSourceUp, event.FlagSession, time.Second, []string{"cleared cepd:source-down plant: clear"}},
			{event.KindSourceDown, 0, time.Second, nil},
			{event.KindSourceUp, event.FlagLost, time.Second, []string{"raised cepd:session-lost plant: the broker had forgotten the session of source plant: events may be lost"}},
			{0, 0, time.Hour, []string{"cleared cepd:session-lost plant: clear_after"}},
		}
		var want []string
		for i, s := range steps {
			if s.kind != 0 {
				r.tells(s.kind, s.flags)
			}
			time.Sleep(s.then)
			synctest.Wait()
			want = append(want, s.want...)
			if d := cmp.Diff(want, r.out.changes(t)); d != "" {
				t.Fatalf("step %d: %s", i, d)
			}
		}
	})
}

// TestRestartIsNoDisconnection: a restart disconnects every source. That alone
// is no alert; what fired before it fires on, and is not told again.
func TestRestartIsNoDisconnection(t *testing.T) {
	var offset atomic.Int64
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	with := func(o *Options) {
		brokered(o)
		o.Now = func() time.Time { return start.Add(time.Duration(offset.Load())) }
	}
	later := func(d time.Duration) { offset.Add(int64(d)) }
	r := keptRigWith(t, tooHot, filepath.Join(t.TempDir(), "state"), with)
	r.start(t)
	r.tells(event.KindSourceUp, 0)
	r.effect(t)
	r.stop(t)
	later(time.Hour)
	r = r.again(t, with)
	later(50 * time.Second)
	r.tick(t)
	if got := r.out.changes(t); len(got) > 0 {
		t.Fatalf("a restart within the time that a source may be away: %v", got)
	}
	later(11 * time.Second)
	r.tick(t)
	r.stop(t)
	later(time.Hour)
	r = r.again(t, with)
	if got := r.metric(t, `cepd_alerts_firing{rule="cepd:source-down"}`); got != "1" {
		t.Errorf("%q alerts fire after a restart", got)
	}
	r.tells(event.KindSourceUp, 0)
	r.effect(t)
	r.stop(t)
	var kinds []string
	for _, c := range r.out.changes(t) {
		kinds = append(kinds, c[:len("raised cepd:source-down")])
	}
	if d := cmp.Diff([]string{"raised cepd:source-down", "cleared cepd:source-dow"}, kinds); d != "" {
		t.Error(d)
	}
}

// TestClockAlerts: a wall clock that is set back is an alert until it has caught
// up, and one that is set forward is one for a while.
func TestClockAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64
		wall := func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) }
		r := newRigWith(t, tooHot, func(o *Options) { o.Now = wall })
		last := time.Now()
		r.clock.elapsed = func(time.Time, time.Time) time.Duration {
			d := time.Since(last)
			last = last.Add(d)
			return d
		}
		r.start(t)
		defer r.stop(t)
		var want []string
		for i, s := range []struct {
			offset time.Duration
			wait   time.Duration
			want   []string
		}{
			{0, time.Minute, nil},
			{-5 * time.Second, time.Minute, nil},
			{-time.Hour, 20 * time.Second, []string{"raised cepd:clock behind: the clock of cepd's machine is 1h0m0s behind what it was"}},
			{-time.Hour, time.Minute, nil},
			{0, 20 * time.Second, []string{"cleared cepd:clock behind: clear"}},
			{2 * time.Minute, 20 * time.Second, nil},
			{time.Hour, 20 * time.Second, []string{"raised cepd:clock ahead: the clock of cepd's machine went 58m0s forward at once"}},
			{time.Hour, time.Hour, []string{"cleared cepd:clock ahead: clear_after"}},
		} {
			offset.Store(int64(s.offset))
			time.Sleep(s.wait)
			synctest.Wait()
			want = append(want, s.want...)
			if d := cmp.Diff(want, r.out.changes(t)); d != "" {
				t.Fatalf("step %d: %s", i, d)
			}
		}
	})
}

// TestDamageAlert: keys that started afresh are an alert.
func TestDamageAlert(t *testing.T) {
	r := newRig(t, tooHot)
	r.start(t)
	if err := r.notice(t.Context(), engine.NoticeOfDamage([]engine.Damage{{Rule: "too-hot"}, {}, {Rule: "too-hot"}})); err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	if d := cmp.Diff([]string{"raised cepd:state-damaged : 3 pieces of state were damaged, of too-hot"}, r.out.changes(t)); d != "" {
		t.Error(d)
	}
}
