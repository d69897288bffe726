package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/daemon"
	"github.com/cepd/cepd/doctor"
)

func stateCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "state COMMAND",
		Short: "Look at a state directory, or copy it, while cepd is stopped",
		Long: `Look at a state directory - the one that state.dir in cepd.yaml names - or copy
it. cepd must be stopped: a directory that is in use is refused. None of these
commands changes anything in it.`,
	}
	c.AddCommand(verifyStateCommand(s), inspectStateCommand(s), backupStateCommand(s))
	return c
}

// outputFlag adds the flag of commands that print findings.
func outputFlag(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", "text", "text or json, an object on each line")
}

func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return usagef("--output is %q; it is text or json", output)
	}
	return nil
}

func verifyStateCommand(s streams) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read all of a state directory, and say what a start would do",
		Long: `Read everything in a state directory and say what is wrong with it, and what a
start of cepd would do about it.

The log, the outbox, the rules and every row of the snapshots are read and their
checksums compared. The log from the older of the two snapshots to the newer is
evaluated again, and what comes of it compared with the newer, row for row: the
same events must give the same state. Then a start is tried, up to the end of
the log. All this is done to a copy of the snapshots, in the folder for temporary
files, and to changes in memory.

The exit code is 0 if cepd would start and nothing is lost, 1 if something is
damaged, and 2 if the command line is wrong.`,
		Example: `  cepd state verify /var/lib/cepd`,
		Args:    oneArg("one DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			worst, err := daemon.VerifyState(cmd.Context(), args[0], findingPrinter(s.out, output))
			return failed(worst, err)
		},
	}
	outputFlag(c, &output)
	return c
}

func inspectStateCommand(s streams) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "inspect DIR",
		Short: "Say what is in a state directory, and how much of it belongs to which rule",
		Long: `Say what is in a state directory: which records the log has, how much waits in
the outbox, which snapshots there are and how much of the newest belongs to
which rule.`,
		Example: `  cepd state inspect /var/lib/cepd`,
		Args:    oneArg("one DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			worst, err := daemon.InspectState(args[0], findingPrinter(s.out, output))
			return failed(worst, err)
		},
	}
	outputFlag(c, &output)
	return c
}

// failed makes a command fail whose worst finding is that something is broken.
func failed(worst doctor.Level, err error) error {
	if err == nil && worst == doctor.Fail {
		return errSilent
	}
	return err
}

func backupStateCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR TO",
		Short: "Copy a state directory, and verify the copy",
		Long: `Copy a state directory to a folder that is new or empty, and verify the copy as
'cepd state verify' does. To restore it, stop cepd and put the copy in the place
of the directory, as a whole: its parts belong together.

A copy is of one moment. What cepd took in after it is not in it, and the broker
will not send again what was acknowledged.`,
		Example: `  cepd state backup /var/lib/cepd /backup/cepd-today`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("backup takes DIR and TO, and got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := daemon.BackupState(args[0], args[1]); err != nil {
				return err
			}
			worst, err := daemon.VerifyState(cmd.Context(), args[1], findingPrinter(s.out, "text"))
			return failed(worst, err)
		},
	}
}
