package rules

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/nfa"
)

// definition is an entry of `define`.
type definition struct {
	key   *node
	where *node // its condition; nil: every event
	from  *node // its stream; nil: every stream of the rule
	used  bool
}

// pattern compiles a pattern with what belongs to it.
func (l *loader) pattern(d *ruleDecl, n *node) {
	d.shape = append(d.shape, "pattern")
	defs := l.definitions(d)
	p := l.parsePattern(n)
	if p == nil {
		l.brokenPattern(d, defs)
		return
	}
	names := l.patternNames(d, n, p, defs)
	d.rule.Pattern = &Pattern{Text: strings.TrimSpace(n.text), Aggregates: &expr.Aggregates{}, Predicates: names}
	d.steps = d.stepsOf(p.Steps(), defs)
	l.neverMatched(p.Steps(), defs)
	o := nfa.Options{Predicates: map[string]nfa.Predicate{}, MaxRuns: l.runs(d)}
	for id, name := range names {
		if def := defs[name]; def != nil {
			o.Predicates[name] = nfa.Predicate{ID: id, Linked: l.predicate(d, name, def)}
		}
	}
	for _, name := range names {
		if q := o.Predicates[name]; q.Linked {
			q.Gate, q.Gated = d.gate(name, defs[name])
			o.Predicates[name] = q
		}
	}
	l.patternOptions(d, p, &o)
	if len(o.Predicates) < len(names) {
		return // some are not defined: the pattern cannot be compiled
	}
	aggs := d.rule.Pattern.Aggregates
	for i := range aggs.Len() {
		o.AggregateSteps = append(o.AggregateSteps, aggs.Step(i))
		o.AggregateWidths = append(o.AggregateWidths, aggs.Width(i))
		for j, in := range d.rule.Inputs {
			d.used[j] = append(d.used[j], aggs.Fields(i, in.Stream.Schema)...)
		}
	}
	prog, issues := nfa.Compile(p, o)
	for _, i := range issues {
		severity := Error
		if i.Warning {
			severity = Warning
		}
		from, to := i.Offset, i.End
		if to <= from {
			from, to = 0, len(strings.TrimRight(n.text, " \n"))
		}
		l.report.add(n.issueIn(severity, from, to, i.Message, i.Advice))
	}
	d.rule.Pattern.Prog = prog
	if prog != nil {
		for _, in := range d.rule.Inputs {
			in.Sets = predicateSets(prog.Plain(), in.Plain)
		}
	}
	d.patternShape(prog, p, o)
}

// neverMatched warns of conditions of steps that are never true.
func (l *loader) neverMatched(steps []nfa.StepInfo, defs map[string]*definition) {
	for _, s := range steps {
		def := defs[s.Name]
		if def == nil || def.where == nil || def.where.kind != scalarNode {
			continue
		}
		follows := ""
		switch {
		case s.Negated:
			follows = ", so `!" + s.Name + "` forbids nothing"
		case !s.Optional:
			follows = ", so the pattern never matches"
		}
		l.warnNever(def.where, "`"+s.Name+"` of `define`", follows)
	}
}

// patternShape notes what the state of a pattern depends on.
func (d *ruleDecl) patternShape(prog *nfa.Prog, p *nfa.Pattern, o nfa.Options) {
	if prog == nil {
		return
	}
	d.shape = append(d.shape, prog.Shape(), p.String(), o.Within.String(), fmt.Sprint(o.Skip, o.SkipTo, o.Order))
	aggs := d.rule.Pattern.Aggregates
	for i := range aggs.Len() {
		d.shape = append(d.shape, fmt.Sprint(aggs.Step(i), aggs.String(i)))
	}
}

func (l *loader) parsePattern(n *node) *nfa.Pattern {
	if _, ok := l.text(n, "`pattern`"); !ok {
		return nil
	}
	p, err := nfa.Parse(n.text)
	var syntax *nfa.SyntaxError
	if errors.As(err, &syntax) {
		advice := syntax.Advice
		if advice == "" {
			advice = "a pattern is made of the names of `define`, as in a{3,} -> b -> !c"
		}
		l.errorIn(n, syntax.Offset, syntax.End, syntax.Message, advice)
		return nil
	}
	return p
}

