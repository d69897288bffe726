package expr

import (
	"math"
	"time"

	"github.com/cepd/cepd/event"
)

// Closures over unboxed values. Each returns its value or the reason why there
// is none; a reason other than 0 means that the value says nothing.
type (
	boolFn   func(*Frame) Truth
	intFn    func(*Frame) (int64, Reason) // int, uint, timestamp and duration
	doubleFn func(*Frame) (float64, Reason)
	stringFn func(*Frame) (string, Reason)
	valueFn  func(*Frame) (event.Value, Reason)
	eventFn  func(*Frame) (*event.Event, Reason)
)

// Truth is the answer of a condition, CEL's three-valued logic in one byte: no,
// yes, or 1 + a reason why it is neither.
type Truth uint8

const (
	no  Truth = 0
	yes Truth = 1
)

func truthOf(b bool) Truth {
	if b {
		return yes
	}
	return no
}

func failed(r Reason) Truth { return Truth(r) + 1 }

// reason returns why t is neither yes nor no, or 0.
func (t Truth) reason() Reason {
	if t > yes {
		return Reason(t - 1)
	}
	return 0
}

// Holds reports whether t is yes.
func (t Truth) Holds() bool { return t == yes }

// Failed reports whether t is neither yes nor no.
func (t Truth) Failed() bool { return t > yes }

// Err returns why t is neither yes nor no, an [*EvalError], or nil.
func (t Truth) Err() error {
	if t > yes {
		return evalErrors[t.reason()]
	}
	return nil
}

// A code is an expression turned into a closure. Its form says which of the
// closures it has. That need not be the static type: a value whose type is
// known may still come boxed.
type code struct {
	form     form
	b        boolFn
	i        intFn
	d        doubleFn
	s        stringFn
	v        valueFn
	e        eventFn
	list     *eventSource
	row      rowFn
	constant bool // the closure ignores its frame and does not fail
	slot     int  // 1 + the slot of `e` that the closure loads, 0 for others
	guard    *Guard
	filter   filter
}

type form uint8

const (
	formNone form = iota // not covered: the library's
	formBool
	formInt
	formUint
	formDouble
	formString
	formTime
	formDuration
	formValue    // boxed
	formEvent    // an event
	formEvents   // the events of a step
	formMaybe    // a boxed value, missing without a reason where an optional has none
	formRow      // a row of a table
	formMaybeRow // the same, nil without a reason where an optional has none
)

// An eventSource is a list of events.
type eventSource struct {
	count func(*Frame) int
	at    func(*Frame, int) *event.Event
	of    *object
}

func boolCode(f boolFn) code     { return code{form: formBool, b: f} }
func intCode(f intFn) code       { return code{form: formInt, i: f} }
func doubleCode(f doubleFn) code { return code{form: formDouble, d: f} }
func stringCode(f stringFn) code { return code{form: formString, s: f} }
func valueCode(f valueFn) code   { return code{form: formValue, v: f} }

func (c code) ok() bool       { return c.form != formNone }
func (c code) isNumber() bool { return c.form == formInt || c.form == formUint || c.form == formDouble }
func (c code) isScalar() bool { return c.form >= formBool && c.form <= formValue }

// constantCode returns the code of a constant.
func constantCode(v event.Value) code {
	c := code{constant: true}
	switch v.Kind() {
	case event.KindBool:
		t := truthOf(v.AsBool())
		c.form, c.b = formBool, func(*Frame) Truth { return t }
	case event.KindInt:
		i := v.AsInt()
		c.form, c.i = formInt, func(*Frame) (int64, Reason) { return i, 0 }
	case event.KindUint:
		i := int64(v.AsUint())
		c.form, c.i = formUint, func(*Frame) (int64, Reason) { return i, 0 }
	case event.KindTime:
		i := int64(v.AsTime())
		c.form, c.i = formTime, func(*Frame) (int64, Reason) { return i, 0 }
	case event.KindDuration:
		i := int64(v.AsDuration())
		c.form, c.i = formDuration, func(*Frame) (int64, Reason) { return i, 0 }
	case event.KindDouble:
		d := v.AsDouble()
		c.form, c.d = formDouble, func(*Frame) (float64, Reason) { return d, 0 }
	case event.KindString:
		s := v.AsString()
		c.form, c.s = formString, func(*Frame) (string, Reason) { return s, 0 }
	default:
		c.form, c.v = formValue, func(*Frame) (event.Value, Reason) { return v, 0 }
	}
	return c
}

