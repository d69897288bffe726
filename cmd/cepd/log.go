package main

import (
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/event"
)

// logFlags are the flags of commands that log.
type logFlags struct {
	level  slog.Level
	format string
}

func (f *logFlags) register(c *cobra.Command, level slog.Level) {
	f.level = level
	c.Flags().TextVar(&f.level, "log-level", level, "least level to log: debug, info, warn or error")
	c.Flags().StringVar(&f.format, "log-format", "auto", "text, json, or auto: text on a terminal")
}

// logger logs to the error stream.
func (f *logFlags) logger(s streams) (*slog.Logger, error) {
	o := &slog.HandlerOptions{Level: f.level, ReplaceAttr: readable}
	format := f.format
	if format == "auto" {
		format = "json"
		if isTerminal(s.err) {
			format = "text"
		}
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(s.err, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(s.err, o)), nil
	}
	return nil, usagef("--log-format is %q; it is auto, text or json", f.format)
}

// readable writes durations as rules do, not as a number without a unit, and
// without the digits that nobody reads: 33ms, not 33ms198us951ns.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(event.FormatDuration(rough(a.Value.Duration())))
	}
	return a
}

// rough rounds to the largest unit below a minute of which d has ten or more.
func rough(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= 10*unit {
			return d.Round(unit)
		}
	}
	return d
}
