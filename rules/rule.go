package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// defaultClearAfter is when the alert of a pattern clears where nothing is
// said: matches are moments, so only silence can end it.
const defaultClearAfter = time.Hour

// ruleDecl is a rule that is being compiled.
type ruleDecl struct {
	body    *node
	name    *node // nil where it is missing
	rule    *Rule
	streams []*streamDecl // of the inputs
	used    [][]string    // for each input, fields that the rule's conditions read
	steps   []expr.Step   // of the pattern
	window  *windowDecl   // nil where there is none
	shape   []string      // what its state depends on
	tables  []*expr.Table
}

// declareRule notes a rule and its name.
func (l *loader) declareRule(body *node) {
	if body.kind == scalarNode && body.typ == emptyType {
		l.errorf(body, "write `name: ...` behind the -, or remove it", "an entry of `rules` is empty")
		return
	}
	if !l.mapping(body, "a rule") {
		return
	}
	l.bodies = append(l.bodies, body)
	name := body.get("name")
	if name == nil || name.bad {
		return
	}
	if old := l.rules[name.text]; old != nil {
		file, line := old.here()
		l.errorf(name, "give one of them another name", "rule `%s` is here twice: also in %s:%d", name.text, file, line)
		return
	}
	l.rules[name.text] = name
	l.named[name.text] = body
}

// rule compiles a rule. What it returns is complete only if the report has no
// errors.
func (l *loader) rule(body *node) *Rule {
	if !l.keys(body, rulePlace) {
		return nil
	}
	d := &ruleDecl{body: body, name: body.get("name"), rule: &Rule{}, tables: l.exprTables()}
	r := d.rule
	r.File, r.Line = body.here()
	l.ruleName(d)
	l.inputs(d)
	l.by(d)
	l.each(d, "where", func(in *Input) *int { return &in.Where })
	l.lookFor(d)
	for i, in := range r.Inputs { // what conditions read goes first in evidence
		for _, f := range d.used[i] {
			in.Keep.Use(f)
		}
	}
	l.actions(d)
	if d.window != nil {
		l.endWindow(d)
	}
	l.limits(d)
	l.mode(d)
	l.oneKey(d)
	r.Shape = hashShape(d.shape)
	return r
}

func (l *loader) ruleName(d *ruleDecl) {
	if d.name == nil {
		if !d.body.partial && len(d.body.entries) > 0 {
			l.errorf(d.body.entries[0].key, "add `name:` and a name that no other rule has", "the rule has no name")
		}
		return
	}
	name, ok := l.looseName(d.name, "the name of a rule")
	if !ok {
		return
	}
	d.rule.Name = name
	_, d.rule.Line = d.name.here()
}

// inputs resolves `from`. A stream that is not known is stood in for, so that
// the rule's other mistakes are found too.
func (l *loader) inputs(d *ruleDecl) {
	from := d.body.get("from")
	switch {
	case from != nil:
		for _, n := range l.list(from) {
			l.input(d, n)
		}
		if from.kind == listNode && len(from.items) == 0 {
			l.errorf(from, "name a stream", "`from` is an empty list")
		}
	default:
		l.inputsOfSteps(d)
	}
	if len(d.rule.Inputs) == 0 {
		stand := &streamDecl{keys: map[string]int{}, conds: map[string]int{}}
		stand.stream = &Stream{Schema: event.NewSchema("?", nil)}
		d.addInput(stand)
	}
}

// inputsOfSteps takes the streams from the entries of `define`, where the rule
// itself has no `from`.
func (l *loader) inputsOfSteps(d *ruleDecl) {
	define := d.body.get("define")
	found := false
	if define != nil {
		for _, e := range define.entries {
			if f := e.value.get("from"); f != nil {
				found = true
				l.input(d, f)
			} else if !e.value.bad && found {
				break
			}
		}
	}
	if !found {
		l.missing(d, "add `from:` and the name of a stream", "the rule does not say `from` which stream it takes its events")
	}
}

// missing reports something that the rule lacks, unless what it has is not all
// understood.
func (l *loader) missing(d *ruleDecl, advice, message string) {
	switch {
	case d.body.partial:
	case d.name != nil:
		l.errorf(d.name, advice, "%s", message)
	case len(d.body.entries) > 0:
		l.errorf(d.body.entries[0].key, advice, "%s", message)
	}
}

