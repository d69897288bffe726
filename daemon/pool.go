package daemon

import "sync"

// pool runs the shards of the engine on a fixed number of goroutines.
type pool struct {
	work    chan task
	workers sync.WaitGroup
	serial  bool // too little to do for more than one goroutine
}

type task struct {
	f    func(int)
	i    int
	done *sync.WaitGroup
}

// newPool returns a pool that start gives n-1 helpers; the caller of do is the
// n-th.
func newPool() *pool { return &pool{work: make(chan task)} }

func (p *pool) start(n int) {
	for range n - 1 {
		p.workers.Go(func() {
			for t := range p.work {
				t.f(t.i)
				t.done.Done()
			}
		})
	}
}

// do calls f(0) to f(n-1), and returns when all have returned. The last call is
// made by the caller's goroutine; the others wait for a helper.
func (p *pool) do(n int, f func(int)) {
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

func (p *pool) stop() {
	close(p.work)
	p.workers.Wait()
}
