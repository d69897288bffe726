package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/internal/zone"
	"github.com/cepd/cepd/window"
)

// windowDecl is a window that is being compiled. What its aggregates are is
// known when the last expression of the rule has been.
type windowDecl struct {
	node      *node
	options   window.Options
	scope     *expr.WindowScope
	baselines int // of scope.Baselines, those that are in Window.Compute
	broken    bool
}

// windows compiles a rule with a window, up to its actions.
func (l *loader) windows(d *ruleDecl, n *node) {
	w := &windowDecl{node: n, scope: &expr.WindowScope{Result: aggregateResult, Baseline: checkBaseline}}
	d.window = w
	d.rule.Window = &Window{}
	for i, in := range d.rule.Inputs {
		w.scope.Streams = append(w.scope.Streams, in.Stream.Schema)
		w.scope.Keys = append(w.scope.Keys, d.keyScope(i))
	}
	d.rule.Window.Start = w.scope.Declare(expr.WindowStart, event.TypeTimestamp)
	d.rule.Window.End = w.scope.Declare(expr.WindowEnd, event.TypeTimestamp)
	before := len(l.report.Issues)
	l.assigner(d, n, &w.options.Assigner)
	if v := d.body.get("lateness"); v != nil {
		w.options.Lateness = l.duration(v, "`lateness`", true)
	}
	if v := d.body.get("early"); v != nil {
		w.options.Early = l.duration(v, "`early`", false)
	}
	if w.broken = n.bad || n.partial || len(l.report.Issues) > before; !w.broken {
		l.windowSpec(d)
	}
	if n := d.body.get("let"); n != nil {
		l.lets(d, n)
	}
	if n := d.body.get("when"); n != nil {
		l.warnNever(n, "`when`", "")
		d.rule.Window.When = l.overWindow(d, n, "`when`", expr.WantBool)
	}
	if n := d.body.get("clear"); n != nil {
		d.rule.Window.Clear = l.overWindow(d, n, "`clear`", expr.WantBool)
	}
}

// windowKinds are the keys that say which windows there are.
var windowKinds = []string{"tumbling", "sliding", "session", "count", "cron"}

const windowAdvice = "write one of {tumbling: 5m}, {sliding: 5m, every: 1m}, {session: 30s}, {count: 100} and {cron: \"0 9 * * 1-5\", tz: Asia/Tokyo}"

// assigner reads `window`.
func (l *loader) assigner(d *ruleDecl, n *node, a *window.Assigner) {
	if n.kind == scalarNode && !n.bad && n.typ != emptyType {
		if _, err := event.ParseDuration(strings.TrimSpace(n.text)); err == nil {
			l.errorf(n, "write `window: {tumbling: "+strings.TrimSpace(n.text)+"}`", "`window` does not say of which kind it is")
			return
		}
	}
	if !l.keys(n, windowPlace) {
		return
	}
	var kinds []string
	for _, k := range windowKinds {
		if n.get(k) != nil {
			kinds = append(kinds, k)
		}
	}
	switch {
	case len(kinds) == 0 && n.partial:
		return
	case len(kinds) == 0:
		l.errorf(d.keyOf("window"), windowAdvice, "`window` does not say of which kind it is")
		return
	case len(kinds) > 1:
		l.errorf(keyIn(n, kinds[1]), "make it two rules", "a window is `%s` or `%s`, not both", kinds[0], kinds[1])
		return
	}
	l.strayKeys(n, kinds[0])
	l.assignerOf(n, kinds[0], a)
}

// strayKeys reports keys of `window` that belong to another kind.
func (l *loader) strayKeys(n *node, kind string) {
	for _, k := range []struct {
		key string
		of  []string
	}{{"every", []string{"sliding", "count"}}, {"offset", []string{"tumbling", "sliding"}}, {"tz", []string{"cron"}}} {
		at := keyIn(n, k.key)
		if at == nil || slices.Contains(k.of, kind) {
			continue
		}
		advice := "remove it"
		if k.key == "every" && kind == "tumbling" {
			advice = "write `sliding` in place of `tumbling`, or remove `every`"
		}
		l.errorf(at, advice, "`%s` belongs to a window that is `%s`", k.key, strings.Join(k.of, "` or `"))
	}
}

