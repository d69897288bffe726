package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/daemon"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

func logCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "Look into the log of a state directory",
		Long: `Look into the input log of a state directory: what came, when, and in which
order. The daemon may run meanwhile; nothing is changed.

Every alert, log line and rejected message says the position of a record, such
as 0:17; 'cepd log show 0:17' prints what came then.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(logListCommand(s), logShowCommand(s))
	return c
}

func dirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVarP(dir, "dir", "d", "", "the state directory: state.dir of cepd.yaml (required)")
	_ = c.MarkFlagRequired("dir")
}

// openLog opens the log of a state directory to read it.
func openLog(dir string) (*wal.Log, error) {
	l, _, err := wal.Open(vfs.OS(), daemon.LogDir(dir), wal.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no log: it is no state directory of cepd, or cepd has not run with it yet", dir)
	}
	return l, err
}

func logListCommand(s streams) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "list -d DIR",
		Short:   "List the files of the log, with their positions, times and sizes",
		Example: `  cepd log list -d /var/lib/cepd`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := openLog(dir)
			if err != nil {
				return err
			}
			files, err := l.Segments()
			if err != nil {
				return err
			}
			return listLog(s.out, l, files)
		},
	}
	dirFlag(c, &dir)
	return c
}

func listLog(out io.Writer, l *wal.Log, files []wal.Segment) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIRST\tLAST\tBEGINS\tBYTES\tFILE")
	for _, f := range files {
		last, begins := "-", "-"
		if f.Last >= f.First {
			last = event.Position{Seq: f.Last}.String()
		}
		if f.Start != 0 {
			begins = f.Start.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", event.Position{Seq: f.First}, last, begins, f.Bytes, f.Name)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "log %s: %s, %d bytes\n", l.ID(), plural(int(l.Last().Seq+1-l.First().Seq), "record"), l.Bytes())
	return err
}

func logShowCommand(s streams) *cobra.Command {
	var dir, output string
	var count int
	c := &cobra.Command{
		Use:   "show POSITION -d DIR",
		Short: "Print a record of the log",
		Long: `Print the record at a position: 0:17, 17, 'first' or 'last'. --count prints the