func (l *loader) input(d *ruleDecl, n *node) {
	name, ok := l.looseName(n, "the name of a stream")
	if !ok {
		return
	}
	s := l.streams[name]
	switch {
	case s != nil && slices.Contains(d.streams, s):
		if d.body.get("from") != nil {
			l.errorf(n, "remove one of the two", "stream `%s` is here twice", name)
		}
	case s != nil:
		d.addInput(s)
	case l.rules[name] != nil:
		l.derivedInput(d, n, name)
	case !l.damaged:
		l.errorf(n, oneOf(name, l.streamNames(), "declare it under `streams`"), "there is no stream `%s`", name)
	}
}

func (l *loader) streamNames() []string {
	var names []string
	for _, s := range l.order {
		names = append(names, s.name.text)
	}
	return names
}

func (d *ruleDecl) addInput(s *streamDecl) {
	in := &Input{Stream: s.stream, Keep: s.stream.Schema.Project(), Where: -1, When: -1, Clear: -1}
	d.rule.Inputs = append(d.rule.Inputs, in)
	d.streams = append(d.streams, s)
	d.used = append(d.used, nil)
	d.shape = append(d.shape, "from "+s.stream.Name)
}

// uses notes that a condition over an input reads fields of its events.
func (d *ruleDecl) uses(input int, p *expr.Program) {
	d.used[input] = append(d.used[input], p.EventFields()...)
	if p.UsesTopic() {
		d.rule.Inputs[input].Keep.UseTopic()
	}
}

// ofField finds the field that `by` takes, whose name becomes the label's.
var ofField = regexp.MustCompile(`^e\.([A-Za-z_][A-Za-z0-9_]*)$`)

// ownLabels are the labels that every alert has.
var ownLabels = []string{"alertname", "severity", "timeout"}

// by compiles `by` for each input.
func (l *loader) by(d *ruleDecl) {
	n := d.body.get("by")
	r := d.rule
	var parts []entry
	switch {
	case n == nil:
	case n.kind == mappingNode && n.flow && len(n.entries) == 0:
		l.errorf(n, "remove it: all events are one key then", "`by` is empty")
	case n.kind == mappingNode:
		for _, e := range n.entries {
			if l.partName(e.key) {
				parts = append(parts, e)
				r.KeyNames = append(r.KeyNames, e.key.text)
				r.KeyLabels = append(r.KeyLabels, e.key.text)
			}
		}
	case n.kind == listNode:
		l.errorf(n, "write `by: {site: e.site, device: e.device}`", "`by` is one expression or a mapping of names, and this is a list")
	default:
		label := "key"
		if m := ofField.FindStringSubmatch(strings.TrimSpace(n.text)); m != nil && !slices.Contains(ownLabels, m[1]) {
			label = m[1]
		}
		parts = []entry{{value: n}}
		r.KeyLabels = []string{label}
	}
	for i, in := range r.Inputs {
		k := &Key{Names: r.KeyNames}
		for _, e := range parts {
			what, name := "`by`", ""
			if e.key != nil {
				what, name = "`"+e.key.text+"` of `by`", e.key.text
			}
			if p := l.expression(e.value, what, &expr.Scope{Event: in.Stream.Schema, NoKey: true, Self: -1}, expr.WantKey); p != nil {
				k.Parts = append(k.Parts, p)
				if i == 0 {
					d.shape = append(d.shape, "by "+name+" "+p.Canonical())
				}
			}
		}
		if len(k.Parts) < len(parts) { // some have a mistake: let the rest be found
			k.Names, k.Parts = nil, nil
			continue
		}
		in.Key = d.streams[i].keyOf(k)
	}
}

// partName checks the name of a part of the key, which is a label too.
func (l *loader) partName(n *node) bool {
	switch {
	case !plainName.MatchString(n.text):
		l.errorf(n, "names are letters, digits and _, and do not begin with a digit", "a part of `by` cannot be called `%s`", n.text)
	case slices.Contains(ownLabels, n.text):
		l.errorf(n, "give it another name", "a part of `by` cannot be called `%s`: every alert has a label of that name", n.text)
	default:
		return true
	}
	return false
}

