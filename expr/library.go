package expr

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// A library program runs in the CEL library, where no closure covers the
// expression. It gives what closures would.
type library struct {
	program cel.Program
	names   *names
	linked  *Aggregates
	want    Want
}

func (c *compilation) plan() (*library, error) {
	p := &provider{Provider: c.provider.Provider, objects: c.provider.objects, use: true}
	env, err := base.env.Extend(cel.CustomTypeProvider(p))
	if err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	prog, err := env.PlanProgram(c.ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil { // a constant that cannot be computed: an error of each event
		prog, err = env.PlanProgram(c.ast)
	}
	if err != nil {
		return nil, fmt.Errorf("planning: %w", err)
	}
	return &library{prog, &c.names, c.scope.Linked, c.want}, nil
}

func (l *library) eval(f *Frame) (event.Value, Reason) {
	out, _, err := l.program.Eval(&activation{l, f})
	if err != nil && out == nil {
		return event.Missing, ReasonOther
	}
	return fromLibrary(out)
}

// An activation resolves the names of one evaluation.
type activation struct {
	*library
	frame *Frame
}

// Parent implements interpreter.Activation.
func (a *activation) Parent() cel.Activation { return nil }

// ResolveName implements interpreter.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	v, ok := a.names.visible[name]
	if !ok {
		return nil, false
	}
	f := a.frame
	switch v.kind {
	case varEvent:
		return eventValue{f.Event, v.typ}, true
	case varKey:
		return a.key(v), true
	case varList:
		return eventList{f.History, v.index, v.typ.Parameters()[0]}, true
	case varStep:
		if f.History.Count(v.index) == 0 {
			return libErrors[ReasonNoEvent], true
		}
		return eventValue{f.History.At(v.index, 0), v.typ}, true
	case varAggregate:
		return libResult(a.linked.read(v.index, f.History.Aggregate(v.index))), true
	}
	switch v.kind {
	case varTable:
		return tableValue{a.names.tables[v.index]}, true
	case varDefault:
		return a.names.defaults[v.index], true
	}
	if v.kind == varWindow {
		return libResult(windowValue(f, v.index, declaredType(v.typ))), true
	}
	if v.index >= len(f.Vars) {
		return libErrors[ReasonNoSuchField], true
	}
	return libResult(conform(f.Vars[v.index], declaredType(v.typ))), true
}

func (a *activation) key(v variable) any {
	switch {
	case a.names.key != nil:
		return keyValue{a.frame.Key, a.names.key}
	case v.typ.Kind() == types.NullTypeKind:
		return types.NullValue
	case len(a.frame.Key) == 0:
		return libErrors[ReasonNoSuchField]
	}
	return libResult(conform(a.frame.Key[0], declaredType(v.typ)))
}

// conform returns v as a value of its declared type. A whole number is also a
// decimal; everything else of another type is a type error.
func conform(v event.Value, t event.Type) (event.Value, Reason) {
	if v.IsMissing() {
		return v, ReasonNoSuchField
	}
	if t == event.TypeAny || kindOf[t] == v.Kind() {
		return v, 0
	}
	if f, ok := v.Number(); ok && t == event.TypeDouble {
		return event.Double(f), 0
	}
	return event.Missing, ReasonType
}

// kindOf is the kind of the values of a declared type.
var kindOf = [...]event.Kind{
	event.TypeAny:       event.KindMissing,
	event.TypeBool:      event.KindBool,
	event.TypeInt:       event.KindInt,
	event.TypeUint:      event.KindUint,
	event.TypeDouble:    event.KindDouble,
	event.TypeString:    event.KindString,
	event.TypeTimestamp: event.KindTime,
	event.TypeDuration:  event.KindDuration,
	event.TypeList:      event.KindList,
	event.TypeMap:       event.KindMap,
}
