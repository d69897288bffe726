package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/daemon"
)

const defaultConfig = "cepd.yaml"

func runCommand(s streams) *cobra.Command {
	var file string
	var logs logFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `Run the daemon that a cepd.yaml describes: read its sources, judge events by its
rules, and send alerts to its sinks.

SIGHUP, a changed rule file, and POST /-/reload read the rules again. Either all
of them are taken over, or, if there is a mistake, none: the mistakes are logged
and the running rules stay. SIGTERM and SIGINT let what was read take effect,
deliver what can be delivered within ten seconds, and end. A second one ends at
once. When every source is a file or a pipe, cepd ends when they have.`,
		Example: `  cepd run                          # with ./cepd.yaml
  cepd run -c /etc/cepd/cepd.yaml
  curl -X POST http://127.0.0.1:9477/-/reload`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := logs.logger(s)
			if err != nil {
				return err
			}
			cfg, err := readConfig(s, file)
			if err != nil {
				return err
			}
			d, err := daemon.New(daemon.Options{
				Config: cfg, Version: version, Logger: logger,
				Stdin: s.in, Stdout: s.out, Color: color(s.out),
			})
			if err != nil {
				return err
			}
			return serve(cmd.Context(), d, logger)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", defaultConfig, "the daemon's own file")
	logs.register(c, slog.LevelInfo)
	return c
}

// readConfig reads a cepd.yaml. Its mistakes are printed, with those of its rules.
func readConfig(s streams, file string) (*config.Config, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) && file == defaultConfig {
			return nil, fmt.Errorf("there is no %s here; name one with -c, or see 'cepd try'", file)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s; -c names the cepd.yaml to run", file)
		}
		return nil, err
	}
	cfg, issues := config.Parse(file, src, os.LookupEnv)
	if len(issues) == 0 {
		return cfg, nil
	}
	_, _, report, err := config.Check(file, src, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(s.err, report.String())
	return nil, errSilent
}

// serve runs a daemon until a signal ends it, or it has nothing left to do.
func serve(ctx context.Context, d *daemon.Daemon, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	if err := d.Start(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			logger.Info("stopped before all parts had started")
			return nil
		}
		return err
	}
	for running := true; running; {
		select {
		case <-hup:
			_, _ = d.Reload(ctx) // it has logged what it did
		case <-ctx.Done():
			logger.Info("stopping")
			running = false
		case <-d.Done():
			running = false
		}
	}
	stop() // a second signal ends the process at once
	err := d.Stop(context.Background())
	return errors.Join(d.Err(), err)
}
