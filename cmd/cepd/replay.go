package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/alerting/notify/text"
	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest/file"
	"github.com/cepd/cepd/internal/pool"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/scenario"
)

// eventFlags are the flags of commands that run rules over recorded events.
type eventFlags struct {
	rules  []string
	stream string
	until  string
	format string
}

// register adds the flags to a command; formatFlag is what it calls the format of
// the events.
func (f *eventFlags) register(c *cobra.Command, formatFlag string) {
	c.Flags().StringArrayVarP(&f.rules, "rules", "r", nil, "rule file or pattern; may be given several times (required)")
	c.Flags().StringVar(&f.stream, "stream", "", "stream that the events are of, if the rules declare several")
	c.Flags().StringVar(&f.until, "until", "end", "where event time ends: end (every deadline is due), last (the last event) or a time")
	c.Flags().StringVar(&f.format, formatFlag, "", "of the events: jsonl or csv (default: by the file's ending, then by the stream's format)")
	_ = c.MarkFlagRequired("rules")
}

// load compiles the rules. Their mistakes are printed.
func (f *eventFlags) load(s streams) (*rules.Set, error) {
	files, err := config.ReadRules(f.rules)
	if err != nil {
		return nil, err
	}
	set, report := rules.Load(files, rules.Options{ReadTable: config.ReadTable})
	fmt.Fprint(s.err, report)
	if !report.OK() {
		return nil, errSilent
	}
	return set, nil
}

// options opens the events. The caller closes the source.
func (f *eventFlags) options(s streams, set *rules.Set, path string) (scenario.Options, error) {
	until, err := scenario.ParseUntil(f.until)
	if err != nil {
		return scenario.Options{}, usagef("--until: %w", err)
	}
	o := scenario.Options{Rules: set, Stream: f.stream, Until: until, Rejected: rejects(s)}
	if path != "-" && isDir(path) {
		if f.stream != "" || f.format != "" {
			return o, usagef("%s is a directory: its log says of which source each message is, and the stream of a source has a format; leave out --stream and the format", path)
		}
		o.Log, err = openLog(path)
		return o, err
	}
	// Large batches, since to share one out to several processors takes as long
	// as to judge some hundred events. A pipe is not waited for.
	cfg := file.Config{Path: path, Format: f.format, ChunkBytes: 4 << 20, BatchRecords: 1 << 14}
	if cfg.Format == "" {
		cfg.Format = f.usualFormat(set, path)
	}
	o.Objects = cfg.Format != ""
	if path == "-" {
		cfg.Reader = s.in
	}
	o.Source, err = file.Open(cfg)
	return o, err
}

// rejects returns a function that shows messages that are no events, up to a
// number of them.
func rejects(s streams) func(where string, r engine.Reject) {
	rejected := 0
	return func(where string, r engine.Reject) {
		if rejected++; rejected <= maxRejects {
			fmt.Fprintf(s.err, "%s: no event: %v\n", where, r.Err)
		}
	}
}

// usualFormat returns the format of events that a file's ending tells, or else
// the stream that they are of; empty where neither does.
func (f *eventFlags) usualFormat(set *rules.Set, path string) string {
	format := file.FormatOf(path)
	if st, err := scenario.FindStream(set, f.stream); err == nil && format == "" && st.Format == "csv" {
		return "csv"
	}
	return format
}

// maxRejects is how many messages that are no events are shown one by one.
const maxRejects = 10

func replayCommand(s streams) *cobra.Command {
	var flags eventFlags
	var output string
	var matches, quiet bool
	c := &cobra.Command{
		Use:   "replay --rules FILE FILE|DIR|-",
		Short: "Run rules over recorded events, and print the alerts",
		Long: `Run rules over recorded events and print the alerts and derived events that
'cepd run' would have given for them: it is the same engine. Event time comes
from the events, so that a year takes seconds, and the output is the same on
every run.

Events are JSON objects, one a line, or CSV with names in the first line: as
--format says, or else the ending of the file's name, or else the stream's
format. Names that end in .gz are decompressed. Fields that a stream's topic captures are
fields of these objects.

A directory is the state directory of a cepd, whose log is read: every message
with its source and topic, and the clock as it was. The rules of the log give
way to those of --rules. state.history says how far back the log goes.

Event time then moves on to the end of time, so that every pending deadline is
decided; --until last stops at the last event.`,
		Example: `  cepd replay --rules rules/pumps.yaml readings.csv
  cepd replay -r rules/pumps.yaml -r rules/doors.yaml --stream doors events.jsonl.gz
  cepd replay -r new-rule.yaml /var/lib/cepd
  zcat events.jsonl.gz | cepd replay -r rules/pumps.yaml --output json - | jq .summary`,
		Args: oneArg("one FILE or DIR of events, or - for the standard input (rules go behind --rules)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := flags.load(s)
			if err != nil {
				return err
			}
			o, err := flags.options(s, set, args[0])
			if err != nil {
				return err
			}
			if o.Source != nil {
				defer o.Source.Close()
			}
			o.Matches = matches
			o.Shards = min(runtime.GOMAXPROCS(0), event.Groups)
			shards := pool.New(o.Shards)
			defer shards.Stop()
			o.Do = shards.Do
			if matches && !cmd.Flags().Changed("output") {
				output = "json"
			}
			out := bufio.NewWriter(s.out)
			if o.Print, err = printer(output, out, color(s.out)); err != nil {
				return err
			}
			end := func() {}
			if isTerminal(s.err) && !isTerminal(s.out) && !quiet { // it would be torn by what is printed
				o.Progress, end = progress(s.err)
			}
			began := time.Now()
			sum, err := replay(cmd.Context(), o, out)
			took := time.Since(began)
			end()
			interrupted := errors.Is(err, context.Canceled)
			if err != nil && !interrupted {
				return err
			}
			if sum.Reached != 0 {
				fmt.Fprintf(s.err, "warning: event time is past --until %s: the events reach %s, and all of them were judged\n", flags.until, sum.Reached)
			}
			if !quiet {
				fmt.Fprint(s.err, summarize(sum))
				if isTerminal(s.err) || sum.Stats.Records > 100_000 { // of less it says nothing
					fmt.Fprint(s.err, speed(sum.Events, took))
				}
			}
			if interrupted {
				fmt.Fprintln(s.err, "interrupted: the rest was not read")
				return errSilent
			}
			return nil
		},
	}
	flags.register(c, "format")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().BoolVar(&matches, "matches", false, "print every match and timed-out partial match of every pattern with its events as they came, in place of alerts; as JSON unless --output says otherwise")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print no summary")
	return c
}

func printer(output string, w io.Writer, color bool) (scenario.Printer, error) {
	switch output {
	case "text":
		return scenario.NewText(w, text.Options{Color: color}), nil
	case "json":
		return scenario.NewJSON(w), nil
	}
	return nil, usagef("--output is %q; it is text or json", output)
}

// replay runs a replay until its end or a signal.
func replay(ctx context.Context, o scenario.Options, out *bufio.Writer) (scenario.Summary, error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	sum, err := scenario.Replay(ctx, o)
	return sum, errors.Join(err, out.Flush())
}
