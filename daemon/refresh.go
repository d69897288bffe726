package daemon

import (
	"log/slog"
	"sync"

	"github.com/cepd/cepd/alerting/notify"
)

// refresher tells sinks again of what fires, whose broker has forgotten it. A
// sink may connect before there is a dispatcher.
type refresher struct {
	mu         sync.Mutex
	dispatcher *notify.Dispatcher
	log        *slog.Logger
	waiting    []string // sinks that asked before
}

// begin does what was asked for already.
func (r *refresher) begin(d *notify.Dispatcher, log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dispatcher, r.log = d, log
	for _, sink := range r.waiting {
		r.do(sink)
	}
	r.waiting = nil
}

// ask tells a sink again of what fires.
func (r *refresher) ask(sink string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dispatcher == nil {
		r.waiting = append(r.waiting, sink)
		return
	}
	r.do(sink)
}

func (r *refresher) do(sink string) {
	switch n, err := r.dispatcher.Refresh(sink); {
	case err != nil:
		r.log.Error("the broker may have lost alerts that fire, and they cannot be published again", "sink", sink, "err", err)
	case n > 0:
		r.log.Info("the broker may have lost what it kept: alerts that fire are published again", "sink", sink, "alerts", n)
	}
}
