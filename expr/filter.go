package expr

import (
	"math"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
)

// Most conditions compare fields with constants, and most events meet none of
// them. To find that out takes less than to evaluate them: a test of one field,
// without a call, shows that a condition does not hold, such as `e.a > 1` or
// `e.b == "x"` for `e.a > 1 && e.b == "x"`. Where no test shows it, the condition
// is evaluated. A test has no answer for a field that is missing or of another
// kind than it is about, and then shows nothing: errors are the closures' alone.

// A test asks whether a field is in a range of numbers, a certain text, or the
// like.
type test struct {
	want event.Value // the greatest number; a text
	word uint64      // the bits of the least number; the text's Word
	slot uint16
	ask  asked
	not  bool // it asks for the contrary
}

// asked says what a test asks of its field.
type asked uint8

const (
	askNothing asked = iota // it has no answer
	askNumber               // a number in a range, which is a double mostly
	askInt                  // an int in a range
	askText                 // a text
	askPrefix               // a text that begins so
	askTrue                 // true
	askHas                  // that it is there
)

// fails reports whether the event's field has an answer, and that is no.
func (t *test) fails(slots []event.Value) bool {
	if int(t.slot) >= len(slots) {
		return false
	}
	v := &slots[t.slot]
	switch t.ask {
	case askNumber:
		x := v.AsDouble()
		if v.Is(event.KindInt) && isExact(v.AsInt()) {
			x = float64(v.AsInt())
		} else if !v.Is(event.KindDouble) {
			return false
		}
		return (t.least() <= x && x <= t.most()) == t.not
	case askInt:
		return v.Is(event.KindInt) && (int64(t.word) <= v.AsInt() && v.AsInt() <= t.want.AsInt()) == t.not
	case askText:
		return v.Is(event.KindString) && (v.AsString() == t.want.AsString()) == t.not
	case askPrefix:
		return v.Is(event.KindString) && strings.HasPrefix(v.AsString(), t.want.AsString()) == t.not
	case askTrue:
		return v.Is(event.KindBool) && v.AsBool() == t.not
	case askHas:
		return v.IsMissing() != t.not
	}
	return false
}

func (t *test) least() float64 { return math.Float64frombits(t.word) }
func (t *test) most() float64  { return t.want.AsDouble() }

// isExact reports whether as a double an int compares with any number as it does
// as an int.
func isExact(i int64) bool { return i > -1<<53 && i < 1<<53 }

// A filter is what tests tell about a condition.
type filter struct {
	no  []test // if none of these holds, the condition does not; nil if there are none
	yes []test // if none of these holds, the condition does
}

// maxTests is the number of tests up to which they cost less than the condition.
const maxTests = 8

// filterBy returns the filter of a condition that is a test.
func filterBy(slot int, t test) filter {
	if slot > math.MaxUint16 {
		return filter{}
	}
	t.slot = uint16(slot)
	not := t
	not.not = !t.not
	return filter{[]test{t}, []test{not}}
}

// negated returns the filter of the contrary.
func (f filter) negated() filter { return filter{f.yes, f.no} }

// both returns the filter of a conjunction, which is no if either side is, whatever
// becomes of the other.
func (f filter) both(g filter) filter { return filter{fewer(f.no, g.no), union(f.yes, g.yes)} }

// either returns the filter of a disjunction.
func (f filter) either(g filter) filter { return filter{union(f.no, g.no), fewer(f.yes, g.yes)} }

func union(f, g []test) []test {
	if f == nil || g == nil || len(f)+len(g) > maxTests {
		return nil
	}
	return append(slices.Clone(f), g...)
}

// fewer returns the tests that cost less.
func fewer(f, g []test) []test {
	switch {
	case f == nil:
		return g
	case g == nil, len(f) < len(g):
		return f
	case len(g) < len(f), g[0].ask < f[0].ask:
		return g
	}
	return f
}

