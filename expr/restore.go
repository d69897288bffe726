package expr

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// restore gives checked operators back the names that the planner knows.
func (c *compilation) restore() {
	ast.PostOrderVisit(c.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		to, ok := restored[call.FunctionName()]
		if !ok {
			return
		}
		overloads := []string{to.overload}
		if call.FunctionName() == fnMember {
			switch c.typeOf(call.Args()[1]).Kind() {
			case types.MapKind:
				overloads = []string{"in_map"}
			case types.ListKind:
				if list := call.Args()[1]; list.Kind() == ast.ListKind && list.AsList().Size() == 0 {
					// The planner would take it for false without a look at
					// the left side, and so hide its error.
					overloads = []string{"in_list", "in_map"}
				}
			default:
				overloads = []string{"in_list", "in_map"}
			}
		}
		e.SetKindCase(c.fac.NewCall(0, to.name, call.Args()...))
		c.ast.SetReference(e.ID(), ast.NewFunctionReference(overloads...))
	}))
}

// mix converts the integer among two values that one is chosen from, where the
// other is a decimal: of ?: and of orValue. It reports whether e is of that
// kind. The tree must then be checked again.
func (c *compilation) mix(e ast.Expr) bool {
	if e == nil || e.Kind() != ast.CallKind {
		return false
	}
	call := e.AsCall()
	args := call.Args()
	switch {
	case call.FunctionName() == operators.Conditional && len(args) == 3:
		a, b := c.typeOf(args[1]), c.typeOf(args[2])
		if a.Kind() == types.DoubleKind && isInteger(b) || isInteger(a) && b.Kind() == types.DoubleKind {
			e.SetKindCase(c.fac.NewCall(0, operators.Conditional, args[0], c.asDouble(args[1]), c.asDouble(args[2])))
			return true
		}
	case call.FunctionName() == "orValue" && call.IsMemberFunction() && len(args) == 1:
		t := c.typeOf(call.Target())
		if isOptional(t) && t.Parameters()[0].Kind() == types.DoubleKind && isInteger(c.typeOf(args[0])) {
			e.SetKindCase(c.fac.NewMemberCall(0, "orValue", call.Target(), c.asDouble(args[0])))
			return true
		}
	}
	return false
}

func isInteger(t *types.Type) bool {
	return t.Kind() == types.IntKind || t.Kind() == types.UintKind
}

// asDouble converts an integer to a decimal.
func (c *compilation) asDouble(e ast.Expr) ast.Expr {
	switch {
	case !isInteger(c.typeOf(e)):
		return e
	case e.Kind() == ast.LiteralKind:
		return c.fac.NewLiteral(c.newID(e), e.AsLiteral().ConvertToType(types.DoubleType))
	}
	return c.fac.NewCall(c.newID(e), "double", e)
}
