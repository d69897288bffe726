package text

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

// Options say how to print.
type Options struct {
	// Color adds ANSI colours. Whether the output is a terminal, and whether
	// NO_COLOR is set, is for the caller to find out.
	Color bool
	// Events is how many events of each step are printed; of more, the first
	// and the last ones are. Default 6; negative: all.
	Events int
	// NoEvidence leaves the evidence out.
	NoEvidence bool
}

// Append appends a block for t to dst, such as
//
//	2026-03-01T12:00:35Z  RAISED   critical  pump-failure  p1
//	    p1 stopped after 3 hot readings and a spike of 9
//	    hot    12:00:00Z  temperature=90
//	           12:00:10Z  temperature=91
//	           12:00:20Z  temperature=93
//	    spike  12:00:25Z  vibration=9
//	    stop   12:00:35Z  status="stopped"
//
// A block ends with a line end; there is no empty line between blocks.
func Append(dst []byte, t *alerting.Transition, o Options) []byte {
	p := newPrinter(dst, o)
	p.head(t)
	if t.Change == alerting.Raised {
		p.paragraph(t.Summary)
		p.paragraph(t.Description)
		if t.Runbook != "" {
			p.paragraph("see " + t.Runbook)
		}
		p.labels(t)
	}
	if !o.NoEvidence && t.Change == alerting.Raised {
		p.evidence(t)
	}
	return p.dst
}

// AppendDerived appends a line for a derived event to dst, such as
//
//	2026-03-01T12:00:35Z  event  too-cold  oslo/p1  {"temperature":-19}
func AppendDerived(dst []byte, d *alerting.Derived, o Options) []byte {
	p := newPrinter(dst, o)
	p.colored(dim, d.Time.String())
	if d.Late {
		p.add("  late   ")
	} else {
		p.add("  event  ")
	}
	p.colored(bold, clean(d.Rule))
	if d.Key != "" {
		p.add("  ")
		p.add(key(d.Key))
	}
	p.add("  ")
	p.add(clean(string(event.AppendObject(nil, d.Fields))))
	p.add("\n")
	return p.dst
}

// AppendEvidence appends the evidence of t to dst as a block has it, an indented
// line for each event.
func AppendEvidence(dst []byte, t *alerting.Transition, o Options) []byte {
	p := newPrinter(dst, o)
	p.evidence(t)
	return p.dst
}

const indent = "    "

// Colours, by what they say.
const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	blue   = "\x1b[34m"
)

type printer struct {
	Options
	dst []byte
}

func newPrinter(dst []byte, o Options) *printer {
	if o.Events == 0 {
		o.Events = 6
	}
	return &printer{dst: dst, Options: o}
}

func (p *printer) add(s string) { p.dst = append(p.dst, s...) }

// colored adds s in a colour, if colours are wanted.
func (p *printer) colored(color, s string) {
	if p.Color && color != "" && s != "" {
		s = color + s + reset
	}
	p.add(s)
}

// head prints time, change, severity, rule and key, and for a clear how long
// the alert fired and why it does no more.
func (p *printer) head(t *alerting.Transition) {
	p.colored(dim, t.Time.String())
	switch t.Change {
	case alerting.Cleared:
		p.add("  ")
		p.colored(bold+green, "CLEARED")
	default:
		p.add("  ")
		p.colored(bold+red, "RAISED ")
	}
	if t.Severity != "" {
		p.add("  ")
		p.colored(severityColor(t.Severity), clean(t.Severity))
	}
	p.add("  ")
	p.colored(bold, clean(t.Rule))
	if t.Key != "" {
		p.add("  ")
		p.add(key(t.Key))
	}
	if t.Change == alerting.Cleared {
		p.add("  ")
		p.colored(dim, "after "+event.FormatDuration(t.EndsAt.Sub(t.StartsAt))+reason(t.Reason))
	}
	if t.Shadow {
		p.add("  ")
		p.colored(dim, "in shadow mode")
	}
	if t.AtEnd {
		p.add("  ")
		p.colored(dim, "at the end of the input")
	}
	p.add("\n")
}

func severityColor(s string) string {
	switch s {
	case "critical", "error", "page":
		return red
	case "warning":
		return yellow
	case "info", "notice", "none":
		return blue
	}
	return ""
}

func reason(r string) string {
	if r == "" {
		return ""
	}
	return " (" + clean(r) + ")"
}

// key prints the parts of a key, joined by a slash.
func key(encoded string) string { return clean(event.KeyText(encoded)) }

// paragraph prints a text of the rule, indented.
func (p *printer) paragraph(s string) {
	s = strings.TrimRight(s, " \t\r\n")
	if s == "" {
		return
	}
	for line := range strings.SplitSeq(s, "\n") {
		p.add(indent + clean(line) + "\n")
	}
}

// labels prints the labels that the head does not show.
func (p *printer) labels(t *alerting.Transition) {
	var shown []string
	for _, l := range t.Labels {
		if l.Name != "alertname" && l.Name != "severity" {
			shown = append(shown, clean(l.Name)+"="+bare(l.Value))
		}
	}
	if len(shown) > 0 {
		p.add(indent)
		p.colored(dim, "labels "+strings.Join(shown, " "))
		p.add("\n")
	}
}

// evidence prints the steps, their names as a column.
func (p *printer) evidence(t *alerting.Transition) {
	width := 0
	for _, s := range t.Evidence {
		width = max(width, utf8.RuneCountInString(s.Name))
	}
	day := t.Time.Go().Format("2006-01-02")
	for _, s := range t.Evidence {
		name := s.Name
		for i, e := range s.Events {
			skip := p.skipped(len(s.Events))
			first := (len(s.Events) - skip + 1) / 2
			if skip > 0 && i == first {
				p.line(width, name, fmt.Sprintf("... %d more", skip))
			}
			if skip > 0 && i >= first && i < first+skip {
				continue
			}
			p.line(width, name, eventText(e, day))
			name = ""
		}
	}
}

// skipped returns how many of n events are not printed.
func (p *printer) skipped(n int) int {
	if p.Events < 0 || n <= p.Events {
		return 0
	}
	return n - p.Events
}

func (p *printer) line(width int, name, s string) {
	p.add(indent)
	if width > 0 {
		p.colored(bold, clean(name))
		p.add(strings.Repeat(" ", width-utf8.RuneCountInString(name)+2))
	}
	p.add(s)
	p.add("\n")
}

// eventText prints an event's time, of the same day without the date, and its
// fields.
func eventText(e *event.Event, day string) string {
	at := e.Time.String()
	if rest, ok := strings.CutPrefix(at, day+"T"); ok {
		at = rest
	}
	var b strings.Builder
	b.WriteString(at)
	for i, f := range notify.Fields(e) {
		sep := " "
		if i == 0 {
			sep = "  "
		}
		b.WriteString(sep + bare(f.Name) + "=" + clean(string(f.JSON)))
	}
	return b.String()
}

// bare prints a text without quotes where it cannot be misread.
func bare(s string) string {
	if s == "" || strings.ContainsAny(s, " \"=") || clean(s) != s {
		return string(bytes.TrimSpace(event.AppendQuoted(nil, clean(s))))
	}
	return s
}

// clean replaces what a terminal would obey or not show by an escape.
func clean(s string) string {
	ok := func(r rune) bool { return unicode.IsPrint(r) }
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if ok(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}
