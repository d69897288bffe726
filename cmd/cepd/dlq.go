package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/daemon"
	"github.com/cepd/cepd/event"
)

func dlqCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "dlq",
		Short: "List, retry and purge the deliveries that were given up",
		Long: `List, retry and purge dead letters: the changes of alerts and the derived events
that a sink would not take, that were too old, or whose sink is gone.

The daemon may run meanwhile. 'retry' and 'purge' then ask it, at the address of
its http.listen, to do it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(dlqListCommand(s), dlqShowCommand(s),
		dlqChangeCommand(s, "retry", "Send dead letters again", "put back, to be sent again", (*daemon.DeadLetters).Retry),
		dlqChangeCommand(s, "purge", "Forget dead letters", "forgotten", (*daemon.DeadLetters).Purge))
	return c
}

func dlqListCommand(s streams) *cobra.Command {
	var dir, sink, output string
	c := &cobra.Command{
		Use:     "list -d DIR",
		Short:   "List dead letters, oldest first",
		Example: `  cepd dlq list -d /var/lib/cepd`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return usagef("--output is %q; it is text or json", output)
			}
			letters, err := daemon.OpenDeadLetters(dir)
			if err != nil {
				return err
			}
			return listLetters(s.out, letters, sink, output == "json")
		},
	}
	dirFlag(c, &dir)
	c.Flags().StringVar(&sink, "sink", "", "of this sink only")
	c.Flags().StringVarP(&output, "output", "o", "text", "text, or json: an object on each line")
	return c
}

func listLetters(out io.Writer, letters *daemon.DeadLetters, sink string, asJSON bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	err := letters.Each(func(l *notify.DeadLetter) error {
		if sink != "" && l.Delivery.Sink != sink {
			return nil
		}
		n++
		if asJSON {
			_, err := fmt.Fprintf(out, "%s\n", notify.AppendDeadLetter(nil, l))
			return err
		}
		if n == 1 {
			fmt.Fprintln(w, "NUMBER\tGIVEN UP\tSINK\tREASON\tWHAT\tRULE\tKEY")
		}
		m := l.Delivery.Message
		what, key := "event", ""
		if m.Transition != nil {
			what, key = m.Transition.Change.String(), m.Transition.Key
		} else {
			key = m.Derived.Key
		}
		_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Seq, l.Time.UTC().Format(time.RFC3339), l.Delivery.Sink, l.Reason, what, m.Rule(), event.KeyText(key))
		return err
	})
	if err = errors.Join(err, w.Flush()); err != nil || asJSON {
		return err
	}
	_, err = fmt.Fprintln(out, plural(n, "dead letter"))
	return err
}

func dlqShowCommand(s streams) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "show NUMBER -d DIR",
		Short:   "Print a dead letter as JSON, with the error of its last try",
		Example: `  cepd dlq show 17 -d /var/lib/cepd | jq .error`,
		Args:    oneArg("one NUMBER"),
		RunE: func(_ *cobra.Command, args []string) error {
			numbers, err := letterNumbers(args)
			if err != nil {
				return err
			}
			letters, err := daemon.OpenDeadLetters(dir)
			if err != nil {
				return err
			}
			found := false
			err = letters.Each(func(l *notify.DeadLetter) error {
				if l.Seq != numbers[0] {
					return nil
				}
				found = true
				_, err := fmt.Fprintf(s.out, "%s\n", notify.AppendDeadLetter(nil, l))
				return err
			})
			if err == nil && !found {
				err = fmt.Errorf("there is no dead letter %d; 'cepd dlq list' shows those that there are", numbers[0])
			}
			return err
		},
	}
	dirFlag(c, &dir)
	return c
}

// letterNumbers reads numbers of dead letters.
func letterNumbers(args []string) ([]uint64, error) {
	var out []uint64
	for _, a := range args {
		n, err := strconv.ParseUint(a, 10, 64)
		if err != nil || n == 0 {
			return nil, usagef("%q is no number of a dead letter; 'cepd dlq list' shows them", a)
		}
		out = append(out, n)
	}
	return out, nil
}

// dlqChangeCommand returns a command that does something to dead letters.
func dlqChangeCommand(s streams, verb, short, done string, do func(*daemon.DeadLetters, context.Context, []uint64) (int, error)) *cobra.Command {
	var dir, sink string
	var all bool
	c := &cobra.Command{
		Use:   verb + " {NUMBER... | --sink NAME | --all} -d DIR",
		Short: short,
		Example: fmt.Sprintf(`  cepd dlq %[1]s 17 18 -d /var/lib/cepd
  cepd dlq %[1]s --sink ops -d /var/lib/cepd`, verb),
		RunE: func(c *cobra.Command, args []string) error {
			numbers, err := letterNumbers(args)
			if err != nil {
				return err
			}
			if given := len(numbers) > 0; given == (all || sink != "") || all && sink != "" {
				return usagef("say which dead letters: by numbers, --sink or --all")
			}
			letters, err := daemon.OpenDeadLetters(dir)
			if err != nil {
				return err
			}
			if len(numbers) == 0 {
				err = letters.Each(func(l *notify.DeadLetter) error {
					if all || l.Delivery.Sink == sink {
						numbers = append(numbers, l.Seq)
					}
					return nil
				})
			}
			n := 0
			for part := range slices.Chunk(numbers, 1000) { // of many, those that were done stay done
				if err == nil {
					var some int
					some, err = do(letters, c.Context(), part)
					n += some
				}
			}
			fmt.Fprintf(s.out, "%s %s\n", plural(n, "dead letter"), done)
			if left := len(numbers) - n; err == nil && left > 0 {
				err = fmt.Errorf("%s left: of a number that there is not, or for a sink that is not in cepd.yaml", plural(left, "dead letter"))
			}
			return err
		},
	}
	dirFlag(c, &dir)
	c.Flags().StringVar(&sink, "sink", "", "all of this sink")
	c.Flags().BoolVar(&all, "all", false, "all")
	return c
}
