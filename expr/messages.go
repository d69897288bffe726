package expr

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

const (
	tooLarge       = "the expression is too large or too deep"
	tooLargeAdvice = "split it"
)

// foreign are operators of other languages, and what CEL has instead.
var foreign = map[string]string{
	"=": "==", "&": "&&", "|": "||", "<>": "!=",
	"and": "&&", "or": "||", "AND": "&&", "OR": "||", "not": "!", "NOT": "!",
}

// foreignOperators finds operators of other languages before the parser does,
// which would only say that it did not expect them.
func (c *compilation) foreignOperators() {
	ts := c.src.tokens
	for i, t := range ts {
		text := c.src.text[t.start:t.end]
		cel := foreign[text]
		switch {
		case t.kind == tokenBad:
			c.issues = append(c.issues, Issue{t.start, t.end, "the text in quotes does not end", "close it with the same quote"})
			return
		case text == "“" || text == "”" || text == "‘" || text == "’":
			c.issues = append(c.issues, Issue{t.start, t.end, "typographic quotes", "write \" or '"})
			return
		case cel == "" || t.kind == tokenName && !c.standsAsOperator(i, cel == "!"):
			continue
		}
		c.issues = append(c.issues, Issue{t.start, t.end, fmt.Sprintf("%s is no operator of CEL", text), "write " + cel})
	}
}

// standsAsOperator reports whether the name at token i stands where only an
// operator can: before an operand, and after one unless it is a prefix.
func (c *compilation) standsAsOperator(i int, prefix bool) bool {
	ts := c.src.tokens
	after := i > 0 && (ts[i-1].kind <= tokenString || ts[i-1].kind == tokenClose)
	before := i+1 < len(ts) && (ts[i+1].kind <= tokenOpen)
	return before && after != prefix && !(i > 0 && c.src.text[ts[i-1].start:ts[i-1].end] == ".")
}

// parseIssues reports the first error of the parser. Those after it are mostly
// its consequences.
func (c *compilation) parseIssues(issues *cel.Issues) {
	e := slices.MinFunc(issues.Errors(), func(a, b *common.Error) int { return c.errorOffset(a) - c.errorOffset(b) })
	at := c.errorOffset(e)
	start, end := c.src.at(at)
	text := ""
	if start < end {
		text = c.src.text[start:end]
	}
	message, advice := strings.TrimPrefix(e.Message, "Syntax error: "), ""
	switch {
	case strings.Contains(message, "limit exceeded"), strings.Contains(message, "exceeds limit"), strings.Contains(message, "max recursion"):
		start, end = 0, len(c.src.text)
		message, advice = tooLarge, tooLargeAdvice
	case strings.HasPrefix(message, "reserved identifier"):
		message = fmt.Sprintf("%s is a keyword of CEL", text)
		advice = "as a field write it in backticks: e.`" + text + "`"
	case strings.Contains(message, "int literal"):
		message = "the number does not fit in 64 bits"
	case message == "argument is not an identifier", message == "argument must be a simple name":
		message, advice = "a macro takes the name of its variable first", "as in list.exists(x, x > 0)"
	case message == "invalid argument to has() macro":
		message, advice = "has() takes a field", "as in has(e.temperature), or has(e.`odd-name`)"
	case start >= len(c.src.text), strings.Contains(message, "input '<EOF>'"), strings.Contains(message, "at '<EOF>'"):
		start, end = c.lastToken()
		message, advice = "the expression ends too early", c.openBracket()
		if advice == "" && c.lacksColon() {
			advice = "what follows ? has two values: `condition ? this : that`"
		}
	case strings.HasPrefix(message, "extraneous input"), strings.HasPrefix(message, "mismatched input"),
		strings.HasPrefix(message, "no viable alternative"), strings.HasPrefix(message, "token recognition error"),
		strings.HasPrefix(message, "missing "):
		message = fmt.Sprintf("unexpected %s", text)
	}
	c.issues = append(c.issues, Issue{start, end, message, advice})
}