// brokenPattern finds mistakes in the conditions of a pattern that cannot be
// read. What is a list is not known then; a list lets most be said.
func (l *loader) brokenPattern(d *ruleDecl, defs map[string]*definition) {
	var infos []nfa.StepInfo
	names := sortedNames(defs)
	for i, name := range names {
		infos = append(infos, nfa.StepInfo{Number: i, Name: name, List: true})
	}
	d.rule.Pattern = &Pattern{Aggregates: &expr.Aggregates{}, Predicates: names}
	d.steps = d.stepsOf(infos, defs)
	for _, name := range names {
		l.predicate(d, name, defs[name])
	}
	l.patternOptions(d, nil, &nfa.Options{})
}

func sortedNames(defs map[string]*definition) []string {
	var names []string
	for name := range defs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// definitions reads `define`.
func (l *loader) definitions(d *ruleDecl) map[string]*definition {
	defs := map[string]*definition{}
	n := d.body.get("define")
	if n == nil || !l.mapping(n, "`define`") {
		return defs
	}
	for _, e := range n.entries {
		if !l.stepName(e.key) {
			continue
		}
		def := &definition{key: e.key, where: e.value}
		if e.value.kind == mappingNode {
			if !l.keys(e.value, definePlace) {
				continue
			}
			def.where, def.from = e.value.get("where"), e.value.get("from")
			if def.where == nil && def.from == nil {
				l.errorf(e.key, "write a condition, or `{from: STREAM, where: CONDITION}`", "`%s` of `define` says nothing", e.key.text)
			}
			if def.from != nil && !l.definitionStream(d, def.from) {
				def.from = nil
			}
		}
		defs[e.key.text] = def
	}
	return defs
}

// definitionStream checks that a definition's stream is one of the rule's.
func (l *loader) definitionStream(d *ruleDecl, from *node) bool {
	name, ok := l.looseName(from, "`from`")
	if !ok || d.inputOf(name) >= 0 {
		return ok
	}
	if d.body.get("from") == nil {
		return false // said where the inputs were looked for
	}
	if l.streams[name] == nil {
		if !l.damaged {
			l.errorf(from, oneOf(name, l.streamNames(), "declare it under `streams`"), "there is no stream `%s`", name)
		}
		return false
	}
	l.errorf(from, "add `"+name+"` to `from` of the rule", "the rule takes no events from stream `%s`", name)
	return false
}

// inputOf returns the number of the input from a stream, -1 for none.
func (d *ruleDecl) inputOf(stream string) int {
	return slices.IndexFunc(d.rule.Inputs, func(in *Input) bool { return in.Stream.Name == stream })
}

// stepName checks the name of a step.
func (l *loader) stepName(n *node) bool {
	if !plainName.MatchString(n.text) {
		l.errorf(n, "names are letters, digits and _, and do not begin with a digit", "a step cannot be called `%s`", n.text)
		return false
	}
	what, ok := expr.Reserved(n.text)
	if l.tableNamed(n.text) != nil {
		what, ok = "a table", true
	}
	if ok {
		l.errorf(n, "give the step another name", "a step cannot be called `%s`: that is the name of %s", n.text, what)
		return false
	}
	return true
}

// patternNames returns the names of the pattern's conditions by number: steps
// first, then `until`. It reports those that are not defined, and warns of
// those that are not used.
func (l *loader) patternNames(d *ruleDecl, n *node, p *nfa.Pattern, defs map[string]*definition) []string {
	var names []string
	add := func(name string, from, to int) {
		if slices.Contains(names, name) {
			return
		}
		names = append(names, name)
		def := defs[name]
		switch {
		case def != nil:
			def.used = true
		case d.defined(name):
		default:
			advice := fmt.Sprintf("add `%s:` and its condition under `define`", name)
			if near := nearest(name, sortedNames(defs)); near != "" {
				advice = fmt.Sprintf("did you mean `%s`?", near)
			}
			l.errorIn(n, from, to, fmt.Sprintf("`%s` is not defined", name), advice)
		}
	}
	for _, s := range p.Steps() {
		add(s.Name, s.Offset, s.End)
	}
	for _, u := range p.Untils() {
		add(u.Name, u.Offset, u.End)
	}
	for _, name := range sortedNames(defs) {
		if def := defs[name]; !def.used {
			l.warnf(def.key, "use it in `pattern`, or remove it", "`%s` is defined, and the pattern does not use it", name)
		}
	}
	return names
}

// defined reports whether `define` mentions a name, if only with a mistake that
// is reported elsewhere, or cannot be read.
func (d *ruleDecl) defined(name string) bool {
	n := d.body.get("define")
	return n != nil && (n.bad || n.get(name) != nil)
}

// stepsOf describes the steps for expressions.
func (d *ruleDecl) stepsOf(infos []nfa.StepInfo, defs map[string]*definition) []expr.Step {
	var steps []expr.Step
	for _, s := range infos {
		step := expr.Step{Name: s.Name, List: s.List, Negated: s.Negated}
		for i, in := range d.rule.Inputs {
			if def := defs[s.Name]; def == nil || d.takes(def, i) {
				step.Schemas = append(step.Schemas, in.Keep)
				step.Live = append(step.Live, in.Stream.Schema)
			}
		}
		steps = append(steps, step)
	}
	return steps
}

// takes reports whether a definition holds for events of an input at all.
func (d *ruleDecl) takes(def *definition, input int) bool {
	return def.from == nil || def.from.text == d.rule.Inputs[input].Stream.Name
}

// stepScope is what the condition of a step sees on an event of an input.
func (d *ruleDecl) stepScope(input, self int) *expr.Scope {
	return &expr.Scope{
		Event: d.rule.Inputs[input].Stream.Schema, Key: d.keyScope(input),
		Steps: d.steps, Self: self, Linked: d.rule.Pattern.Aggregates, Tables: d.tables,
	}
}

// gate adds the part of a linked condition that looks at the event alone as a
// predicate of its own, and returns its number.
func (d *ruleDecl) gate(name string, def *definition) (id int, ok bool) {
	self := slices.IndexFunc(d.steps, func(s expr.Step) bool { return s.Name == name })
	parts := conjuncts(def.where.text)
	gates := make([]int, len(d.rule.Inputs))
	for i, in := range d.rule.Inputs {
		gates[i] = -1
		if !d.takes(def, i) {
			continue
		}
		var plainParts []string
		for _, part := range parts {
			if p, _ := expr.Compile(part, d.stepScope(i, self), expr.WantBool); p != nil && !p.Linked() {
				plainParts = append(plainParts, part)
			}
		}
		if len(plainParts) == 0 {
			return 0, false
		}
		p, _ := expr.Compile(strings.Join(plainParts, " && "), d.stepScope(i, self), expr.WantBool)
		if p == nil {
			return 0, false
		}
		gates[i] = d.streams[i].conditionOf(p, in.Key)
	}
	for i, in := range d.rule.Inputs {
		in.Plain = append(in.Plain, gates[i])
		in.Linked = append(in.Linked, nil)
	}
	p := d.rule.Pattern
	p.Predicates = append(p.Predicates, name)
	return len(p.Predicates) - 1, true
}

// predicate compiles the condition of a name for each input that it takes, and
// reports whether it is linked: whether it looks at what a run has accepted.
func (l *loader) predicate(d *ruleDecl, name string, def *definition) (linked bool) {
	self := slices.IndexFunc(d.steps, func(s expr.Step) bool { return s.Name == name })
	programs := make([]*expr.Program, len(d.rule.Inputs))
	for i := range d.rule.Inputs {
		if !d.takes(def, i) {
			continue
		}
		scope := d.stepScope(i, self)
		if def.where == nil {
			programs[i], _ = expr.Compile("true", scope, expr.WantBool)
		} else {
			programs[i] = l.expression(def.where, "`"+name+"` of `define`", scope, expr.WantBool)
		}
		linked = linked || programs[i] != nil && programs[i].Linked()
	}
	for i, in := range d.rule.Inputs {
		plainCondition := -1
		var program *expr.Program
		switch p := programs[i]; {
		case p == nil:
		case linked:
			program = p
			d.uses(i, p)
		default:
			plainCondition = d.streams[i].conditionOf(p, in.Key)
			d.uses(i, p)
		}
		in.Plain = append(in.Plain, plainCondition)
		in.Linked = append(in.Linked, program)
	}
	return linked
}

// unreadWithin stands for a `within` that is no duration, so that nothing is said
// of a pattern without one. It is longer than any that a step may have.
const unreadWithin = event.Duration(math.MaxInt64)

// patternOptions reads the keys beside a pattern. p is nil if the pattern has
// a mistake.
func (l *loader) patternOptions(d *ruleDecl, p *nfa.Pattern, o *nfa.Options) {
	if n := d.body.get("within"); n != nil {
		if o.Within = l.duration(n, "`within`", false); o.Within == 0 {
			o.Within = unreadWithin
		}
	}
	if n := d.body.get("skip"); n != nil {
		l.skip(n, p, o)
	}
	if n := d.body.get("order"); n != nil {
		if l.choice(n, "`order`", orderWords...) == "start" {
			o.Order = nfa.OrderStart
		}
	}
	o.Timeout = d.body.get("timeout") != nil
}

var skips = map[string]nfa.Skip{
	"past_last": nfa.SkipPastLast, "none": nfa.SkipNone, "to_next": nfa.SkipToNext, "to_first": nfa.SkipToFirst, "to_last": nfa.SkipToLast,
}

// skip reads `skip`.
func (l *loader) skip(n *node, p *nfa.Pattern, o *nfa.Options) {
	const advice = "it is one of past_last, to_next, none, to_first NAME, to_last NAME"
	text, ok := l.text(n, "`skip`")
	if !ok {
		return
	}
	word, name, _ := strings.Cut(strings.TrimSpace(text), " ")
	name = strings.TrimSpace(name)
	skip, known := skips[word]
	target := skip == nfa.SkipToFirst || skip == nfa.SkipToLast
	switch {
	case !known:
		say := advice
		if near := nearest(word, []string{"past_last", "to_next", "none", "to_first", "to_last"}); near != "" {
			say = "did you mean `" + near + "`? It" + advice[2:]
		}
		l.errorf(n, say, "`skip` cannot be `%s`", word)
	case target && name == "":
		l.errorf(n, fmt.Sprintf("write `skip: %s NAME`", word), "`skip: %s` does not say to which step", word)
	case !target && name != "":
		l.errorf(n, fmt.Sprintf("write `skip: %s`", word), "`skip: %s` takes no name", word)
	case target && p != nil && !slices.ContainsFunc(p.Steps(), func(s nfa.StepInfo) bool { return s.Name == name }):
		var names []string
		for _, s := range p.Steps() {
			names = append(names, s.Name)
		}
		at := max(strings.LastIndex(text, name), 0)
		l.errorIn(n, at, at+len(name), fmt.Sprintf("the pattern has no step `%s`", name), oneOf(name, names, ""))
	default:
		o.Skip, o.SkipTo = skip, name
	}
}

// timeout reads `timeout`.
func (l *loader) timeout(d *ruleDecl, n *node) {
	if !l.keys(n, timeoutPlace) {
		return
	}
	emit, alert := n.get("emit"), n.get("alert")
	if emit == nil && alert == nil {
		l.errorf(n, "add `alert` or `emit` below it", "`timeout` says nothing about what to do")
		return
	}
	t := &Timeout{}
	d.rule.Pattern.Timeout = t
	if emit != nil {
		for _, e := range l.emit(d, emit, "`emit` of `timeout`") {
			t.Emit = e
			l.output(d, emit, e)
		}
	}
	if alert != nil {
		for _, a := range l.alert(d, alert, "`alert` of `timeout`") {
			t.Alert = a
		}
	}
}
