package event

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestKeys(t *testing.T) {
	for _, same := range [][]Value{
		{Int(1), Uint(1), Double(1)}, {Int(0), Double(math.Copysign(0, -1))}, {Uint(1 << 63), Double(1 << 63)},
		{Double(math.NaN()), Double(math.Float64frombits(math.Float64bits(math.NaN()) + 1))},
	} {
		first, err := AppendKey(nil, same[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range same[1:] {
			if k, err := AppendKey(nil, v); err != nil || !bytes.Equal(k, first) {
				t.Errorf("%s %s has the key %x, want %x (%v)", v.Kind(), v.Text(), k, first, err)
			}
		}
	}
	seen := map[string]Value{}
	for _, v := range values {
		k, err := AppendKey([]byte("x"), v)
		switch v.Kind() {
		case KindMissing, KindNull:
			if !errors.Is(err, ErrKeyMissing) {
				t.Errorf("%s: %v", v.Text(), err)
			}
		case KindList, KindMap:
			if !errors.Is(err, ErrKeyType) {
				t.Errorf("%s: %v", v.Text(), err)
			}
		default:
			if err != nil {
				t.Errorf("%s: %v", v.Text(), err)
				continue
			}
			if other, ok := seen[string(k)]; ok {
				t.Errorf("%s %s and %s %s have one key", v.Kind(), v.Text(), other.Kind(), other.Text())
			}
			seen[string(k)] = v
			parts, err := DecodeKey(string(k[1:]))
			if err != nil || len(parts) != 1 || !parts[0].Equal(v) || k[0] != 'x' {
				t.Errorf("%s reads back as %v, %v", v.Text(), parts, err)
			}
		}
	}
	if k, err := AppendKey(nil); err != nil || len(k) != 0 || KeyText("") != "" {
		t.Errorf("a key without parts: %x, %v", k, err)
	}
}

func TestKeyText(t *testing.T) {
	k, err := AppendKey(nil, String("oslo"), Int(7), Bool(true), DurationOf(60*1e9), Timestamp(0), Double(0.5), Bytes([]byte{1}), Uint(math.MaxUint64))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := KeyText(string(k)), `oslo/7/true/1m/1970-01-01T00:00:00Z/0.5/"AQ=="/18446744073709551615`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range []string{"\x00", "\x03123", "\x06\x05ab", "\x06", "\x63", "\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"} {
		if parts, err := DecodeKey(bad); err == nil {
			t.Errorf("%x is the key %v", bad, parts)
		}
		if KeyText(bad) != "?" {
			t.Errorf("%x has a text", bad)
		}
	}
}

// The groups of keys are written on disk: they must never move.
func TestGroup(t *testing.T) {
	for key, want := range map[string]uint8{"": 239, "a": 210, "pump-0017": 183} {
		if got := Group([]byte(key)); got != want {
			t.Errorf("%q is in group %d, want %d", key, got, want)
		}
	}
}

// partsFrom makes parts of a key out of bytes.
func partsFrom(b []byte) []Value {
	var parts []Value
	for r := NewReader(b); r.Len() > 0; {
		v := r.Value()
		if r.Err() != nil {
			break
		}
		parts = append(parts, v)
	}
	return parts
}

// FuzzKey holds the encoding to its promise: it reads back, and two lists of
// parts have one encoding only if they are equal.
func FuzzKey(f *testing.F) {
	add := func(a, b []Value) {
		var x, y []byte
		for _, v := range a {
			x = v.AppendBinary(x)
		}
		for _, v := range b {
			y = v.AppendBinary(y)
		}
		f.Add(x, y)
	}
	add([]Value{String("a"), String("b")}, []Value{String("ab")})
	add([]Value{String("ab"), String("")}, []Value{String("a"), String("b")})
	add([]Value{Int(1), Double(0.5)}, []Value{Uint(1), Double(0.5)})
	add([]Value{Bool(true), Bytes([]byte("x"))}, []Value{Timestamp(1), DurationOf(1)})
	add([]Value{Double(math.NaN())}, []Value{Double(math.NaN()), Double(1 << 63)})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p, q := partsFrom(a), partsFrom(b)
		x, err := AppendKey(nil, p...)
		if err != nil {
			return
		}
		back, err := DecodeKey(string(x))
		if err != nil || !keysEqual(back, p) {
			t.Fatalf("%v reads back as %v (%v)", p, back, err)
		}
		y, err := AppendKey(nil, q...)
		if err != nil {
			return
		}
		if bytes.Equal(x, y) != keysEqual(p, q) {
			t.Fatalf("%v and %v: %x and %x", p, q, x, y)
		}
	})
}

func keysEqual(p, q []Value) bool {
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		nan := p[i].Kind() == KindDouble && q[i].Kind() == KindDouble && math.IsNaN(p[i].AsDouble()) && math.IsNaN(q[i].AsDouble())
		if !p[i].Equal(q[i]) && !nan {
			return false
		}
	}
	return true
}