// compareFilter returns the filter of a comparison of two values.
func compareFilter(op compareOp, a, b code) filter {
	if a.slot == 0 || !b.constant || !b.isScalar() {
		return filter{}
	}
	if op == opNotEqual {
		return compareFilter(opEqual, a, b).negated()
	}
	v := b.value()
	d, number := v.Number()
	t := test{want: v}
	switch {
	case number && (a.form == formDouble || a.form == formValue):
		least, most := rangeOf(op, d)
		t.ask, t.word, t.want = askNumber, math.Float64bits(least), event.Double(most)
	case a.form == formInt && v.Kind() == event.KindInt:
		least, most := intRange(op, v.AsInt())
		t.ask, t.word, t.want = askInt, uint64(least), event.Int(most)
	case op == opEqual && v.Kind() == event.KindString && (a.form == formString || a.form == formValue):
		t.ask, t.word = askText, v.Word()
	case op == opEqual && v.Kind() == event.KindBool && (a.form == formBool || a.form == formValue):
		t.ask, t.not = askTrue, !v.AsBool()
	default:
		return filter{}
	}
	return filterBy(a.slot-1, t)
}

// rangeOf returns the least and the greatest double for which a comparison with d
// holds.
func rangeOf(op compareOp, d float64) (least, most float64) {
	least, most = math.Inf(-1), math.Inf(1)
	switch {
	case math.IsNaN(d), op == opLess && d == least, op == opGreater && d == most:
		return most, least // there is none
	case op == opLess:
		most = math.Nextafter(d, least)
	case op == opLessEqual:
		most = d
	case op == opEqual:
		least, most = d, d
	case op == opGreaterEqual:
		least = d
	case op == opGreater:
		least = math.Nextafter(d, most)
	}
	return least, most
}

// intRange is the same for ints.
func intRange(op compareOp, i int64) (least, most int64) {
	least, most = math.MinInt64, math.MaxInt64
	switch {
	case op == opLess && i == least, op == opGreater && i == most:
		return most, least // there is none
	case op == opLess:
		most = i - 1
	case op == opLessEqual:
		most = i
	case op == opEqual:
		least, most = i, i
	case op == opGreaterEqual:
		least = i
	case op == opGreater:
		least = i + 1
	}
	return least, most
}

// inFilter returns the filter of membership in a list of constants.
func inFilter(a code, list []event.Value) (f filter) {
	if len(list) == 0 {
		return filter{} // nothing is in it, but a field may be missing
	}
	for i, v := range list {
		g := compareFilter(opEqual, a, constantCode(v))
		if i == 0 {
			f = g
		} else {
			f = f.either(g)
		}
	}
	return f
}

// prefixFilter returns the filter of whether a field begins with a constant.
func prefixFilter(a, b code) filter {
	if a.slot == 0 || a.form != formString && a.form != formValue || !b.constant || b.form != formString {
		return filter{}
	}
	return filterBy(a.slot-1, test{ask: askPrefix, want: b.value()})
}

// before returns a condition that is evaluated only where its test does not show
// that it does not hold.
func (t test) before(run boolFn) boolFn {
	slot := int(t.slot)
	switch {
	case t.ask == askInt && !t.not:
		least, most := int64(t.word), t.want.AsInt()
		return func(f *Frame) Truth {
			if s := f.Event.Slots; slot < len(s) && s[slot].Is(event.KindInt) {
				if i := s[slot].AsInt(); i < least || i > most {
					return no
				}
			}
			return run(f)
		}
	case t.ask == askNumber && !t.not:
		least, most := t.least(), t.most()
		return func(f *Frame) Truth {
			if s := f.Event.Slots; slot < len(s) && s[slot].Is(event.KindDouble) {
				if x := s[slot].AsDouble(); !(least <= x && x <= most) {
					return no
				}
			} else if t.fails(s) { // it may be an int
				return no
			}
			return run(f)
		}
	}
	return func(f *Frame) Truth {
		if t.fails(f.Event.Slots) {
			return no
		}
		return run(f)
	}
}

// Conditions are conditions that are asked by number, each now and then: what
// asking one takes lies together for all, since with thousands of them fetching
// it from memory is most of what one costs.
type Conditions []boolFn

// NewConditions returns the conditions of a list by their place in it.
func NewConditions(programs []*Program) Conditions {
	c := make(Conditions, len(programs))
	for i, p := range programs {
		c[i] = p.run()
	}
	return c
}

// Ask evaluates condition i.
func (c Conditions) Ask(i int, f *Frame) Truth { return c[i](f) }

