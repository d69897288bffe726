package expr

import (
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// index covers elements of lists of events and of other lists, and entries of
// maps.
func (g *generator) index(args []ast.Expr) code {
	codes, ok := g.exprs(args)
	if !ok || !codes[1].isScalar() || isOptional(g.typeOf(args[0])) {
		return code{}
	}
	of, at := codes[0], codes[1]
	if of.form == formEvents {
		if at.form != formInt {
			return code{}
		}
		list, i := of.list, at.i
		return code{form: formEvent, e: func(f *Frame) (*event.Event, Reason) {
			n, r := i(f)
			if r != 0 {
				return nil, r
			}
			if n < 0 || n >= int64(list.count(f)) {
				return nil, ReasonIndex
			}
			return list.at(f, int(n)), 0
		}}
	}
	if of.form != formValue {
		return code{}
	}
	list, i := of.v, at.box()
	return valueCode(func(f *Frame) (event.Value, Reason) {
		x, r := list(f)
		if r != 0 {
			return event.Missing, r
		}
		n, r := i(f)
		if r != 0 {
			return event.Missing, r
		}
		return elementOf(x, n)
	})
}

func elementOf(x, at event.Value) (event.Value, Reason) {
	switch at.Kind() {
	case event.KindBool, event.KindInt, event.KindUint, event.KindDouble, event.KindString:
	default:
		return event.Missing, ReasonType
	}
	switch x.Kind() {
	case event.KindList:
		i, ok := indexOf(at)
		if !ok {
			return event.Missing, ReasonType
		}
		if i < 0 || i >= int64(len(x.AsList())) {
			return event.Missing, ReasonIndex
		}
		return x.AsList()[i], 0
	case event.KindMap:
		if at.Kind() == event.KindString {
			return entryOf(x, at.AsString())
		}
		return event.Missing, ReasonNoSuchField
	}
	return event.Missing, ReasonNoSuchField
}

// indexOf returns a number as an index; ok is false for other values.
func indexOf(v event.Value) (int64, bool) {
	switch v.Kind() {
	case event.KindInt:
		return v.AsInt(), true
	case event.KindUint:
		return int64(min(v.AsUint(), 1<<62)), true
	case event.KindDouble:
		if isIntegral(v.AsDouble()) {
			return int64(v.AsDouble()), true
		}
		return -1, true // no element has it
	}
	return 0, false
}

// pick covers first() and last(), said or meant.
func pick(list *eventSource, last bool, empty Reason) code {
	return code{form: formEvent, e: func(f *Frame) (*event.Event, Reason) {
		n := list.count(f)
		switch {
		case n == 0:
			return nil, empty
		case last:
			return list.at(f, n-1), 0
		}
		return list.at(f, 0), 0
	}}
}

func pickValue(v valueFn, last bool) code {
	return valueCode(func(f *Frame) (event.Value, Reason) {
		x, r := v(f)
		switch {
		case r != 0:
			return event.Missing, r
		case x.Kind() != event.KindList:
			return event.Missing, ReasonType
		case len(x.AsList()) == 0:
			return event.Missing, ReasonIndex
		case last:
			return x.AsList()[len(x.AsList())-1], 0
		}
		return x.AsList()[0], 0
	})
}

// aggregateOfList covers sum(list) and its kin.
func aggregateOfList(kind *aggregateKind, a code) code {
	if a.form != formValue {
		return code{}
	}
	v := a.v
	return valueCode(func(f *Frame) (event.Value, Reason) {
		x, r := v(f)
		switch {
		case r != 0:
			return event.Missing, r
		case x.Kind() != event.KindList:
			return event.Missing, ReasonType
		}
		return foldList(kind, x.AsList())
	})
}

// size covers the size of all that has one.
func size(a code) code {
	switch a.form {
	case formEvents:
		list := a.list
		return intCode(func(f *Frame) (int64, Reason) { return int64(list.count(f)), 0 })
	case formString:
		s := a.s
		return intCode(func(f *Frame) (int64, Reason) {
			x, r := s(f)
			return int64(utf8.RuneCountInString(x)), r
		})
	case formValue:
		v := a.v
		return intCode(func(f *Frame) (int64, Reason) {
			x, r := v(f)
			if r != 0 {
				return 0, r
			}
			switch x.Kind() {
			case event.KindString:
				return int64(utf8.RuneCountInString(x.AsString())), 0
			case event.KindBytes:
				return int64(len(x.AsBytes())), 0
			case event.KindList:
				return int64(len(x.AsList())), 0
			case event.KindMap:
				return int64(len(x.AsMap())), 0
			}
			return 0, ReasonType
		})
	}
	return code{}
}

// A loop runs a body over the elements of a list, with the element in the
// frame's scratch space.
type loop struct {
	slot   int
	events *eventSource // or
	values valueFn
}

// enter makes the variable of a macro over a list known, for the body.
func (g *generator) enter(list code, variable string) (l loop, ok bool) {
	l.slot = len(g.locals)
	if l.slot >= maxLocals {
		return l, false
	}
	v := local{name: variable}
	switch list.form {
	case formEvents:
		l.events, v.of = list.list, list.list.of
	case formValue:
		l.values = list.v
	default:
		return l, false
	}
	g.locals = append(g.locals, v)
	return l, true
}

func (g *generator) leave() { g.locals = g.locals[:len(g.locals)-1] }

// comprehension covers all, exists and exists_one.
func (g *generator) comprehension(e ast.Expr) code {
	comp := e.AsComprehension()
	if comp.HasIterVar2() || comp.AccuVar() != accumulator || g.typeOf(comp.IterRange()).Kind() != types.ListKind {
		return code{}
	}
	step := comp.LoopStep()
	if step.Kind() != ast.CallKind {
		return code{}
	}
	call := step.AsCall()
	var body ast.Expr
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		body = call.Args()[1]
	case operators.Conditional:
		if comp.Result().Kind() != ast.CallKind { // of exists_one it is a comparison
			return code{}
		}
		body = call.Args()[0]
	default:
		return code{}
	}
	l, test, ok := g.body(comp, body)
	if !ok {
		return code{}
	}
	switch call.FunctionName() {
	case operators.LogicalAnd:
		return boolCode(l.quantifier(test, no))
	case operators.LogicalOr:
		return boolCode(l.quantifier(test, yes))
	}
	return boolCode(l.existsOne(test))
}

