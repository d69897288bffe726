package engine

import (
	"bytes"
	"errors"
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
	t.Run("streams", func(t *testing.T) { testDamagedRows(t, storySet(t), story, stories(300, 1500)) })
	t.Run("keys", func(t *testing.T) { testDamagedRows(t, loadSet(t, keyedRules), offline, stories(100, 500)) })
}

func testDamagedRows(t *testing.T, set *rules.Set, story func(seed int64, n int) []event.Record, tries int64) {
	c := Config{Shards: 2, Load: func(string) (*rules.Set, error) { return set, nil }}
	records := withRules(set, story(1, 300))
	e := New(c)
	e.Step(Input{Records: records[:250]})
	rows, rest := e.Rows(), records[250:]
	rng := rand.New(rand.NewSource(1))
	refused, borne := 0, 0
	for range tries {
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

// TestDamageIsReported lets a store find one row after the other damaged. What
// belongs to one key, or to one event, is left out and said; without anything
// else there is no state. The next snapshot is a full one.
func TestDamageIsReported(t *testing.T) {
	set := storySet(t)
	c := Config{Shards: 2, Load: func(string) (*rules.Set, error) { return set, nil }}
	e := New(c)
	e.Step(Input{Records: storyRecords(set, 1, 250)[:250]})
	rows := e.Rows()
	errDamaged := errors.New("its checksum is wrong")
	said := map[byte]string{}
	for i := range rows {
		again, lost, err := Restore(c, set, func(yield func(Row, error) bool) {
			for n, row := range rows {
				if n == i && !yield(Row{Name: row.Name}, errDamaged) || n != i && !yield(row, nil) {
					return
				}
			}
		})
		kind := rows[i].Name[0]
		switch kind {
		case rowState, rowWaiting, rowChunk, rowOwn:
			if err != nil || len(lost) != 1 || !errors.Is(lost[0].Err, errDamaged) {
				t.Fatalf("row %q: lost %v, %v", rows[i].Name, lost, err)
			}
			said[kind] = lost[0].What
			if d := differ(again.Rows(), slices.Delete(slices.Clone(rows), i, i+1)); d != "" && kind != rowChunk {
				t.Fatalf("row %q: %s", rows[i].Name, d)
			}
			if !again.Snapshot(false).Full {
				t.Fatalf("row %q: the next snapshot builds on a damaged one", rows[i].Name)
			}
		default:
			if err == nil {
				t.Fatalf("row %q: no error", rows[i].Name)
			}
		}
	}
	if len(said) < 2 {
		t.Errorf("only these were tried: %v", said)
	}
	t.Log(said)
}
