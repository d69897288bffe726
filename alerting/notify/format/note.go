package format

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/text"
	"github.com/cepd/cepd/event"
)

// note is what people are told of an alert, in pieces that each service puts
// together in its own way.
type note struct {
	title    string // CRITICAL pump-failure oslo/p1
	summary  string
	details  string // the description, if any
	evidence string // of a raise: an event on each line, in columns
	facts    string // labels and times, on one line
	runbook  string
	time     event.Time
	look     look
}

// look is how a service shows how bad an alert is, in the words of each.
type look struct {
	color     int    // of Slack and Discord, 0xRRGGBB
	card      string // a colour of an Adaptive Card
	pagerDuty string // a severity of PagerDuty
	priority  int    // of ntfy, 1 to 5
	tag       string // of ntfy: a picture
}

// looks are those of the severities that rules know.
var looks = map[string]look{
	"critical": {0xc62828, "attention", "critical", 5, "rotating_light"},
	"error":    {0xe65100, "attention", "error", 4, "exclamation"},
	"warning":  {0xf9a825, "warning", "warning", 3, "warning"},
	"info":     {0x1565c0, "accent", "info", 2, "information_source"},
}

// cleared is the look of an alert that does not fire any more.
var cleared = look{0x2e7d32, "good", "info", 2, "white_check_mark"}

func lookOf(t *alerting.Transition) look {
	if t.Change == alerting.Cleared {
		return cleared
	}
	if l, ok := looks[t.Severity]; ok {
		return l
	}
	return looks["warning"]
}

func noteOf(d *notify.Delivery) note {
	t := d.Transition
	n := note{summary: t.Summary, details: t.Description, runbook: t.Runbook, time: t.Time, look: lookOf(t)}
	words := []string{"FIRING", t.Rule, event.KeyText(t.Key)}
	switch {
	case t.Change == alerting.Cleared:
		words[0] = "CLEARED"
	case t.Severity != "":
		words[0] = strings.ToUpper(t.Severity)
	}
	if d.Repeat > 0 {
		words = append(words, fmt.Sprintf("(repeat %d)", d.Repeat))
	}
	n.title = strings.TrimSpace(strings.Join(words, " "))
	if t.Change != alerting.Cleared {
		lines := text.AppendEvidence(nil, t, text.Options{})
		n.evidence = strings.TrimSpace(strings.ReplaceAll(string(lines), "\n    ", "\n"))
	}
	n.facts = facts(t)
	return n
}

// facts returns the labels of an alert that its title does not show, and its
// times.
func facts(t *alerting.Transition) string {
	var all []string
	for _, l := range t.Labels {
		if l.Name != "alertname" && l.Name != "severity" {
			all = append(all, l.Name+"="+l.Value)
		}
	}
	all = append(all, "since "+t.StartsAt.String())
	if t.Change == alerting.Cleared {
		all = append(all, "cleared after "+event.FormatDuration(t.EndsAt.Sub(t.StartsAt)))
	}
	return strings.Join(all, " · ")
}

// headline returns title and summary, on one line.
func (n note) headline() string {
	if n.summary == "" {
		return n.title
	}
	return n.title + ": " + strings.Join(strings.Fields(n.summary), " ")
}

// link returns the runbook where it is an address that a service would open.
func (n note) link() string {
	u, err := url.Parse(n.runbook)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return n.runbook
}

// cut returns s, cut where it has more than most UTF-16 code units. Services
// count characters, by code points or by these, which are at least as many.
func cut(s string, most int) string {
	return cutWhere(s, most, func(r rune) int {
		if r > 0xffff {
			return 2
		}
		return 1
	})
}

// cutBytes returns s, cut where it has more than most bytes.
func cutBytes(s string, most int) string { return cutWhere(s, most, utf8.RuneLen) }

// cutWhere returns s, cut so that its sizes do not add up to more than most, with
// an ellipsis at the end.
func cutWhere(s string, most int, size func(rune) int) string {
	const ellipsis = '…'
	s = strings.ToValidUTF8(s, "\ufffd")
	at, used := 0, 0 // up to where s and the ellipsis fit
	for i, r := range s {
		if used+size(ellipsis) <= most {
			at = i
		}
		if used += size(r); used > most {
			return s[:at] + string(ellipsis)
		}
	}
	return s
}

// fenced returns a text as a block of code of Markdown, which it cannot leave;
// empty for an empty one.
func fenced(s string) string {
	if s == "" {
		return ""
	}
	const fence = "```"
	return fence + "\n" + strings.ReplaceAll(s, fence, "'''") + "\n" + fence
}

// joined joins the texts that are not empty by line breaks.
func joined(texts ...string) string {
	var out []string
	for _, s := range texts {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, "\n")
}
