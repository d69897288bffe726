package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// WindowScope is what expressions about the results of a window see in place
// of an event: aggregates over its events, what is usual, the bounds of the
// window, and names that were declared. All of them are variables. Expressions
// add the aggregates and baselines that they ask for; equal calls share one.
type WindowScope struct {
	// Streams are the schemas of the streams whose events the window holds, and
	// Keys says what `key` is for each. Arguments of aggregates are compiled
	// for every stream.
	Streams []*event.Schema
	Keys    []Key
	// Result returns the type of an aggregate over values of a type. An error
	// says what is wrong with the values or the constant.
	Result func(a WindowAggregate, arg event.Type) (event.Type, error)
	// Baseline checks the constants of a baseline, of which bad is the first
	// that is wrong: 0 is History.
	Baseline func(b WindowBaseline) (bad int, err error)

	// Vars are the variables: Frame.Vars[i] holds the value of Vars[i]. A value
	// that is missing is an error when it is read.
	Vars []Var
	// Aggregates and Baselines are what expressions ask for, in the order in
	// which they do so first.
	Aggregates []WindowAggregate
	Baselines  []WindowBaseline

	// Later are names that are declared after the expression at hand, for a
	// message.
	Later []string

	named map[string]int // the variables that users can write
}

// Names of the bounds of a window.
const (
	WindowStart = "window.start"
	WindowEnd   = "window.end"
)

// WindowAggregate is an aggregate over the events of a window.
type WindowAggregate struct {
	Var    int              // the variable that it is read as
	Text   string           // with uniform spacing, such as avg(e.x, e.ok)
	Name   string           // count, sum and so on
	Number float64          // the constant of quantile and topk
	Args   []WindowArgument // by number of the stream
}

// WindowArgument computes what an aggregate takes of an event.
type WindowArgument struct {
	Value  *Program // nil: the event itself, which count() counts
	Filter *Program // a condition; nil: every event
}

// WindowBaseline is what is usual of a value.
type WindowBaseline struct {
	Var                    int
	Text                   string
	Value                  *Program // a number, from variables
	History, Profile, Zone string   // Zone is empty where none is named
}

// Declare adds a variable that expressions see from now on, and returns its
// number.
func (w *WindowScope) Declare(name string, t event.Type) int {
	i := w.add(name, t)
	w.named[name] = i
	return i
}

// DeclareAs makes the value of p visible under a name. Where p is an aggregate or
// a baseline and nothing more, the name is one more for its variable, and known
// is true; else there is a new variable.
func (w *WindowScope) DeclareAs(name string, p *Program) (i int, known bool) {
	i, known = w.find(p.Canonical())
	if !known {
		return w.Declare(name, p.Type()), false
	}
	if w.Vars[i].Name == p.Canonical() {
		w.Vars[i].Name = name // which is shorter to show
	}
	w.named[name] = i
	return i, true
}

func (w *WindowScope) add(name string, t event.Type) int {
	if w.named == nil {
		w.named = map[string]int{}
	}
	w.Vars = append(w.Vars, Var{name, t})
	return len(w.Vars) - 1
}

// find returns the number of the variable of a call, and false if it is new.
func (w *WindowScope) find(text string) (int, bool) {
	for _, a := range w.Aggregates {
		if a.Text == text {
			return a.Var, true
		}
	}
	for _, b := range w.Baselines {
		if b.Text == text {
			return b.Var, true
		}
	}
	return 0, false
}

// windowValue reads a variable. One that is missing is an aggregate over no
// values, or computed from one.
func windowValue(f *Frame, i int, t event.Type) (event.Value, Reason) {
	if i >= len(f.Vars) || f.Vars[i].IsMissing() {
		return event.Missing, ReasonEmpty
	}
	return conform(f.Vars[i], t)
}

