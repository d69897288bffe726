package pool

import (
	"sync"
	"testing"
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