func (l *loader) assignerOf(n *node, kind string, a *window.Assigner) {
	v, every := n.get(kind), n.get("every")
	what := "`" + kind + "`"
	if offset := n.get("offset"); offset != nil {
		a.Offset = l.duration(offset, "`offset`", true)
	}
	switch kind {
	case "tumbling":
		a.Kind, a.Size = window.Tumbling, l.duration(v, what, false)
	case "sliding":
		a.Kind, a.Size = window.Sliding, l.duration(v, what, false)
		if every != nil {
			a.Every = l.duration(every, "`every`", false)
		} else {
			l.errorf(keyIn(n, kind), "write {sliding: "+v.text+", every: 1m}", "a sliding window does not say how often there is a new one")
		}
	case "session":
		a.Kind, a.Gap = window.Session, l.duration(v, what, false)
	case "count":
		a.Kind, a.N = window.Counted, l.number(v, what, 1, window.MaxN)
		if every != nil {
			a.Step = l.number(every, "`every`", 1, window.MaxN)
		}
	case "cron":
		ticks, label := l.cron(v, n.get("tz"))
		if a.Kind, a.Label = window.Cron, label; ticks != nil {
			a.Ticks = ticks
		}
	}
}

// keyIn returns the node of a key of a mapping itself, nil where it is missing.
func keyIn(n *node, key string) *node {
	for _, e := range n.entries {
		if e.key.text == key {
			return e.key
		}
	}
	return nil
}

// cron reads a cron expression and its time zone, which is UTC where tz is
// nil. It returns nil after a mistake.
func (l *loader) cron(n, tz *node) (*cronTicks, string) {
	where := time.UTC
	name := "UTC"
	if tz != nil {
		text, ok := l.text(tz, "`tz`")
		if !ok {
			return nil, ""
		}
		z, err := zone.Load(text)
		if err != nil {
			l.errorf(tz, "write a name of the tz database, such as Europe/Oslo, Asia/Tokyo or UTC", "%v", err)
			return nil, ""
		}
		where, name = z, text
	}
	text, ok := l.text(n, "`cron`")
	if !ok {
		return nil, ""
	}
	ticks, err := parseCron(text, where)
	if err != nil {
		l.errorf(n, `write minute, hour, day of month, month and day of week, as in "0 9 * * 1-5" for nine on working days`, "`cron`: %v", err)
		return nil, ""
	}
	return ticks, strings.Join(strings.Fields(text), " ") + " " + name
}

// active reads the hours in which a rule alerts.
func (l *loader) active(d *ruleDecl, n *node) {
	if !l.keys(n, activePlace) {
		return
	}
	cron, length := n.get("cron"), n.get("for")
	if cron == nil || length == nil {
		if !n.partial {
			l.errorf(d.keyOf("active"), `write active: {cron: "0 8 * * 1-5", for: 10h, tz: Asia/Tokyo}`, "`active` needs both `cron` and `for`")
		}
		return
	}
	ticks, _ := l.cron(cron, n.get("tz"))
	h := &openHours{ticks: ticks, length: l.duration(length, "`for`", false)}
	if ticks == nil || h.length == 0 {
		return
	}
	first := ticks.Next(0)
	if _, until := h.Open(first); ticks.Next(until.Add(-1)) <= until {
		l.errorf(length, "write a time shorter than from one to the next, or remove `active`", "the hours begin anew before they end, so they never end")
		return
	}
	d.rule.Active = h
}

// windowSpec finds what is wrong with the window itself, before there are any
// aggregates.
func (l *loader) windowSpec(d *ruleDecl) {
	w := d.window
	_, issues := window.Compile(w.options)
	for _, i := range issues {
		key := i.Field
		switch {
		case key == "gap":
			key = "session"
		case key == "size" && w.options.Assigner.Kind == window.Tumbling:
			key = "tumbling"
		case key == "size":
			key = "sliding"
		}
		at := w.node.get(key)
		if key == "lateness" || key == "early" {
			at = d.keyOf(key)
		}
		if at == nil {
			at = w.node
		}
		message := i.Message
		if rest, ok := strings.CutPrefix(message, i.Field+" "); ok {
			message = "`" + key + "` " + rest
		}
		l.errorf(at, i.Advice, "%s", message)
		w.broken = true
	}
}

