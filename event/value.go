package event

import (
	"encoding/binary"
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

// Value is a typed value of 16 bytes. The zero Value is [Missing]. Values are
// immutable; a string may point into a payload, see [Value.Clone].
//
// What needs all 64 bits of n, such as a number, has its kind in p, which then
// points at one of [kinds] and at nothing of its own. What p points to has its
// kind in the highest bits of n, where no length comes.
type Value struct {
	p unsafe.Pointer // bytes of a text, *[]Value of a list, *[]Entry of a map; or one of kinds
	n uint64         // number, bool, time; or the kind above the length of a text
}

// kinds stand for what values hold that point to nothing, by their addresses.
// Nobody reads or writes them.
var kinds [KindDuration + 1]byte

const (
	kindShift = 56
	lenMask   = 1<<kindShift - 1
)

// plain returns a value that needs n alone.
func plain(k Kind, n uint64) Value { return Value{unsafe.Pointer(&kinds[k]), n} }

// text returns a value of n bytes at p.
func text(k Kind, p *byte, n int) Value {
	return Value{unsafe.Pointer(p), uint64(k)<<kindShift | uint64(n)}
}

// size returns the length of a text.
func (v Value) size() uint64 { return v.n & lenMask }

// Entry is one entry of a map.
type Entry struct {
	Name  string
	Value Value
}

// Missing is the value of a field that an event lacks.
var Missing = Value{}

// Null is JSON's null.
var Null = plain(KindNull, 0)

// Bool returns a boolean value.
func Bool(b bool) Value {
	if b {
		return plain(KindBool, 1)
	}
	return plain(KindBool, 0)
}

// Int returns an integer value.
func Int(i int64) Value { return plain(KindInt, uint64(i)) }

// Uint returns an unsigned integer value.
func Uint(u uint64) Value { return plain(KindUint, u) }

// Double returns a floating-point value.
func Double(f float64) Value { return plain(KindDouble, math.Float64bits(f)) }

// String returns a text value that shares s's bytes.
func String(s string) Value { return text(KindString, unsafe.StringData(s), len(s)) }

// StringOf returns a text value that shares b, which must not change as long
// as the value is in use.
func StringOf(b []byte) Value { return text(KindString, unsafe.SliceData(b), len(b)) }

// StringAt returns a text value of the n bytes at p, as [StringOf] does of a slice.
func StringAt(p *byte, n int) Value { return text(KindString, p, n) }

// Bytes returns a value of raw bytes that shares b.
func Bytes(b []byte) Value { return text(KindBytes, unsafe.SliceData(b), len(b)) }

// Timestamp returns a point in time.
func Timestamp(t Time) Value { return plain(KindTime, uint64(t)) }

// DurationOf returns a length of time.
func DurationOf(d Duration) Value { return plain(KindDuration, uint64(d)) }

// List returns a list that shares vs.
func List(vs []Value) Value { return Value{unsafe.Pointer(&vs), uint64(KindList) << kindShift} }

// Map returns a map that shares es, whose names must be distinct.
func Map(es []Entry) Value { return Value{unsafe.Pointer(&es), uint64(KindMap) << kindShift} }

// Kind returns what v holds.
func (v Value) Kind() Kind {
	if k := uintptr(v.p) - uintptr(unsafe.Pointer(&kinds)); k < uintptr(len(kinds)) {
		return Kind(k)
	}
	return Kind(v.n >> kindShift)
}

// Is reports whether v holds a value of kind k. Where k is a constant that costs
// less than to ask for the kind.
func (v Value) Is(k Kind) bool {
	switch k {
	case KindMissing, KindString, KindBytes, KindList, KindMap:
		return v.Kind() == k
	}
	return v.p == unsafe.Pointer(&kinds[k])
}

// IsMissing reports whether the event lacks the value.
func (v Value) IsMissing() bool { return v == Value{} }

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
func (v Value) AsString() string { return unsafe.String((*byte)(v.p), int(v.size())) }

// AsBytes returns the bytes that v holds, which must not be changed.
func (v Value) AsBytes() []byte { return unsafe.Slice((*byte)(v.p), int(v.size())) }

// Len returns the length in bytes of the text or bytes that v holds.
func (v Value) Len() int { return int(v.size()) }

// Word returns eight bytes that tell texts of one length apart: all of a text
// that is no longer, and the beginning of a longer one mixed with its end, so
// that texts may differ which have the same.
func (v Value) Word() uint64 {
	b := v.AsBytes()
	switch n := len(b); {
	case n >= 8:
		return binary.LittleEndian.Uint64(b) + wordMix*binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	case n > 0:
		return uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16
	}
	return 0
}

// wordMix is even, so that of eight bytes, which are both ends, none is lost:
// they are multiplied by an odd number.
const wordMix = 0x9e3779b97f4a7c14

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
	switch v.Kind() {
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
	if v.Kind() == KindMap {
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
	switch v.Kind() {
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
	k := v.Kind()
	if k != w.Kind() {
		return numberEqual(v, w)
	}
	switch k {
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
	return ok && a == b // both have their kind in p
}

// canonicalNumber returns the one representation that all numbers of the same
// value share: an int where it fits, else a uint, else a double.
func canonicalNumber(v Value) (Value, bool) {
	switch v.Kind() {
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