func (c *compilation) lastToken() (start, end int) {
	t := c.src.tokens[len(c.src.tokens)-1]
	return t.start, t.end
}

// openBracket advises to close the innermost bracket that is open at the end.
func (c *compilation) openBracket() string {
	var open []byte
	for _, t := range c.src.tokens {
		switch t.kind {
		case tokenOpen:
			open = append(open, c.src.text[t.start])
		case tokenClose:
			open = open[:max(0, len(open)-1)]
		}
	}
	if len(open) == 0 {
		return ""
	}
	return "a " + map[byte]string{'(': ")", '[': "]", '{': "}"}[open[len(open)-1]] + " is missing"
}

// lacksColon reports whether there is a ? without its colon.
func (c *compilation) lacksColon() bool {
	n := 0
	for _, t := range c.src.tokens {
		switch c.src.text[t.start:t.end] {
		case "?":
			n++
		case ":":
			n--
		}
	}
	return n > 0
}

// errorOffset returns the byte offset of an error that has a line and column.
func (c *compilation) errorOffset(e *common.Error) int {
	line, at := 1, 0
	for line < e.Location.Line() {
		i := strings.IndexByte(c.src.text[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
		line++
	}
	for range max(0, e.Location.Column()) {
		if at >= len(c.src.text) {
			break
		}
		at++
		for at < len(c.src.text) && c.src.text[at]&0xC0 == 0x80 {
			at++
		}
	}
	return at
}

var (
	reUndeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	reNoField    = regexp.MustCompile(`^undefined field '(.*)'$`)
	reOverload   = regexp.MustCompile(`^found no matching overload for '([^']*)'`)
	reMismatch   = regexp.MustCompile(`^expected type '(.*)' but found '(.*)'$`)
	reSelect     = regexp.MustCompile(`does not support field selection$`)
	reRange      = regexp.MustCompile(`cannot be range of a comprehension`)
)

// checkIssues words the checker's errors for rule authors.
func (c *compilation) checkIssues(errs []*common.Error) {
	if len(errs) == 0 {
		return
	}
	nodes := c.nodes()
	for _, e := range errs {
		node := nodes[e.ExprID]
		if node == nil {
			c.issues = append(c.issues, Issue{0, len(c.src.text), e.Message, ""})
			continue
		}
		if m := reUndeclared.FindStringSubmatch(e.Message); m != nil {
			c.undeclared(node, m[1])
		} else if m := reNoField.FindStringSubmatch(e.Message); m != nil {
			c.undefinedField(node, m[1])
		} else if m := reOverload.FindStringSubmatch(e.Message); m != nil {
			c.noOverload(node, m[1])
		} else if reMismatch.MatchString(e.Message) {
			c.mismatch(node, e.Message)
		} else if reSelect.MatchString(e.Message) {
			c.noFields(node)
		} else if reRange.MatchString(e.Message) {
			c.noRange(node)
		} else {
			c.issue(node, e.Message, "")
		}
	}
	if len(c.issues) == 0 { // all were consequences of nothing that is left
		c.issues = append(c.issues, Issue{0, len(c.src.text), errs[0].Message, ""})
	}
}

func (c *compilation) nodes() map[int64]ast.Expr {
	m := map[int64]ast.Expr{}
	ast.PreOrderVisit(c.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) { m[e.ID()] = e }))
	return m
}

func (c *compilation) undeclared(e ast.Expr, name string) {
	if e.Kind() == ast.CallKind {
		c.undeclaredFunction(e, name)
		return
	}
	name, _, _ = strings.Cut(name, ".")
	if isGroup(name) {
		if len(c.issues) == 0 {
			c.issue(e, fmt.Sprintf("%s is a group of functions", name), "")
		}
		return
	}
	c.issue(e, fmt.Sprintf("there is no `%s` here", name), c.nameAdvice(name))
}

