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
	done    chan struct{} // wakes Do
	serial  bool
}

// helper is a goroutine of the pool.
type helper struct {
	number int
	work   atomic.Pointer[job]
	asleep atomic.Bool
	wake   chan struct{}
}

// job is what one call of Do is to do.
type job struct {
	f      func(int)
	taken  []atomic.Bool // calls that some goroutine makes or has made
	left   atomic.Int64  // calls that have not returned
	asleep atomic.Bool   // Do sleeps until none is left
}

// patience is how often a goroutine looks for what it waits for before it sleeps,
// about 0.2 milliseconds in all. To wake a processor that has nothing to do takes
// half of that on many machines, which is as long as all the work there is for it.
const patience = 600

// New returns a pool of n goroutines, of which the caller of Do is one.
func New(n int) *Pool {
	p := &Pool{done: make(chan struct{}, 1)}
	for i := range n - 1 {
		h := &helper{number: i, wake: make(chan struct{}, 1)}
		p.helpers = append(p.helpers, h)
		p.workers.Go(func() { p.help(h) })
	}
	return p
}

// Serial says whether the next calls of Do have too little to do for more than
// one goroutine.
func (p *Pool) Serial(serial bool) { p.serial = serial }

// Do calls f(0) to f(n-1), and returns when all have returned. Each goroutine has
// a share of the calls, the same each time, so that what they work on is in the
// cache of one processor; who is done makes calls of the others that have not
// begun. So nobody waits for a goroutine that sleeps.
func (p *Pool) Do(n int, f func(int)) {
	if p.serial || n < 2 || len(p.helpers) == 0 {
		for i := range n {
			f(i)
		}
		return
	}
	j := &job{f: f, taken: make([]atomic.Bool, n)}
	j.left.Store(int64(n))
	for _, h := range p.helpers {
		h.give(j)
	}
	none := func() bool { return j.left.Load() == 0 }
	if p.work(j, len(p.helpers)) || await(none) {
		return
	}
	if j.asleep.Store(true); none() && j.asleep.Swap(false) {
		return // the last has returned meanwhile, and wakes nobody
	}
	<-p.done
}

// work makes the calls of a goroutine's share, and then those that are left, from
// the end of the others' shares. It reports whether it made the last call of all
// to return.
func (p *Pool) work(j *job, number int) (last bool) {
	n, all := len(j.taken), len(p.helpers)+1
	for i := number * n / all; i < (number+1)*n/all; i++ {
		last = j.call(i) || last
	}
	for i := n - 1; i >= 0; i-- {
		last = j.call(i) || last
	}
	return last
}

// call makes a call if nobody else does, and reports whether it was the last to
// return.
func (j *job) call(i int) bool {
	if j.taken[i].Load() || j.taken[i].Swap(true) {
		return false
	}
	j.f(i)
	return j.left.Add(-1) == 0
}

// give gives a job to the goroutine, and wakes it if need be.
func (h *helper) give(j *job) {
	h.work.Store(j)
	if h.asleep.Swap(false) {
		h.wake <- struct{}{}
	}
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
		j := h.work.Swap(nil)
		switch {
		case j == nil: // woken for one that others have done
		case j.f == nil:
			return
		case p.work(j, h.number) && j.asleep.Swap(false):
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
		h.give(&job{})
	}
	p.workers.Wait()
}
