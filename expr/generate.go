package expr

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// A generator turns a checked tree into closures. Where it returns the zero
// code, the whole expression is left to the library.
type generator struct {
	*compilation
	locals []local // variables of the macros around the node at hand
}

// A local is a variable of a macro: an event or a value in the frame's scratch
// space.
type local struct {
	name string
	of   *object // of an event; nil for a value
}

// maxLocals bounds macros inside of each other in closures.
const maxLocals = maxLoops + 1

// scratch is what an evaluation needs beside its arguments.
type scratch struct {
	events [maxLocals]*event.Event // variables of macros over events
	values [maxLocals]event.Value  // variables of macros over other lists
	states [maxLocals][maxAggregateWidth]event.Value
}

func (g *generator) expr(e ast.Expr) code {
	switch e.Kind() {
	case ast.LiteralKind:
		v, r := fromLibrary(e.AsLiteral())
		if r != 0 {
			return code{}
		}
		return constantCode(v)
	case ast.IdentKind:
		return g.ident(e)
	case ast.SelectKind:
		return g.selection(e)
	case ast.ListKind:
		return g.constantList(e)
	case ast.ComprehensionKind:
		return g.comprehension(e)
	case ast.CallKind:
		return g.call(e)
	}
	return code{}
}

func (g *generator) exprs(es []ast.Expr) ([]code, bool) {
	codes := make([]code, len(es))
	for i, e := range es {
		if codes[i] = g.expr(e); !codes[i].ok() {
			return nil, false
		}
	}
	return codes, true
}

func (g *generator) ident(e ast.Expr) code {
	name := e.AsIdent()
	for i := len(g.locals) - 1; i >= 0; i-- {
		if g.locals[i].name == name {
			if g.locals[i].of != nil {
				return code{form: formEvent, e: func(f *Frame) (*event.Event, Reason) { return f.scratch.events[i], 0 }}
			}
			return valueCode(func(f *Frame) (event.Value, Reason) { return f.scratch.values[i], 0 })
		}
	}
	v, ok := g.names.visible[name]
	if !ok {
		return code{}
	}
	switch v.kind {
	case varEvent:
		return code{form: formEvent, e: func(f *Frame) (*event.Event, Reason) { return f.Event, 0 }}
	case varStep:
		step := v.index
		return code{form: formEvent, e: func(f *Frame) (*event.Event, Reason) {
			if f.History.Count(step) == 0 {
				return nil, ReasonNoEvent
			}
			return f.History.At(step, 0), 0
		}}
	case varList:
		step := v.index
		return code{form: formEvents, list: &eventSource{
			count: func(f *Frame) int { return f.History.Count(step) },
			at:    func(f *Frame, i int) *event.Event { return f.History.At(step, i) },
			of:    g.provider.object(v.typ.Parameters()[0]),
		}}
	case varAggregate:
		return g.aggregateRead(v.index, declaredType(v.typ))
	case varKey:
		return g.key(v)
	case varWindow:
		return g.windowVariable(v.index, declaredType(v.typ))
	case varDefault:
		row := g.names.defaults[v.index].row
		return code{form: formRow, row: func(*Frame) ([]event.Value, Reason) { return row, 0 }}
	case varTable:
		return code{}
	}
	return g.otherVariable(v.index, declaredType(v.typ))
}

func (g *generator) aggregateRead(i int, t event.Type) code {
	kind := g.scope.Linked.list[i].kind
	return valueCode(func(f *Frame) (event.Value, Reason) { return kind.read(f.History.Aggregate(i)) }).unbox(t)
}

func (g *generator) key(v variable) code {
	switch {
	case v.typ.Kind() == types.NullTypeKind:
		return constantCode(event.Null)
	case g.names.key != nil:
		fields := g.names.key.key
		return valueCode(func(f *Frame) (event.Value, Reason) { return keyObject(fields, f.Key), 0 })
	}
	return g.keyPart(0, declaredType(v.typ))
}

func (g *generator) keyPart(i int, t event.Type) code {
	return valueCode(func(f *Frame) (event.Value, Reason) {
		if i >= len(f.Key) {
			return event.Missing, ReasonNoSuchField
		}
		return conform(f.Key[i], t)
	}).unbox(t)
}

func (g *generator) otherVariable(i int, t event.Type) code {
	return valueCode(func(f *Frame) (event.Value, Reason) {
		if i >= len(f.Vars) {
			return event.Missing, ReasonNoSuchField
		}
		return conform(f.Vars[i], t)
	}).unbox(t)
}

func (g *generator) windowVariable(i int, t event.Type) code {
	return valueCode(func(f *Frame) (event.Value, Reason) { return windowValue(f, i, t) }).unbox(t)
}