// box returns a closure that gives the value boxed, nil for events.
func (c code) box() valueFn {
	switch c.form {
	case formBool:
		b := c.b
		return func(f *Frame) (event.Value, Reason) {
			t := b(f)
			return event.Bool(t == yes), t.reason()
		}
	case formDouble:
		d := c.d
		return func(f *Frame) (event.Value, Reason) {
			x, r := d(f)
			return event.Double(x), r
		}
	case formString:
		s := c.s
		return func(f *Frame) (event.Value, Reason) {
			x, r := s(f)
			return event.String(x), r
		}
	case formInt, formUint, formTime, formDuration:
		i, box := c.i, boxInt[c.form]
		return func(f *Frame) (event.Value, Reason) {
			x, r := i(f)
			return box(x), r
		}
	case formValue:
		return c.v
	}
	return nil
}

var boxInt = map[form]func(int64) event.Value{
	formInt:      event.Int,
	formUint:     func(i int64) event.Value { return event.Uint(uint64(i)) },
	formTime:     func(i int64) event.Value { return event.Timestamp(event.Time(i)) },
	formDuration: func(i int64) event.Value { return event.DurationOf(time.Duration(i)) },
}

// fold evaluates c now if all that it is made of is constant.
func fold(c code, parts ...code) code {
	for _, p := range parts {
		if !p.constant {
			return c
		}
	}
	if !c.isScalar() {
		return c
	}
	if v, r := c.box()(&Frame{}); r == 0 {
		return constantCode(v)
	}
	return c // it fails for every event
}

// value returns the value of a constant.
func (c code) value() event.Value {
	v, _ := c.box()(&Frame{})
	return v
}

// truth returns a closure that gives the value as a condition.
func (c code) truth() boolFn {
	switch c.form {
	case formBool:
		return c.b
	case formValue:
		v := c.v
		return func(f *Frame) Truth {
			x, r := v(f)
			switch {
			case r != 0:
				return failed(r)
			case x.Kind() != event.KindBool:
				return failed(ReasonType)
			}
			return truthOf(x.AsBool())
		}
	}
	return nil
}

// double returns a closure that gives a number as a decimal.
func (c code) double() doubleFn {
	switch c.form {
	case formDouble:
		return c.d
	case formInt:
		i := c.i
		return func(f *Frame) (float64, Reason) {
			x, r := i(f)
			return float64(x), r
		}
	case formUint:
		i := c.i
		return func(f *Frame) (float64, Reason) {
			x, r := i(f)
			return float64(uint64(x)), r
		}
	case formValue:
		v := c.v
		return func(f *Frame) (float64, Reason) {
			x, r := v(f)
			if r != 0 {
				return 0, r
			}
			d, ok := x.Number()
			if !ok {
				return 0, ReasonType
			}
			return d, 0
		}
	}
	return nil
}

// text returns a closure that gives the value as text.
func (c code) text() stringFn {
	switch c.form {
	case formString:
		return c.s
	case formValue:
		v := c.v
		return func(f *Frame) (string, Reason) {
			x, r := v(f)
			switch {
			case r != 0:
				return "", r
			case x.Kind() != event.KindString:
				return "", ReasonType
			}
			return x.AsString(), 0
		}
	}
	return nil
}

// unbox returns c as a value of a static type, where that is a scalar and c is
// boxed. A value of another kind is a type error.
func (c code) unbox(t event.Type) code {
	if c.form != formValue {
		return c
	}
	v := c.v
	switch t {
	case event.TypeBool:
		return boolCode(c.truth())
	case event.TypeString:
		return stringCode(c.text())
	case event.TypeDouble:
		return doubleCode(c.double())
	case event.TypeInt, event.TypeUint, event.TypeTimestamp, event.TypeDuration:
		kind := kindOf[t]
		return code{form: formOf[t], i: func(f *Frame) (int64, Reason) {
			x, r := v(f)
			switch {
			case r != 0:
				return 0, r
			case x.Kind() != kind:
				return 0, ReasonType
			}
			return x.AsInt(), 0 // all four are one word
		}}
	}
	return c
}

var formOf = map[event.Type]form{
	event.TypeInt: formInt, event.TypeUint: formUint, event.TypeTimestamp: formTime, event.TypeDuration: formDuration,
}

// isIntegral reports whether d is a whole number that an int64 holds.
func isIntegral(d float64) bool {
	return d == math.Trunc(d) && d >= math.MinInt64 && d < math.MaxInt64
}