// declareWindow makes the names of a window visible.
func (c *compilation) declareWindow(w *WindowScope) {
	for name, i := range w.named {
		c.names.visible[name] = variable{varWindow, libraryType(w.Vars[i].Type), i}
	}
	for _, name := range w.Later {
		c.names.hidden[name] = hiddenName{name + " is declared below", "move it above what reads it"}
	}
	c.names.hidden["window"] = hiddenName{"a window is no value by itself", "write window.start or window.end"}
	c.names.hidden["e"] = hiddenName{"there is no single event `e` here: a window holds many",
		"ask for a value over all of them, such as avg(e.x), last(e.x) or count(e.x > 1)"}
}

// hideWindow gives the reason why an argument of an aggregate cannot read what
// is computed from the whole window.
func (c *compilation) hideWindow(w *WindowScope) {
	for name := range w.named {
		c.names.hidden[name] = hiddenName{name + " is computed from the whole window, and an aggregate takes a value of each event",
			"compare outside of the aggregate"}
	}
	c.names.hidden["window"] = hiddenName{"an aggregate takes a value of each event, and its window is not known yet", "time(e) is the time of the event"}
}

// windowBound turns window.start and window.end into variables.
func (r *rewriter) windowBound(e ast.Expr) bool {
	s := e.AsSelect()
	if r.scope.Window == nil || s.IsTestOnly() || s.Operand().Kind() != ast.IdentKind || s.Operand().AsIdent() != "window" || r.isBound("window") {
		return false
	}
	name := "window." + s.FieldName()
	if _, ok := r.names.visible[name]; !ok {
		r.issue(e, fmt.Sprintf("a window has no %s", s.FieldName()), "write window.start or window.end")
	}
	e.SetKindCase(r.fac.NewIdent(0, name))
	return true
}

// What calls of aggregates look like. The name of an aggregate means one in an
// expression about a window, also where CEL has a function of that name; see
// [rewriter.overList].
type windowForm struct {
	none   bool // may be called without a value
	number bool // takes a constant after the value
	use    string
}

var windowForms = map[string]windowForm{
	"count": {none: true, use: "count(), count(e.x > 1) or count(e.x, e.ok)"}, "sum": {}, "avg": {}, "min": {}, "max": {}, "first": {}, "last": {},
	"stddev": {}, "variance": {}, "median": {}, "quantile": {number: true, use: "quantile(e.x, 0.99) or quantile(e.x, 0.99, e.ok)"}, "distinct": {}, "rate": {},
	"delta": {}, "slope": {}, "topk": {number: true, use: "topk(e.x, 10) or topk(e.x, 10, e.ok)"}, "collect": {},
}

const baselineUse = `baseline(avg(e.x), "7d", "hour_of_day")`

func (f windowForm) example(name string) string {
	if f.use != "" {
		return "as in " + f.use
	}
	return fmt.Sprintf("as in %s(e.x) or %s(e.x, e.ok)", name, name)
}

// isWindowCall reports whether e calls an aggregate or a baseline.
func isWindowCall(e ast.Expr) bool {
	if e.Kind() != ast.CallKind || e.AsCall().IsMemberFunction() {
		return false
	}
	name := e.AsCall().FunctionName()
	_, ok := windowForms[name]
	return ok || name == "baseline"
}

// windowCall turns a call of an aggregate or a baseline into a variable. It
// reports whether e is one.
func (r *rewriter) windowCall(e ast.Expr) bool {
	if r.scope.Window == nil || !isWindowCall(e) || r.overList(e) {
		return false
	}
	text := r.canonical(e)
	i, known := r.scope.Window.find(text)
	if !known {
		ask := r.windowAggregate
		if e.AsCall().FunctionName() == "baseline" {
			ask = r.windowBaseline
		}
		var ok bool
		if i, ok = ask(e, text); !ok {
			return true
		}
	}
	name := fmt.Sprintf("%s%d", prefixWindow, i)
	r.names.visible[name] = variable{varWindow, libraryType(r.scope.Window.Vars[i].Type), i}
	e.SetKindCase(r.fac.NewIdent(0, name))
	return true
}