// selection covers fields of events, parts of the key and entries of maps.
func (g *generator) selection(e ast.Expr) code {
	s := e.AsSelect()
	if isOptional(g.typeOf(s.Operand())) {
		return code{}
	}
	if o := g.provider.object(g.typeOf(s.Operand())); o != nil && len(o.key) > 0 {
		part := o.keyPart(s.FieldName())
		if s.IsTestOnly() {
			return boolCode(func(f *Frame) Truth { return truthOf(part < len(f.Key) && !f.Key[part].IsMissing()) })
		}
		return g.keyPart(part, o.key[part].Type)
	}
	operand := g.expr(s.Operand())
	switch {
	case operand.form == formEvent && s.IsTestOnly():
		return g.hasField(s.Operand(), operand, s.FieldName())
	case operand.form == formEvent:
		return g.field(s.Operand(), operand, s.FieldName())
	case operand.form == formRow && s.IsTestOnly():
		return g.hasColumn(s.Operand(), operand.row, s.FieldName())
	case operand.form == formRow:
		return g.column(s.Operand(), operand.row, s.FieldName())
	case operand.form == formValue && s.IsTestOnly():
		return hasEntry(operand.v, s.FieldName())
	case operand.form == formValue:
		return entry(operand.v, s.FieldName())
	}
	return code{}
}

// isEvent reports whether e is the event being judged, whose schema is the
// scope's and need not be looked up.
func (g *generator) isEvent(e ast.Expr) bool {
	if e.Kind() != ast.IdentKind || e.AsIdent() != g.event {
		return false
	}
	v, ok := g.names.visible[g.event]
	return ok && v.kind == varEvent
}

// fieldSlots returns where events that e stands for have a field.
func (g *generator) fieldSlots(e ast.Expr, name string) (slots []fieldSlot, t event.Type) {
	o := g.provider.object(g.typeOf(e))
	t, _ = o.field(name)
	return o.use(name), t
}

func (g *generator) field(e ast.Expr, of code, name string) code {
	slots, t := g.fieldSlots(e, name)
	if g.isEvent(e) {
		return loadSlot(slots[0].slot, t)
	}
	at := of.e
	if len(slots) == 1 {
		slot := slots[0].slot
		if only := g.provider.object(g.typeOf(e)).schemas; len(only) == 1 {
			return valueCode(func(f *Frame) (event.Value, Reason) {
				ev, r := at(f)
				if r != 0 {
					return event.Missing, r
				}
				return conform(ev.Slot(slot), t)
			}).unbox(t)
		}
	}
	return valueCode(func(f *Frame) (event.Value, Reason) {
		ev, r := at(f)
		if r != 0 {
			return event.Missing, r
		}
		return conform(slotValue(ev, slots), t)
	}).unbox(t)
}

func (g *generator) hasField(e ast.Expr, of code, name string) code {
	slots, _ := g.fieldSlots(e, name)
	at := of.e
	if g.isEvent(e) {
		slot := slots[0].slot
		c := boolCode(func(f *Frame) Truth { return truthOf(!f.Event.Slot(slot).IsMissing()) })
		c.filter = filterBy(slot, test{ask: askHas})
		return c
	}
	return boolCode(func(f *Frame) Truth {
		ev, r := at(f)
		if r != 0 {
			return failed(r)
		}
		return truthOf(!slotValue(ev, slots).IsMissing())
	})
}

// entry selects an entry of a map. A value that is no map has none.
func entry(v valueFn, name string) code {
	return valueCode(func(f *Frame) (event.Value, Reason) {
		x, r := v(f)
		if r != 0 {
			return event.Missing, r
		}
		return entryOf(x, name)
	})
}

func entryOf(x event.Value, name string) (event.Value, Reason) {
	if x.Kind() == event.KindList {
		return event.Missing, ReasonType
	}
	y := x.Field(name)
	if y.IsMissing() {
		return y, ReasonNoSuchField
	}
	return y, 0
}

func hasEntry(v valueFn, name string) code {
	return boolCode(func(f *Frame) Truth {
		x, r := v(f)
		switch {
		case r != 0:
			return failed(r)
		case x.Kind() == event.KindList:
			return failed(ReasonType)
		}
		return truthOf(!x.Field(name).IsMissing())
	})
}

// constantList covers lists of constants, the right side of `in`.
func (g *generator) constantList(e ast.Expr) code {
	if len(e.AsList().OptionalIndices()) > 0 {
		return code{}
	}
	codes, ok := g.exprs(e.AsList().Elements())
	if !ok {
		return code{}
	}
	vs := make([]event.Value, len(codes))
	for i, c := range codes {
		if !c.constant {
			return code{}
		}
		vs[i] = c.value()
	}
	return constantCode(event.List(vs))
}

func (g *generator) call(e ast.Expr) code {
	call := e.AsCall()
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	switch name := call.FunctionName(); name {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional:
		return g.logic(e, args)
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return g.comparison(name, args)
	case fnAdd, fnSub, fnMul, fnDiv, fnMod, fnNeg:
		return g.arithmetic(name, args, g.typeOf(e))
	case operators.In:
		return g.in(args)
	case operators.Index:
		return g.index(args)
	case operators.OptSelect, operators.OptIndex:
		return g.optional(e)
	case fnRow, fnMaybeRow, fnLookup:
		return g.row(name, args)
	case fnHasRow:
		return g.hasRow(args)
	case "orValue", "or", "hasValue", "value":
		return g.optionalCall(e, name)
	default:
		return g.function(e, name, args)
	}
}
