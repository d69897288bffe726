package expr

import (
	"slices"
	"strings"

	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/containers"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
)

// A compilation carries one expression from text to program:
//
//	parse      text to tree
//	rewrite    our names, operators and aggregates into the tree
//	check      types, by the library's checker
//	verify     what the checker cannot know: literals, events, what is wanted
//	extract    aggregates that a run keeps up
//	restore    operators back to what the planner knows
//	use        mark fields as used
//	build      closures, or a program of the library
type compilation struct {
	src   *source
	scope *Scope
	want  Want
	options
	provider *provider
	names    names
	ast      *ast.AST
	fac      ast.ExprFactory
	lastID   int64
	issues   []Issue
	// aggregates are the calls of aggregates over collected arguments, by node.
	aggregates map[int64]*aggregateCall
}

// options say how an expression is compiled beside what users can say.
type options struct {
	event   string // the name of the event: `e`, or the variable of an aggregate
	library bool   // make no closures, to compare the two
	// inside is the window of the aggregate whose argument this is, nil
	// elsewhere.
	inside *WindowScope
}

func compile(src string, scope *Scope, want Want, o options) (*Program, []Issue) {
	c := &compilation{
		src:        newSource(src),
		scope:      scope,
		want:       want,
		options:    o,
		provider:   &provider{Provider: base.env.CELTypeProvider(), objects: map[string]*object{}},
		fac:        ast.NewExprFactory(),
		aggregates: map[int64]*aggregateCall{},
	}
	c.declare()
	p := &Program{src: src}
	steps := []func(){
		func() { c.parse() },
		func() { p.canonical = c.canonical(c.ast.Expr()) },
		func() { c.rewrite() },
		func() { c.check() },
		func() { c.verify() },
		func() { c.extract() },
		func() { c.restore() },
		func() { c.use(p) },
		func() { c.build(p) },
	}
	for _, step := range steps {
		step()
		if len(c.issues) > 0 {
			slices.SortStableFunc(c.issues, func(a, b Issue) int { return a.Offset - b.Offset })
			return nil, c.issues
		}
	}
	return p, nil
}

// issue reports a mistake at the token that stands for a node.
func (c *compilation) issue(e ast.Expr, message, advice string) {
	start, end := c.src.node(e.ID())
	c.issues = append(c.issues, Issue{start, end, message, advice})
}

// issueSpan reports a mistake at the whole of a subtree.
func (c *compilation) issueSpan(e ast.Expr, message, advice string) {
	start, end := c.src.span(e)
	c.issues = append(c.issues, Issue{start, end, message, advice})
}

func (c *compilation) parse() {
	if len(c.src.tokens) == 0 {
		c.issues = append(c.issues, Issue{0, len(c.src.text), "the expression is empty", ""})
		return
	}
	if c.foreignOperators(); len(c.issues) > 0 {
		return
	}
	parsed, issues := base.env.ParseSource(common.NewTextSource(c.src.text))
	if issues.Err() != nil {
		c.parseIssues(issues)
		return
	}
	c.ast = parsed.NativeRep()
	if n := ast.NodeCount(c.ast); n > maxNodes {
		c.issues = append(c.issues, Issue{0, len(c.src.text), tooLarge, tooLargeAdvice})
		return
	}
	c.src.info = c.ast.SourceInfo()
	c.lastID = ast.MaxID(c.ast)
}

// canonical prints a tree with uniform spacing and quotes.
func (c *compilation) canonical(e ast.Expr) string {
	// The library prints names in backticks without them.
	quoted := ast.CopySourceInfo(c.src.info)
	e = c.fac.CopyExpr(e)
	quote := ast.NewExprVisitor(func(n ast.Expr) {
		if n.Kind() == ast.SelectKind {
			if s := n.AsSelect(); !isName(s.FieldName()) {
				sel := c.fac.NewSelect(n.ID(), s.Operand(), "`"+s.FieldName()+"`")
				if s.IsTestOnly() {
					sel = c.fac.NewPresenceTest(n.ID(), s.Operand(), "`"+s.FieldName()+"`")
				}
				n.SetKindCase(sel)
			}
		}
	})
	ast.PostOrderVisit(e, quote)
	for _, call := range quoted.MacroCalls() {
		ast.PostOrderVisit(call, quote)
	}
	text, err := parser.Unparse(e, quoted)
	if err != nil {
		return strings.TrimSpace(c.src.text)
	}
	return text
}

