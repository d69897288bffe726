package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// minutes sends readings to windows of a minute.
type minutes struct {
	t      *testing.T
	engine *Engine
	seq    uint64
}

func newMinutes(t *testing.T) *minutes {
	set := loadSet(t, `
streams: {t: {source: in, time: e.ts}}
rules: [{name: w, from: t, by: e.d, window: {tumbling: 1m}, emit: {n: count(), x: max(e.x)}}]
`)
	m := &minutes{t: t, engine: New(Config{Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }})}
	m.engine.Step(Input{Records: withRules(set, nil)})
	return m
}

// send sends an event of each of some devices in a minute, and returns how many
// windows have ended.
func (m *minutes) send(minute, from, to int) int {
	m.t.Helper()
	var records []event.Record
	for i := from; i < to; i++ {
		m.seq++
		at := event.Time(1_772_366_400_000_000_000).Add(time.Duration(minute)*time.Minute + time.Duration(i-from)*time.Millisecond)
		records = append(records, event.Record{Kind: event.KindMessage, Source: "in", Pos: event.Position{Seq: m.seq + 1},
			Payload: fmt.Appendf(nil, `{"ts":"%s","d":"d%d","x":%d}`, at, i, minute)})
	}
	return len(m.engine.Step(Input{Records: records}).Emitted)
}

// keys returns how many keys are filed.
func (m *minutes) keys() int { return m.engine.shards[0].lanes[0].tables[0].keys.n }

// TestLinger: a key stays filed when its window has ended, and goes when it does not
// come again. Nobody sees that.
func TestLinger(t *testing.T) {
	m := newMinutes(t)
	m.send(0, 0, 500)
	if n := m.send(1, 0, 1); n != 500 || m.keys() != 500 {
		t.Fatalf("%d windows have ended, want 500, and %d keys are filed, want 500", n, m.keys())
	}
	restored, _, err := Restore(m.engine.config, m.engine.Rules(), inOrder(m.engine.Rows()))
	if err != nil {
		t.Fatal(err)
	}
	if n := restored.shards[0].lanes[0].tables[0].keys.n; n != 1 {
		t.Errorf("%d keys were stored, want the one with a window", n)
	}
	evicted := 0
	for _, notice := range m.engine.Coldest(1) {
		for _, of := range notice.Evict {
			evicted += len(of.Keys)
		}
	}
	if evicted != 1 {
		t.Errorf("%d keys could be evicted, want the one with a window", evicted)
	}
	if n := m.send(2, 0, 1); n != 1 || m.keys() != 1 {
		t.Errorf("%d windows have ended, want 1, and %d keys are filed, want 1", n, m.keys())
	}
	m.send(3, 0, 400)
	m.send(4, 0, 1)
	if m.keys() != 400 {
		t.Errorf("%d keys are filed, want 400", m.keys())
	}
	if m.send(10, 0, 1); m.keys() != 1 {
		t.Errorf("%d keys are filed long after their windows, want 1", m.keys())
	}
}

// TestFewLinger: of keys that come again all linger, of ever new ones few.
func TestFewLinger(t *testing.T) {
	const keys = 4 * fewLinger
	again, fresh := newMinutes(t), newMinutes(t)
	for minute := range 4 {
		again.send(minute, 0, keys)
		fresh.send(minute, minute*keys, (minute+1)*keys)
	}
	again.send(4, 0, 1)
	if again.keys() != keys {
		t.Errorf("of keys that come again %d are filed, want %d", again.keys(), keys)
	}
	fresh.send(4, 0, 1)
	if fresh.keys() != fewLinger+1 {
		t.Errorf("of keys that are new %d are filed, want %d", fresh.keys(), fewLinger+1)
	}
}
