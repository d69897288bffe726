package pool

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAtTheSameTime: all calls are under way at once, else none would return.
func TestAtTheSameTime(t *testing.T) {
	const n = 4
	p := New(n)
	defer p.Stop()
	for range 100 {
		var all sync.WaitGroup
		all.Add(n)
		called := [n]bool{}
		p.Do(n, func(i int) {
			called[i] = true
			all.Done()
			all.Wait()
		})
		if called != [n]bool{true, true, true, true} {
			t.Fatal(called)
		}
	}
}

// TestAsleep: goroutines that have waited in vain for long are woken, and so is
// the caller whose own part was the shortest.
func TestAsleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(3)
		defer p.Stop()
		for pause := range 20 {
			time.Sleep(time.Duration(pause) * time.Millisecond)
			var calls atomic.Int32
			p.Do(3, func(i int) {
				time.Sleep(time.Duration((i+pause)%3) * time.Millisecond)
				calls.Add(1)
			})
			if calls.Load() != 3 {
				t.Fatalf("%d calls", calls.Load())
			}
		}
	})
}

// TestSerial: calls are made in order, one after the other, where that is wanted.
func TestSerial(t *testing.T) {
	p := New(3)
	defer p.Stop()
	p.Serial(true)
	var order []int
	p.Do(3, func(i int) { order = append(order, i) })
	if len(order) != 3 || order[0] != 0 || order[1] != 1 || order[2] != 2 {
		t.Error(order)
	}
}

// TestMoreCalls: there may be more calls than goroutines. Each is made once, and
// by the caller of Do where the others are busy or asleep.
func TestMoreCalls(t *testing.T) {
	p := New(3)
	defer p.Stop()
	for n := range 20 {
		for range 100 {
			calls := make([]atomic.Int32, n)
			p.Do(n, func(i int) { calls[i].Add(1) })
			for i := range calls {
				if c := calls[i].Load(); c != 1 {
					t.Fatalf("%d of %d: %d calls", i, n, c)
				}
			}
		}
	}
}