func (c *compilation) check() {
	for {
		errs := c.checkOnce()
		if len(c.issues) == 0 && len(errs) == 0 && c.decimalQuotients() {
			continue
		}
		if len(c.issues) > 0 || len(errs) == 0 {
			return
		}
		mixed := false
		nodes := c.nodes()
		for _, e := range errs {
			mixed = c.mix(nodes[e.ExprID]) || mixed
		}
		if !mixed {
			c.checkIssues(errs)
			return
		}
	}
}

func (c *compilation) checkOnce() []*common.Error {
	chk, err := checker.NewEnv(containers.DefaultContainer, c.provider,
		checker.ValidatedDeclarations(base.checker), checker.CrossTypeNumericComparisons(true))
	if err == nil {
		var vars []*decls.VariableDecl
		for name, v := range c.names.visible {
			vars = append(vars, decls.NewVariable(name, v.typ))
		}
		err = chk.AddIdents(vars...)
	}
	if err != nil {
		c.issues = append(c.issues, Issue{0, len(c.src.text), err.Error(), ""})
		return nil
	}
	checked, errs := checker.Check(c.ast, common.NewTextSource(c.src.text), chk)
	c.ast = checked
	return errs.GetErrors()
}

// use marks the fields that the expression reads, and notes what it depends on.
func (c *compilation) use(p *Program) {
	fields := map[string]bool{}
	ast.PreOrderVisit(c.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case e.Kind() == ast.IdentKind:
			switch v, ok := c.names.visible[e.AsIdent()]; {
			case !ok: // of a macro, or a type
			case v.kind == varKey:
				p.key = true
			case v.kind == varWindow, v.kind == varOther:
				p.vars = append(p.vars, v.index)
			case v.kind == varStep, v.kind == varList, v.kind == varAggregate:
				p.linked = true
			}
		case e.Kind() == ast.SelectKind:
			c.useField(e.AsSelect().Operand(), e.AsSelect().FieldName(), fields)
		case isOptSelect(e):
			args := e.AsCall().Args()
			name, _ := args[1].AsLiteral().(types.String)
			c.useField(args[0], string(name), fields)
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "topic":
			p.topic = true
			c.provider.useTopic(c.typeOf(e.AsCall().Args()[0]))
		}
	}))
	for name := range fields {
		p.fields = append(p.fields, name)
	}
	slices.Sort(p.fields)
	slices.Sort(p.vars)
	p.vars = slices.Compact(p.vars)
	p.typ = declaredType(c.typeOf(c.ast.Expr()))
	root := c.ast.Expr()
	p.wholeKey = root.Kind() == ast.IdentKind && root.AsIdent() == "key"
}

func (c *compilation) useField(operand ast.Expr, name string, fields map[string]bool) {
	t := c.typeOf(operand)
	if isOptional(t) {
		t = t.Parameters()[0]
	}
	if o := c.provider.object(t); o != nil && len(o.schemas) > 0 {
		o.use(name)
		if operand.Kind() == ast.IdentKind && operand.AsIdent() == c.event {
			fields[name] = true
		}
	}
}

func (c *compilation) typeOf(e ast.Expr) *types.Type { return c.ast.GetType(e.ID()) }

func (c *compilation) newID(like ast.Expr) int64 {
	c.lastID++
	if r, ok := c.src.info.GetOffsetRange(like.ID()); ok {
		c.src.info.SetOffsetRange(c.lastID, r)
	}
	return c.lastID
}
