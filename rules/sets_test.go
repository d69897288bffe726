package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// TestSets loads rule files and prints what they are compiled to.
//
//	load [sources=(a,b)] [sinks=(c)]   one file, or several after lines "-- NAME --"
func TestSets(t *testing.T) {
	datadriven.Walk(t, "testdata/sets", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var o Options
			for _, a := range d.CmdArgs {
				o.NeedSource = true
				switch a.Key {
				case "sources":
					o.Sources = a.Vals
				case "sinks":
					o.Sinks = a.Vals
				case "alerts-only":
					o.AlertsOnly = a.Vals
				}
			}
			set, report := Load(splitFiles(d.Input), o)
			out := report.String()
			if set != nil {
				out += describe(set)
			}
			return out
		})
	})
}

func splitFiles(text string) []File {
	var files []File
	name, body := "rules.yaml", ""
	for line := range strings.Lines(text + "\n") {
		if rest, ok := strings.CutPrefix(line, "-- "); ok {
			if body != "" {
				files = append(files, File{name, []byte(body)})
			}
			name, body = strings.TrimSuffix(rest, " --\n"), ""
			continue
		}
		body += line
	}
	return append(files, File{name, []byte(body)})
}

func describe(s *Set) string {
	var b strings.Builder
	for _, st := range s.Streams {
		describeStream(&b, st)
	}
	for _, r := range s.Rules {
		describeRule(&b, r)
	}
	return b.String()
}

func describeStream(b *strings.Builder, s *Stream) {
	fmt.Fprintf(b, "stream %s", s.Name)
	if s.Producer != "" {
		fmt.Fprintf(b, ": made by %s, level %d, %v\n", s.Producer, s.Level, s.Schema.Declared())
		return
	}
	if s.Source != "" {
		fmt.Fprintf(b, ": source %s", s.Source)
	}
	if s.Topic != nil {
		fmt.Fprintf(b, ", topic %s", s.Topic)
	}
	fmt.Fprintf(b, ", %s\n", s.Format)
	if s.Time != nil {
		fmt.Fprintf(b, "  time: %s, lag %v, idle %v, max_future %v\n", s.Time.Source(), s.Watermark.Lag, s.Watermark.Idle, s.Watermark.MaxFuture)
	}
	if s.Schema.Dynamic() {
		fmt.Fprintf(b, "  dynamic, uses %s\n", fieldNames(s.Schema.Fields()))
	} else {
		fmt.Fprintf(b, "  fields %v, uses %s\n", s.Schema.Declared(), fieldNames(s.Schema.Fields()))
	}
	for i, k := range s.Keys {
		fmt.Fprintf(b, "  key %d: %s\n", i, k)
	}
	for i, c := range s.Conditions {
		fmt.Fprintf(b, "  condition %d: %s\n", i, strings.TrimSpace(c.Source()))
	}
}

func fieldNames(fs []event.Field) string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.Name
	}
	return strings.Join(names, " ")
}

