package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/cepd/cepd/web"
)

// startHTTP serves metrics, health and the reload endpoint.
func (d *Daemon) startHTTP(context.Context) error {
	if d.cfg.HTTP.Listen == "off" {
		return nil
	}
	l, err := net.Listen("tcp", d.cfg.HTTP.Listen)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	d.addr = l.Addr().String()
	handler := web.New(web.Config{
		Gatherer: d.metrics.Registry(), Ready: d.Ready, Reload: d.reloadForWeb, DeadLetters: letters{d}, Rules: d.rulesForWeb, Version: d.opts.Version, Logger: d.log,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := web.Serve(ctx, l, handler, d.log); err != nil {
			d.fail(err)
		}
	}()
	d.started("http", func(context.Context) {
		cancel()
		<-done
	})
	return nil
}

// Addr returns the address that the daemon's own server listens on, "" where
// it has none or has not started.
func (d *Daemon) Addr() string { return d.addr }

// reloadForWeb reloads, and tells apart what is wrong with the rules.
func (d *Daemon) reloadForWeb(ctx context.Context) (string, error) {
	report, err := d.Reload(ctx)
	var wrong *MistakesError
	if errors.As(err, &wrong) {
		return "", &web.ReloadRejected{Report: wrong.Error()}
	}
	return report.Details(), err
}