// AnyOf are conditions of which it is asked whether any of them holds. Mostly
// none does.
type AnyOf struct {
	tests     tests
	run       []boolFn
	all, rest []int // numbers of the conditions; of those of which no tests show that they do not hold
}

// NewAnyOf returns the conditions of a list.
func NewAnyOf(programs []*Program) *AnyOf {
	a := &AnyOf{}
	var all []test
	for i, p := range programs {
		a.run, a.all = append(a.run, p.run()), append(a.all, i)
		if p.filter.no == nil {
			a.rest = append(a.rest, i)
		}
		all = append(all, p.filter.no...)
	}
	a.tests = newTests(all)
	return a
}

// Excluded reports whether tests of an event's fields show that none of the
// conditions holds; nil knows nothing. It is where an event that nobody wants costs
// most.
func (a *AnyOf) Excluded(slots []event.Value) bool {
	return a != nil && len(a.rest) == 0 && a.tests.fail(slots)
}

// First returns the number of the first of the conditions that holds or fails, and
// which of both, for an event that is not [AnyOf.Excluded]; -1 where there is none.
func (a *AnyOf) First(f *Frame) (n int, t Truth) {
	ask := a.all
	if 0 < len(a.rest) && len(a.rest) < len(a.all) && a.tests.fail(f.Event.Slots) {
		ask = a.rest
	}
	for _, n := range ask {
		if t := a.run[n](f); t != no {
			return n, t
		}
	}
	return -1, no
}

// tests are tests that are asked together, each kind in the order of the fields in
// memory. Those of which there are most have no more than what they ask.
type tests struct {
	numbers []numberTest
	texts   []textTests
	others  []test
}

// numberTest asks whether a field is in a range of numbers.
type numberTest struct {
	slot        uint
	least, most float64
}

// textTests ask whether one field is any of some texts.
type textTests struct {
	slot uint
	any  []textTest
}

// textTest is what tells a text from others.
type textTest struct {
	len  int
	word uint64
}

func newTests(all []test) (ts tests) {
	slices.SortStableFunc(all, func(t, u test) int { return int(t.slot) - int(u.slot) })
	for _, t := range all {
		slot := uint(t.slot)
		switch {
		case t.ask == askNumber && !t.not:
			ts.numbers = append(ts.numbers, numberTest{slot, t.least(), t.most()})
		case t.ask == askText && !t.not:
			if n := len(ts.texts); n == 0 || ts.texts[n-1].slot != slot {
				ts.texts = append(ts.texts, textTests{slot: slot})
			}
			of := &ts.texts[len(ts.texts)-1]
			of.any = append(of.any, textTest{t.want.Len(), t.word})
		default:
			ts.others = append(ts.others, t)
		}
	}
	return ts
}

// fail reports whether all tests fail. What most events are asked is asked here: a
// call would cost as much as all the rest.
func (ts *tests) fail(slots []event.Value) bool {
	for i := range ts.numbers {
		t := &ts.numbers[i]
		if t.slot >= uint(len(slots)) {
			return false
		}
		v := &slots[t.slot]
		x := v.AsDouble()
		if !v.Is(event.KindDouble) {
			if !v.Is(event.KindInt) || !isExact(v.AsInt()) {
				return false
			}
			x = float64(v.AsInt())
		}
		if t.least <= x && x <= t.most {
			return false
		}
	}
	for i := range ts.texts {
		t := &ts.texts[i]
		if t.slot >= uint(len(slots)) || !slots[t.slot].Is(event.KindString) {
			return false
		}
		if v := slots[t.slot]; t.holds(v.Len(), v.Word()) {
			return false
		}
	}
	return len(ts.others) == 0 || ts.othersFail(slots)
}

func (ts *tests) othersFail(slots []event.Value) bool {
	for i := range ts.others {
		if !ts.others[i].fails(slots) {
			return false
		}
	}
	return true
}

// holds reports whether the field may be one of the texts, by its length and its
// word.
func (t *textTests) holds(n int, word uint64) bool {
	for i := range t.any {
		if u := &t.any[i]; u.len == n && u.word == word {
			return true
		}
	}
	return false
}
