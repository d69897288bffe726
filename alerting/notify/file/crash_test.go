package file

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/outbox"
	"github.com/cepd/cepd/state/vfs"
)

// TestCrashes lets cepd crash at any moment, with lines that are written and not
// marked, and with half a line at the end. Each line is there once.
func TestCrashes(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			path := filepath.Join(t.TempDir(), "{rule}.jsonl")
			mem := vfs.NewMem()
			n := 0
			for range 5 {
				life(t, mem, path, rng, &n)
				mem.Crash(rng)
				tear(t, path, rng)
			}
			life(t, mem, path, nil, &n)
			seen := map[string]int{}
			for _, rule := range []string{"a", "b"} {
				data, err := os.ReadFile(strings.ReplaceAll(path, "{rule}", rule))
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(string(data)) {
					_, rest, ok := strings.Cut(line, `"event":{"n":`)
					if !ok || !strings.HasSuffix(line, "}}\n") {
						t.Errorf("seed %d: a line is %q", seed, line)
					}
					seen[strings.TrimSuffix(rest, "}}\n")]++
				}
			}
			for i := range n {
				if seen[fmt.Sprint(i)] != 1 {
					t.Errorf("seed %d: line %d is there %d times", seed, i, seen[fmt.Sprint(i)])
				}
			}
		})
	}
}

// life delivers some events. With rng it ends without a farewell.
func life(t *testing.T, fs vfs.FS, path string, rng *rand.Rand, n *int) {
	box, _, err := outbox.Open(fs, "outbox", outbox.Options{MarksEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	sink, err := New(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	d, err := notify.New(notify.Config{Sinks: []notify.Sink{{Name: "warehouse", Notifier: sink}}, Outbox: box})
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	for i := 0; rng != nil && i < 1+rng.IntN(10); i++ {
		v := emitted(t, string('a'+rune(*n%2)), "2026-03-01T12:00:00Z", *n)
		v.Derived.To = []string{"warehouse"}
		if err := d.Enqueue(event.Position{}, []notify.Message{v.Message}); err != nil {
			t.Fatal(err)
		}
		*n++
		synctest.Wait()
		if rng.IntN(4) == 0 {
			if err := box.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	synctest.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	d.Stop(ctx)
	if rng == nil {
		if err := box.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
}

// tear leaves half a line at the end of a file that is there.
func tear(t *testing.T, path string, rng *rand.Rand) {
	if rng.IntN(2) == 0 {
		return
	}
	f, err := os.OpenFile(strings.ReplaceAll(path, "{rule}", "a"), os.O_WRONLY|os.O_APPEND, 0)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"rule":"a","key":nu`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
