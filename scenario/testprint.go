package scenario

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// WriteText writes a result for people: of a test that failed, what was
// expected beside what happened, and what the rules did. With verbose, all
// events and changes of every test are written too.
func (r *TestResult) WriteText(w io.Writer, verbose bool) error {
	var b strings.Builder
	if !r.Passed() || verbose {
		word := "ok  "
		if !r.Passed() {
			word = "FAIL"
		}
		fmt.Fprintf(&b, "%s  %s:%d: %s\n", word, r.Test.File, r.Test.Line, r.Test.Name)
	}
	if verbose {
		r.timeline(&b)
	}
	if !r.Passed() {
		r.failure(&b, verbose)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Failure returns what differed and why, as text.
func (r *TestResult) Failure() string {
	var b strings.Builder
	r.failure(&b, false)
	return b.String()
}

func (r *TestResult) failure(b *strings.Builder, verbose bool) {
	for _, text := range r.Refused {
		fmt.Fprintf(b, "  ! %s\n", text)
	}
	if len(r.Rows) > 0 {
		r.table(b)
	}
	for _, t := range r.Traces {
		head := t.Rule
		if t.Key != "" {
			head += ", key " + t.Key
		}
		fmt.Fprintf(b, "  what rule %s did:\n", head)
		lines := strings.SplitAfter(t.Text, "\n")
		if cut := len(lines) - maxTraceLines; cut > 0 && !verbose {
			fmt.Fprintf(b, "    ... lines before these: %d; -v prints them\n", cut)
			lines = lines[cut:]
		}
		for _, line := range lines {
			if line != "" {
				b.WriteString("    " + line)
			}
		}
	}
}

// maxTraceLines bounds what a failing test prints of a trace.
const maxTraceLines = 100

// columnWidth bounds the left column of a comparison; longer texts go on in the
// next line.
const columnWidth = 58

// line is a line of a comparison: a mark and two columns.
type line struct{ mark, left, right string }

// table prints what was expected beside what happened.
func (r *TestResult) table(b *strings.Builder) {
	lines := []line{{" ", "expected", "got"}}
	for i := range r.Rows {
		lines = append(lines, r.Rows[i].lines()...)
	}
	var folded []line
	width := 0
	for _, l := range lines {
		folded = append(folded, l.fold(columnWidth)...)
	}
	for _, l := range folded {
		width = max(width, utf8.RuneCountInString(l.left))
	}
	for _, l := range folded {
		text := fmt.Sprintf("  %s %-*s | %s", l.mark, width, l.left, l.right)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
}

// lines returns the lines of a row: what happens, and below it what differs.
func (r *TestRow) lines() []line {
	switch {
	case r.Got == nil:
		return []line{{"-", r.expected(), ""}}
	case r.Expected == nil:
		out := []line{{"+", "", r.got()}}
		if r.Got.Summary != "" {
			out = append(out, line{" ", "", "  " + oneLine([]byte(r.Got.Summary))})
		}
		return out
	case r.OK():
		return []line{{" ", r.expected(), r.got()}}
	}
	out := []line{{"~", r.expected(), r.got()}}
	for _, what := range r.Differs {
		want, got := r.differing(what)
		out = append(out, line{" ", "  " + what + ": " + want, "  " + what + ": " + got})
	}
	return out
}

func (r *TestRow) expected() string {
	x := r.Expected
	text := event.FormatDuration(x.At) + "  " + x.Rule + " " + what(x)
	if !x.Key.IsMissing() && x.Key.Kind() != event.KindNull {
		text += "  " + x.Key.Text()
	}
	return text
}

func (r *TestRow) got() string {
	o := r.Got
	text := event.FormatDuration(o.At) + "  " + o.Rule + " " + o.What
	if o.Key.Kind() != event.KindNull {
		text += "  " + o.Key.Text()
	}
	return text
}

// differing returns both values of something that differs.
func (r *TestRow) differing(what string) (want, got string) {
	x, o := r.Expected, r.Got
	kind, name, _ := strings.Cut(what, " ")
	switch kind {
	case "key":
		return string(x.Key.AppendJSON(nil)), string(o.Key.AppendJSON(nil))
	case "summary":
		return x.Summary.AsString(), o.Summary
	case "timeout":
		return string(x.Timeout.AppendJSON(nil)), string(event.Bool(!x.Timeout.AsBool()).AppendJSON(nil))
	case "to":
		want, got = sinkNames(x.To), sinkNames(o.To)
		if o.ToAll {
			got = "every sink: the rule has no `to`"
		}
		return want, got
	case "label":
		i := slices.IndexFunc(x.Labels, func(e event.Entry) bool { return e.Name == name })
		return x.Labels[i].Value.AsString(), cmp.Or(o.label(name), "(none)")
	}
	i := slices.IndexFunc(x.Emit, func(e event.Entry) bool { return e.Name == name })
	got = "(none)"
	if v := o.field(name); !v.IsMissing() {
		got = string(v.AppendJSON(nil))
	}
	return string(x.Emit[i].Value.AppendJSON(nil)), got
}

func sinkNames(names []string) string { return cmp.Or(strings.Join(names, ", "), "no sink") }

// fold breaks the columns of a line at a width.
func (l line) fold(width int) []line {
	left, right := foldText(l.left, width), foldText(l.right, width)
	out := make([]line, max(len(left), len(right)))
	for i := range out {
		out[i].mark = " "
		if i < len(left) {
			out[i].left = left[i]
		}
		if i < len(right) {
			out[i].right = right[i]
		}
	}
	out[0].mark = l.mark
	return out
}

// foldText breaks a text at blanks, or anywhere where a word is too long.
// Further lines are indented.
func foldText(s string, width int) []string {
	var out []string
	runes := []rune(strings.ReplaceAll(s, "\n", " "))
	for len(runes) > width {
		at := width
		for i := width; i > width/2; i-- {
			if runes[i] == ' ' {
				at = i
				break
			}
		}
		out = append(out, string(runes[:at]))
		runes = append([]rune("    "), []rune(strings.TrimLeft(string(runes[at:]), " "))...)
	}
	return append(out, string(runes))
}

// timeline prints all events and what they led to, by time.
func (r *TestResult) timeline(b *strings.Builder) {
	left := r.run.left()
	type moment struct {
		at   event.Duration
		text string
	}
	var all []moment
	for i, e := range r.run.events {
		text := e.Stream + "  " + fieldsText(e)
		if e.Arrives != e.At {
			text += "  (arrives at " + event.FormatDuration(e.Arrives) + ")"
		}
		if why, ok := left[r.run.position(i)]; ok {
			what, _, _ := strings.Cut(leftOut[why], ":")
			text += "  (" + what + ")"
		}
		all = append(all, moment{e.At, text})
	}
	for i := range r.Rows {
		if o := r.Rows[i].Got; o != nil {
			text := "=> " + o.Rule + " " + o.What
			if o.Key.Kind() != event.KindNull {
				text += "  " + o.Key.Text()
			}
			switch {
			case o.What == emitted:
				text += "  " + string(event.AppendObject(nil, o.Emit))
			case o.Summary != "":
				text += "  " + oneLine([]byte(o.Summary))
			}
			all = append(all, moment{o.At, text})
		}
	}
	if r.Test.Until > 0 {
		all = append(all, moment{r.Test.Until, "the end"})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	width := 0
	for _, m := range all {
		width = max(width, len(event.FormatDuration(m.at)))
	}
	for _, m := range all {
		fmt.Fprintf(b, "  %*s  %s\n", width, event.FormatDuration(m.at), m.text)
	}
}

func fieldsText(e rules.TestEvent) string { return string(event.AppendObject(nil, e.Fields)) }
