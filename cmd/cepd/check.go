package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/daemon"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

func checkCommand(s streams) *cobra.Command {
	var file, output, against string
	c := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Find the mistakes in rule files",
		Long: `Find every mistake in rule files: each with its file, line and column, the line
itself, and what to write instead. Files are checked as one set, since rules of
one may use streams of another.

With -c, or without any FILE, a cepd.yaml is checked, and the rules that it names
together with the sources and sinks that they refer to.

Where there is no mistake, it says how much memory each rule takes, about, for a
key of which it keeps something. A rule keeps nothing of keys that it waits for
nothing from.

With --against, it says what a reload would do to the state of a daemon that
runs, named by its HTTP address, or of one that is stopped, named by its state
directory: which rules would keep their state, and which would start afresh or go,
so that their alerts are cleared.

The exit code is 0 if there is no mistake, warnings or not, 1 if there is one or
a file cannot be read, and 2 if the command line is wrong.`,
		Example: `  cepd check rules/*.yaml
  cepd check -c cepd.yaml
  cepd check -c cepd.yaml --against http://127.0.0.1:9477
  cepd check --output json rules/pumps.yaml | jq '.issues[].message'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usagef("--output is %q; it is text or json", output)
			}
			if against != "" && output == "json" {
				return usagef("--against prints text; leave out --output json")
			}
			if len(args) > 0 && cmd.Flags().Changed("config") {
				return usagef("-c names the rules by itself; leave out the files")
			}
			set, report, err := checkRules(file, args)
			switch {
			case err != nil && output == "json":
				report = unreadable(err)
			case err != nil:
				return err
			}
			if err := printReport(s, output, set, report); err != nil || against == "" {
				return err
			}
			return printAgainst(cmd.Context(), s, against, set)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", defaultConfig, "check a cepd.yaml and the rules that it names")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().StringVar(&against, "against", "", "address or state directory of a daemon: say what a reload would do to its state")
	return c
}

// printAgainst says what would become of the rules of a daemon.
func printAgainst(ctx context.Context, s streams, where string, set *rules.Set) error {
	re, err := daemon.Against(ctx, where, set)
	if err != nil {
		return err
	}
	text := "against " + where + ":\n"
	for _, p := range []struct {
		what, then string
		names      []string
	}{
		{"keeps its state", "", re.Kept},
		{"is new", "", re.Added},
		{"starts afresh", " (what it had seen is forgotten, and its alerts are cleared)", re.Afresh},
		{"goes", " (its alerts are cleared)", re.Removed},
	} {
		for _, name := range p.names {
			text += "  " + name + " " + p.what + p.then + "\n"
		}
	}
	_, err = fmt.Fprint(s.out, text)
	return err
}

// checkRules checks rule files or, without any, a cepd.yaml and its rules.
func checkRules(file string, names []string) (*rules.Set, *rules.Report, error) {
	if len(names) > 0 {
		files, err := config.ReadRules(names)
		if err != nil {
			return nil, nil, err
		}
		set, report := rules.Load(files, rules.Options{ReadTable: config.ReadTable})
		return set, report, nil
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; name rule files, or a cepd.yaml with -c", err)
	}
	_, set, report, err := config.Check(file, src, os.LookupEnv)
	return set, report, err
}

// unreadable is the report of files that cannot be read.
func unreadable(err error) *rules.Report {
	report := &rules.Report{}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		report.Issues = append(report.Issues, rules.Issue{Severity: rules.Error, Message: line})
		report.Errors++
	}
	return report
}

func printReport(s streams, output string, set *rules.Set, report *rules.Report) error {
	if output == "json" {
		if err := writeCheck(s.out, set, report); err != nil {
			return err
		}
	} else if err := printText(s, set, report); err != nil {
		return err
	}
	if !report.OK() {
		return errSilent
	}
	return nil
}

func printText(s streams, set *rules.Set, report *rules.Report) error {
	text := report.String()
	if report.OK() {
		text += summary(set, report) + footprints(set)
	}
	_, err := fmt.Fprint(s.out, text)
	return err
}

// summary says what a set without mistakes holds.
func summary(set *rules.Set, report *rules.Report) string {
	streams := 0
	for _, st := range set.Streams {
		if st.Producer == "" {
			streams++
		}
	}
	text := plural(len(set.Rules), "rule") + ", " + plural(streams, "stream")
	for _, t := range set.Tables {
		text += fmt.Sprintf(", table %s (%s)", t.Name, plural(t.Rows, "row"))
	}
	text += ", no mistakes"
	if report.Warnings > 0 {
		text += ", " + plural(report.Warnings, "warning")
	}
	return text + "\n"
}

// checked is what `cepd check --output json` prints.
type checked struct {
	*rules.Report
	Rules []footprint `json:"rules,omitempty"` // of a set without mistakes, by name
}

// footprint is what a rule keeps of a key.
type footprint struct {
	Rule  string    `json:"rule"`
	Bytes int       `json:"bytes_per_key"`
	With  string    `json:"with"`
	Each  int       `json:"bytes_each_further,omitempty"`
	Waits []waiting `json:"waits_for,omitempty"` // the streams of a rule over several
}

// waiting is a stream whose silence holds a rule up.
type waiting struct {
	Stream  string  `json:"stream"`
	PerKey  bool    `json:"per_key,omitempty"` // each key is waited for on its own
	Seconds float64 `json:"seconds"`           // 0: until its next event
}

func waitsOf(set *rules.Set, rule string) []rules.Wait {
	i := slices.IndexFunc(set.Rules, func(r *rules.Rule) bool { return r.Name == rule })
	return set.Waits(set.Rules[i])
}

func writeCheck(w io.Writer, set *rules.Set, report *rules.Report) error {
	out := checked{Report: report}
	if report.OK() {
		for _, f := range byName(engine.Footprints(set)) {
			r := footprint{Rule: f.Rule, Bytes: f.Bytes, With: f.With, Each: f.Each}
			for _, w := range waitsOf(set, f.Rule) {
				r.Waits = append(r.Waits, waiting{w.Stream, w.PerKey, w.For.Seconds()})
			}
			out.Rules = append(out.Rules, r)
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func byName(all []engine.Footprint) []engine.Footprint {
	slices.SortFunc(all, func(a, b engine.Footprint) int { return strings.Compare(a.Rule, b.Rule) })
	return all
}

// footprints says how much memory each rule takes for a key.
func footprints(set *rules.Set) string {
	var b strings.Builder
	for _, f := range byName(engine.Footprints(set)) {
		if f.Bytes == 0 {
			fmt.Fprintf(&b, "  %s: keeps nothing", f.Rule)
		} else {
			fmt.Fprintf(&b, "  %s: about %s for each key with %s", f.Rule, bytesText(f.Bytes), f.With)
		}
		if f.Each > 0 {
			fmt.Fprintf(&b, ", %s for each further %s", bytesText(f.Each), f.Per)
		}
		b.WriteString("\n" + waitText(waitsOf(set, f.Rule)))
	}
	return b.String()
}

// waitText says for how long a rule over several streams may wait for one that
// is quiet.
func waitText(all []rules.Wait) string {
	var b strings.Builder
	for _, w := range all {
		who := w.Stream
		if w.PerKey {
			who = "a key of " + who
		}
		long := "up to " + event.FormatDuration(w.For)
		if w.For == 0 {
			long = "until its next event"
		}
		fmt.Fprintf(&b, "    waits %s where %s is quiet\n", long, who)
	}
	return b.String()
}

// bytesText rounds to what an estimate is good for.
func bytesText(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", (n+5)/10*10)
	case n < 9950:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%d kB", (n+500)/1000)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