// overList reports whether e is a call of CEL's own function over a list that
// is computed from the window: sum(collect(e.x)), or sum(xs) where `xs` is a
// `let`. What reads an event of the window is an aggregate.
func (r *rewriter) overList(e ast.Expr) bool {
	call := e.AsCall()
	kind := aggregateKindOf(call.FunctionName())
	if kind == nil || !kind.function || len(call.Args()) != 1 {
		return false
	}
	events, results := r.reads(call.Args()[0])
	return !events && results != nil && (results != call.Args()[0] || r.mayBeList(results))
}

// mayBeList reports whether a part that is computed from the window may be a
// list.
func (r *rewriter) mayBeList(results ast.Expr) bool {
	if results.Kind() == ast.CallKind {
		switch results.AsCall().FunctionName() {
		case "topk", "collect", "first", "last":
			return true
		}
		return false
	}
	i, ok := r.scope.Window.named[results.AsIdent()]
	return ok && (r.scope.Window.Vars[i].Type == event.TypeList || r.scope.Window.Vars[i].Type == event.TypeAny)
}

// windowSynonyms are what aggregates are called elsewhere.
var windowSynonyms = map[string]string{
	"mean": "avg", "average": "avg", "percentile": "quantile", "p50": "median", "p99": "quantile", "std": "stddev", "stdev": "stddev", "var": "variance",
	"unique": "distinct", "uniq": "distinct", "count_distinct": "distinct", "cardinality": "distinct", "increase": "delta", "derivative": "slope", "deriv": "slope",
	"top": "topk", "list": "collect", "array_agg": "collect", "minimum": "min", "maximum": "max", "total": "sum", "earliest": "first", "latest": "last",
}

// unknownInWindow reports a function that does not exist, before anything is
// said about the `e` in its arguments.
func (r *rewriter) unknownInWindow(e ast.Expr) bool {
	name := e.AsCall().FunctionName()
	if r.scope.Window == nil || !isName(name) || base.functions[name] != nil || macroUses[name] != "" || reservedNames[name] != "" {
		return false
	}
	advice := ""
	if s := windowSynonyms[strings.ToLower(name)]; s != "" {
		advice = "write " + strings.TrimPrefix(windowForms[s].example(s), "as in ")
	} else {
		advice = didYouMean(name, append(r.functionNames(), slices.Sorted(maps.Keys(windowForms))...))
	}
	r.issue(e, fmt.Sprintf("there is no function `%s()`", name), advice)
	return true
}

// decimalQuotients makes quotients of integers decimals, as is meant where
// results of a window are divided: count(e.code >= 500) / count(). It reports
// whether there were any; the tree must then be checked again.
func (c *compilation) decimalQuotients() bool {
	if c.scope.Window == nil {
		return false
	}
	found := false
	ast.PostOrderVisit(c.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != fnDiv {
			return
		}
		over, by := e.AsCall().Args()[0], e.AsCall().Args()[1]
		a, b := c.typeOf(over), c.typeOf(by)
		dynamic := a.Kind() == types.DynKind
		switch {
		case isInteger(a) && (isInteger(b) || b.Kind() == types.DynKind):
			over = c.asDouble(over)
		case dynamic && isInteger(b):
			by = c.asDouble(by)
		case dynamic && b.Kind() == types.DynKind:
			over = c.fac.NewCall(c.newID(over), fnMul, c.fac.NewLiteral(c.newID(over), types.Double(1)), over)
		default:
			return
		}
		found = true
		e.SetKindCase(c.fac.NewCall(0, fnDiv, over, by))
	}))
	return found
}

// reads reports whether e reads an event of the window, outside of aggregates
// in it, and finds a part of it that is computed from the whole window.
func (r *rewriter) reads(e ast.Expr) (events bool, results ast.Expr) {
	inside := map[int64]bool{}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(n ast.Expr) {
		switch {
		case inside[n.ID()]:
		case isWindowCall(n):
			results = n
			ast.PreOrderVisit(n, ast.NewExprVisitor(func(m ast.Expr) { inside[m.ID()] = true }))
		case n.Kind() != ast.IdentKind:
		case n.AsIdent() == "e":
			events = true
		default:
			if _, ok := r.scope.Window.named[n.AsIdent()]; (ok || n.AsIdent() == "window") && results == nil {
				results = n
			}
		}
	}))
	return events, results
}

