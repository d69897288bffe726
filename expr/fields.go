package expr

import "github.com/cepd/cepd/event"

// Loads of fields of `e`, and comparisons of one with a constant, which are
// what most conditions are made of.

// loadSlot returns the code that loads a field of the event being judged.
func loadSlot(slot int, t event.Type) code {
	c := code{slot: slot + 1}
	switch t {
	case event.TypeDouble:
		c.form = formDouble
		c.d = func(f *Frame) (float64, Reason) {
			if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindDouble {
				return s[slot].AsDouble(), 0
			}
			return slowDouble(f, slot)
		}
	case event.TypeString:
		c.form = formString
		c.s = func(f *Frame) (string, Reason) {
			if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindString {
				return s[slot].AsString(), 0
			}
			return "", wrongKind(f, slot)
		}
	case event.TypeBool:
		c.form = formBool
		c.b = func(f *Frame) Truth {
			if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindBool {
				return truthOf(s[slot].AsBool())
			}
			return failed(wrongKind(f, slot))
		}
		c.filter = filterBy(slot, test{ask: askTrue})
	case event.TypeInt, event.TypeUint, event.TypeTimestamp, event.TypeDuration:
		kind := kindOf[t]
		c.form = formOf[t]
		c.i = func(f *Frame) (int64, Reason) {
			if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == kind {
				return s[slot].AsInt(), 0
			}
			return 0, wrongKind(f, slot)
		}
	default:
		c.form = formValue
		c.v = func(f *Frame) (event.Value, Reason) { return conform(f.Event.Slot(slot), t) }
		if t == event.TypeAny {
			c.filter = filterBy(slot, test{ask: askTrue})
		}
	}
	return c
}

// wrongKind says why a slot has no value of its declared type.
func wrongKind(f *Frame, slot int) Reason {
	if f.Event.Slot(slot).IsMissing() {
		return ReasonNoSuchField
	}
	return ReasonType
}

// slowDouble loads a double that came as an integer, or is not there.
func slowDouble(f *Frame, slot int) (float64, Reason) {
	v, r := conform(f.Event.Slot(slot), event.TypeDouble)
	if r != 0 {
		return 0, r
	}
	return v.AsDouble(), 0
}

// compareDoubleSlot fuses a field, an operator and a constant.
func compareDoubleSlot(op compareOp, slot int, c float64) boolFn {
	slow := func(f *Frame) Truth {
		d, r := slowDouble(f, slot)
		if r != 0 {
			return failed(r)
		}
		return truthOf(holds(op, d, c))
	}
	// One closure for each operator: a call inside would cost as much as all
	// the rest.
	switch op {
	case opLess:
		return func(f *Frame) Truth {
			if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindDouble {
				return truthOf(s[slot].AsDouble() < c)
			}
			return slow(f)
		}
	case opLessEqual:
		return func(f *Frame) Truth {
			if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindDouble {
				return truthOf(s[slot].AsDouble() <= c)
			}
			return slow(f)
		}
	case opGreater:
		return func(f *Frame) Truth {
			if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindDouble {
				return truthOf(s[slot].AsDouble() > c)
			}
			return slow(f)
		}
	case opGreaterEqual:
		return func(f *Frame) Truth {
			if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindDouble {
				return truthOf(s[slot].AsDouble() >= c)
			}
			return slow(f)
		}
	}
	want := op == opEqual
	return func(f *Frame) Truth {
		if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindDouble {
			return truthOf((s[slot].AsDouble() == c) == want)
		}
		return slow(f)
	}
}

// equalStringSlot fuses a field, == or != and a constant text.
func equalStringSlot(slot int, c string, want bool) boolFn {
	return func(f *Frame) Truth {
		if s := f.Event.Slots; slot < len(s) && s[slot].Kind() == event.KindString {
			return truthOf((s[slot].AsString() == c) == want)
		}
		return failed(wrongKind(f, slot))
	}
}

// compareAnySlot fuses a dynamic field, an operator and a constant number.
func compareAnySlot(op compareOp, slot int, c event.Value) boolFn {
	d, _ := c.Number()
	return func(f *Frame) Truth {
		s := f.Event.Slots
		if slot >= len(s) {
			return failed(ReasonNoSuchField)
		}
		switch s[slot].Kind() {
		case event.KindDouble:
			return truthOf(holds(op, s[slot].AsDouble(), d))
		case event.KindMissing:
			return failed(ReasonNoSuchField)
		}
		return compareValues(op, s[slot], c)
	}
}