// keyScope says what `key` is for events of one input; for all of them with
// input -1.
func (d *ruleDecl) keyScope(input int) expr.Key {
	var key expr.Key
	for i, in := range d.rule.Inputs {
		if input >= 0 && i != input || in.Key >= len(in.Stream.Keys) {
			continue
		}
		k := in.Stream.Keys[in.Key]
		if len(k.Parts) != len(d.rule.KeyLabels) {
			continue // has a mistake
		}
		for j, p := range k.Parts {
			if len(key.Parts) <= j {
				name := ""
				if len(k.Names) > 0 {
					name = k.Names[j]
				}
				key.Parts = append(key.Parts, event.Field{Name: name, Type: p.Type()})
			} else if key.Parts[j].Type != p.Type() {
				key.Parts[j].Type = event.TypeAny
			}
		}
	}
	if len(key.Parts) == 0 { // after a mistake in `by`, let anything go
		for _, name := range d.rule.KeyNames {
			key.Parts = append(key.Parts, event.Field{Name: name})
		}
		if len(d.rule.KeyNames) == 0 && len(d.rule.KeyLabels) == 1 {
			key.Parts = []event.Field{{}}
		}
	}
	key.Single = len(d.rule.KeyNames) == 0 && len(key.Parts) == 1
	return key
}

// each compiles a condition for each input, and puts its number where slot
// says.
func (l *loader) each(d *ruleDecl, key string, slot func(*Input) *int) {
	n := d.body.get(key)
	if n == nil {
		return
	}
	if key != "clear" {
		l.warnNever(n, "`"+key+"`", "")
	}
	for i, in := range d.rule.Inputs {
		scope := &expr.Scope{Event: in.Stream.Schema, Self: -1, NoKey: key == "where"}
		if !scope.NoKey {
			scope.Key = d.keyScope(i)
		}
		if p := l.expression(n, "`"+key+"`", scope, expr.WantBool); p != nil {
			*slot(in) = d.streams[i].conditionOf(p, in.Key)
			d.uses(i, p)
		}
	}
}

// Keys that mean something beside others only.
var (
	patternKeys = []string{"define", "within", "skip", "order", "timeout"}
	windowKeys  = []string{"lateness", "early", "let"}
	whenKeys    = []string{"for", "clear", "clear_for", "no_data"}
	alertKeys   = []string{"for", "clear", "clear_for", "clear_after", "no_data", "flap", "unless", "active"}
)

// lookFor compiles what the rule looks for.
func (l *loader) lookFor(d *ruleDecl) {
	when, pattern, absent := d.body.get("when"), d.body.get("pattern"), d.body.get("absent")
	window, detect := d.body.get("window"), d.body.get("detect")
	if window == nil && !d.body.partial {
		l.unwanted(d, windowKeys, "`%s` belongs to a rule with `window`", "")
	}
	switch {
	case absent != nil:
		l.absent(d, absent)
		return
	case detect != nil && (pattern != nil || window != nil):
		other := "pattern"
		if pattern == nil {
			other = "window"
		}
		l.errorf(d.keyOf("detect"), "make it two rules; one can take what the other emits", "a rule has `detect` or `%s`, not both", other)
		return
	case window != nil && pattern != nil:
		l.errorf(d.keyOf("window"), "make it two rules; one can take what the other emits", "a rule has `window` or `pattern`, not both")
		return
	case when != nil && pattern != nil:
		l.errorf(d.keyOf("pattern"), "make it two rules", "a rule has `when` or `pattern`, not both")
		return
	case pattern != nil:
		l.unwanted(d, whenKeys, "`%s` belongs to a rule with `when`", "the alert of a pattern clears with `clear_after`")
		l.pattern(d, pattern)
		return
	}
	if !d.body.partial {
		l.unwanted(d, patternKeys, "`%s` belongs to a rule with `pattern`", "")
	}
	if window != nil {
		l.windows(d, window)
	}
	if detect != nil {
		l.detect(d, detect)
		return
	}
	if when == nil {
		if !d.body.partial {
			l.unwanted(d, alertKeys, "`%s` belongs to a rule with `when`", "")
		}
		if n := d.keyOf("alert"); n != nil && !d.body.partial {
			what := "add `when`, `pattern`, `detect` or `absent`; `when: true` alerts on every event"
			if window != nil {
				what = "add `when`; `when: true` alerts on every window"
			}
			l.errorf(n, what, "the rule does not say when to alert")
		}
		if window == nil {
			d.shape = append(d.shape, "filter")
		}
		return
	}
	if window != nil {
		return // its `when` is compiled
	}
	d.rule.When = true
	d.shape = append(d.shape, "when")
	l.each(d, "when", func(in *Input) *int { return &in.When })
	l.each(d, "clear", func(in *Input) *int { return &in.Clear })
}

