package expr

import "github.com/cepd/cepd/event"

// Program is a compiled expression.
type Program struct {
	src       string
	canonical string
	typ       event.Type
	want      Want
	fields    []string
	vars      []int
	linked    bool
	key       bool
	topic     bool
	wholeKey  bool     // the value is `key` itself, whatever its parts
	condition boolFn   // closures, of a condition
	closure   valueFn  // closures, of any other value
	library   *library // where closures do not cover it
	guard     *Guard   // of a condition
	filter    filter   // of a condition
	field     int      // 1 + the slot of `e` that is the value as it stands, where it is of a kind
	kind      event.Kind
}

// Compile parses, checks and compiles one expression. It returns either a
// program or at least one issue, in order of offset. Fields of streams that the
// expression reads are marked as used in the scope's schemas.
func Compile(src string, scope *Scope, want Want) (*Program, []Issue) {
	return compile(src, scope, want, options{event: "e"})
}

// Bool evaluates a condition. An error makes it false; the error is an
// [*EvalError] and says why.
func (p *Program) Bool(f *Frame) (bool, error) {
	t := p.truth(f)
	return t == yes, t.Err()
}

// truth evaluates a condition.
func (p *Program) truth(f *Frame) Truth {
	if p.condition != nil {
		return p.condition(f)
	}
	v, r := p.eval(f)
	if r == 0 && v.Kind() != event.KindBool {
		r = ReasonType
	}
	if r != 0 {
		return failed(r)
	}
	return truthOf(v.AsBool())
}

// run returns what evaluates a condition.
func (p *Program) run() boolFn {
	if p.condition != nil {
		return p.condition
	}
	return p.truth
}

// Value evaluates the expression. The error is an [*EvalError]. A text may
// share memory with the event's payload.
func (p *Program) Value(f *Frame) (event.Value, error) {
	if p.IsField(f.Event) { // as keys and times mostly are
		return f.Event.Slots[p.field-1], nil
	}
	v, r := p.eval(f)
	if r != 0 {
		return event.Missing, evalErrors[r]
	}
	return v, nil
}

// IsField reports whether the value is nothing but a field of a declared type
// that the event has.
func (p *Program) IsField(e *event.Event) bool {
	return p.field > 0 && p.field <= len(e.Slots) && e.Slots[p.field-1].Kind() == p.kind
}

// Field returns the slot and the kind of that field; [event.KindMissing] where
// the value is something else.
func (p *Program) Field() (slot int, kind event.Kind) {
	if p.field == 0 {
		return 0, event.KindMissing
	}
	return p.field - 1, p.kind
}

// eval evaluates the expression and checks that a dynamic value is what was
// wanted.
func (p *Program) eval(f *Frame) (event.Value, Reason) {
	if p.condition != nil {
		t := p.condition(f)
		return event.Bool(t == yes), t.reason()
	}
	var v event.Value
	var r Reason
	if p.closure != nil {
		v, r = p.closure(f)
	} else {
		v, r = p.library.eval(f)
	}
	if r != 0 {
		return event.Missing, r
	}
	if !p.want.allows(v.Kind()) {
		return event.Missing, ReasonType
	}
	return v, 0
}

// allows reports whether a value of a kind is what is wanted.
func (w Want) allows(k event.Kind) bool {
	switch w {
	case WantBool:
		return k == event.KindBool
	case WantTime:
		return k == event.KindTime || k == event.KindString
	case WantKey:
		return k >= event.KindBool && k <= event.KindDuration && k != event.KindBytes
	case WantNumber:
		return k >= event.KindInt && k <= event.KindDouble
	}
	return true
}

// Type returns the type of the values; [event.TypeAny] where each event decides.
func (p *Program) Type() event.Type { return p.typ }

// Linked reports whether the expression reads what a match has accepted.
func (p *Program) Linked() bool { return p.linked }

// UsesKey reports whether the expression reads `key`.
func (p *Program) UsesKey() bool { return p.key }

// UsesTopic reports whether the expression asks for the topic of an event.
func (p *Program) UsesTopic() bool { return p.topic }

// Canonical returns the expression's text with uniform spacing and quotes:
// expressions that differ in layout only have the same.
func (p *Program) Canonical() string { return p.canonical }

// EventFields returns the names of the fields of `e` that the expression
// reads, sorted.
func (p *Program) EventFields() []string { return p.fields }

// Variables returns the numbers of the variables of a window, or of Scope.Vars,
// that the expression reads, sorted.
func (p *Program) Variables() []int { return p.vars }

// Source returns the text that was compiled.
func (p *Program) Source() string { return p.src }

// Compiled reports whether the expression runs as closures, and not in the CEL
// library.
func (p *Program) Compiled() bool { return p.library == nil }

// fieldKinds are the kinds that fields have whose types are declared.
var fieldKinds = map[form]event.Kind{
	formString: event.KindString, formTime: event.KindTime, formInt: event.KindInt, formDouble: event.KindDouble,
}

// build makes closures of the tree, or where one part of it is not covered, a
// program of the library.
func (c *compilation) build(p *Program) {
	p.want = c.want
	var root code
	if !c.options.library {
		root = (&generator{compilation: c}).expr(c.ast.Expr())
	}
	switch {
	case c.want == WantBool && root.truth() != nil:
		p.condition, p.guard, p.filter = root.truth(), root.guard, root.filter
		if no, yes := p.filter.no, p.filter.yes; len(no) == 1 && len(yes) != 1 { // else it is but the test
			p.condition = no[0].before(p.condition)
		}
	case c.want != WantBool && root.isScalar():
		p.closure = root.box()
		if k, ok := fieldKinds[root.form]; ok && p.want.allows(k) {
			p.field, p.kind = root.slot, k
		}
	default:
		lib, err := c.plan()
		if err != nil {
			c.issues = append(c.issues, Issue{0, len(c.src.text), err.Error(), ""})
		}
		p.library = lib
	}
}
