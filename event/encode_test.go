package event

import (
	"bytes"
	"math"
	"testing"
)

func TestValueRoundTrip(t *testing.T) {
	for _, v := range append([]Value{Double(math.NaN()), Double(math.Copysign(0, -1))}, values...) {
		b := v.AppendBinary([]byte("x"))
		r := NewReader(b[1:])
		w := r.Value()
		if r.Err() != nil || r.Len() != 0 || w.Kind() != v.Kind() || !bytes.Equal(w.AppendBinary(nil), b[1:]) {
			t.Errorf("%s %s reads back as %s %s (%v)", v.Kind(), v.Text(), w.Kind(), w.Text(), r.Err())
		}
		for n := range len(b) - 1 {
			r := NewReader(b[1 : 1+n])
			if r.Value(); r.Err() == nil {
				t.Errorf("%s %s: the first %d bytes are a value", v.Kind(), v.Text(), n)
			}
		}
	}
}

func TestReaderMistakes(t *testing.T) {
	deep := bytes.Repeat([]byte{byte(KindList), 1}, maxDepth+2)
	for name, b := range map[string][]byte{
		"nothing": nil, "no kind": {99}, "a bool of 2": {byte(KindBool), 2}, "a varint without end": {byte(KindInt), 0x80},
		"a varint of 11 bytes": append([]byte{byte(KindUint)}, bytes.Repeat([]byte{0xff}, 11)...),
		"half a double":        {byte(KindDouble), 1, 2, 3}, "a text that is longer": {byte(KindString), 5, 'a'},
		"a list that is longer": {byte(KindList), 200, 1}, "a map without values": {byte(KindMap), 1, 1, 'a'}, "too deep": deep,
	} {
		r := NewReader(b)
		if v := r.Value(); r.Err() != ErrEncoding {
			t.Errorf("%s: got %s, %v", name, v.Text(), r.Err())
		}
		if r.Len() != 0 || r.Byte() != 0 || r.Uvarint() != 0 || r.Varint() != 0 || r.Text() != "" || r.Count() != 0 || !r.Position().IsZero() {
			t.Errorf("%s: something is read after the mistake", name)
		}
	}
	r := NewReader(append(Position{}.AppendBinary([]byte{0xff, 0xff, 0xff, 0xff, 0x1f}), 0))
	if p := r.Position(); r.Err() == nil {
		t.Errorf("a partition of more than 32 bits: %v", p)
	}
}

func testEvent() *Event {
	s := NewSchema("s", nil)
	for _, name := range []string{"a", "b", "c"} {
		s.Use(name)
	}
	return &Event{
		Time: -5, Pos: Position{Partition: 1, Seq: 9}, Schema: s,
		Slots: []Value{Int(1), Missing, String("x")},
		More:  &Details{Origin: &Origin{Rule: "r", Key: "k", Ordinal: 3}, Topic: "a/b", Raw: []byte("{}")},
	}
}

func TestEventRoundTrip(t *testing.T) {
	full := testEvent()
	plain := &Event{Time: MinTime, Schema: full.Schema}
	short := &Event{Time: 1, Schema: full.Schema, Slots: []Value{Bool(true)}}
	for _, e := range []*Event{full, plain, short} {
		b := e.AppendBinary(nil)
		r := NewReader(b)
		got := r.Event(full.Schema)
		if r.Err() != nil || r.Len() != 0 || Compare(got, e) != 0 || got.Topic() != e.Topic() || !bytes.Equal(got.Raw(), e.Raw()) {
			t.Errorf("got %+v, %v; want %+v", got, r.Err(), e)
		}
		for i := range 3 {
			if !got.Slot(i).Equal(e.Slot(i)) {
				t.Errorf("slot %d: got %s, want %s", i, got.Slot(i).Text(), e.Slot(i).Text())
			}
		}
		for n := range b {
			r := NewReader(b[:n])
			if r.Event(full.Schema); r.Err() == nil {
				t.Errorf("the first %d of %d bytes are an event", n, len(b))
			}
		}
	}
	// Slots move, and fields come and go, between writing and reading.
	other := NewSchema("s", nil)
	for _, name := range []string{"new", "c", "a"} {
		other.Use(name)
	}
	got := NewReader(full.AppendBinary(nil)).Event(other)
	if !got.Get("a").Equal(Int(1)) || got.Get("c").Text() != "x" || !got.Get("new").IsMissing() || !got.Get("b").IsMissing() || len(got.Slots) != 3 {
		t.Errorf("got %v", got.Slots)
	}
}

// FuzzReader reads any bytes, and what is a value or an event must write and
// read back as itself.
func FuzzReader(f *testing.F) {
	for _, v := range values {
		f.Add(v.AppendBinary(nil))
	}
	f.Add(testEvent().AppendBinary(nil))
	f.Add([]byte{byte(KindList), 255, 255, 3})
	schema := testEvent().Schema
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		if v := r.Value(); r.Err() == nil {
			once := v.AppendBinary(nil)
			again := NewReader(once)
			w := again.Value()
			if again.Err() != nil || again.Len() != 0 || !bytes.Equal(w.AppendBinary(nil), once) || len(once) > len(b) {
				t.Fatalf("%x reads back as %x (%v)", once, w.AppendBinary(nil), again.Err())
			}
			v.Text()
			v.Clone()
		}
		r = NewReader(b)
		if e := r.Event(schema); r.Err() == nil {
			once := e.AppendBinary(nil)
			again := NewReader(once)
			if x := again.Event(schema); again.Err() != nil || !bytes.Equal(x.AppendBinary(nil), once) {
				t.Fatalf("%x reads back as %x (%v)", once, x.AppendBinary(nil), again.Err())
			}
		}
	})
}