ones after it too.`,
		Example: `  cepd log show 0:17 -d /var/lib/cepd
  cepd log show last -d /var/lib/cepd
  cepd log show first --count 100 -o json -d /var/lib/cepd | jq .topic`,
		Args: oneArg("one POSITION"),
		RunE: func(_ *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usagef("--output is %q; it is text or json", output)
			}
			if count < 1 {
				return usagef("--count is %d; it is 1 or more", count)
			}
			l, err := openLog(dir)
			if err != nil {
				return err
			}
			p, err := findPosition(l, args[0])
			if err != nil {
				return err
			}
			return showLog(s.out, l, p, count, output == "json")
		},
	}
	dirFlag(c, &dir)
	c.Flags().IntVarP(&count, "count", "n", 1, "number of records")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

// findPosition reads a position and makes sure that the log has it.
func findPosition(l *wal.Log, text string) (event.Position, error) {
	first, last := l.First(), l.Last()
	p := first
	switch text {
	case "first":
	case "last":
		p = last
	default:
		seq, err := strconv.ParseUint(strings.TrimPrefix(text, "0:"), 10, 64)
		if err != nil {
			return p, usagef("%q is no position; one is 0:17, 17, first or last", text)
		}
		p = event.Position{Seq: seq}
	}
	switch {
	case last.Compare(first) < 0:
		return p, errors.New("the log has no records")
	case p.Compare(first) < 0:
		return p, fmt.Errorf("%s is not in the log any more, which begins at %s; state.history keeps it longer", p, first)
	case p.Compare(last) > 0:
		return p, fmt.Errorf("%s is not in the log yet, which ends at %s", p, last)
	}
	return p, nil
}

// errEnough ends the reading of a log.
var errEnough = errors.New("enough")

// showLog prints records of the log.
func showLog(out io.Writer, l *wal.Log, from event.Position, count int, asJSON bool) error {
	n := 0
	err := l.Read(event.Position{Seq: from.Seq - 1}, func(r *event.Record) error {
		if n == count {
			return errEnough
		}
		print := printRecord
		if asJSON {
			print = printRecordJSON
		} else if n > 0 {
			fmt.Fprintln(out)
		}
		n++
		return print(out, r)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// printRecord prints a record for people: what it has, a line each, and its
// payload.
func printRecord(out io.Writer, r *event.Record) error {
	var b strings.Builder
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-10s %s\n", what, text)
		}
	}
	line("position", r.Pos.String())
	line("kind", r.Kind.String())
	if r.Arrival != 0 {
		line("arrived", r.Arrival.String())
	}
	line("source", r.Source)
	line("topic", r.Topic)
	line("flags", strings.Join(flagNames(r), ", "))
	if r.Partition > 0 {
		line("partition", strconv.FormatUint(uint64(r.Partition), 10))
	}
	if r.Conn > 0 {
		line("connection", strconv.FormatUint(r.Conn, 10))
	}
	if r.Packet > 0 {
		line("packet", strconv.FormatUint(uint64(r.Packet), 10))
	}
	line("sender id", r.SenderID)
	if len(r.Payload) > 0 {
		fmt.Fprintf(&b, "%-10s %s\n", "payload", plural(len(r.Payload), "byte"))
		if utf8.Valid(r.Payload) {
			fmt.Fprintf(&b, "%s\n", r.Payload)
		} else {
			fmt.Fprintf(&b, "%q\n", r.Payload)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func flagNames(r *event.Record) []string {
	var names []string
	if r.Kind == event.KindMessage && r.Conn > 0 {
		names = append(names, fmt.Sprintf("QoS %d", r.Flags.QoS()))
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{r.Flags.Dup(), "sent again"}, {r.Flags.Retained(), "retained"}, {r.Flags.Session(), "session present"}, {r.Flags.Lost(), "session lost"}} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// recordJSON is a record for programs. A payload that is no UTF-8 is in base64.
type recordJSON struct {
	Position      string `json:"position"`
	Kind          string `json:"kind"`
	Arrived       string `json:"arrived,omitempty"`
	Source        string `json:"source,omitempty"`
	Partition     uint32 `json:"partition,omitempty"`
	Connection    uint64 `json:"connection,omitempty"`
	Topic         string `json:"topic,omitempty"`
	QoS           int    `json:"qos,omitempty"`
	Dup           bool   `json:"dup,omitempty"`
	Retained      bool   `json:"retained,omitempty"`
	Session       bool   `json:"session,omitempty"`
	SessionLost   bool   `json:"session_lost,omitempty"`
	SenderID      string `json:"sender_id,omitempty"`
	Payload       string `json:"payload,omitempty"`
	PayloadBase64 string `json:"payload_base64,omitempty"`
}

func printRecordJSON(out io.Writer, r *event.Record) error {
	j := recordJSON{
		Position: r.Pos.String(), Kind: r.Kind.String(), Source: r.Source, Partition: r.Partition, Connection: r.Conn, Topic: r.Topic,
		QoS: r.Flags.QoS(), Dup: r.Flags.Dup(), Retained: r.Flags.Retained(), Session: r.Flags.Session(), SessionLost: r.Flags.Lost(), SenderID: r.SenderID,
	}
	if r.Arrival != 0 {
		j.Arrived = r.Arrival.String()
	}
	if utf8.Valid(r.Payload) {
		j.Payload = string(r.Payload)
	} else {
		j.PayloadBase64 = base64.StdEncoding.EncodeToString(r.Payload)
	}
	return json.NewEncoder(out).Encode(j)
}

// isDir reports whether there is a directory of that name.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