func (g *generator) body(comp ast.ComprehensionExpr, body ast.Expr) (*loop, boolFn, bool) {
	l, ok := g.enter(g.expr(comp.IterRange()), comp.IterVar())
	if !ok {
		return nil, nil, false
	}
	defer g.leave()
	c := g.expr(body)
	test := c.truth()
	return &l, test, test != nil
}

// quantifier computes exists, which yes decides, and all, which no decides. An
// error counts only where no element decides.
func (l *loop) quantifier(test boolFn, decides Truth) boolFn {
	return func(f *Frame) Truth {
		result := yes - decides
		// Loops are written out, since a closure for the body would allocate.
		n, list, r := l.start(f)
		if r != 0 {
			return failed(r)
		}
		for i := range n {
			l.set(f, list, i)
			t := test(f)
			if t == decides {
				return t
			}
			if t > yes && result <= yes {
				result = t
			}
		}
		return result
	}
}

// existsOne counts. It absorbs no error: the last one is the result.
func (l *loop) existsOne(test boolFn) boolFn {
	return func(f *Frame) Truth {
		n, list, r := l.start(f)
		if r != 0 {
			return failed(r)
		}
		count, bad := 0, no
		for i := range n {
			l.set(f, list, i)
			switch t := test(f); t {
			case yes:
				count++
			case no:
			default:
				bad = t
			}
		}
		if bad > yes {
			return bad
		}
		return truthOf(count == 1)
	}
}

// start returns the number of elements, and the list where it is not of events.
func (l *loop) start(f *Frame) (n int, list []event.Value, r Reason) {
	if l.events != nil {
		return l.events.count(f), nil, 0
	}
	v, r := l.values(f)
	switch {
	case r != 0:
		return 0, nil, r
	case v.Kind() != event.KindList:
		return 0, nil, ReasonType
	}
	return len(v.AsList()), v.AsList(), 0
}

