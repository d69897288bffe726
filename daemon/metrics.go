package daemon

import (
	"context"
	"time"

	"github.com/cepd/cepd/engine"
)

type metrics struct{}

func newMetrics(d *Daemon) *metrics { return &metrics{} }

func (m *metrics) observe(out *engine.Output) {}

func (d *Daemon) startHTTP(context.Context) error { return nil }

// Addr returns the address.
func (d *Daemon) Addr() string { return "" }

func (m *metrics) reloaded(err error, at time.Time) {}
