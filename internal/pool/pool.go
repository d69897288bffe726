package pool

import "sync"

// Pool calls functions on a number of goroutines. It is used by one goroutine at
// a time.
type Pool struct {
	work    chan task
	workers sync.WaitGroup
	serial  bool
}

type task struct {
	f    func(int)
	i    int
	done *sync.WaitGroup
}

// New returns a pool of n goroutines, of which the caller of Do is one.
func New(n int) *Pool {
	p := &Pool{work: make(chan task)}
	for range n - 1 {
		p.workers.Go(func() {
			for t := range p.work {
				t.f(t.i)
				t.done.Done()
			}
		})
	}
	return p
}

// Serial says whether the next calls of Do have too little to do for more than
// one goroutine.
func (p *Pool) Serial(serial bool) { p.serial = serial }

// Do calls f(0) to f(n-1), n not being greater than the number of goroutines, and
// returns when all have returned. The last call is made by the caller's goroutine;
// the others wait for one of the pool's.
func (p *Pool) Do(n int, f func(int)) {
	if p.serial || n < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var done sync.WaitGroup
	done.Add(n - 1)
	for i := range n - 1 {
		p.work <- task{f, i, &done}
	}
	f(n - 1)
	done.Wait()
}

// Stop ends the goroutines. Do must not be called any more.
func (p *Pool) Stop() {
	close(p.work)
	p.workers.Wait()
}