// overWindow compiles an expression about the results of the window, and adds
// the baselines that it asks for to what is computed.
func (l *loader) overWindow(d *ruleDecl, n *node, what string, want expr.Want) *expr.Program {
	p := l.expression(n, what, d.windowScope(), want)
	d.baselines()
	return p
}

func (d *ruleDecl) windowScope() *expr.Scope {
	return &expr.Scope{Key: d.keyScope(-1), Self: -1, Window: d.window.scope}
}

// baselines adds baselines that are new to what is computed.
func (d *ruleDecl) baselines() {
	w := d.window
	for ; w.baselines < len(w.scope.Baselines); w.baselines++ {
		b := w.scope.Baselines[w.baselines]
		spec, _, _ := baselineSpec(b)
		d.rule.Window.Compute = append(d.rule.Window.Compute, Computation{b.Var, b.Value, spec})
	}
}

// lets compiles `let`.
func (l *loader) lets(d *ruleDecl, n *node) {
	if !l.mapping(n, "`let`") {
		return
	}
	if len(n.entries) == 0 {
		l.errorf(n, "write `name: expression`", "`let` is empty")
	}
	w := d.window.scope
	for i, e := range n.entries {
		w.Later = nil
		for _, later := range n.entries[i+1:] {
			if _, reserved := expr.Reserved(later.key.text); !reserved && later.key.text != "window" {
				w.Later = append(w.Later, later.key.text)
			}
		}
		ok := l.letName(e.key)
		p := l.overWindow(d, e.value, "`"+e.key.text+"` of `let`", expr.WantAny)
		if !ok {
			continue
		}
		if p == nil {
			w.Declare(e.key.text, event.TypeAny) // after a mistake, let anything go
			continue
		}
		if v, known := w.DeclareAs(e.key.text, p); !known {
			d.rule.Window.Compute = append(d.rule.Window.Compute, Computation{Var: v, Value: p})
		}
	}
	w.Later = nil
}

// letName checks the name of a `let`.
func (l *loader) letName(n *node) bool {
	what, reserved := expr.Reserved(n.text)
	if _, ok := window.ParseKind(n.text); ok {
		what, reserved = "an aggregate", true
	}
	if l.tableNamed(n.text) != nil {
		what, reserved = "a table", true
	}
	switch {
	case n.text == "window", n.text == "baseline":
		what, reserved = "what belongs to the window", true
	case !plainName.MatchString(n.text):
		l.errorf(n, "names are letters, digits and _, and do not begin with a digit", "a `let` cannot be called `%s`", n.text)
		return false
	}
	if reserved {
		l.errorf(n, "give it another name", "a `let` cannot be called `%s`: that is the name of %s", n.text, what)
	}
	return !reserved
}

// aggregateResult returns the type of an aggregate over values of a type, see
// [expr.WindowScope].
func aggregateResult(a expr.WindowAggregate, arg event.Type) (event.Type, error) {
	agg := aggregateOf(a)
	_, issues := window.Compile(window.Options{Assigner: window.Assigner{Kind: window.Counted, N: 1}, Aggregates: []window.Aggregate{agg}})
	if len(issues) > 0 {
		return 0, errors.New(issues[0].Message)
	}
	t, ok := agg.Kind.Result(arg)
	if !ok {
		return 0, fmt.Errorf("%s() does not take %s", a.Name, valuesOf[arg])
	}
	return t, nil
}

var valuesOf = [...]string{
	event.TypeAny: "values", event.TypeBool: "conditions", event.TypeInt: "integers", event.TypeUint: "unsigned integers", event.TypeDouble: "decimals",
	event.TypeString: "text", event.TypeTimestamp: "times", event.TypeDuration: "durations", event.TypeList: "lists", event.TypeMap: "objects",
}

func aggregateOf(a expr.WindowAggregate) window.Aggregate {
	kind, ok := window.ParseKind(a.Name)
	if !ok {
		panic("rules: no aggregate is called " + a.Name)
	}
	agg := window.Aggregate{Kind: kind}
	switch kind {
	case window.Quantile:
		agg.Q = a.Number
	case window.TopK:
		if agg.K = -1; a.Number == float64(int(a.Number)) {
			agg.K = int(a.Number)
		}
	}
	return agg
}

