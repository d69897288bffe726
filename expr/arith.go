package expr

import (
	"math"
	"time"

	"github.com/cepd/cepd/event"
)

// Arithmetic over mixed numbers, times and durations. Closures and the library
// both come here, so that they cannot differ. An operation that has no value
// returns a reason, and 0 otherwise.

type arithOp uint8

const (
	opAdd arithOp = iota
	opSub
	opMul
	opDiv
	opMod
)

// arith computes a OP b. Two integers of one kind give that kind, an int and a
// uint an int; with a decimal the result is a decimal.
func arith(op arithOp, a, b event.Value) (event.Value, Reason) {
	ka, kb := a.Kind(), b.Kind()
	switch {
	case ka == event.KindDouble || kb == event.KindDouble:
		x, okx := a.Number()
		y, oky := b.Number()
		if !okx || !oky || op == opMod {
			return event.Missing, ReasonType
		}
		return event.Double(arithDouble(op, x, y)), 0
	case ka == event.KindInt && kb == event.KindInt:
		i, r := arithInt(op, a.AsInt(), b.AsInt())
		return event.Int(i), r
	case ka == event.KindUint && kb == event.KindUint:
		u, r := arithUint(op, a.AsUint(), b.AsUint())
		return event.Uint(u), r
	case ka == event.KindInt && kb == event.KindUint:
		if b.AsUint() > math.MaxInt64 {
			return event.Missing, ReasonOverflow
		}
		i, r := arithInt(op, a.AsInt(), int64(b.AsUint()))
		return event.Int(i), r
	case ka == event.KindUint && kb == event.KindInt:
		if a.AsUint() > math.MaxInt64 {
			return event.Missing, ReasonOverflow
		}
		i, r := arithInt(op, int64(a.AsUint()), b.AsInt())
		return event.Int(i), r
	}
	return arithTime(op, a, b)
}

func arithTime(op arithOp, a, b event.Value) (event.Value, Reason) {
	ka, kb := a.Kind(), b.Kind()
	switch {
	case op == opAdd && ka == event.KindTime && kb == event.KindDuration:
		t, r := addTime(a.AsTime(), b.AsDuration())
		return event.Timestamp(t), r
	case op == opAdd && ka == event.KindDuration && kb == event.KindTime:
		t, r := addTime(b.AsTime(), a.AsDuration())
		return event.Timestamp(t), r
	case op == opAdd && ka == event.KindDuration && kb == event.KindDuration:
		i, r := arithInt(opAdd, int64(a.AsDuration()), int64(b.AsDuration()))
		return event.DurationOf(time.Duration(i)), r
	case op == opSub && ka == event.KindTime && kb == event.KindTime:
		i, r := arithInt(opSub, int64(a.AsTime()), int64(b.AsTime()))
		return event.DurationOf(time.Duration(i)), r
	case op == opSub && ka == event.KindTime && kb == event.KindDuration:
		t, r := subTime(a.AsTime(), b.AsDuration())
		return event.Timestamp(t), r
	case op == opSub && ka == event.KindDuration && kb == event.KindDuration:
		i, r := arithInt(opSub, int64(a.AsDuration()), int64(b.AsDuration()))
		return event.DurationOf(time.Duration(i)), r
	}
	return event.Missing, ReasonType
}

func addTime(t event.Time, d time.Duration) (event.Time, Reason) {
	i, r := arithInt(opAdd, int64(t), int64(d))
	if r == 0 && !timeInRange(i) {
		r = ReasonOverflow
	}
	return event.Time(i), r
}

func subTime(t event.Time, d time.Duration) (event.Time, Reason) {
	i, r := arithInt(opSub, int64(t), int64(d))
	if r == 0 && !timeInRange(i) {
		r = ReasonOverflow
	}
	return event.Time(i), r
}

func arithDouble(op arithOp, a, b float64) float64 {
	switch op {
	case opAdd:
		return a + b
	case opSub:
		return a - b
	case opMul:
		return a * b
	}
	return a / b
}

func arithInt(op arithOp, a, b int64) (int64, Reason) {
	switch op {
	case opAdd:
		c := a + b
		if (c > a) != (b > 0) && b != 0 {
			return 0, ReasonOverflow
		}
		return c, 0
	case opSub:
		c := a - b
		if (c < a) != (b > 0) && b != 0 {
			return 0, ReasonOverflow
		}
		return c, 0
	case opMul:
		if a == 0 || b == 0 {
			return 0, 0
		}
		c := a * b
		if c/b != a || a == -1 && b == math.MinInt64 || b == -1 && a == math.MinInt64 {
			return 0, ReasonOverflow
		}
		return c, 0
	}
	if b == 0 {
		return 0, ReasonDivisionByZero
	}
	if a == math.MinInt64 && b == -1 {
		return 0, ReasonOverflow
	}
	if op == opDiv {
		return a / b, 0
	}
	return a % b, 0
}

