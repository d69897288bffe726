package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/scenario"
)

func explainCommand(s streams) *cobra.Command {
	var flags eventFlags
	var format, events, key string
	var graph bool
	c := &cobra.Command{
		Use:   "explain RULE --rules FILE (--graph | --events FILE)",
		Short: "Show what a rule looks for, or what it did with recorded events",
		Long: `Show what a rule looks for, or why it did or did not raise an alert.

--graph prints the compiled pattern: as a listing with its conditions, or as a
drawing for Mermaid or Graphviz. Of a rule without a pattern the listing says
what it looks for.

--events runs the rule over recorded events and says for each event what the
rule did with it: which partial matches took it, passed over it or ended with
it, and what its alert decided. --key shows one key only. FILE may be the state directory of a
cepd, whose log is read.`,
		Example: `  cepd explain pump-failure --graph --rules rules/pumps.yaml
  cepd explain pump-failure --graph --format dot -r rules/pumps.yaml | dot -Tsvg > pump.svg
  cepd explain pump-failure --events readings.jsonl --key p1 -r rules/pumps.yaml`,
		Args: oneArg("the name of one RULE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if graph == (events != "") {
				return usagef("say either --graph or --events FILE")
			}
			set, err := flags.load(s)
			if err != nil {
				return err
			}
			if graph {
				g, err := scenario.Graph(set, args[0], format)
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(s.out, g)
				return err
			}
			if !isDir(events) { // a log knows of which stream its messages are
				flags.stream = cmp.Or(flags.stream, scenario.StreamOf(set, args[0]))
			}
			o, err := flags.options(s, set, events)
			if err != nil {
				return err
			}
			if o.Source != nil {
				defer o.Source.Close()
			}
			out := bufio.NewWriter(s.out)
			_, err = scenario.Explain(cmd.Context(), o, args[0], key, out)
			return errors.Join(err, out.Flush())
		},
	}
	flags.register(c, "events-format")
	c.Flags().BoolVar(&graph, "graph", false, "print the pattern")
	c.Flags().StringVar(&format, "format", "text", "of the graph: text, mermaid or dot")
	c.Flags().StringVar(&events, "events", "", "file of recorded events, or a state directory; - is the standard input")
	c.Flags().StringVar(&key, "key", "", "show this key only")
	return c
}
