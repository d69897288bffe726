package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cepd/cepd/daemon"
)

// version is set by the linker; see the Makefile.
var version = "unknown"

// The exit codes of every command.
const (
	exitOK    = 0
	exitFail  = 1 // mistakes were found, or something failed
	exitUsage = 2 // the command line is wrong
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// streams are where a command reads and writes: data to out, everything else to
// err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// errSilent is a failure that has been explained already.
var errSilent = errors.New("failed")

// usageError is a mistake in the command line that a command finds itself.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run executes a command line and returns its exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	began := false
	root := newRoot(streams{in, out, errOut})
	markBegin(root, &began)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	var usage usageError
	mistakes, wrong := err.(*daemon.MistakesError) // itself: what is wrapped around one says more
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitFail
	case wrong: // each begins with its place, as those of cepd check do
		fmt.Fprint(errOut, mistakes.Report.String())
		return exitFail
	case began && !errors.As(err, &usage):
		fmt.Fprintf(errOut, "cepd: %v\n", err)
		return exitFail
	}
	if name, ok := lackingFlag(err); ok {
		err = errors.New(requiredFlags[name])
	}
	fmt.Fprintf(errOut, "cepd: %v\nRun 'cepd help' for the commands, 'cepd COMMAND --help' for one.\n", err)
	return exitUsage
}

// requiredFlags says of flags that some commands cannot do without what to write.
var requiredFlags = map[string]string{
	"dir":   "say with -d which state directory: the folder that `state.dir` of cepd.yaml names",
	"rules": "say with -r which rule files, such as -r rules/pumps.yaml",
}

// lackingFlag returns the flag without which a command cannot do, if that is what
// is wrong.
func lackingFlag(err error) (string, bool) {
	for name := range requiredFlags {
		if strings.Contains(err.Error(), fmt.Sprintf("required flag(s) %q not set", name)) {
			return name, true
		}
	}
	return "", false
}

// markBegin makes every command note that it has begun: an error before that is
// about the command line.
func markBegin(c *cobra.Command, began *bool) {
	if f := c.RunE; f != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			*began = true
			return f(cmd, args)
		}
	}
	for _, sub := range c.Commands() {
		markBegin(sub, began)
	}
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "cepd",
		Short: "Watch streams of events with rules, and raise alerts",
		Long: `cepd watches streams of events - from MQTT, HTTP, files or a pipe - with rules
written in YAML, and raises an alert when one holds: a threshold kept too long,
a sequence of events, an event that should have followed and did not.

Start with 'cepd try': it needs no network and no configuration.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.AddCommand(runCommand(s), checkCommand(s), replayCommand(s), explainCommand(s), testCommand(s), schemaCommand(s), detectCommand(s), doctorCommand(s), logCommand(s), dlqCommand(s), stateCommand(s), tryCommand(s), versionCommand(s))
	return root
}

// oneArg wants exactly one argument, and says what it is.
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%s takes %s, and got %d arguments", c.Name(), what, len(args))
	}
}

func versionCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(s.out, "cepd %s\n", version)
			return err
		},
	}
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// color reports whether to write colors: to a terminal, unless the user said no
// by NO_COLOR (https://no-color.org).
func color(stream any) bool {
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