func arithUint(op arithOp, a, b uint64) (uint64, Reason) {
	switch op {
	case opAdd:
		if a+b < a {
			return 0, ReasonOverflow
		}
		return a + b, 0
	case opSub:
		if b > a {
			return 0, ReasonOverflow
		}
		return a - b, 0
	case opMul:
		if a == 0 || b == 0 {
			return 0, 0
		}
		if c := a * b; c/b == a {
			return c, 0
		}
		return 0, ReasonOverflow
	}
	if b == 0 {
		return 0, ReasonDivisionByZero
	}
	if op == opDiv {
		return a / b, 0
	}
	return a % b, 0
}

func negate(a event.Value) (event.Value, Reason) {
	switch a.Kind() {
	case event.KindInt:
		i, r := arithInt(opSub, 0, a.AsInt())
		return event.Int(i), r
	case event.KindUint:
		if a.AsUint() > math.MaxInt64 {
			return event.Missing, ReasonOverflow
		}
		return event.Int(-int64(a.AsUint())), 0
	case event.KindDouble:
		return event.Double(-a.AsDouble()), 0
	case event.KindDuration:
		i, r := arithInt(opSub, 0, int64(a.AsDuration()))
		return event.DurationOf(time.Duration(i)), r
	}
	return event.Missing, ReasonType
}

// The library compares an integer with a decimal as decimals, after a look at
// the range. The functions below do the same.

func compareDoubleInt(d float64, i int64) int {
	switch {
	case d < math.MinInt64:
		return -1
	case d > math.MaxInt64:
		return 1
	}
	return compareDouble(d, float64(i))
}

func compareDoubleUint(d float64, u uint64) int {
	switch {
	case d < 0:
		return -1
	case d > math.MaxUint64:
		return 1
	}
	return compareDouble(d, float64(u))
}

func compareIntUint(i int64, u uint64) int {
	if i < 0 || u > math.MaxInt64 {
		return -1
	}
	return compareOrdered(i, int64(u))
}

func compareDouble(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareOrdered[T int64 | uint64 | string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareNumbers orders two numbers, neither of them NaN.
func compareNumbers(a, b event.Value) int {
	switch ka, kb := a.Kind(), b.Kind(); {
	case ka == event.KindDouble && kb == event.KindDouble:
		return compareDouble(a.AsDouble(), b.AsDouble())
	case ka == event.KindDouble && kb == event.KindInt:
		return compareDoubleInt(a.AsDouble(), b.AsInt())
	case ka == event.KindDouble:
		return compareDoubleUint(a.AsDouble(), b.AsUint())
	case kb == event.KindDouble && ka == event.KindInt:
		return -compareDoubleInt(b.AsDouble(), a.AsInt())
	case kb == event.KindDouble:
		return -compareDoubleUint(b.AsDouble(), a.AsUint())
	case ka == event.KindInt && kb == event.KindInt:
		return compareOrdered(a.AsInt(), b.AsInt())
	case ka == event.KindInt:
		return compareIntUint(a.AsInt(), b.AsUint())
	case kb == event.KindInt:
		return -compareIntUint(b.AsInt(), a.AsUint())
	}
	return compareOrdered(a.AsUint(), b.AsUint())
}

func isNumber(v event.Value) bool {
	return v.Kind() >= event.KindInt && v.Kind() <= event.KindDouble
}

func isNaN(v event.Value) bool {
	return v.Kind() == event.KindDouble && math.IsNaN(v.AsDouble())
}

// Results of compare beside -1, 0 and 1.
const (
	unordered    = 2 // NaN: every comparison is false
	incomparable = 3 // an error
)

// compare orders two values of one ordered type, or two numbers.
func compare(a, b event.Value) int {
	if !isOrdered(a) {
		return incomparable
	}
	if isNaN(a) || isNaN(b) {
		return unordered
	}
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b)
	}
	if a.Kind() != b.Kind() {
		return incomparable
	}
	switch a.Kind() {
	case event.KindString:
		return compareOrdered(a.AsString(), b.AsString())
	case event.KindBytes:
		return compareOrdered(string(a.AsBytes()), string(b.AsBytes()))
	case event.KindTime:
		return compareOrdered(int64(a.AsTime()), int64(b.AsTime()))
	case event.KindDuration:
		return compareOrdered(int64(a.AsDuration()), int64(b.AsDuration()))
	case event.KindBool:
		return compareOrdered(boolInt(a.AsBool()), boolInt(b.AsBool()))
	}
	return incomparable
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func isOrdered(v event.Value) bool {
	return v.Kind() >= event.KindBool && v.Kind() <= event.KindDuration
}

// equal is CEL's == over values of any types.
func equal(a, b event.Value) bool {
	if isNumber(a) && isNumber(b) {
		return !isNaN(a) && !isNaN(b) && compareNumbers(a, b) == 0
	}
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case event.KindString:
		return a.AsString() == b.AsString()
	case event.KindList:
		as, bs := a.AsList(), b.AsList()
		if len(as) != len(bs) {
			return false
		}
		for i := range as {
			if !equal(as[i], bs[i]) {
				return false
			}
		}
		return true
	case event.KindMap:
		as := a.AsMap()
		if len(as) != len(b.AsMap()) {
			return false
		}
		for _, entry := range as {
			if v := b.Field(entry.Name); v.IsMissing() || !equal(entry.Value, v) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}
