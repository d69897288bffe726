package window

import (
	"cmp"

	"github.com/cepd/cepd/event"
)

// extreme is min or max. Among equal values it keeps that of the earlier event.
type extreme struct {
	v    event.Value // missing: none
	sign int8        // -1: min, 1: max
	bad  bool        // values that have no common order
}

func (m *extreme) add(_ event.Time, x event.Value) {
	c := int(m.sign)
	if m.v.IsMissing() {
		if !ordered(x) {
			m.bad = true
			return
		}
	} else {
		var ok bool
		if c, ok = compare(x, m.v); !ok {
			m.bad = true
			return
		}
	}
	if c == int(m.sign) {
		m.v = x.Clone()
	}
}

// addDouble is add for a double, which mostly follows others.
func (m *extreme) addDouble(x float64) {
	if !m.v.Is(event.KindDouble) {
		m.add(0, event.Double(x))
	} else if v := m.v.AsDouble(); m.sign > 0 && x > v || m.sign < 0 && x < v {
		m.v = event.Double(x)
	}
}

func (m *extreme) merge(o partial) {
	p := o.(*extreme)
	m.bad = m.bad || p.bad
	if !p.v.IsMissing() {
		m.add(0, p.v)
	}
}

func (m *extreme) read(*Aggregate) (event.Value, Reason) {
	switch {
	case m.bad:
		return event.Missing, ReasonType
	case m.v.IsMissing():
		return event.Missing, ReasonEmpty
	}
	return m.v, 0
}

func (m *extreme) reset() { m.v, m.bad = event.Missing, false }

func (m *extreme) appendBinary(dst []byte) []byte {
	return m.v.AppendBinary(appendBool(dst, m.bad))
}

func (m *extreme) load(r *event.Reader) {
	m.bad = readBool(r)
	m.v = r.Value()
	if !m.v.IsMissing() && !ordered(m.v) {
		m.v, m.bad = event.Missing, true
	}
}

// edge is first or last.
type edge struct {
	last bool
	t    event.Time
	v    event.Value // missing: none
}

func (e *edge) add(t event.Time, x event.Value) {
	if e.v.IsMissing() || !e.last && t < e.t || e.last && t >= e.t {
		e.t = t
		if !same(e.v, x) {
			e.v = x.Clone()
		}
	}
}

func (e *edge) merge(o partial) {
	if p := o.(*edge); !p.v.IsMissing() {
		e.add(p.t, p.v)
	}
}

func (e *edge) read(*Aggregate) (event.Value, Reason) {
	if e.v.IsMissing() {
		return event.Missing, ReasonEmpty
	}
	return e.v, 0
}

func (e *edge) reset() { e.t, e.v = 0, event.Missing }

func (e *edge) appendBinary(dst []byte) []byte { return e.v.AppendBinary(appendTime(dst, e.t)) }

func (e *edge) load(r *event.Reader) { e.t, e.v = event.Time(r.Varint()), r.Value() }

// same reports whether two values are texts that are equal, so that a copy can
// be saved.
func same(v, w event.Value) bool {
	return v.Kind() == event.KindString && w.Kind() == event.KindString && v.AsString() == w.AsString()
}

// ordered reports whether min and max take v.
func ordered(v event.Value) bool {
	switch v.Kind() {
	case event.KindInt, event.KindUint, event.KindDouble, event.KindString, event.KindTime, event.KindDuration:
		return true
	}
	return false
}

// compare orders two values of one kind, or two numbers, by what they are
// exactly.
func compare(v, w event.Value) (c int, ok bool) {
	kv, kw := v.Kind(), w.Kind()
	if kv != kw {
		return compareMixed(v, w)
	}
	switch kv {
	case event.KindInt:
		return cmp.Compare(v.AsInt(), w.AsInt()), true
	case event.KindUint:
		return cmp.Compare(v.AsUint(), w.AsUint()), true
	case event.KindDouble:
		return cmp.Compare(v.AsDouble(), w.AsDouble()), true
	case event.KindString:
		return cmp.Compare(v.AsString(), w.AsString()), true
	case event.KindTime:
		return cmp.Compare(v.AsTime(), w.AsTime()), true
	case event.KindDuration:
		return cmp.Compare(v.AsDuration(), w.AsDuration()), true
	}
	return 0, false
}

// compareMixed orders two numbers of different kinds. A conversion to double
// keeps their order, but may make them equal; then the double is a whole
// number, and integers decide.
func compareMixed(v, w event.Value) (int, bool) {
	f, okv := v.Number()
	g, okw := w.Number()
	if !okv || !okw {
		return 0, false
	}
	if c := cmp.Compare(f, g); c != 0 {
		return c, true
	}
	i, j := wholeOf(v), wholeOf(w)
	return cmp.Or(cmp.Compare(i.hi, j.hi), cmp.Compare(i.lo, j.lo)), true
}

// wholeOf returns a number that is equal to an integer, in 128 bits. A double
// beyond all integers never comes here.
func wholeOf(v event.Value) integer {
	switch v.Kind() {
	case event.KindInt:
		return integer{v.AsInt() >> 63, uint64(v.AsInt())}
	case event.KindUint:
		return integer{0, v.AsUint()}
	}
	switch f := v.AsDouble(); {
	case f >= 1<<64:
		return integer{1, 0}
	case f >= 0:
		return integer{0, uint64(f)}
	default:
		return integer{-1, uint64(int64(f))}
	}
}