// windowAggregate adds an aggregate to the window, and returns its variable. It
// returns false after a mistake.
func (r *rewriter) windowAggregate(e ast.Expr, text string) (int, bool) {
	w, call := r.scope.Window, e.AsCall()
	name, args := call.FunctionName(), call.Args()
	form := windowForms[name]
	least, most := 1, 2
	if form.number {
		least, most = 2, 3
	} else if form.none {
		least = 0
	}
	a := WindowAggregate{Text: text, Name: name, Args: make([]WindowArgument, len(w.Streams))}
	spans, ok := r.argumentSpans(e)
	switch {
	case len(args) < least || len(args) > most || !ok || len(spans) != len(args):
		r.issue(e, fmt.Sprintf("%s() takes %s", name, windowTakes(form)), form.example(name))
		return 0, false
	case !r.ownArguments(e, args):
		return 0, false
	}
	if form.number {
		a.Number, ok = literalNumber(args[1])
		message := fmt.Sprintf("the second argument of %s() must be a number", name)
		if ok {
			if _, err := w.Result(a, event.TypeAny); err != nil {
				ok, message = false, err.Error()
			}
		}
		if !ok {
			r.issueSpan(args[1], message, form.example(name))
			return 0, false
		}
	}
	arg := event.TypeAny
	if len(args) > 0 {
		if arg, ok = r.windowArguments(&a, form, spans); !ok {
			return 0, false
		}
	}
	t, err := w.Result(a, arg)
	if err != nil {
		r.issueSpan(args[0], err.Error(), form.example(name))
		return 0, false
	}
	a.Var = w.add(text, t)
	w.Aggregates = append(w.Aggregates, a)
	return a.Var, true
}

func windowTakes(f windowForm) string {
	switch {
	case f.none:
		return "nothing, a condition, or a value and a condition"
	case f.number:
		return "a value of each event, a number, and perhaps a condition"
	}
	return "a value of each event, and perhaps a condition"
}

// ownArguments reports whether arguments can be computed from one event.
func (r *rewriter) ownArguments(e ast.Expr, args []ast.Expr) bool {
	name := e.AsCall().FunctionName()
	for _, a := range args {
		if _, results := r.reads(a); results != nil && results.Kind() == ast.CallKind {
			r.issue(results, fmt.Sprintf("%s() takes a value of each event, and %s() is computed from the whole window", name, results.AsCall().FunctionName()),
				"compute with the two outside of each other")
			return false
		}
		ok := true
		ast.PreOrderVisit(a, ast.NewExprVisitor(func(n ast.Expr) {
			if ok && n.Kind() == ast.IdentKind && r.isBound(n.AsIdent()) && n.AsIdent() != accumulator {
				ok = false
				r.issue(n, fmt.Sprintf("%s is the variable of a macro around, and %s() is computed once for the window", n.AsIdent(), name), "")
			}
		}))
		if !ok {
			return false
		}
	}
	return true
}

// windowArguments compiles the arguments of an aggregate for each stream, and
// returns the type of the values.
func (r *rewriter) windowArguments(a *WindowAggregate, form windowForm, spans [][2]int) (event.Type, bool) {
	filter := -1
	if last := len(spans) - 1; last == 1 && !form.number || last == 2 {
		filter = last
	}
	var arg event.Type
	for i := range a.Args {
		value := r.argument(i, spans[0], WantAny)
		if filter > 0 {
			a.Args[i].Filter = r.argument(i, spans[filter], WantBool)
		}
		if value == nil || filter > 0 && a.Args[i].Filter == nil {
			return arg, false // the other streams would mostly say the same
		}
		a.Args[i].Value = value
		switch {
		case i == 0:
			arg = value.Type()
		case arg != value.Type():
			arg = event.TypeAny
		}
	}
	if form.none && filter < 0 && arg == event.TypeBool { // count(e.code >= 500)
		for i := range a.Args {
			a.Args[i] = WindowArgument{Filter: r.argument(i, spans[0], WantBool)}
		}
	}
	return arg, true
}

