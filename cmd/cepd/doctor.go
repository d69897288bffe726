package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/doctor"
	"github.com/cepd/cepd/rules"
)

func doctorCommand(s streams) *cobra.Command {
	var file, output string
	var probe bool
	var messages int
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether brokers, receivers and disks keep what cepd promises",
		Long: `Connect to the brokers and receivers that a cepd.yaml names and look at its
folders: what does not work, what can be lost or delayed one day, and what to
do about it.

Nothing is taken over: a cepd that runs keeps its sessions, and nothing is posted
to a receiver. With --probe, messages are published to a topic of its own below
cepd/doctor/, to see how many the broker keeps for a cepd that is away.

The exit code is 0 if all works, with warnings or not, 1 if something does not,
and 2 if the command line is wrong.`,
		Example: `  cepd doctor -c cepd.yaml
  cepd doctor -c cepd.yaml --probe`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return usagef("--output is %q; it is text or json", output)
			}
			if messages < 1 {
				return usagef("--messages is %d; it is 1 or more", messages)
			}
			cfg, set, err := readAll(s, file)
			if err != nil {
				return err
			}
			o := doctor.Options{Set: set, Timeout: timeout}
			if probe {
				o.Probe = messages
			}
			print := findingPrinter(s.out, output)
			if doctor.Examine(cmd.Context(), cfg, o, print) == doctor.Fail {
				return errSilent
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", defaultConfig, "the cepd.yaml")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json, an object on each line")
	c.Flags().BoolVar(&probe, "probe", false, "measure what brokers keep, by publishing to cepd/doctor/")
	c.Flags().IntVar(&messages, "messages", 2000, "how many messages a probe publishes")
	c.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "bound of each step")
	return c
}

// readAll reads a cepd.yaml and its rules. Mistakes are printed.
func readAll(s streams, file string) (*config.Config, *rules.Set, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; name a cepd.yaml with -c", err)
	}
	cfg, set, report, err := config.Check(file, src, os.LookupEnv)
	if err != nil {
		return nil, nil, err
	}
	if !report.OK() {
		fmt.Fprint(s.err, report.String())
		return nil, nil, errSilent
	}
	return cfg, set, nil
}

// findingPrinter prints findings as they come, those about one thing below its
// name.
func findingPrinter(out io.Writer, format string) func(doctor.Finding) {
	if format == "json" {
		enc := json.NewEncoder(out)
		return func(f doctor.Finding) { _ = enc.Encode(f) }
	}
	about := ""
	return func(f doctor.Finding) {
		if f.About != about {
			about = f.About
			fmt.Fprintln(out, about)
		}
		fmt.Fprintf(out, "  %-5s %s\n", f.Level, f.Text)
		for _, line := range f.Advice {
			fmt.Fprintf(out, "        %s\n", strings.TrimRight(line, " "))
		}
	}
}
