package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/internal/zone"
)

// Detect is the detector of a rule: one for each key.
//
// What it says of a value is a list of variables, which expressions read as
// Frame.Vars beside the event. Variable i is the field with slot i of Vars, so
// that it can be kept and shown as an event.
type Detect struct {
	Method   string
	Config   detectors.Config
	Channels []string      // texts of the values
	Vars     *event.Schema // the fields are those of the Det constants
	// Sampled says that values are resampled: what is judged is a stretch of
	// time, and `e` is the last event in it, of which only Keep is there.
	Sampled bool
	// Reason says that an expression which is asked of every judgment reads
	// `reason`, so that it must be put into words.
	Reason bool
}

// The variables of a detector. DetMembers is for evidence only.
const (
	DetValue = iota
	DetScore
	DetAnomaly
	DetExpected
	DetLower
	DetUpper
	DetReason
	DetChannel // missing where there is one value
	DetMembers
	detVars
)

var detectVars = [detVars]expr.Var{
	{Name: "value", Type: event.TypeDouble}, {Name: "score", Type: event.TypeDouble}, {Name: "anomaly", Type: event.TypeBool},
	{Name: "expected", Type: event.TypeDouble}, {Name: "lower", Type: event.TypeDouble}, {Name: "upper", Type: event.TypeDouble},
	{Name: "reason", Type: event.TypeString}, {Name: "channel", Type: event.TypeString}, {Name: "members", Type: event.TypeList},
}

// DetectInput is what a detector asks of the events of one input.
type DetectInput struct {
	Values []*expr.Program // by number of the channel; they read the live event
	When   *expr.Program   // nil: `anomaly`, and what is emitted is every judgment
	Clear  *expr.Program   // nil: when `when` is false
}

// detect compiles a rule with a detector, up to its actions.
func (l *loader) detect(d *ruleDecl, n *node) {
	det := &Detect{Method: "auto"}
	d.rule.Detect = det
	for _, in := range d.rule.Inputs {
		in.Detect = &DetectInput{}
	}
	before := len(l.report.Issues)
	if l.keys(n, detectPlace) {
		l.detectConfig(n, det)
		l.detectValues(d, n)
		l.detectEvery(n, det)
		at := l.detectMethod(n, det)
		if len(l.report.Issues) == before {
			l.detectWhole(at, det)
		}
	}
	for _, v := range det.visible() {
		if l.tableNamed(v.Name) != nil {
			l.errorf(d.keyOf("detect"), "give the table another name", "a table is called `%s`, and so is what `detect` says", v.Name)
		}
	}
	det.Vars = detectSchema(d.rule.Name)
	l.detectCondition(d, "when", func(in *DetectInput, p *expr.Program) { in.When = p })
	l.detectCondition(d, "clear", func(in *DetectInput, p *expr.Program) { in.Clear = p })
	d.shape = append(d.shape, det.shape(d)...)
}

// detectSchema is that of the judgments of a rule's detector, as events. No
// stream can have its name.
func detectSchema(rule string) *event.Schema {
	fields := make([]event.Field, detVars)
	for i, v := range detectVars {
		fields[i] = event.Field(v)
	}
	s := event.NewSchema("detector of "+rule, fields)
	for _, f := range fields {
		s.Use(f.Name)
	}
	return s
}

// visible returns the variables that expressions see.
func (det *Detect) visible() []expr.Var {
	if len(det.Channels) > 1 {
		return detectVars[:DetMembers]
	}
	return detectVars[:DetChannel]
}

// detectScope is what expressions about the judgments of an input see.
func (d *ruleDecl) detectScope(input int, kept bool) *expr.Scope {
	in := d.rule.Inputs[input]
	s := &expr.Scope{Event: in.Stream.Schema, Key: d.keyScope(input), Self: -1, Vars: d.rule.Detect.visible()}
	if kept || d.rule.Detect.Sampled {
		s.Event = in.Keep
	}
	return s
}