// nameAdvice advises on a name that means nothing: it may be a field, a
// mistyped name, or text without quotes.
func (c *compilation) nameAdvice(name string) string {
	var o *object
	if ev, ok := c.names.visible[c.event]; ok && ev.kind == varEvent {
		o = c.provider.object(ev.typ)
	}
	if o != nil && !o.schemas[0].Dynamic() {
		if _, known := o.field(name); known {
			return fmt.Sprintf("a field of the event is written `%s.%s`", c.event, name)
		}
	}
	if o != nil && (name == "event" || name == "msg" || name == "message" || name == "payload") {
		return "the event is called `" + c.event + "`"
	}
	if advice := didYouMean(name, c.names.userNames()); advice != "" {
		return advice
	}
	if o != nil {
		if n := nearest(name, o.names()); n != "" {
			return fmt.Sprintf("did you mean `%s.%s`?", c.event, n)
		}
		if o.schemas[0].Dynamic() {
			return fmt.Sprintf("a field of the event is written `%s.%s`; text is written in quotes", c.event, name)
		}
	}
	if o == nil && len(c.scope.Vars) > 0 {
		return "known are " + strings.Join(slices.Sorted(slices.Values(c.names.userNames())), ", ")
	}
	return "text is written in quotes"
}

func (c *compilation) undeclaredFunction(e ast.Expr, name string) {
	if call := e.AsCall(); call.IsMemberFunction() && call.Target().Kind() == ast.IdentKind && isGroup(call.Target().AsIdent()) {
		name = call.Target().AsIdent() + "." + name
		c.issues = slices.DeleteFunc(c.issues, func(i Issue) bool {
			start, _ := c.src.node(call.Target().ID())
			return i.Offset == start
		})
	}
	advice := didYouMean(name, c.functionNames())
	if name == "now" {
		advice = "expressions have no clock, so that a replay gives what was; the time of an event is time(e)"
	}
	if _, ok := windowForms[name]; ok {
		advice = ofWindows
	}
	if k := aggregateKindOf(name); k != nil && len(c.scope.Steps) > 0 {
		advice = fmt.Sprintf("as in hot.%s(h, h.temperature)", name)
	}
	if _, macro := macroUses[name]; macro {
		c.issue(e, fmt.Sprintf("%s() takes other arguments", name), "as in "+macroUses[name])
		return
	}
	c.issue(e, fmt.Sprintf("there is no function `%s()`", name), advice)
}

// ofWindows is said of aggregates where there is no window.
const ofWindows = "over time it is an aggregate of a rule with `window`"

// macroUses show how macros are called.
var macroUses = map[string]string{
	"has": "has(e.temperature)", "all": "list.all(x, x > 0)", "exists": "list.exists(x, x > 0)", "exists_one": "list.exists_one(x, x > 0)",
	"map": "list.map(x, x * 2)", "filter": "list.filter(x, x > 0)", "sortBy": "list.sortBy(x, x.temperature)",
	"optMap": "e.?x.optMap(v, v * 2)", "optFlatMap": "e.?x.optFlatMap(v, v.?y)",
	"matched": `matched("step")`,
}

// isGroup reports whether a name only stands before functions, as in math.abs.
func isGroup(name string) bool { return reservedNames[name] == "a group of CEL functions" }

func (c *compilation) functionNames() []string {
	var names []string
	for name := range base.functions {
		if isNameStart(name[0]) && name[0] != '_' {
			names = append(names, name)
		}
	}
	for _, k := range aggregateKinds {
		names = append(names, k.name)
	}
	for _, m := range base.env.Macros() {
		names = append(names, m.Function())
	}
	names = append(names, "matched", "duration", "orValue")
	slices.Sort(names)
	return slices.Compact(names)
}

func didYouMean(name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return "did you mean `" + n + "`?"
	}
	return ""
}