// argument compiles an argument of an aggregate for events of a stream.
func (r *rewriter) argument(stream int, span [2]int, want Want) *Program {
	w := r.scope.Window
	scope := &Scope{Event: w.Streams[stream], NoKey: r.scope.NoKey, Self: -1, Tables: r.scope.Tables}
	if stream < len(w.Keys) {
		scope.Key = w.Keys[stream]
	}
	return r.part(span, scope, want, options{event: "e", inside: w})
}

// part compiles a part of the expression as one of its own.
func (r *rewriter) part(span [2]int, scope *Scope, want Want, o options) *Program {
	text := r.src.text[span[0]:span[1]]
	span[0] += len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	p, issues := compile(strings.TrimSpace(text), scope, want, o)
	for _, i := range issues {
		i.Offset += span[0]
		i.End += span[0]
		r.issues = append(r.issues, i)
	}
	return p
}

// windowBaseline adds a baseline to the window, and returns its variable. It
// returns false after a mistake.
func (r *rewriter) windowBaseline(e ast.Expr, text string) (int, bool) {
	w, args := r.scope.Window, e.AsCall().Args()
	spans, ok := r.argumentSpans(e)
	if len(args) < 2 || len(args) > 4 || !ok || len(spans) != len(args) {
		r.issue(e, "baseline() takes a value of the window, how far to look back, and which times to keep apart", "as in "+baselineUse)
		return 0, false
	}
	texts := [3]string{1: "none"}
	for i, a := range args[1:] {
		if !isStringLiteral(a) {
			r.issueSpan(a, "the history, profile and zone of baseline() must be texts in quotes", "as in "+baselineUse)
			return 0, false
		}
		texts[i] = string(a.AsLiteral().(types.String))
	}
	b := WindowBaseline{Text: text, History: texts[0], Profile: texts[1], Zone: texts[2]}
	if bad, err := w.Baseline(b); err != nil {
		r.issueSpan(args[1+min(bad, len(args)-2)], err.Error(), "as in "+baselineUse)
		return 0, false
	}
	for _, name := range r.bound {
		if readsName(args[0], name) {
			r.issue(args[0], fmt.Sprintf("%s is the variable of a macro around, and baseline() is computed once for the window", name), "")
			return 0, false
		}
	}
	b.Value = r.part(spans[0], r.scope, WantNumber, options{event: "e"})
	if b.Value == nil {
		return 0, false
	}
	b.Var = w.add(text, event.TypeDouble)
	w.Baselines = append(w.Baselines, b)
	return b.Var, true
}

func readsName(e ast.Expr, name string) bool {
	found := false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(n ast.Expr) {
		found = found || n.Kind() == ast.IdentKind && n.AsIdent() == name
	}))
	return found
}

// argumentSpans returns the bytes of each argument of a call, as written.
func (r *rewriter) argumentSpans(e ast.Expr) (spans [][2]int, ok bool) {
	at, ok := r.src.info.GetOffsetRange(e.ID())
	if !ok {
		return nil, false
	}
	open := r.src.token(r.src.offset(int(at.Start)))
	if open == len(r.src.tokens) || r.src.text[r.src.tokens[open].start] != '(' {
		return nil, false
	}
	depth, start := 0, r.src.tokens[open].end
	for _, t := range r.src.tokens[open:] {
		text := r.src.text[t.start:t.end]
		switch {
		case t.kind == tokenOpen:
			depth++
		case t.kind == tokenClose && depth > 1:
			depth--
		case t.kind == tokenClose:
			if t.start > start && len(e.AsCall().Args()) > 0 {
				spans = append(spans, [2]int{start, t.start})
			}
			return spans, true
		case depth == 1 && text == ",":
			spans = append(spans, [2]int{start, t.start})
			start = t.end
		}
	}
	return nil, false
}

func literalNumber(e ast.Expr) (float64, bool) {
	if e.Kind() != ast.LiteralKind {
		return 0, false
	}
	v, _ := fromLibrary(e.AsLiteral())
	return v.Number()
}