func (l *loader) detectCondition(d *ruleDecl, key string, set func(*DetectInput, *expr.Program)) {
	n := d.body.get(key)
	if n == nil {
		return
	}
	if key == "when" {
		l.warnNever(n, "`when`", "")
	}
	for i, in := range d.rule.Inputs {
		if p := l.expression(n, "`"+key+"`", d.detectScope(i, false), expr.WantBool); p != nil {
			set(in.Detect, p)
			d.uses(i, p)
			l.detectReads(d.rule.Detect, n, p)
		}
	}
}

// detectReads notes what an expression that is asked of every judgment reads, and
// warns of what the method never says.
func (l *loader) detectReads(det *Detect, n *node, p *expr.Program) {
	doc, _ := detectors.DocOf(det.Method)
	for _, v := range p.Variables() {
		switch {
		case v == DetReason:
			det.Reason = true
		case v == DetExpected && !doc.Expects:
			l.warnf(n, "compare `value` or `score`, or use a method that expects a value, such as `auto`",
				"`expected` is never there: `%s` expects no value", det.Method)
		case (v == DetLower || v == DetUpper) && (!doc.Band || len(det.Channels) > 1):
			l.warnf(n, "compare `value` or `score`, or use a method that has one, such as `median` for one value",
				"`%s` is never there: `%s` has no band of what is usual", detectVars[v].Name, doc.Name)
		}
	}
}

// detectValues compiles `value`: one expression, or a list of them.
func (l *loader) detectValues(d *ruleDecl, n *node) {
	det := d.rule.Detect
	value := n.get("value")
	if value == nil {
		if !n.partial {
			l.errorf(d.keyOf("detect"), "write `detect: {value: e.vibration}`", "`detect` does not say which `value` to look at")
		}
		det.Channels = []string{"?"}
		return
	}
	channels := l.list(value)
	if len(channels) == 0 {
		l.errorf(value, "write an expression, or a list of them", "`value` is an empty list")
	}
	for _, c := range channels {
		text := strings.Join(strings.Fields(c.text), " ")
		for i, in := range d.rule.Inputs {
			scope := &expr.Scope{Event: in.Stream.Schema, Key: d.keyScope(i), Self: -1}
			if p := l.expression(c, "`value`", scope, expr.WantNumber); p != nil {
				in.Detect.Values = append(in.Detect.Values, p)
				d.uses(i, p)
				text = p.Canonical()
			}
		}
		det.Channels = append(det.Channels, strings.TrimPrefix(text, "e."))
	}
	det.Config.Channels = max(len(det.Channels), 1)
}

// detectEvery reads how values are resampled: `every: 1m`, or with `by`.
func (l *loader) detectEvery(n *node, det *Detect) {
	every, by := n.get("every"), n.get("by")
	if every != nil && every.kind == mappingNode {
		if !l.keys(every, detectEveryPlace) {
			return
		}
		if b := every.get("by"); b != nil {
			by = b
		}
		inner := every.get("every")
		if inner == nil && !every.partial {
			l.errorf(keyIn(n, "every"), "write `every: {every: 1m, by: max}`", "`every` does not say how long a stretch is")
		}
		det.Sampled = true
		every = inner
	}
	if every != nil {
		det.Sampled = true
		det.Config.Every = l.duration(every, "`every`", false)
	}
	if by == nil {
		return
	}
	if !det.Sampled {
		l.errorf(keyIn(n, "by"), "add `every: 1m`, or remove it", "`by` says how to resample, and there is no `every`")
	}
	det.Config.By, _ = detectors.ParseReduce(l.choice(by, "`by`", reduceWords...))
}

