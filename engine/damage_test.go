package engine

import (
	"bytes"
	"math/rand"
	"slices"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestDamagedRows flips bits of stored rows, one at a time. Reading them back
// gives an error, or an engine that goes on without the state of one key, or,
// since a store would have noticed, with another one; but nothing may panic.
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
	refused, borne := 0, 0
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
		slices.SortFunc(damaged, func(a, b Row) int { return bytes.Compare(a.Name, b.Name) })
		again, lost, err := Restore(c, set, inOrder(damaged))
		if err != nil {
			refused++
			continue
		}
		if len(lost) > 0 {
			borne++
		}
		again.Step(Input{Records: rest})
	}
	if refused == 0 || borne == 0 {
		t.Errorf("%d damages were refused and %d cost one key its state, want some of both", refused, borne)
	}
}
