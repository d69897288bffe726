package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/detectrun"
	"github.com/cepd/cepd/internal/zone"
)

// detectFlags are what 'cepd detect' takes.
type detectFlags struct {
	method, time                  string
	values, with, seasons         []string
	direction, learn, by, gap     string
	zone, html                    string
	warmup, every, quiet, gapLong string
	minAbs, minRel                float64
	seed                          uint64
	list, plot                    bool
}

func detectCommand(s streams) *cobra.Command {
	var f detectFlags
	c := &cobra.Command{
		Use:   "detect FILE.csv",
		Short: "Look for anomalies in a file",
		Long: `Look for anomalies in a CSV file, without rules or configuration.

The first line names the columns; commas, semicolons or tabs stand between
them. Written to the standard output is CSV with the time, the values, and what
the detector said: score, expected, lower, upper, anomaly. A summary goes to the standard error, with a plot where that is a
terminal. - is the standard input.

The score is between 0 and 1 and means the same for every method: 0.99 says that
one value in a hundred was as strange.`,
		Example: `  cepd detect cpu.csv > scores.csv
  cepd detect --method profile --value load --html load.html load.csv > scores.csv
  cepd detect --value pressure,flow,temperature pump.csv > scores.csv
  cepd detect --method range --with low=2 --with high=8 pump.csv
  cepd detect --list`,
		Args: func(_ *cobra.Command, args []string) error {
			if want := 1; f.list != (len(args) == 0) || len(args) > want {
				return usagef("say one file, or --list")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if f.list {
				return listDetectors(s.out)
			}
			return f.run(s, args[0])
		},
	}
	f.register(c)
	return c
}

func (f *detectFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVarP(&f.method, "method", "m", "auto", "the detector; see --list")
	flags.StringVar(&f.time, "time", "", "column of the time (default: timestamp, time, datetime, date or ts; else the first that has dates; else rows are a second apart)")
	flags.StringSliceVar(&f.values, "value", nil, "column of the value, or several with commas, judged together (default: the first of numbers)")
	flags.StringArrayVar(&f.with, "with", nil, "a parameter of the method, as name=value; may be given several times")
	flags.StringSliceVar(&f.seasons, "season", nil, "length of the season, such as 1d,7d")
	flags.StringVar(&f.direction, "direction", "both", "side that anomalies are on: up, down or both")
	flags.StringVar(&f.learn, "learn", "calm", "what to learn from: calm, always or warmup")
	flags.StringVar(&f.warmup, "warmup", "", "no verdict before so long, such as 3d")
	flags.StringVar(&f.every, "every", "", "resample to one value per so long, such as 5m")
	flags.StringVar(&f.by, "by", "avg", "how to resample: avg, max, min, sum, last or count")
	flags.StringVar(&f.quiet, "quiet", "", "how long to be quiet after an anomaly (default: 100 steps, at most 2 days)")
	flags.StringVar(&f.gap, "gap", "ignore", "what a gap means: ignore, break or alarm")
	flags.StringVar(&f.gapLong, "gap-after", "", "how long a gap is (default: 10 steps)")
	flags.Float64Var(&f.minAbs, "min-abs", 0, "least distance from the expected value")
	flags.Float64Var(&f.minRel, "min-rel", 0, "least distance from the expected value, as a share of it")
	flags.StringVar(&f.zone, "tz", "UTC", "time zone of seasons, and of times that name none")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of the methods that make random choices")
	flags.StringVar(&f.html, "html", "", "write a page with an interactive plot to this file")
	flags.BoolVar(&f.plot, "plot", false, "plot also where the standard error is no terminal")
	flags.BoolVar(&f.list, "list", false, "list the detectors and their parameters")
}

func (f *detectFlags) run(s streams, path string) error {
	o, err := f.options()
	if err != nil {
		return usageError{err}
	}
	in := s.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	res, err := detectrun.Run(in, s.out, o)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	res.Summary(s.err)
	if f.plot || isTerminal(s.err) {
		res.Plot(s.err, terminalWidth(s.err))
	}
	if f.html == "" {
		return nil
	}
	return writePage(f.html, path, res)
}

func writePage(path, title string, res *detectrun.Result) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := res.HTML(file, title); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// options turns flags into options; an error is about the command line.
func (f *detectFlags) options() (detectrun.Options, error) {
	o := detectrun.Options{Method: f.method, Time: f.time, Values: f.values}
	c := &o.Config
	doc, ok := detectors.DocOf(f.method)
	if !ok {
		return o, fmt.Errorf("there is no detector %q; 'cepd detect --list' shows them", f.method)
	}
	var first error
	note := func(flag string, err error) {
		if err != nil && first == nil {
			first = fmt.Errorf("--%s: %w", flag, err)
		}
	}
	span := func(flag, text string) event.Duration {
		if text == "" {
			return 0
		}
		d, err := event.ParseDuration(text)
		note(flag, err)
		return d
	}
	var err error
	c.Direction, err = detectors.ParseDirection(f.direction)
	note("direction", err)
	c.Learn, err = detectors.ParseLearn(f.learn)
	note("learn", err)
	c.By, err = detectors.ParseReduce(f.by)
	note("by", err)
	c.Gap, err = detectors.ParseGap(f.gap)
	note("gap", err)
	o.Zone, err = zone.Load(f.zone)
	note("tz", err)
	c.Location = o.Zone
	c.Warmup, c.Every = span("warmup", f.warmup), span("every", f.every)
	c.Quiet, c.GapAfter = span("quiet", f.quiet), span("gap-after", f.gapLong)
	for _, text := range f.seasons {
		c.Season = append(c.Season, span("season", text))
	}
	c.MinAbs, c.MinRel, c.Seed = f.minAbs, f.minRel, f.seed
	c.With, err = parameters(doc, f.with)
	note("with", err)
	if first == nil && f.quiet == "0" {
		c.Quiet = -1
	}
	return o, first
}

func parameters(doc detectors.Doc, texts []string) (map[string]float64, error) {
	with := map[string]float64{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not name=value", text)
		}
		p, err := doc.Param(name)
		if err != nil {
			return nil, err
		}
		if with[name], err = p.Parse(value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return with, nil
}

func terminalWidth(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			return w
		}
	}
	return 100
}

func listDetectors(w io.Writer) error {
	for _, d := range detectors.Methods() {
		several := ""
		if d.Multivariate {
			several = " (also several columns together)"
		}
		if _, err := fmt.Fprintf(w, "%s - %s%s\n", d.Name, d.Title, several); err != nil {
			return err
		}
		for _, line := range strings.Split(d.Text, "\n") {
			fmt.Fprintf(w, "    %s\n", line)
		}
		for _, p := range d.Params {
			fmt.Fprintf(w, "    --with %s=%s  %s\n", p.Name, p.Format(p.Default), p.Text)
		}
		fmt.Fprintln(w)
	}
	return nil
}
