package expr

import (
	"cmp"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// logic covers && || ! and ?: with CEL's rules for errors: && and || absorb the
// error of one side if the other decides, and report the left one otherwise.
func (g *generator) logic(e ast.Expr, args []ast.Expr) code {
	codes, ok := g.exprs(args)
	if !ok {
		return code{}
	}
	test := codes[0].truth()
	if test == nil {
		return code{}
	}
	switch e.AsCall().FunctionName() {
	case operators.LogicalNot:
		c := fold(boolCode(func(f *Frame) Truth {
			if t := test(f); t > yes {
				return t
			} else {
				return yes - t
			}
		}), codes...)
		c.filter = codes[0].filter.negated()
		return c
	case operators.Conditional:
		return choice(test, codes)
	}
	decides := no // && is decided by no, || by yes
	if e.AsCall().FunctionName() == operators.LogicalOr {
		decides = yes
	}
	c := codes[0]
	for _, next := range codes[1:] {
		a, b := c.truth(), next.truth()
		if b == nil {
			return code{}
		}
		guard, filter := c.guard.both(next.guard), c.filter.both(next.filter)
		if decides == yes {
			guard, filter = c.guard.either(next.guard), c.filter.either(next.filter)
		}
		c = fold(boolCode(func(f *Frame) Truth {
			l := a(f)
			if l == decides {
				return l
			}
			r := b(f)
			if l > yes && r != decides {
				return l
			}
			return r
		}), c, next)
		c.guard, c.filter = guard, filter
	}
	return c
}

// choice covers ?: with both values of one form, or else boxed.
func choice(test boolFn, codes []code) code {
	a, b := codes[1], codes[2]
	if a.form != b.form && a.isScalar() && b.isScalar() {
		a, b = valueCode(a.box()), valueCode(b.box())
	}
	if a.form != b.form {
		return code{}
	}
	out := code{form: a.form}
	switch a.form {
	case formBool:
		out.b = func(f *Frame) Truth {
			switch t := test(f); t {
			case yes:
				return a.b(f)
			case no:
				return b.b(f)
			default:
				return t
			}
		}
	case formInt, formUint, formTime, formDuration:
		out.i = choose(test, a.i, b.i)
	case formDouble:
		out.d = choose(test, a.d, b.d)
	case formString:
		out.s = choose(test, a.s, b.s)
	case formValue:
		out.v = choose(test, a.v, b.v)
	default:
		return code{}
	}
	return fold(out, codes...)
}

func choose[T any](test boolFn, a, b func(*Frame) (T, Reason)) func(*Frame) (T, Reason) {
	return func(f *Frame) (T, Reason) {
		switch t := test(f); t {
		case yes:
			return a(f)
		case no:
			return b(f)
		default:
			var zero T
			return zero, t.reason()
		}
	}
}

type compareOp uint8

const (
	opEqual compareOp = iota
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
)

var compareOps = map[string]compareOp{
	operators.Equals: opEqual, operators.NotEquals: opNotEqual, operators.Less: opLess,
	operators.LessEquals: opLessEqual, operators.Greater: opGreater, operators.GreaterEquals: opGreaterEqual,
}

// mirrored[op] is the operator that says the same with its sides exchanged.
var mirrored = [...]compareOp{opEqual, opNotEqual, opGreater, opGreaterEqual, opLess, opLessEqual}

func holds[T cmp.Ordered](op compareOp, a, b T) bool {
	switch op {
	case opEqual:
		return a == b
	case opNotEqual:
		return a != b
	case opLess:
		return a < b
	case opLessEqual:
		return a <= b
	case opGreater:
		return a > b
	}
	return a >= b
}

func (g *generator) comparison(name string, args []ast.Expr) code {
	codes, ok := g.exprs(args)
	if !ok {
		return code{}
	}
	op, a, b := compareOps[name], codes[0], codes[1]
	if a.constant && !b.constant {
		op, a, b = mirrored[op], b, a
	}
	c := fold(comparison(op, a, b), codes...)
	c.guard, c.filter = equalGuard(op, a, b), compareFilter(op, a, b)
	return c
}

func comparison(op compareOp, a, b code) code {
	if c := comparisonWithSlot(op, a, b); c.ok() {
		return c
	}
	switch {
	case a.isNumber() && b.isNumber() && (a.form == formDouble || b.form == formDouble):
		return boolCode(comparing(op, a.double(), b.double(), b.constant))
	case a.form == b.form && a.form == formUint:
		return boolCode(comparing(op, unsigned(a.i), unsigned(b.i), b.constant))
	case a.form == b.form && a.i != nil:
		return boolCode(comparing(op, a.i, b.i, b.constant))
	case a.form == formString && b.form == formString:
		return boolCode(comparing(op, a.s, b.s, b.constant))
	case a.isScalar() && b.isScalar():
		return boolCode(comparingValues(op, a.box(), b.box()))
	}
	return code{}
}

func comparisonWithSlot(op compareOp, a, b code) code {
	if a.slot == 0 || !b.constant {
		return code{}
	}
	v := b.value()
	switch d, number := v.Number(); {
	case number && a.form == formDouble:
		return boolCode(compareDoubleSlot(op, a.slot-1, d))
	case a.form == formString && b.form == formString && op <= opNotEqual:
		return boolCode(equalStringSlot(a.slot-1, v.AsString(), op == opEqual))
	case number && a.form == formValue && !isNaN(v):
		return boolCode(compareAnySlot(op, a.slot-1, v))
	}
	return code{}
}

func unsigned(i intFn) func(*Frame) (uint64, Reason) {
	return func(f *Frame) (uint64, Reason) {
		x, r := i(f)
		return uint64(x), r
	}
}

// comparing compares two values of one type; NaN compares false.
func comparing[T cmp.Ordered](op compareOp, a, b func(*Frame) (T, Reason), constant bool) boolFn {
	if constant {
		c, _ := b(&Frame{})
		return func(f *Frame) Truth {
			x, r := a(f)
			if r != 0 {
				return failed(r)
			}
			return truthOf(holds(op, x, c))
		}
	}
	return func(f *Frame) Truth {
		x, r := a(f)
		if r != 0 {
			return failed(r)
		}
		y, r := b(f)
		if r != 0 {
			return failed(r)
		}
		return truthOf(holds(op, x, y))
	}
}

func comparingValues(op compareOp, a, b valueFn) boolFn {
	return func(f *Frame) Truth {
		x, r := a(f)
		if r != 0 {
			return failed(r)
		}
		y, r := b(f)
		if r != 0 {
			return failed(r)
		}
		return compareValues(op, x, y)
	}
}

// compareValues compares values of any types.
func compareValues(op compareOp, x, y event.Value) Truth {
	switch op {
	case opEqual:
		return truthOf(equal(x, y))
	case opNotEqual:
		return truthOf(!equal(x, y))
	}
	switch c := compare(x, y); c {
	case incomparable:
		return failed(ReasonType)
	case unordered:
		return no
	default:
		return truthOf(holds(op, c, 0))
	}
}

var arithOps = map[string]arithOp{fnAdd: opAdd, fnSub: opSub, fnMul: opMul, fnDiv: opDiv, fnMod: opMod}

func (g *generator) arithmetic(name string, args []ast.Expr, t *types.Type) code {
	codes, ok := g.exprs(args)
	if !ok {
		return code{}
	}
	if name == fnNeg {
		return fold(negation(codes[0]), codes...)
	}
	return fold(arithmetic(arithOps[name], codes[0], codes[1]).unboxNumber(t), codes...)
}

// unboxNumber unboxes a decimal: the static type is known where one side is.
func (c code) unboxNumber(t *types.Type) code {
	if c.form == formValue && t.Kind() == types.DoubleKind {
		return c.unbox(event.TypeDouble)
	}
	return c
}

func negation(a code) code {
	if a.form == formDouble {
		d := a.d
		return doubleCode(func(f *Frame) (float64, Reason) {
			x, r := d(f)
			return -x, r
		})
	}
	if !a.isScalar() {
		return code{}
	}
	v := a.box()
	c := valueCode(func(f *Frame) (event.Value, Reason) {
		x, r := v(f)
		if r != 0 {
			return event.Missing, r
		}
		return negate(x)
	})
	switch a.form {
	case formInt, formUint:
		return c.unbox(event.TypeInt)
	case formDuration:
		return c.unbox(event.TypeDuration)
	}
	return c
}

func arithmetic(op arithOp, a, b code) code {
	switch {
	case a.isNumber() && b.isNumber() && (a.form == formDouble || b.form == formDouble) && op != opMod:
		return doubleCode(arithDoubles(op, a.double(), b.double()))
	case a.form == formInt && b.form == formInt:
		return intCode(arithInts(op, a.i, b.i))
	case a.form == formString && b.form == formString && op == opAdd:
		return stringCode(concatenation(a.s, b.s))
	case a.form == formTime && b.form == formTime && op == opSub:
		return code{form: formDuration, i: arithInts(opSub, a.i, b.i)}
	case a.form == formDuration && b.form == formDuration && (op == opAdd || op == opSub):
		return code{form: formDuration, i: arithInts(op, a.i, b.i)}
	case a.form == formTime && b.form == formDuration && (op == opAdd || op == opSub):
		return code{form: formTime, i: arithTimes(op, a.i, b.i)}
	case a.form == formDuration && b.form == formTime && op == opAdd:
		return code{form: formTime, i: durationAndTime(a.i, b.i)}
	case !a.isScalar() || !b.isScalar():
		return code{}
	}
	return valueCode(arithValues(op, a.box(), b.box()))
}

func arithDoubles(op arithOp, a, b doubleFn) doubleFn {
	return func(f *Frame) (float64, Reason) {
		x, r := a(f)
		if r != 0 {
			return 0, r
		}
		y, r := b(f)
		if r != 0 {
			return 0, r
		}
		return arithDouble(op, x, y), 0
	}
}

func arithInts(op arithOp, a, b intFn) intFn {
	return func(f *Frame) (int64, Reason) {
		x, r := a(f)
		if r != 0 {
			return 0, r
		}
		y, r := b(f)
		if r != 0 {
			return 0, r
		}
		return arithInt(op, x, y)
	}
}

func arithTimes(op arithOp, t, d intFn) intFn {
	return func(f *Frame) (int64, Reason) {
		x, r := t(f)
		if r != 0 {
			return 0, r
		}
		y, r := d(f)
		if r != 0 {
			return 0, r
		}
		if op == opSub {
			z, r := subTime(event.Time(x), time.Duration(y))
			return int64(z), r
		}
		z, r := addTime(event.Time(x), time.Duration(y))
		return int64(z), r
	}
}

// durationAndTime adds in the order of evaluation, so that the left error wins.
func durationAndTime(d, t intFn) intFn {
	return func(f *Frame) (int64, Reason) {
		x, r := d(f)
		if r != 0 {
			return 0, r
		}
		y, r := t(f)
		if r != 0 {
			return 0, r
		}
		z, r := addTime(event.Time(y), time.Duration(x))
		return int64(z), r
	}
}

func concatenation(a, b stringFn) stringFn {
	return func(f *Frame) (string, Reason) {
		x, r := a(f)
		if r != 0 {
			return "", r
		}
		y, r := b(f)
		return x + y, r
	}
}

func arithValues(op arithOp, a, b valueFn) valueFn {
	return func(f *Frame) (event.Value, Reason) {
		x, r := a(f)
		if r != 0 {
			return event.Missing, r
		}
		y, r := b(f)
		if r != 0 {
			return event.Missing, r
		}
		if op == opAdd && x.Kind() == y.Kind() {
			switch x.Kind() {
			case event.KindString:
				return event.String(x.AsString() + y.AsString()), 0
			case event.KindBytes:
				return event.Bytes([]byte(string(x.AsBytes()) + string(y.AsBytes()))), 0
			case event.KindList:
				return event.List(append(x.AsList()[:len(x.AsList()):len(x.AsList())], y.AsList()...)), 0
			}
		}
		return arith(op, x, y)
	}
}

// in covers membership of constant lists, lists and maps.
func (g *generator) in(args []ast.Expr) code {
	codes, ok := g.exprs(args)
	if !ok || !codes[0].isScalar() || !codes[1].isScalar() {
		return code{}
	}
	a, b := codes[0], codes[1]
	if b.constant && b.value().Kind() == event.KindList {
		c := fold(boolCode(inConstants(a, b.value().AsList())), a)
		c.guard, c.filter = inGuard(a, b), inFilter(a, b.value().AsList())
		return c
	}
	x, in := a.box(), b.box()
	return fold(boolCode(func(f *Frame) Truth {
		v, r := x(f)
		if r != 0 {
			return failed(r)
		}
		l, r := in(f)
		if r != 0 {
			return failed(r)
		}
		return contains(l, v)
	}), codes...)
}

func contains(in, v event.Value) Truth {
	switch in.Kind() {
	case event.KindList:
		for _, e := range in.AsList() {
			if equal(v, e) {
				return yes
			}
		}
		return no
	case event.KindMap:
		return truthOf(v.Kind() == event.KindString && !in.Field(v.AsString()).IsMissing())
	}
	return failed(ReasonType)
}

// inConstants looks text up in a table, and compares everything else one by
// one.
func inConstants(a code, list []event.Value) boolFn {
	texts := make(map[string]bool, len(list))
	for _, v := range list {
		if v.Kind() == event.KindString {
			texts[strings.Clone(v.AsString())] = true
		}
	}
	if a.form == formString {
		s := a.s
		return func(f *Frame) Truth {
			x, r := s(f)
			if r != 0 {
				return failed(r)
			}
			return truthOf(texts[x])
		}
	}
	v, in := a.box(), event.List(list)
	return func(f *Frame) Truth {
		x, r := v(f)
		switch {
		case r != 0:
			return failed(r)
		case x.Kind() == event.KindString:
			return truthOf(texts[x.AsString()])
		}
		return contains(in, x)
	}
}