// checkBaseline implements the check of [expr.WindowScope].
func checkBaseline(b expr.WindowBaseline) (bad int, err error) {
	_, bad, err = baselineSpec(b)
	return bad, err
}

func baselineSpec(b expr.WindowBaseline) (s *window.BaselineSpec, bad int, err error) {
	s = &window.BaselineSpec{}
	if s.History, err = event.ParseDuration(b.History); err != nil {
		return nil, 0, err
	}
	if s.History <= 0 || s.History > window.MaxLength {
		return nil, 0, errors.New("a baseline must look back longer than 0s, and not longer than " + event.FormatDuration(window.MaxLength))
	}
	if s.Profile, err = window.ParseProfile(b.Profile); err != nil {
		return nil, 1, err
	}
	if b.Zone != "" {
		if s.Zone, err = zone.Load(b.Zone); err != nil {
			return nil, 2, err
		}
	}
	return s, 0, nil
}

// endWindow puts together what the expressions of a rule have asked of its
// window. Aggregates are numbered by their text, so that their order in the
// file means nothing.
func (l *loader) endWindow(d *ruleDecl) {
	w, out := d.window, d.rule.Window
	d.baselines()
	if w.broken {
		return
	}
	aggs := slices.Clone(w.scope.Aggregates)
	slices.SortFunc(aggs, func(a, b expr.WindowAggregate) int { return strings.Compare(a.Text, b.Text) })
	for _, a := range aggs {
		w.options.Aggregates = append(w.options.Aggregates, aggregateOf(a))
		out.Aggregates = append(out.Aggregates, a.Var)
		for i, in := range d.rule.Inputs {
			in.Args = append(in.Args, Argument(a.Args[i]))
		}
	}
	out.Spec, _ = window.Compile(w.options)
	fields := make([]event.Field, len(w.scope.Vars))
	for i, v := range w.scope.Vars {
		fields[i] = event.Field{Name: v.Name, Type: v.Type}
	}
	out.Vars = event.NewSchema("window of "+d.rule.Name, fields) // no stream can have that name
	for _, f := range fields {
		out.Vars.Use(f.Name)
	}
	out.Texts = make([]string, len(fields))
	for _, c := range out.Compute {
		out.Texts[c.Var] = c.Value.Source()
	}
	for _, a := range aggs {
		out.Texts[a.Var] = a.Text
	}
	for _, b := range w.scope.Baselines {
		out.Texts[b.Var] = b.Text
	}
	d.windowShape(aggs)
}

// windowShape notes what the state of a window depends on: the window, its
// aggregates, and what its baselines learn.
func (d *ruleDecl) windowShape(aggs []expr.WindowAggregate) {
	out := d.rule.Window
	d.shape = append(d.shape, "window", out.Spec.String())
	for _, a := range aggs {
		d.shape = append(d.shape, a.Text)
	}
	d.shape = append(d.shape, d.learned()...)
}

// learned says what baselines learn: their texts, and what each name in them
// stands for.
func (d *ruleDecl) learned() []string {
	scope := d.window.scope
	text := map[int]string{} // by variable
	for _, a := range scope.Aggregates {
		text[a.Var] = a.Text
	}
	for _, b := range scope.Baselines {
		text[b.Var] = b.Text
	}
	var out []string
	for _, b := range scope.Baselines { // in the order of their states
		out = append(out, b.Text)
	}
	read := map[int]bool{}
	for _, c := range slices.Backward(d.rule.Window.Compute) {
		switch {
		case c.Baseline != nil:
		case read[c.Var]:
			text[c.Var] = c.Value.Canonical()
		default:
			continue
		}
		for _, v := range c.Value.Variables() {
			read[v] = true
		}
	}
	for _, v := range slices.Sorted(maps.Keys(read)) {
		out = append(out, scope.Vars[v].Name+" = "+text[v])
	}
	slices.Sort(out[len(scope.Baselines):]) // variables are numbered as they come
	return out
}
