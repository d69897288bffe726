package main

import (
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/trydemo"
)

func tryCommand(s streams) *cobra.Command {
	var logs logFlags
	o := trydemo.Options{Out: s.out, Version: version, Command: ownName()}
	c := &cobra.Command{
		Use:   "try",
		Short: "See cepd at work, with no network and no configuration",
		Long: `See cepd at work: a broker, a few dozen simulated freezers, and the daemon that
'cepd run' runs, in one process. Alerts appear within ten seconds, each with its
evidence, and clear when the trouble is over.

Rules, settings and a recording of the events go to a folder that stays: edit
the rules while it runs, or replay the recording afterwards.`,
		Example: `  cepd try
  cepd try --for 20s
  cepd try --dir ./demo --speed 10`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			logger, err := logs.logger(s)
			if err != nil {
				return err
			}
			o.Logger, o.Color = logger, color(s.out)
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			_, err = trydemo.Run(ctx, o)
			return err
		},
	}
	c.Flags().Var((*durationFlag)(&o.For), "for", "end by itself after so long (default: at Ctrl-C)")
	c.Flags().Float64Var(&o.Speed, "speed", 60, "seconds of the freezers in one of ours")
	c.Flags().StringVar(&o.Dir, "dir", "", "folder for rules, settings and the recording (default: a temporary one)")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "decides what happens after the first minutes")
	logs.register(c, slog.LevelWarn)
	return c
}

// durationFlag is a flag with a duration as rules write it, such as 1m30s or 7d.
type durationFlag time.Duration

// Set implements [pflag.Value].
func (f *durationFlag) Set(s string) error {
	d, err := event.ParseDuration(s)
	*f = durationFlag(d)
	return err
}

// String implements [pflag.Value].
func (f *durationFlag) String() string {
	if *f == 0 {
		return ""
	}
	return event.FormatDuration(event.Duration(*f))
}

// Type implements [pflag.Value].
func (f *durationFlag) Type() string { return "duration" }

// ownName is how whoever runs this program can run it again: its name where
// the shell finds it, else its path; "go run" leaves no program behind.
func ownName() string {
	name := os.Args[0]
	if strings.HasPrefix(name, filepath.Join(os.TempDir(), "go-build")) || strings.Contains(name, "go-build") {
		return "go run ./cmd/cepd"
	}
	return name
}