// unwanted reports keys that do nothing in a rule of this kind.
func (l *loader) unwanted(d *ruleDecl, keys []string, format, advice string) {
	for _, key := range keys {
		if n := d.keyOf(key); n != nil {
			l.errorf(n, advice, format, key)
		}
	}
}

// keyOf returns the node of a key itself, nil where the rule does not have it.
func (d *ruleDecl) keyOf(key string) *node {
	for _, e := range d.body.entries {
		if e.key.text == key {
			return e.key
		}
	}
	return nil
}

// actions compiles what to do about it.
func (l *loader) actions(d *ruleDecl) {
	r := d.rule
	emit, alert := d.body.get("emit"), d.body.get("alert")
	if emit != nil {
		l.emits(d, emit)
	}
	if alert != nil {
		l.alerts(d, alert)
	}
	if n := d.body.get("timeout"); n != nil && r.Pattern != nil {
		l.timeout(d, n)
	}
	if n := d.body.get("emit_to"); n != nil {
		l.emitTo(d, n)
	}
	timeout := r.Pattern != nil && r.Pattern.Timeout != nil
	if emit == nil && alert == nil && !timeout && d.body.get("timeout") == nil {
		l.missing(d, "add `alert` or `emit`", "the rule says nothing about what to do")
	}
	if alert == nil && !(timeout && r.Pattern.Timeout.Alert != nil) {
		if d.body.get("when") != nil || d.body.get("pattern") != nil || d.body.get("detect") != nil || r.Absent {
			l.unwanted(d, alertKeys, "`%s` acts on an alert, and the rule has none", "add `alert`, or remove it")
		}
		return
	}
	l.lifecycle(d)
}

// lifecycle reads how long what must hold.
func (l *loader) lifecycle(d *ruleDecl) {
	r := d.rule
	read := func(key string, to *event.Duration, zero bool) {
		if n := d.body.get(key); n != nil {
			*to = l.duration(n, "`"+key+"`", zero)
		}
	}
	read("for", &r.For, true)
	read("clear_for", &r.ClearFor, true)
	read("clear_after", &r.ClearAfter, false)
	if r.Pattern != nil && d.body.get("clear_after") == nil {
		r.ClearAfter = defaultClearAfter
	}
	if n := d.body.get("no_data"); n != nil {
		l.noData(d, n)
	}
	if n := d.body.get("flap"); n != nil {
		l.flap(d, n)
	}
	if n := d.body.get("unless"); n != nil {
		l.unlessOf(d, n)
	}
	if n := d.body.get("active"); n != nil {
		l.active(d, n)
	}
}

const (
	defaultRuns = 1000
	// maxRuns bounds `runs`: a key with more has a pattern that grows without
	// end, and would take a shard with it.
	maxRuns = 1_000_000
	// maxKeys is more than fits in any memory.
	maxKeys = 1_000_000_000
)

// runs returns the limit on open runs of a key.
func (l *loader) runs(d *ruleDecl) int {
	limits := d.body.get("limits")
	if limits == nil || limits.kind != mappingNode {
		return defaultRuns
	}
	if n := limits.get("runs"); n != nil {
		return l.number(n, "`runs`", 1, maxRuns)
	}
	return defaultRuns
}

func (l *loader) limits(d *ruleDecl) {
	n := d.body.get("limits")
	if n == nil || !l.keys(n, limitsPlace) {
		return
	}
	if v := n.get("keys"); v != nil {
		d.rule.Keys = l.number(v, "`keys`", 1, maxKeys)
		if d.body.get("by") == nil {
			l.errorf(v, "add `by`, or remove it", "`keys` limits the keys of a rule, and without `by` it has one")
		}
	}
	if v := n.get("idle"); v != nil {
		d.rule.Idle = l.duration(v, "`idle`", false)
	}
	if runs := n.get("runs"); runs != nil && d.body.get("pattern") == nil {
		l.warnf(runs, "remove it", "`runs` limits partial matches of a `pattern`, and the rule has none")
	}
}

// String prints a key as messages and listings show it.
func (k *Key) String() string {
	parts := make([]string, len(k.Parts))
	for i, p := range k.Parts {
		parts[i] = p.Source()
		if len(k.Names) > 0 {
			parts[i] = fmt.Sprintf("%s: %s", k.Names[i], p.Source())
		}
	}
	return strings.Join(parts, ", ")
}
