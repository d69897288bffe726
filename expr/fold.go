package expr

import (
	"math"

	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// An aggregateKind is one of sum, avg, min and so on: how values are folded
// into a state of a few values, and how the result is read from it.
//
// A state begins as missing values. Missing, null, NaN and infinite values are
// left out. An error stays in the state: it takes the place of its first
// value, as bytes that hold the reason.
type aggregateKind struct {
	name     string
	width    int
	function bool          // may be called with a list: sum(list)
	over     []*types.Type // types of values that it takes
	result   func(t *types.Type) *types.Type
	fold     func(state []event.Value, x event.Value)
	read     func(state []event.Value) (event.Value, Reason)
}

const maxAggregateWidth = 3

func sameType(t *types.Type) *types.Type   { return t }
func alwaysDouble(*types.Type) *types.Type { return types.DoubleType }
func alwaysInt(*types.Type) *types.Type    { return types.IntType }

var orderedTypes = []*types.Type{types.IntType, types.UintType, types.DoubleType, types.StringType, types.TimestampType, types.DurationType}

var aggregateKinds = []*aggregateKind{
	{"sum", 1, true, []*types.Type{types.IntType, types.UintType, types.DoubleType, types.DurationType}, sameType, foldSum, readFirst},
	{"avg", 2, true, numbers, alwaysDouble, foldAvg, readAvg},
	{"min", 1, true, orderedTypes, sameType, func(s []event.Value, x event.Value) { foldExtreme(s, x, -1) }, readFirst},
	{"max", 1, true, orderedTypes, sameType, func(s []event.Value, x event.Value) { foldExtreme(s, x, 1) }, readFirst},
	{"stddev", 3, true, numbers, alwaysDouble, foldStddev, readStddev},
	{"count", 1, false, []*types.Type{types.BoolType}, alwaysInt, foldCount, readCount},
}

func aggregateKindOf(name string) *aggregateKind {
	for _, k := range aggregateKinds {
		if k.name == name {
			return k
		}
	}
	return nil
}

// errorStates are the values that stand for an error in a state.
var errorStates = func() (vs [len(reasonNames)]event.Value) {
	for i := range vs {
		vs[i] = event.Bytes([]byte{byte(i)})
	}
	return vs
}()

// errorState returns the error that a state holds, 0 for none.
func errorState(state []event.Value) Reason {
	if state[0].Kind() != event.KindBytes {
		return 0
	}
	if b := state[0].AsBytes(); len(b) == 1 && int(b[0]) < len(reasonNames) {
		return Reason(b[0])
	}
	return ReasonOther
}

// leftOut reports whether an aggregate leaves x out, or is an error already.
func leftOut(state []event.Value, x event.Value) bool {
	switch x.Kind() {
	case event.KindMissing, event.KindNull:
		return true
	case event.KindDouble:
		if f := x.AsDouble(); math.IsNaN(f) || math.IsInf(f, 0) {
			return true
		}
	}
	return state[0].Kind() == event.KindBytes
}

// add folds the argument for one event, which may have failed. The first error
// stays; an event that lacks a field is left out. For count, what failed does
// not count.
func (k *aggregateKind) add(state []event.Value, x event.Value, r Reason) {
	switch {
	case r == 0:
		k.fold(state, x)
	case r != ReasonNoSuchField && k.name != "count" && state[0].Kind() != event.KindBytes:
		state[0] = errorStates[r]
	}
}

func foldSum(state []event.Value, x event.Value) {
	if leftOut(state, x) {
		return
	}
	if !isNumber(x) && x.Kind() != event.KindDuration {
		state[0] = errorStates[ReasonType]
		return
	}
	if state[0].IsMissing() {
		state[0] = x
		return
	}
	sum, r := arith(opAdd, state[0], x)
	if r == 0 && sum.Kind() == event.KindDouble && math.IsInf(sum.AsDouble(), 0) {
		r = ReasonOverflow
	}
	if r != 0 {
		sum = errorStates[r]
	}
	state[0] = sum
}

func readFirst(state []event.Value) (event.Value, Reason) {
	if r := errorState(state); r != 0 {
		return event.Missing, r
	}
	if state[0].IsMissing() {
		return event.Missing, ReasonEmpty
	}
	return state[0], 0
}

// foldAvg keeps the sum and the number of values.
func foldAvg(state []event.Value, x event.Value) {
	if leftOut(state, x) {
		return
	}
	f, ok := x.Number()
	if !ok {
		state[0] = errorStates[ReasonType]
		return
	}
	sum, n := 0.0, int64(0)
	if !state[0].IsMissing() {
		sum, n = state[0].AsDouble(), state[1].AsInt()
	}
	sum += f
	if math.IsInf(sum, 0) {
		state[0] = errorStates[ReasonOverflow]
		return
	}
	state[0], state[1] = event.Double(sum), event.Int(n+1)
}

func readAvg(state []event.Value) (event.Value, Reason) {
	if v, r := readFirst(state); r != 0 {
		return v, r
	}
	return event.Double(state[0].AsDouble() / float64(state[1].AsInt())), 0
}

func foldExtreme(state []event.Value, x event.Value, sign int) {
	if leftOut(state, x) {
		return
	}
	if k := x.Kind(); k == event.KindBool || k == event.KindBytes || !isOrdered(x) {
		state[0] = errorStates[ReasonType]
		return
	}
	if state[0].IsMissing() {
		state[0] = x
		return
	}
	switch c := compare(x, state[0]); c {
	case incomparable:
		state[0] = errorStates[ReasonType]
	case sign:
		state[0] = x
	}
}

// foldStddev keeps the number of values, their mean, and the sum of squared
// differences from it (B. P. Welford, "Note on a method for calculating
// corrected sums of squares and products", Technometrics 4(3), 1962).
func foldStddev(state []event.Value, x event.Value) {
	if leftOut(state, x) {
		return
	}
	f, ok := x.Number()
	if !ok {
		state[0] = errorStates[ReasonType]
		return
	}
	n, mean, m2 := int64(0), 0.0, 0.0
	if !state[0].IsMissing() {
		n, mean, m2 = state[0].AsInt(), state[1].AsDouble(), state[2].AsDouble()
	}
	n++
	delta := f - mean
	mean += delta / float64(n)
	m2 += float64(delta * (f - mean)) // not fused, so that the bits are the same everywhere
	if math.IsInf(m2, 0) || math.IsNaN(m2) {
		state[0] = errorStates[ReasonOverflow]
		return
	}
	state[0], state[1], state[2] = event.Int(n), event.Double(mean), event.Double(m2)
}

// readStddev returns the standard deviation of the values themselves, not an
// estimate for a population that they were drawn from.
func readStddev(state []event.Value) (event.Value, Reason) {
	if v, r := readFirst(state); r != 0 {
		return v, r
	}
	return event.Double(math.Sqrt(state[2].AsDouble() / float64(state[0].AsInt()))), 0
}

func foldCount(state []event.Value, x event.Value) {
	if state[0].IsMissing() {
		state[0] = event.Int(0)
	}
	if x.Kind() == event.KindBool && x.AsBool() {
		state[0] = event.Int(state[0].AsInt() + 1)
	}
}

func readCount(state []event.Value) (event.Value, Reason) {
	if state[0].IsMissing() {
		return event.Int(0), 0
	}
	return state[0], 0
}