// detectConfig reads the options that all methods have.
func (l *loader) detectConfig(n *node, det *Detect) {
	c := &det.Config
	span := func(key string, to *event.Duration, zero bool) {
		if v := n.get(key); v != nil {
			*to = l.duration(v, "`"+key+"`", zero)
		}
	}
	number := func(key string, to *float64, least float64) {
		if v := n.get(key); v != nil {
			*to = l.decimal(v, "`"+key+"`", least)
		}
	}
	span("warmup", &c.Warmup, true)
	span("quiet", &c.Quiet, true)
	span("gap_after", &c.GapAfter, false)
	if n.get("quiet") != nil && c.Quiet == 0 {
		c.Quiet = -1 // not at all
	}
	number("escalate", &c.Escalate, 1)
	number("min_abs", &c.MinAbs, 0)
	number("min_rel", &c.MinRel, 0)
	if v := n.get("direction"); v != nil {
		c.Direction, _ = detectors.ParseDirection(l.choice(v, "`direction`", directionWords...))
	}
	if v := n.get("learn"); v != nil {
		c.Learn, _ = detectors.ParseLearn(l.choice(v, "`learn`", learnWords...))
	}
	if v := n.get("gap"); v != nil {
		c.Gap, _ = detectors.ParseGap(l.choice(v, "`gap`", gapWords...))
	}
	if v := n.get("seed"); v != nil {
		c.Seed = uint64(l.number(v, "`seed`", 0, 1<<53))
	}
	if v := n.get("season"); v != nil {
		for _, s := range l.list(v) {
			c.Season = append(c.Season, l.duration(s, "`season`", false))
		}
	}
	if v := n.get("tz"); v != nil {
		l.detectZone(v, c)
	}
}

func (l *loader) detectZone(n *node, c *detectors.Config) {
	text, ok := l.text(n, "`tz`")
	if !ok {
		return
	}
	where, err := zone.Load(text)
	if err != nil {
		l.errorf(n, "write a name of the tz database, such as Europe/Oslo, Asia/Tokyo or UTC", "%v", err)
		return
	}
	c.Location = where
}

