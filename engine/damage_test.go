package engine

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestDamagedRows flips bits of stored rows, one at a time. Reading them back
// gives an error, or an engine that goes on: what was damaged may be judged
// otherwise, but nothing may panic.
func TestDamagedRows(t *testing.T) {
	set := storySet(t)
	c := Config{Shards: 2, Load: func(string) (*rules.Set, error) { return set, nil }}
	records := slices.Concat([]event.Record{{Kind: event.KindRuleSet, Payload: []byte(set.Hash)}}, story(1, 300))
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	e := New(c)
	e.Step(Input{Records: records[:250]})
	rows, rest := e.Rows(), records[250:]
	rng := rand.New(rand.NewSource(1))
	refused := 0
	for range 1500 {
		damaged := slices.Clone(rows)
		i := rng.Intn(len(rows))
		part := &damaged[i].Value
		if rng.Intn(4) == 0 {
			part = &damaged[i].Name
		}
		*part = slices.Clone(*part)
		if at := rng.Intn(len(*part)); rng.Intn(8) == 0 {
			*part = (*part)[:at]
		} else {
			(*part)[at] ^= 1 << rng.Intn(8)
		}
		again, err := Restore(c, set, damaged)
		if err != nil {
			refused++
			continue
		}
		again.Step(Input{Records: rest})
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}