// set puts element i where the body looks for it.
func (l *loop) set(f *Frame, list []event.Value, i int) {
	if l.events != nil {
		f.scratch.events[l.slot] = l.events.at(f, i)
	} else {
		f.scratch.values[l.slot] = list[i]
	}
}

// aggregate covers aggregates that are computed by walking a list.
func (g *generator) aggregate(e ast.Expr, kind *aggregateKind) code {
	comp := e.AsCall().Args()[0].AsComprehension()
	step := comp.LoopStep().AsCall()
	arg := step.Args()[1].AsList().Elements()[0].AsCall().Args()[0] // inside of the guard
	l, ok := g.enter(g.expr(comp.IterRange()), comp.IterVar())
	if !ok {
		return code{}
	}
	c := g.expr(arg)
	g.leave()
	v := c.box()
	if v == nil {
		return code{}
	}
	return valueCode(func(f *Frame) (event.Value, Reason) {
		n, list, r := l.start(f)
		if r != 0 {
			return event.Missing, r
		}
		state := f.scratch.states[l.slot][:]
		clear(state)
		for i := range n {
			l.set(f, list, i)
			x, r := v(f)
			kind.add(state, x, r)
		}
		return kind.read(state)
	}).unbox(declaredType(g.typeOf(e)))
}

// sizeOfFilter covers list.filter(x, ...).size() without making the list.
func (g *generator) sizeOfFilter(e ast.Expr) code {
	if e.Kind() != ast.ComprehensionKind {
		return code{}
	}
	comp := e.AsComprehension()
	step := comp.LoopStep()
	if comp.HasIterVar2() || comp.AccuVar() != accumulator || step.Kind() != ast.CallKind || comp.Result().Kind() != ast.IdentKind ||
		step.AsCall().FunctionName() != operators.Conditional || g.typeOf(comp.IterRange()).Kind() != types.ListKind {
		return code{}
	}
	if !isFilterStep(step.AsCall(), comp.IterVar()) {
		return code{}
	}
	l, test, ok := g.body(comp, step.AsCall().Args()[0])
	if !ok {
		return code{}
	}
	return intCode(func(f *Frame) (int64, Reason) {
		n, list, r := l.start(f)
		if r != 0 {
			return 0, r
		}
		count, bad := int64(0), no
		for i := range n {
			l.set(f, list, i)
			switch t := test(f); t {
			case yes:
				count++
			case no:
			default:
				bad = t
			}
		}
		return count, bad.reason()
	})
}

// isFilterStep reports whether a step appends the variable itself, which
// cannot fail.
func isFilterStep(step ast.CallExpr, variable string) bool {
	add := step.Args()[1]
	if add.Kind() != ast.CallKind || len(add.AsCall().Args()) != 2 || add.AsCall().Args()[1].Kind() != ast.ListKind {
		return false
	}
	elems := add.AsCall().Args()[1].AsList().Elements()
	return len(elems) == 1 && elems[0].Kind() == ast.IdentKind && elems[0].AsIdent() == variable
}

// textFunction covers tests of one text by another. All errors of arguments
// come before type errors, as in the library.
func textFunction(name string, a, b code) code {
	var test func(s, t string) bool
	switch name {
	case "startsWith":
		test = strings.HasPrefix
	case "endsWith":
		test = strings.HasSuffix
	case "contains":
		test = strings.Contains
	}
	if a.form == formString && b.form == formString {
		s, t := a.s, b.s
		return boolCode(func(f *Frame) Truth {
			x, r := s(f)
			if r != 0 {
				return failed(r)
			}
			y, r := t(f)
			if r != 0 {
				return failed(r)
			}
			return truthOf(test(x, y))
		})
	}
	if !a.isScalar() || !b.isScalar() {
		return code{}
	}
	v, w := a.box(), b.box()
	return boolCode(func(f *Frame) Truth {
		x, r := v(f)
		if r != 0 {
			return failed(r)
		}
		y, r := w(f)
		if r != 0 {
			return failed(r)
		}
		if x.Kind() != event.KindString || y.Kind() != event.KindString {
			return failed(ReasonType)
		}
		return truthOf(test(x.AsString(), y.AsString()))
	})
}