// decimal returns a number that is not below a bound.
func (l *loader) decimal(n *node, what string, least float64) float64 {
	if n.bad {
		return least
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
	switch {
	case n.kind != scalarNode || n.style != plain || err != nil || v-v != 0:
		l.errorf(n, "", "%s must be a number, and this is %s", what, n.what())
	case v < least:
		l.errorf(n, "", "%s must be at least %v", what, least)
	default:
		return v
	}
	return least
}

// detectMethod reads the method and its parameters, and returns where it is
// said.
func (l *loader) detectMethod(n *node, det *Detect) *node {
	at := n
	if v := n.get("method"); v != nil {
		at = v
		var names []string
		for _, m := range detectors.Methods() {
			names = append(names, m.Name)
		}
		name, ok := l.text(v, "`method`")
		switch {
		case !ok:
			return at
		case !slices.Contains(names, name):
			advice := "it is one of " + strings.Join(names, ", ")
			if near := nearest(name, names); near != "" {
				advice = fmt.Sprintf("did you mean `%s`? `cepd detect --list` describes all of them", near)
			}
			l.errorf(v, advice, "there is no detector `%s`", name)
			return at
		}
		det.Method = name
	}
	doc, _ := detectors.DocOf(det.Method)
	if with := n.get("with"); with != nil {
		l.detectWith(with, det, doc)
	}
	return at
}

// detectWhole looks whether the method can judge what it is given.
func (l *loader) detectWhole(at *node, det *Detect) {
	doc, _ := detectors.DocOf(det.Method)
	if len(det.Channels) > 1 && !doc.Multivariate {
		l.errorf(at, "use "+strings.Join(multivariate(), ", ")+", or make it a rule for each value",
			"`%s` judges one value at a time, and `value` is a list of %d", det.Method, len(det.Channels))
		return
	}
	c := det.Config
	c.EnsureDefaults()
	for _, err := range c.Validate(det.Method) {
		l.errorf(at, "", "%v", err)
	}
}

// multivariate returns the names of the methods that judge several values
// together.
func multivariate() []string {
	var names []string
	for _, m := range detectors.Methods() {
		if m.Multivariate {
			names = append(names, "`"+m.Name+"`")
		}
	}
	return names
}

// detectWith reads the parameters of a method.
func (l *loader) detectWith(n *node, det *Detect, doc detectors.Doc) {
	if !l.mapping(n, "`with`") {
		return
	}
	var names []string
	for _, p := range doc.Params {
		names = append(names, p.Name)
	}
	det.Config.With = map[string]float64{}
	for _, e := range n.entries {
		p, err := doc.Param(e.key.text)
		switch {
		case e.value.bad:
			continue
		case err != nil && len(names) == 0:
			l.errorf(e.key, "remove `with`", "`%s` has no parameters", doc.Name)
			continue
		case err != nil:
			l.errorf(e.key, oneOf(e.key.text, names, ""), "`%s` has no parameter `%s`", doc.Name, e.key.text)
			continue
		case e.value.kind != scalarNode || e.value.typ == emptyType:
			l.errorf(e.value, paramAdvice(p), "`%s` of `with` must be a value, and this is %s", p.Name, e.value.what())
			continue
		}
		v, err := p.Parse(strings.TrimSpace(e.value.text))
		if err != nil {
			l.errorf(e.value, paramAdvice(p), "`%s` of `with`: %v", p.Name, err)
			continue
		}
		if err := p.Check(v); err != nil {
			l.errorf(e.value, paramAdvice(p), "`with`: %v", err)
		}
		det.Config.With[p.Name] = v
	}
}

// isParam reports whether any method has a parameter of that name.
func isParam(name string) bool {
	return slices.ContainsFunc(detectors.Methods(), func(d detectors.Doc) bool {
		_, err := d.Param(name)
		return err == nil
	})
}

// paramAdvice says what a parameter is and what it is where it is left out.
func paramAdvice(p detectors.Param) string {
	text, _, _ := strings.Cut(p.Text, "; left out")
	return fmt.Sprintf("`%s`: %s, %s to %s; left out it is %s", p.Name, text, p.Format(p.Min), p.Format(p.Max), p.Format(p.Default))
}

// stateless are parameters that a detector's state does not depend on.
var stateless = []string{"threshold"}

// shape says what the state of a detector depends on: what it looks at, and how
// it remembers it. When it speaks up may change freely.
func (det *Detect) shape(d *ruleDecl) []string {
	c := det.Config
	out := []string{"detect", det.Method, fmt.Sprintf("%d channels", c.Channels)}
	for i, in := range d.rule.Inputs {
		for _, p := range in.Detect.Values {
			out = append(out, fmt.Sprint("value of ", i, " ", p.Canonical()))
		}
	}
	if det.Sampled {
		out = append(out, "every "+event.FormatDuration(c.Every)+" "+c.By.String())
	}
	for _, s := range c.Season {
		out = append(out, "season "+event.FormatDuration(s))
	}
	if c.Location != nil {
		out = append(out, "tz "+c.Location.String())
	}
	for _, name := range slices.Sorted(maps.Keys(c.With)) {
		if !slices.Contains(stateless, name) {
			out = append(out, name+" "+strconv.FormatFloat(c.With[name], 'g', -1, 64))
		}
	}
	return append(out, fmt.Sprint("seed ", c.Seed))
}

// New returns a detector for a key. The rule was checked, so that nothing can
// be wrong with it.
func (det *Detect) New() detectors.Detector {
	d, err := detectors.New(det.Method, det.Config)
	if err != nil {
		panic("rules: " + err.Error())
	}
	return d
}

// String says what the detector looks at, in a line.
func (det *Detect) String() string {
	text := det.Method + " on " + strings.Join(det.Channels, ", ")
	if det.Sampled {
		text += ", the " + det.Config.By.String() + " of every " + event.FormatDuration(det.Config.Every)
	}
	return text
}
