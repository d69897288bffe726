package engine

import (
	"math/rand"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestMarksNeverGoBack moves a watermark by random events, ticks and
// connections of several partitions: it never goes back (I7), and an event
// that moves it is never late by its own doing.
func TestMarksNeverGoBack(t *testing.T) {
	for seed := range int64(50) {
		rng := rand.New(rand.NewSource(seed))
		m := &marks{policy: rules.Watermark{Lag: 3 * time.Second, Idle: 10 * time.Second}, mark: event.MinTime, latest: event.MinTime}
		c := &clock{now: 1, down: map[string]event.Time{}}
		last := event.MinTime
		for range 500 {
			c.now = c.now.Add(time.Duration(rng.Intn(5000)) * time.Millisecond)
			rec := &event.Record{Source: "s", Partition: uint32(rng.Intn(3)), Arrival: c.now}
			switch rng.Intn(8) {
			case 0:
				m.tick(c)
			case 1:
				m.tick(c)
				c.down["s"] = c.now
			case 2:
				m.tick(c)
				delete(c.down, "s")
				m.sourceUp("s", c.now)
			default:
				m.tick(c)
				m.observe(rec, c.now.Add(-time.Duration(rng.Intn(8000))*time.Millisecond), c)
			}
			if m.mark < last {
				t.Fatalf("seed %d: the watermark went from %v to %v", seed, last, m.mark)
			}
			last = m.mark
		}
		if last == event.MinTime {
			t.Fatalf("seed %d: the watermark never moved", seed)
		}
	}
}

// TestIdlePartition: the minimum is over the partitions that speak; a silent
// one holds the others up for `idle` and no longer.
func TestIdlePartition(t *testing.T) {
	m := &marks{policy: rules.Watermark{Idle: 10 * time.Second}, mark: event.MinTime, latest: event.MinTime}
	c := &clock{down: map[string]event.Time{}}
	sec := func(s int) event.Time { return event.Time(s) * event.Time(time.Second) }
	see := func(partition uint32, at, arrival int) {
		c.now = sec(arrival)
		m.tick(c)
		m.observe(&event.Record{Partition: partition, Arrival: c.now}, sec(at), c)
	}
	see(0, 100, 1000)
	see(1, 90, 1001)
	if m.mark != sec(100) {
		t.Errorf("mark %v, want 100: a partition that turns up behind does not take it back", m.mark)
	}
	see(0, 120, 1005)
	if m.mark != sec(100) {
		t.Errorf("mark %v, want 100: partition 1 is at 90", m.mark)
	}
	see(0, 121, 1012) // partition 1 has been silent for 11 s
	if m.mark != sec(121) {
		t.Errorf("mark %v, want 121: partition 1 is idle", m.mark)
	}
	c.now = sec(1030) // now all are, and event time runs on with the clock
	m.tick(c)
	if m.mark != sec(121+18) {
		t.Errorf("mark %v, want 139", m.mark)
	}
	if due := m.due(sec(150), c); due != sec(1012+29) {
		t.Errorf("a tick is due at %v, want 1041", due)
	}
}

// TestDownBeforeAnyClock: a source that was down when no record had a time yet
// was down for a time that nobody knows, and not since the beginning of time.
func TestDownBeforeAnyClock(t *testing.T) {
	set := storySet(t)
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: []event.Record{
		{Kind: event.KindRuleSet, Payload: []byte(set.Hash)},
		{Kind: event.KindSourceDown, Source: "in"},
		{Kind: event.KindSourceUp, Source: "in", Arrival: event.Time(time.Hour)},
	}})
	for _, rt := range e.router.streams {
		if rt.marks.paused != 0 {
			t.Errorf("stream %s has been paused for %v, want 0", rt.Name, rt.marks.paused)
		}
	}
}

// TestStreamTimes: how far streams are behind the clock is known without a tick.
func TestStreamTimes(t *testing.T) {
	set := loadSet(t, `
streams:
  t: {source: in, time: e.ts, watermark: {lag: 5s, idle: 30s}}
  k: {source: other, time: e.ts, watermark: {per: key}}
  never: {source: third, time: e.ts}
rules: [{name: hot, from: [t, k, never], by: e.d, when: e.x > 80, alert: {summary: "${key}"}}]
`)
	at := event.Time(1_772_366_400_000_000_000)
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: withRules(set, []event.Record{
		{Kind: event.KindMessage, Source: "in", Arrival: at, Payload: []byte(`{"ts":"2026-03-01T12:00:00Z","d":"a","x":1}`)},
		{Kind: event.KindMessage, Source: "other", Arrival: at, Payload: []byte(`{"ts":"2026-03-01T11:59:50Z","d":"a","x":1}`)},
		{Kind: event.KindSourceDown, Source: "other", Arrival: at},
	})})
	times := e.StreamTimes()
	for _, c := range []struct {
		stream      string
		after, want time.Duration // since the event came; behind the clock
	}{
		{"t", 0, 5 * time.Second}, {"t", 29 * time.Second, 34 * time.Second}, {"t", time.Minute, 5 * time.Second},
		{"k", 0, 10 * time.Second}, {"k", time.Hour, time.Hour + 10*time.Second}, // disconnected
	} {
		now := at.Add(c.after)
		if got := now.Sub(times[c.stream].At(now)); got != c.want {
			t.Errorf("%s is %v behind after %v, want %v", c.stream, got, c.after, c.want)
		}
	}
	if _, ok := times["never"]; ok {
		t.Error("a stream without events has a time")
	}
}
