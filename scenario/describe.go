package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/rules"
)

// describe says in a few lines what a rule looks for and what it does then.
func describe(r *rules.Rule) string {
	var b strings.Builder
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-11s  %s\n", what, text)
		}
	}
	var streams []string
	for _, in := range r.Inputs {
		streams = append(streams, in.Stream.Name)
	}
	in := r.Inputs[0]
	fmt.Fprintf(&b, "%s\n", r.Name)
	line("from", strings.Join(streams, ", "))
	line("by", keyText(in.Stream.Keys[in.Key]))
	line("where", condition(in.Stream, in.Where))
	if r.Window != nil {
		line("window", r.Window.Spec.String())
		for i, f := range r.Window.Vars.Fields() {
			if text := strings.Join(strings.Fields(r.Window.Texts[i]), " "); text != "" && text != f.Name {
				line("let", f.Name+": "+text)
			}
		}
		line("when", source(r.Window.When))
		line("clear", source(r.Window.Clear))
	}
	if r.Detect != nil {
		line("detect", r.Detect.String())
		if in.Detect.When == nil {
			line("when", "anomaly")
		}
		line("when", source(in.Detect.When))
		line("clear", source(in.Detect.Clear))
	}
	line("when", condition(in.Stream, in.When))
	if r.Absent {
		line("absent", "no event of a key for "+event.FormatDuration(r.NoData))
	}
	for _, d := range []struct {
		what string
		d    event.Duration
	}{{"for", r.For}, {"clear_for", r.ClearFor}, {"clear_after", r.ClearAfter}} {
		if d.d > 0 {
			line(d.what, event.FormatDuration(d.d))
		}
	}
	line("clear", condition(in.Stream, in.Clear))
	if r.Unless != nil {
		line("unless", "an alert of "+r.Unless.Rule+" fires")
	}
	if r.Emit != nil {
		var names []string
		for _, f := range r.Emit.Fields {
			names = append(names, f.Name)
		}
		line("emits", strings.Join(names, ", "))
	}
	if r.Alert != nil {
		line("alerts", r.Alert.Severity)
	}
	return b.String()
}

func condition(s *rules.Stream, i int) string {
	if i < 0 {
		return ""
	}
	return source(s.Conditions[i])
}

// source returns the text of a program in one line.
func source(p *expr.Program) string {
	if p == nil {
		return ""
	}
	return strings.Join(strings.Fields(p.Source()), " ")
}

func keyText(k *rules.Key) string {
	var parts []string
	for i, p := range k.Parts {
		text := source(p)
		if i < len(k.Names) && text != "e."+k.Names[i] {
			text = k.Names[i] + ": " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// listing returns a pattern's program and, below it, the conditions of its
// steps.
func listing(r *rules.Rule) string {
	text := r.Pattern.Prog.String()
	cond, width := conditions(r), 0
	var names []string
	for _, n := range r.Pattern.Predicates {
		if cond(n) != "" && !slices.Contains(names, n) {
			names = append(names, n)
			width = max(width, len(n))
		}
	}
	if len(names) > 0 {
		text += "conditions\n"
	}
	for _, n := range names {
		text += fmt.Sprintf("  %-*s  %s%s\n", width, n, strings.Join(strings.Fields(cond(n)), " "), inLibrary(r, n))
	}
	return text + "runs on\n  " + machineOf(r.Pattern.Prog) + "\n"
}

// machineOf says which machine runs a pattern: it tells what an event costs.
func machineOf(p *nfa.Prog) string {
	if p.Compact() {
		return "the compact machine: an event costs the same however many partial matches are open"
	}
	return "the run machine: an event costs what it does to each partial match"
}

// inLibrary says of a condition that it is left to the CEL library, which takes
// several times as long.
func inLibrary(r *rules.Rule, name string) string {
	for i, n := range r.Pattern.Predicates {
		for _, in := range r.Inputs {
			if c := in.Plain[i]; n == name && (c >= 0 && !in.Stream.Conditions[c].Compiled() || in.Linked[i] != nil && !in.Linked[i].Compiled()) {
				return "  (evaluated by the CEL library)"
			}
		}
	}
	return ""
}

// streamsOf returns the names of the streams from sources that a rule reads,
// itself or by way of other rules.
func streamsOf(set *rules.Set, r *rules.Rule) []string {
	var names []string
	for _, in := range r.Inputs {
		if of := in.Stream.LateOf; of != nil {
			names = append(names, of.Name)
			continue
		}
		if in.Stream.Producer == "" {
			names = append(names, in.Stream.Name)
			continue
		}
		if p, err := findRule(set, in.Stream.Producer); err == nil {
			names = append(names, streamsOf(set, p)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// StreamOf returns the name of the only stream from a source that a rule reads,
// itself or by way of other rules; empty if there are several.
func StreamOf(set *rules.Set, rule string) string {
	r, err := findRule(set, rule)
	if err != nil {
		return ""
	}
	if names := streamsOf(set, r); len(names) == 1 {
		return names[0]
	}
	return ""
}
