package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestDamagedOwnAlerts flips each bit of the rows of the engine's own alerts.
// Nothing panics, and what cannot be read is said to be lost.
func TestDamagedOwnAlerts(t *testing.T) {
	set := storySet(t)
	at := event.Time(time.Hour)
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	records := []event.Record{
		{Kind: event.KindRuleSet, Arrival: at},
		{Kind: event.KindSourceUp, Source: "in", Flags: event.FlagLost, Arrival: at},
		{Kind: event.KindTick, Arrival: at.Add(time.Minute)},
		Notice{Clock: ClockBehind, By: "1h"}.Record(at.Add(time.Minute)),
	}
	for i := range records {
		records[i].Pos.Seq = uint64(i + 1)
	}
	out := e.Step(Input{Records: records})
	if len(out.Transitions) != 3 {
		t.Fatalf("%d alerts were raised, want 3", len(out.Transitions))
	}
	fires := 0
	e.Firing(func(*alerting.Transition) { fires++ })
	if fires != 3 || !e.ClockWrong() {
		t.Errorf("%d alerts fire, clock wrong: %t", fires, e.ClockWrong())
	}
	rows := e.Rows()
	borne := 0
	for i := range rows {
		if rows[i].Name[0] != rowOwn {
			continue
		}
		for bit := range 8 * len(rows[i].Value) {
			damaged := slices.Clone(rows)
			damaged[i].Value = slices.Clone(rows[i].Value)
			damaged[i].Value[bit/8] ^= 1 << (bit % 8)
			again, lost, err := Restore(Config{}, set, inOrder(damaged))
			if err != nil {
				t.Fatalf("row %q, bit %d: %v", rows[i].Name, bit, err)
			}
			again.Step(Input{Records: []event.Record{{Kind: event.KindTick, Arrival: at.Add(time.Hour), Pos: event.Position{Seq: 5}}}})
			borne += len(lost)
		}
	}
	if borne == 0 {
		t.Error("no damage was found")
	}
}