func describeRule(b *strings.Builder, r *Rule) {
	fmt.Fprintf(b, "rule %s (%s:%d)", r.Name, r.File, r.Line)
	if len(r.KeyLabels) > 0 {
		fmt.Fprintf(b, ", labels %v", r.KeyLabels)
	}
	for _, d := range []struct {
		name string
		d    event.Duration
	}{{"for", r.For}, {"clear_for", r.ClearFor}, {"clear_after", r.ClearAfter}} {
		if d.d != 0 {
			fmt.Fprintf(b, ", %s %v", d.name, d.d)
		}
	}
	if len(r.EmitTo) > 0 {
		fmt.Fprintf(b, ", emits to %v", r.EmitTo)
	}
	b.WriteString("\n")
	for _, in := range r.Inputs {
		fmt.Fprintf(b, "  from %s: keeps %s; key %d", in.Stream.Name, fieldNames(in.Keep.Fields()), in.Key)
		for _, c := range []struct {
			name string
			i    int
		}{{"where", in.Where}, {"when", in.When}, {"clear", in.Clear}} {
			if c.i >= 0 {
				fmt.Fprintf(b, ", %s %d", c.name, c.i)
			}
		}
		b.WriteString("\n")
		if r.Pattern != nil {
			for i, name := range r.Pattern.Predicates {
				if p := in.Linked[i]; p != nil {
					fmt.Fprintf(b, "    %s: linked, %s\n", name, p.Source())
				} else if c := in.Plain[i]; c >= 0 {
					fmt.Fprintf(b, "    %s: condition %d\n", name, c)
				}
			}
		} else if r.Window == nil {
			describeEmit(b, "    emit", in.Emit)
			describeAlert(b, "    alert", in.Alert)
		}
		for i, a := range in.Args {
			fmt.Fprintf(b, "    aggregate %d:", i)
			if a.Value != nil {
				fmt.Fprintf(b, " %s", a.Value.Source())
			}
			if a.Filter != nil {
				fmt.Fprintf(b, " where %s", a.Filter.Source())
			}
			b.WriteString("\n")
		}
	}
	if r.Window != nil {
		describeWindow(b, r)
	}
	if p := r.Pattern; p != nil {
		for i := range p.Aggregates.Len() {
			fmt.Fprintf(b, "  aggregate %s\n", p.Aggregates.String(i))
		}
		describeEmit(b, "  emit", r.Emit)
		describeAlert(b, "  alert", r.Alert)
		if p.Timeout != nil {
			describeEmit(b, "  timeout emit", p.Timeout.Emit)
			describeAlert(b, "  timeout alert", p.Timeout.Alert)
		}
	}
}

func describeWindow(b *strings.Builder, r *Rule) {
	w := r.Window
	fmt.Fprintf(b, "  window %s\n", w.Spec)
	for i, v := range w.Vars.Fields() {
		fmt.Fprintf(b, "  %d %s: %v", i, v.Name, v.Type)
		if a := slices.Index(w.Aggregates, i); a >= 0 {
			fmt.Fprintf(b, ", aggregate %d", a)
		}
		for n, c := range w.Compute {
			if c.Var == i && c.Baseline != nil {
				fmt.Fprintf(b, ", computed %d: of %s, %s, %s, %s", n, c.Value.Source(), c.Baseline.History, c.Baseline.Profile, c.Baseline.Zone)
			} else if c.Var == i {
				fmt.Fprintf(b, ", computed %d: %s", n, c.Value.Source())
			}
		}
		b.WriteString("\n")
	}
	for _, c := range []struct {
		name string
		p    *expr.Program
	}{{"when", w.When}, {"clear", w.Clear}} {
		if c.p != nil {
			fmt.Fprintf(b, "  %s %s, from %v\n", c.name, c.p.Source(), c.p.Variables())
		}
	}
	describeEmit(b, "  emit", r.Emit)
	describeAlert(b, "  alert", r.Alert)
}

func describeEmit(b *strings.Builder, what string, e *Emit) {
	if e == nil {
		return
	}
	fmt.Fprintf(b, "%s", what)
	for _, f := range e.Fields {
		fmt.Fprintf(b, " %s=(%s: %v)", f.Name, f.Value.Source(), f.Value.Type())
	}
	b.WriteString("\n")
}

func describeAlert(b *strings.Builder, what string, a *Alert) {
	if a == nil {
		return
	}
	fmt.Fprintf(b, "%s %s", what, a.Severity)
	text := func(name string, t *expr.Text) {
		if t != nil {
			fmt.Fprintf(b, " %s=%q", name, t.Source())
		}
	}
	for _, l := range a.Labels {
		text(l.Name, l.Value)
	}
	text("summary", a.Summary)
	text("description", a.Description)
	text("runbook", a.Runbook)
	if a.Repeat > 0 {
		fmt.Fprintf(b, " again after %v", a.Repeat)
	}
	if a.EvidenceAll {
		b.WriteString(" with all fields")
	}
	if len(a.To) > 0 {
		fmt.Fprintf(b, " to %v", a.To)
	}
	b.WriteString("\n")
}
