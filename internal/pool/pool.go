package pool

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Pool calls functions on a number of goroutines. It is used by one goroutine at
// a time.
type Pool struct {
	helpers []*helper
	workers sync.WaitGroup
	left    atomic.Int64  // calls under way
	done    chan struct{} // the last of them has returned, and Do sleeps
	asleep  atomic.Bool   // Do does
	serial  bool
}

// helper is a goroutine of the pool.
type helper struct {
	work   atomic.Pointer[task]
	asleep atomic.Bool
	wake   chan struct{}
}

type task struct {
	f func(int)
	i int
}

// patience is how often a goroutine looks for what it waits for before it sleeps,
// about 0.2 milliseconds in all. To wake a processor that has nothing to do takes
// half of that on many machines, which is as long as all the work there is for it.
const patience = 600

// New returns a pool of n goroutines, of which the caller of Do is one.
func New(n int) *Pool {
	p := &Pool{done: make(chan struct{}, 1)}
	for range n - 1 {
		h := &helper{wake: make(chan struct{}, 1)}
		p.helpers = append(p.helpers, h)
		p.workers.Go(func() { p.help(h) })
	}
	return p
}

// Serial says whether the next calls of Do have too little to do for more than
// one goroutine.
func (p *Pool) Serial(serial bool) { p.serial = serial }

// Do calls f(0) to f(n-1), n not being greater than the number of goroutines, and
// returns when all have returned. The last call is made by the caller's goroutine.
func (p *Pool) Do(n int, f func(int)) {
	if p.serial || n < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	p.left.Store(int64(n - 1))
	for i := range n - 1 {
		h := p.helpers[i]
		h.work.Store(&task{f, i})
		if h.asleep.Swap(false) {
			h.wake <- struct{}{}
		}
	}
	f(n - 1)
	none := func() bool { return p.left.Load() == 0 }
	if await(none) {
		return
	}
	if p.asleep.Store(true); none() && p.asleep.Swap(false) {
		return // the last has returned meanwhile, and wakes nobody
	}
	<-p.done
}

// help does what there is to do, until the pool is stopped.
func (p *Pool) help(h *helper) {
	for {
		some := func() bool { return h.work.Load() != nil }
		if !await(some) {
			if h.asleep.Store(true); !some() || !h.asleep.Swap(false) {
				<-h.wake
			}
		}
		t := h.work.Swap(nil)
		if t.f == nil {
			return
		}
		t.f(t.i)
		if p.left.Add(-1) == 0 && p.asleep.Swap(false) {
			p.done <- struct{}{}
		}
	}
}

// await waits for something with patience, and reports whether it is so.
func await(is func() bool) bool {
	for range patience {
		for range 64 {
			if is() {
				return true
			}
		}
		runtime.Gosched() // others may need the processor
	}
	return false
}

// Stop ends the goroutines. Do must not be called any more.
func (p *Pool) Stop() {
	for _, h := range p.helpers {
		h.work.Store(&task{})
		if h.asleep.Swap(false) {
			h.wake <- struct{}{}
		}
	}
	p.workers.Wait()
}
