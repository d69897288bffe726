package expr

import (
	"fmt"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// A rewriter puts into a parsed tree what users mean and the library does not
// know: operators over mixed numbers, the last event of a list where a field is
// selected from it, aggregates, and events of steps by name.
type rewriter struct {
	*compilation
	bound []string // variables of the macros around the node at hand
	loops int      // macros over lists around it
}

func (c *compilation) rewrite() {
	r := &rewriter{compilation: c}
	r.walk(c.ast.Expr())
}

func (r *rewriter) walk(e ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind:
		r.ident(e)
	case ast.SelectKind:
		s := e.AsSelect()
		if r.windowBound(e) || r.tableSelect(e) {
			return
		}
		r.walk(s.Operand())
		r.lastOf(s.Operand())
	case ast.ListKind:
		for _, elem := range e.AsList().Elements() {
			r.walk(elem)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			r.walk(entry.AsMapEntry().Key())
			r.walk(entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		r.issue(e, "there are no message types here", "write a map, as in {\"name\": value}")
	case ast.ComprehensionKind:
		r.comprehension(e)
	case ast.CallKind:
		r.call(e)
	}
}

func (r *rewriter) isBound(name string) bool { return slices.Contains(r.bound, name) }

func (r *rewriter) ident(e ast.Expr) {
	name := e.AsIdent()
	if r.isBound(name) {
		return
	}
	if h, ok := r.names.hidden[name]; ok {
		r.issue(e, h.message, h.advice)
	}
	if of := r.rows(e); of != nil {
		r.issue(e, "a table is no value by itself", "take a cell, as in "+of.table.use())
	}
}

// list returns the number of the step whose list of events e is, or -1.
func (r *rewriter) list(e ast.Expr) int {
	if e.Kind() == ast.IdentKind && !r.isBound(e.AsIdent()) {
		if v, ok := r.names.visible[e.AsIdent()]; ok && v.kind == varList {
			return v.index
		}
	}
	return -1
}

// lastOf turns a step's list, where a field is selected from it, into its last
// event.
func (r *rewriter) lastOf(e ast.Expr) {
	if r.list(e) >= 0 {
		e.SetKindCase(r.fac.NewCall(0, fnLast, r.fac.NewIdent(r.newID(e), e.AsIdent())))
	}
}

// bind checks and binds a variable of a macro.
func (r *rewriter) bind(at ast.Expr, name string) {
	_, visible := r.names.visible[name]
	_, hidden := r.names.hidden[name]
	if (visible || hidden) && name != r.event || name == "e" {
		r.issue(at, fmt.Sprintf("the variable %s hides another %s", name, name), "give the variable a name of its own")
	}
	r.bound = append(r.bound, name)
}

func (r *rewriter) unbind() { r.bound = r.bound[:len(r.bound)-1] }

// loop rewrites the body of a macro over a list.
func (r *rewriter) loop(at ast.Expr, vars []string, body ...ast.Expr) {
	for _, v := range vars {
		r.bind(at, v)
	}
	if r.loops++; r.loops == maxLoops+1 {
		r.issue(at, fmt.Sprintf("more than %d macros over lists inside of each other", maxLoops), "each multiplies the cost by the length of a list")
	}
	for _, b := range body {
		r.walk(b)
	}
	r.loops--
	for range vars {
		r.unbind()
	}
}

// comprehension rewrites what a macro of CEL's was expanded to.
func (r *rewriter) comprehension(e ast.Expr) {
	comp := e.AsComprehension()
	if r.rows(comp.IterRange()) == nil {
		r.walk(comp.IterRange())
	}
	r.walk(comp.AccuInit())
	if comp.IterVar() == "#unused" { // optMap: no loop, the accumulator is the variable
		r.bind(e, comp.AccuVar())
		r.walk(comp.Result())
		r.unbind()
		return
	}
	at := e
	if call, ok := r.src.info.GetMacroCall(e.ID()); ok && len(call.AsCall().Args()) > 0 {
		at = call.AsCall().Args()[0]
	}
	vars := []string{comp.IterVar()}
	if comp.HasIterVar2() {
		vars = append(vars, comp.IterVar2())
	}
	r.bound = append(r.bound, comp.AccuVar())
	r.loop(at, vars, comp.LoopCondition(), comp.LoopStep())
	r.walk(comp.Result())
	r.unbind()
}

// touchesAccumulator reports whether a call is part of a macro's expansion,
// where operators stay as the planner expects them.
func touchesAccumulator(call ast.CallExpr) bool {
	for _, a := range call.Args() {
		if a.Kind() == ast.IdentKind && a.AsIdent() == accumulator {
			return true
		}
		if a.Kind() == ast.CallKind && a.AsCall().FunctionName() == operators.Add && touchesAccumulator(a.AsCall()) {
			return true
		}
	}
	return false
}

const accumulator = "@result"

func (r *rewriter) call(e ast.Expr) {
	if r.tableCall(e) {
		return
	}
	call := e.AsCall()
	name := call.FunctionName()
	if call.IsMemberFunction() {
		if kind := aggregateKindOf(name); kind != nil && len(call.Args()) == 2 && call.Args()[0].Kind() == ast.IdentKind {
			r.aggregate(e, kind)
			return
		}
		r.walk(call.Target())
	} else if name == "matched" {
		r.matched(e)
		return
	} else if r.windowCall(e) || r.unknownInWindow(e) {
		return
	}
	for _, a := range call.Args() {
		r.walk(a)
	}
	switch {
	case name == operators.Index && isStringLiteral(call.Args()[1]):
		field := string(call.Args()[1].AsLiteral().(types.String))
		r.lastOf(call.Args()[0])
		e.SetKindCase(r.fac.NewSelect(0, call.Args()[0], field))
	case name == operators.OptIndex && isStringLiteral(call.Args()[1]):
		r.lastOf(call.Args()[0])
		e.SetKindCase(r.fac.NewCall(0, operators.OptSelect, call.Args()...))
	case name == operators.OptSelect:
		r.lastOf(call.Args()[0])
	default:
		r.rename(e)
	}
}

func isStringLiteral(e ast.Expr) bool {
	if e.Kind() != ast.LiteralKind {
		return false
	}
	_, ok := e.AsLiteral().(types.String)
	return ok
}

func isOptSelect(e ast.Expr) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.OptSelect
}

// rename gives an operator the name of ours that takes mixed numbers.
func (r *rewriter) rename(e ast.Expr) {
	call := e.AsCall()
	to, ok := renamed[call.FunctionName()]
	if !ok || touchesAccumulator(call) {
		return
	}
	if !call.IsMemberFunction() {
		e.SetKindCase(r.fac.NewCall(0, to, call.Args()...))
	}
}

// matched turns matched("step") into the variable of that step's events.
func (r *rewriter) matched(e ast.Expr) {
	args := e.AsCall().Args()
	if len(r.scope.Steps) == 0 {
		r.issue(e, "matched() is for patterns: there are no steps here", "")
		return
	}
	if len(args) != 1 || !isStringLiteral(args[0]) {
		r.issue(e, "matched() takes the name of a step in quotes", "as in matched(\""+r.scope.Steps[0].Name+"\")")
		return
	}
	want := string(args[0].AsLiteral().(types.String))
	var known []string
	for i, s := range r.scope.Steps {
		if s.Name == want {
			e.SetKindCase(r.fac.NewIdent(0, prefixMatched+strconv.Itoa(i)))
			return
		}
		known = append(known, s.Name)
	}
	r.issue(args[0], fmt.Sprintf("the pattern has no step %q", want), didYouMean(want, known))
}

// aggregate turns list.sum(x, argument) into a fold of the collected
// arguments, and remembers what it was.
func (r *rewriter) aggregate(e ast.Expr, kind *aggregateKind) {
	call := e.AsCall()
	list, variable, arg := call.Target(), call.Args()[0].AsIdent(), call.Args()[1]
	a := &aggregateCall{kind: kind, variable: variable, text: r.canonical(arg), key: r.argumentKey(arg, variable), arg: arg}
	r.walk(list)
	a.step = r.list(list)
	r.loop(call.Args()[0], []string{variable}, arg)
	a.closed = len(r.bound) == 0 && r.readsOnly(arg, variable)

	id := func() int64 { return r.newID(e) }
	guard := fnSkip
	if kind.name == "count" {
		guard = fnTry
	}
	elem := r.fac.NewCall(id(), guard, arg)
	step := r.fac.NewCall(id(), operators.Add, r.fac.NewIdent(id(), accumulator), r.fac.NewList(id(), []ast.Expr{elem}, nil))
	fold := r.fac.NewComprehension(id(), list, variable, accumulator, r.fac.NewList(id(), nil, nil),
		r.fac.NewLiteral(id(), types.True), step, r.fac.NewIdent(id(), accumulator))
	e.SetKindCase(r.fac.NewCall(0, fnAggregate+"_"+kind.name, fold))
	r.aggregates[e.ID()] = a
}

// readsOnly reports whether no name in e but one variable is a variable of the
// scope. Tables are constant, and do not count.
func (r *rewriter) readsOnly(e ast.Expr, variable string) bool {
	only := true
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(n ast.Expr) {
		if n.Kind() == ast.IdentKind && n.AsIdent() != variable {
			v, visible := r.names.visible[n.AsIdent()]
			only = only && (!visible || v.kind == varTable || v.kind == varDefault)
		}
	}))
	return only
}

// argumentKey is the text of an aggregate's argument, the same whatever the
// variable is called.
func (r *rewriter) argumentKey(arg ast.Expr, variable string) string {
	simple := true
	renamedVar := r.fac.CopyExpr(arg)
	ast.PostOrderVisit(renamedVar, ast.NewExprVisitor(func(n ast.Expr) {
		switch {
		case n.Kind() == ast.ComprehensionKind:
			simple = false
		case n.Kind() == ast.IdentKind && n.AsIdent() == variable:
			n.SetKindCase(r.fac.NewIdent(0, "_"))
		}
	}))
	if !simple || len(r.src.info.MacroCalls()) > 0 {
		return variable + ", " + r.canonical(arg)
	}
	return r.canonical(renamedVar)
}
