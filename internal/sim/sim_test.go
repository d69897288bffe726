package sim

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seeds = flag.Int("seeds", 60, "how many seeds are simulated")
	seed  = flag.Uint64("seed", 0, "the only seed to simulate, with a trace")
)

// Every seed is another life, and in each of them everything is kept that
// cepd promises.
func TestLives(t *testing.T) {
	if *seed != 0 {
		if err := Run(*seed, os.Stdout); err != nil {
			t.Fatal(err)
		}
		return
	}
	var next, failed atomic.Int64
	var mu sync.Mutex
	var sum counts
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := next.Add(1); n <= int64(*seeds) && failed.Load() < 5; n = next.Add(1) {
				c, err := run(uint64(n), nil)
				if err != nil {
					failed.Add(1)
					t.Errorf("%v (go test ./internal/sim -seed %d)", err, n)
				}
				mu.Lock()
				sum.add(c)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%+v", sum)
	for name, n := range map[string]int{
		"crashes": sum.crashes, "kills": sum.kills, "faults": sum.faults, "full disks": sum.full, "damaged snapshots": sum.damaged, "snapshots": sum.snapshots,
		"snapshots restored": sum.restored, "messages that came twice": sum.duplicates, "evictions": sum.evicted, "deliveries": sum.sent, "alerts of its own": sum.own,
	} {
		if n < *seeds/10 {
			t.Errorf("there were only %d %s", n, name)
		}
	}
}

// A seed decides everything: its life can be told again.
func TestSameLife(t *testing.T) {
	for n := range uint64(10) {
		var first, second bytes.Buffer
		if err := errors.Join(Run(1000+n, &first), Run(1000+n, &second)); err != nil {
			t.Fatal(err)
		}
		if first.String() != second.String() || first.Len() == 0 {
			t.Errorf("seed %d is told in two ways", 1000+n)
		}
	}
}

func (c *counts) add(o counts) {
	c.crashes += o.crashes
	c.kills += o.kills
	c.faults += o.faults
	c.full += o.full
	c.damaged += o.damaged
	c.snapshots += o.snapshots
	c.restored += o.restored
	c.duplicates += o.duplicates
	c.evicted += o.evicted
	c.sent += o.sent
	c.own += o.own
}