func (c *compilation) undefinedField(e ast.Expr, name string) {
	var operand ast.Expr
	switch {
	case e.Kind() == ast.SelectKind:
		operand = e.AsSelect().Operand()
	case isOptSelect(e):
		operand = e.AsCall().Args()[0]
	default:
		c.issue(e, "there is no field `"+name+"`", "")
		return
	}
	t := c.typeOf(operand)
	if isOptional(t) {
		t = t.Parameters()[0]
	}
	o := c.provider.object(t)
	if o == nil {
		c.issue(e, "there is no field `"+name+"`", "")
		return
	}
	known := slices.Sorted(maps.Keys(set(o.names())))
	advice := didYouMean(name, known)
	if advice == "" && len(known) > 0 && len(known) <= 12 {
		advice = "it has " + strings.Join(known, ", ")
	}
	what := "field"
	if o.table != nil {
		what = "column"
	}
	c.issue(e, fmt.Sprintf("%s has no %s `%s`", o.title, what, name), advice)
}

func set(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// symbols are operators as users write them.
var symbols = map[string]string{
	fnAdd: "+", fnSub: "-", fnMul: "*", fnDiv: "/", fnMod: "%", fnNeg: "-", fnEq: "==", fnNe: "!=", fnMember: "in",
	operators.Less: "<", operators.LessEquals: "<=", operators.Greater: ">", operators.GreaterEquals: ">=", operators.LogicalNot: "!",
}

func (c *compilation) noOverload(e ast.Expr, function string) {
	call := e.AsCall()
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	ts := make([]*types.Type, len(args))
	for i, a := range args {
		if ts[i] = c.typeOf(a); ts[i].Kind() == types.ErrorKind {
			return // a consequence of another error
		}
	}
	advice := c.overloadAdvice(function, args, ts)
	symbol, operator := symbols[function]
	switch {
	case operator && len(ts) == 2 && (function == fnEq || function == fnNe || strings.ContainsAny(symbol, "<>")):
		c.issue(e, fmt.Sprintf("%s cannot compare %s with %s", symbol, c.typeName(ts[0]), c.typeName(ts[1])), advice)
	case function == fnMember:
		c.issue(e, fmt.Sprintf("in cannot look for %s in %s", c.typeName(ts[0]), c.typeName(ts[1])), advice)
	case operator && len(ts) == 2:
		c.issue(e, fmt.Sprintf("%s does not take %s and %s", symbol, c.typeName(ts[0]), c.typeName(ts[1])), advice)
	case operator:
		c.issue(e, fmt.Sprintf("%s does not take %s", symbol, c.typeName(ts[0])), advice)
	case function == operators.Conditional && ts[0].Kind() != types.BoolKind:
		c.issueSpan(args[0], fmt.Sprintf("the condition of ? must be true or false, but this is %s", c.typeName(ts[0])), conditionAdvice(ts[0]))
	case function == operators.Conditional:
		c.issue(e, fmt.Sprintf("the two values of ? differ in type: %s and %s", c.typeName(ts[1]), c.typeName(ts[2])), advice)
	case function == "orValue":
		c.orValue(e, ts)
	case function == operators.Index, function == operators.OptIndex:
		c.index(e, ts)
	default:
		c.functionArguments(e, function, ts, advice)
	}
}

func (c *compilation) overloadAdvice(function string, args []ast.Expr, ts []*types.Type) string {
	isKind := func(i int, k types.Kind) bool { return i < len(ts) && ts[i].Kind() == k }
	if strings.ContainsAny(symbols[function], "<>") && isKind(0, types.BoolKind) && isCompared(args[0]) {
		return "compare twice, and join with &&, as in 1 < x && x < 5"
	}
	for i, t := range ts {
		if isOptional(t) && function != "orValue" {
			return "the value may be absent; say what then, as in e.?x.orValue(0)"
		}
		if t.Kind() == types.NullTypeKind && (function == fnEq || function == fnNe) {
			return "a declared field is never null: ask has(e.field)"
		}
		if t.Kind() == types.ListKind && c.provider.object(t.Parameters()[0]) != nil && symbols[function] != "" {
			return "take a field of its last event, or its size, as in hot.size()"
		}
		if c.provider.object(t) != nil && symbols[function] != "" {
			return "take one of its fields"
		}
		other := 1 - i
		if len(ts) != 2 || other < 0 {
			continue
		}
		if t.Kind() == types.StringKind && isNumeric(ts[other]) {
			return textAndNumber(function, args[i], args[other])
		}
		if isStringLiteral(args[i]) && isKind(other, types.DurationKind) {
			return `a duration is written duration("5m")`
		}
		if isStringLiteral(args[i]) && isKind(other, types.TimestampKind) {
			return `a time is written timestamp("2026-03-01T12:00:00Z")`
		}
		if isNumeric(t) && isKind(other, types.DurationKind) && function != fnMul && function != fnDiv {
			return `a duration is written duration("5m")`
		}
		if isNumeric(t) && isKind(other, types.TimestampKind) {
			return "unix_s() and its kin turn a number into a time"
		}
		if isStringLiteral(args[i]) && isKind(other, types.BoolKind) {
			return "true and false are written without quotes"
		}
	}
	return ""
}

// isCompared reports whether an expression is itself a comparison by size.
func isCompared(e ast.Expr) bool {
	return e.Kind() == ast.CallKind && strings.ContainsAny(symbols[e.AsCall().FunctionName()], "<>")
}

// textAndNumber advises where a text meets a number.
func textAndNumber(function string, text, number ast.Expr) string {
	_, operator := symbols[function]
	switch {
	case function == fnAdd || !operator:
		return "string() turns a number into text"
	case isStringLiteral(text):
		return "a number is written without quotes"
	case number.Kind() == ast.LiteralKind && (function == fnEq || function == fnNe):
		return "text is written in quotes"
	}
	return "double() turns text into a number"
}

func (c *compilation) orValue(e ast.Expr, ts []*types.Type) {
	if !e.AsCall().IsMemberFunction() || len(ts) != 2 {
		c.issue(e, "orValue() stands after a value that may be absent, and takes one", "as in e.?x.orValue(0)")
		return
	}
	if !isOptional(ts[0]) {
		c.issue(e, fmt.Sprintf("orValue() is for values that may be absent, but this is %s", c.typeName(ts[0])), "select with .? as in e.?x.orValue(0)")
		return
	}
	c.issue(e, fmt.Sprintf("orValue() must give %s, not %s", c.typeName(ts[0].Parameters()[0]), c.typeName(ts[1])), "")
}

func (c *compilation) index(e ast.Expr, ts []*types.Type) {
	switch {
	case c.provider.object(ts[0]) != nil:
		c.issue(e, "the name of a field must be constant", "as in e.temperature or e[\"odd-name\"]")
	case ts[0].Kind() == types.ListKind:
		c.issue(e, fmt.Sprintf("a list is indexed by an int, not %s", c.typeName(ts[1])), "")
	default:
		c.issue(e, fmt.Sprintf("%s has no elements", c.typeName(ts[0])), "")
	}
}

func (c *compilation) functionArguments(e ast.Expr, function string, ts []*types.Type, advice string) {
	name := strings.TrimPrefix(strings.TrimPrefix(function, fnAggregate+"_"), "@")
	if a := c.aggregates[e.ID()]; a != nil && len(ts) == 1 && ts[0].Kind() == types.ListKind {
		t := ts[0].Parameters()[0]
		start, end := c.src.span(a.arg)
		c.issues = append(c.issues, Issue{start, end, fmt.Sprintf("%s() does not take %s", name, c.typeName(t)), ""})
		return
	}
	texts := make([]string, 0, len(ts))
	member := e.AsCall().IsMemberFunction()
	if _, ok := windowForms[name]; ok && !member && advice == "" && c.scope.Window == nil && c.inside == nil && len(ts) > 0 && ts[0].Kind() != types.ListKind {
		advice = ofWindows
	}
	for _, t := range ts {
		texts = append(texts, c.typeName(t))
	}
	switch {
	case member && len(ts) == 1:
		c.issue(e, fmt.Sprintf("%s has no function %s()", texts[0], name), advice)
	case member:
		c.issue(e, fmt.Sprintf("%s has no function %s() that takes %s", texts[0], name, strings.Join(texts[1:], " and ")), advice)
	case len(ts) == 0:
		c.issue(e, fmt.Sprintf("%s() needs arguments", name), advice)
	default:
		c.issue(e, fmt.Sprintf("%s() does not take %s", name, strings.Join(texts, " and ")), advice)
	}
}

func (c *compilation) mismatch(e ast.Expr, message string) {
	t := c.typeOf(e)
	if t.Kind() == types.ErrorKind {
		return
	}
	if m := reMismatch.FindStringSubmatch(message); m[1] == "bool" {
		advice := conditionAdvice(t)
		if isOptional(t) {
			advice = "the value may be absent; say what then, as in e.?x.orValue(false)"
		}
		c.issueSpan(e, fmt.Sprintf("true or false is wanted here, but this is %s", c.typeName(t)), advice)
		return
	}
	c.issueSpan(e, "values of different types: "+message, "")
}

func (c *compilation) noFields(e ast.Expr) {
	operand := e
	switch {
	case e.Kind() == ast.SelectKind:
		operand = e.AsSelect().Operand()
	case isOptSelect(e):
		operand = e.AsCall().Args()[0]
	}
	t := c.typeOf(operand)
	advice := ""
	if t.Kind() == types.ListKind {
		advice = "take one of its elements, as in .last() or [0]"
	}
	c.issue(e, fmt.Sprintf("%s has no fields", c.typeName(t)), advice)
}

func (c *compilation) noRange(e ast.Expr) {
	t := c.typeOf(e)
	advice := ""
	if e.Kind() == ast.IdentKind {
		if v, ok := c.names.visible[e.AsIdent()]; ok && v.kind == varStep {
			advice = fmt.Sprintf("%s is one event; its list is matched(%q)", e.AsIdent(), e.AsIdent())
		}
	}
	c.issueSpan(e, fmt.Sprintf("a list is wanted, but this is %s", c.typeName(t)), advice)
}

var typeNames = map[types.Kind]string{
	types.BoolKind: "a bool", types.IntKind: "an int", types.UintKind: "a uint", types.DoubleKind: "a double", types.StringKind: "a string",
	types.BytesKind: "bytes", types.TimestampKind: "a timestamp", types.DurationKind: "a duration", types.NullTypeKind: "null",
	types.ListKind: "a list", types.MapKind: "a map", types.DynKind: "a value of any type", types.TypeKind: "a type",
}

// typeName returns a type as messages call it.
func (c *compilation) typeName(t *types.Type) string {
	if o := c.provider.object(t); o != nil {
		return o.title
	}
	if isOptional(t) {
		return c.typeName(t.Parameters()[0]) + " that may be absent"
	}
	if t.Kind() == types.ListKind {
		elem := t.Parameters()[0]
		switch {
		case c.provider.object(elem) != nil:
			return "a list of events"
		case isNumeric(elem), elem.Kind() == types.StringKind, elem.Kind() == types.TimestampKind, elem.Kind() == types.DurationKind, elem.Kind() == types.BoolKind:
			_, name, _ := strings.Cut(typeNames[elem.Kind()], " ")
			return "a list of " + name + "s"
		}
	}
	if name, ok := typeNames[t.Kind()]; ok {
		return name
	}
	return t.String()
}
