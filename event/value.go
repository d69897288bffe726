package event

import (
	"math"
	"slices"
	"strings"
	"unsafe"
)

// Kind says what a [Value] holds.
type Kind uint8

// The kinds of values. A missing value is one that its event lacks, which is
// not the same as null.
const (
	KindMissing Kind = iota
	KindNull
	KindBool
	KindInt
	KindUint
	KindDouble
	KindString
	KindBytes
	KindTime
	KindDuration
	KindList
	KindMap
)

var kindNames = [...]string{"missing", "null", "bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "list", "map"}

// String returns the kind's name as CEL has it.
func (k Kind) String() string { return kindNames[k] }

// Value is a typed value of 24 bytes. The zero Value is [Missing]. Values are
// immutable; a string may point into a payload, see [Value.Clone].
type Value struct {
	p unsafe.Pointer // bytes of a string, *[]Value of a list, *[]Entry of a map
	n uint64         // number, bool, time, or the length of a string
	k Kind
}

// Entry is one entry of a map.
type Entry struct {
	Name  string
	Value Value
}

// Missing is the value of a field that an event lacks.
var Missing = Value{}

// Null is JSON's null.
var Null = Value{k: KindNull}

// Bool returns a boolean value.
func Bool(b bool) Value {
	if b {
		return Value{k: KindBool, n: 1}
	}
	return Value{k: KindBool}
}

// Int returns an integer value.
func Int(i int64) Value { return Value{k: KindInt, n: uint64(i)} }

// Uint returns an unsigned integer value.
func Uint(u uint64) Value { return Value{k: KindUint, n: u} }

// Double returns a floating-point value.
func Double(f float64) Value { return Value{k: KindDouble, n: math.Float64bits(f)} }

// String returns a text value that shares s's bytes.
func String(s string) Value {
	return Value{k: KindString, p: unsafe.Pointer(unsafe.StringData(s)), n: uint64(len(s))}
}

// StringOf returns a text value that shares b, which must not change as long
// as the value is in use.
func StringOf(b []byte) Value {
	return Value{k: KindString, p: unsafe.Pointer(unsafe.SliceData(b)), n: uint64(len(b))}
}

// Bytes returns a value of raw bytes that shares b.
func Bytes(b []byte) Value {
	return Value{k: KindBytes, p: unsafe.Pointer(unsafe.SliceData(b)), n: uint64(len(b))}
}

// Timestamp returns a point in time.
func Timestamp(t Time) Value { return Value{k: KindTime, n: uint64(t)} }

// DurationOf returns a length of time.
func DurationOf(d Duration) Value { return Value{k: KindDuration, n: uint64(d)} }

// List returns a list that shares vs.
func List(vs []Value) Value { return Value{k: KindList, p: unsafe.Pointer(&vs)} }

// Map returns a map that shares es, whose names must be distinct.
func Map(es []Entry) Value { return Value{k: KindMap, p: unsafe.Pointer(&es)} }

// Kind returns what v holds.
func (v Value) Kind() Kind { return v.k }

// IsMissing reports whether the event lacks the value.
func (v Value) IsMissing() bool { return v.k == KindMissing }

// AsBool returns the boolean that v holds. Like the other As methods, it must
// be called on a value of its kind only.
func (v Value) AsBool() bool { return v.n != 0 }

// AsInt returns the integer that v holds.
func (v Value) AsInt() int64 { return int64(v.n) }

// AsUint returns the unsigned integer that v holds.
func (v Value) AsUint() uint64 { return v.n }

// AsDouble returns the floating-point number that v holds.
func (v Value) AsDouble() float64 { return math.Float64frombits(v.n) }

// AsString returns the text that v holds.
func (v Value) AsString() string { return unsafe.String((*byte)(v.p), int(v.n)) }

// AsBytes returns the bytes that v holds, which must not be changed.
func (v Value) AsBytes() []byte { return unsafe.Slice((*byte)(v.p), int(v.n)) }

// AsTime returns the point in time that v holds.
func (v Value) AsTime() Time { return Time(v.n) }

// AsDuration returns the length of time that v holds.
func (v Value) AsDuration() Duration { return Duration(v.n) }

// AsList returns the elements of a list, which must not be changed.
func (v Value) AsList() []Value { return *(*[]Value)(v.p) }

// AsMap returns the entries of a map, which must not be changed.
func (v Value) AsMap() []Entry { return *(*[]Entry)(v.p) }

// Number returns v as a float64, if it is a number.
func (v Value) Number() (f float64, ok bool) {
	switch v.k {
	case KindInt:
		return float64(int64(v.n)), true
	case KindUint:
		return float64(v.n), true
	case KindDouble:
		return math.Float64frombits(v.n), true
	}
	return 0, false
}

// Field returns the entry of a map by name, [Missing] where there is none or v
// is no map.
func (v Value) Field(name string) Value {
	if v.k == KindMap {
		for _, e := range v.AsMap() {
			if e.Name == name {
				return e.Value
			}
		}
	}
	return Missing
}

// Clone returns v with text and bytes copied, so that it shares no memory with
// a payload.
func (v Value) Clone() Value {
	switch v.k {
	case KindString:
		return String(strings.Clone(v.AsString()))
	case KindBytes:
		return Bytes(slices.Clone(v.AsBytes()))
	case KindList:
		vs := slices.Clone(v.AsList())
		for i := range vs {
			vs[i] = vs[i].Clone()
		}
		return List(vs)
	case KindMap:
		es := slices.Clone(v.AsMap())
		for i := range es {
			es[i] = Entry{strings.Clone(es[i].Name), es[i].Value.Clone()}
		}
		return Map(es)
	}
	return v
}

// Equal reports whether two values are the same, as CEL's == has it: numbers
// by their value whatever their kind, maps whatever the order of entries.
// Missing equals missing only.
func (v Value) Equal(w Value) bool {
	if v.k != w.k {
		return numberEqual(v, w)
	}
	switch v.k {
	case KindMissing, KindNull:
		return true
	case KindDouble:
		return v.AsDouble() == w.AsDouble()
	case KindString, KindBytes:
		return v.AsString() == w.AsString()
	case KindList:
		return slices.EqualFunc(v.AsList(), w.AsList(), Value.Equal)
	case KindMap:
		es := v.AsMap()
		if len(es) != len(w.AsMap()) {
			return false
		}
		for _, e := range es {
			if f := w.Field(e.Name); f.IsMissing() || !e.Value.Equal(f) {
				return false
			}
		}
		return true
	}
	return v.n == w.n
}

func numberEqual(v, w Value) bool {
	a, ok := canonicalNumber(v)
	if !ok {
		return false
	}
	b, ok := canonicalNumber(w)
	return ok && a.k == b.k && a.n == b.n
}

// canonicalNumber returns the one representation that all numbers of the same
// value share: an int where it fits, else a uint, else a double.
func canonicalNumber(v Value) (Value, bool) {
	switch v.k {
	case KindInt:
		return v, true
	case KindUint:
		if v.n <= math.MaxInt64 {
			return Int(int64(v.n)), true
		}
		return v, true
	case KindDouble:
		f := v.AsDouble()
		switch {
		case f != math.Trunc(f) || math.IsInf(f, 0): // also NaN
			return v, true
		case f >= -(1<<63) && f < 1<<63:
			return Int(int64(f)), true
		case f >= 0 && f < 1<<64:
			return Uint(uint64(f)), true
		}
		return v, true
	}
	return Missing, false
}
