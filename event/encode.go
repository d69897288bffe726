package event

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrEncoding is returned for bytes that are no encoding of a value or event.
var ErrEncoding = errors.New("not a valid encoding")

// maxDepth bounds the nesting of encoded values, so that damaged bytes cannot
// exhaust the stack. Payloads are bounded to 32 levels before.
const maxDepth = 64

// maxAhead bounds how many elements get memory before they have been read, so
// that damaged bytes cannot exhaust it.
const maxAhead = 256

// AppendBinary appends an exact encoding of v to dst: the kind, then a varint,
// eight bytes, or a length and what it counts. It is part of the format of
// stored state.
func (v Value) AppendBinary(dst []byte) []byte {
	dst = append(dst, byte(v.Kind()))
	switch v.Kind() {
	case KindBool:
		return append(dst, byte(v.n))
	case KindInt, KindTime, KindDuration:
		return binary.AppendVarint(dst, int64(v.n))
	case KindUint:
		return binary.AppendUvarint(dst, v.n)
	case KindDouble:
		return binary.LittleEndian.AppendUint64(dst, v.n)
	case KindString, KindBytes:
		return AppendText(dst, v.AsString())
	case KindList:
		vs := v.AsList()
		dst = binary.AppendUvarint(dst, uint64(len(vs)))
		for _, e := range vs {
			dst = e.AppendBinary(dst)
		}
	case KindMap:
		es := v.AsMap()
		dst = binary.AppendUvarint(dst, uint64(len(es)))
		for _, e := range es {
			dst = e.Value.AppendBinary(AppendText(dst, e.Name))
		}
	}
	return dst
}

// AppendText appends a length and the bytes of s.
func AppendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// Reader reads what the Append functions wrote. After the first mistake every
// method returns a zero value, and [Reader.Err] the mistake, so that a caller
// checks once, at the end.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a reader of b. Texts that it returns are copies.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err returns [ErrEncoding] if anything read so far was not there.
func (r *Reader) Err() error { return r.err }

// Len returns the number of bytes left.
func (r *Reader) Len() int { return len(r.b) }

// Fail makes the reader fail, for a caller that finds what it read impossible.
func (r *Reader) Fail() { r.fail() }

func (r *Reader) fail() { r.b, r.err = nil, ErrEncoding }

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// Uvarint reads an unsigned varint.
func (r *Reader) Uvarint() uint64 {
	n, w := binary.Uvarint(r.b)
	if w <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[w:]
	return n
}

// Varint reads a signed varint.
func (r *Reader) Varint() int64 {
	n, w := binary.Varint(r.b)
	if w <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[w:]
	return n
}

// Count reads a length that counts things of at least one byte each, and so
// cannot be larger than what is left.
func (r *Reader) Count() int {
	n := r.Uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

// Time reads a time of eight bytes whose order is that of the times.
func (r *Reader) Time() Time {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	t := Time(binary.BigEndian.Uint64(r.b) ^ 1<<63)
	r.b = r.b[8:]
	return t
}

// BigEndian reads a number of eight bytes whose order is that of the numbers.
func (r *Reader) BigEndian() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	n := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

// AppendOrdered appends t as eight bytes in the order of times, for names that
// are sorted.
func (t Time) AppendOrdered(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(t)^1<<63)
}

// Text reads a length and as many bytes, and copies them.
func (r *Reader) Text() string {
	n := r.Count()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// Value reads a value.
func (r *Reader) Value() Value { return r.value(0) }

func (r *Reader) value(depth int) Value {
	k := Kind(r.Byte())
	switch k {
	case KindMissing:
		return Missing
	case KindNull:
		return Null
	case KindBool:
		b := r.Byte()
		if b > 1 {
			r.fail()
			return Missing
		}
		return Bool(b == 1)
	case KindInt, KindTime, KindDuration:
		return plain(k, uint64(r.Varint()))
	case KindUint:
		return Uint(r.Uvarint())
	case KindDouble:
		if len(r.b) < 8 {
			r.fail()
			return Missing
		}
		f := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
		r.b = r.b[8:]
		return Double(f)
	case KindString:
		return String(r.Text())
	case KindBytes:
		return Bytes([]byte(r.Text()))
	}
	if (k != KindList && k != KindMap) || depth == maxDepth {
		r.fail()
		return Missing
	}
	n := r.Count()
	if k == KindList {
		vs := make([]Value, 0, min(n, maxAhead))
		for range n {
			vs = append(vs, r.value(depth+1))
		}
		return List(vs)
	}
	es := make([]Entry, 0, min(n, maxAhead))
	for range n {
		name := r.Text()
		es = append(es, Entry{name, r.value(depth + 1)})
	}
	return Map(es)
}

// AppendBinary appends the position to dst.
func (p Position) AppendBinary(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(p.Partition)), p.Seq)
}

// Position reads a position.
func (r *Reader) Position() Position {
	partition := r.Uvarint()
	if partition > math.MaxUint32 {
		r.fail()
		return Position{}
	}
	return Position{Partition: uint32(partition), Seq: r.Uvarint()}
}

// AppendBinary appends e to dst: time, place, topic, payload, and the fields
// with their names, so that the bytes outlive a change of slots.
func (e *Event) AppendBinary(dst []byte) []byte {
	dst = binary.AppendVarint(dst, int64(e.Time))
	dst = e.Pos.AppendBinary(dst)
	if o := e.Origin(); o == nil {
		dst = append(dst, 0)
	} else {
		dst = AppendText(AppendText(append(dst, 1), o.Rule), o.Key)
		dst = binary.AppendUvarint(dst, uint64(o.Ordinal))
	}
	dst = AppendText(dst, e.Topic())
	dst = append(binary.AppendUvarint(dst, uint64(len(e.Raw()))), e.Raw()...)
	fields := e.Schema.Fields()
	n := min(len(e.Slots), len(fields))
	dst = binary.AppendUvarint(dst, uint64(n))
	for i := range n {
		dst = e.Slots[i].AppendBinary(AppendText(dst, fields[i].Name))
	}
	return dst
}

// Event reads an event into the slots of schema. Fields that schema does not
// use are left out.
func (r *Reader) Event(schema *Schema) *Event {
	e := r.head(schema)
	n := r.Count()
	if n > 0 {
		e.Slots = make([]Value, len(schema.fields))
	}
	for range n {
		name := r.Text()
		v := r.Value()
		if i, ok := schema.index[name]; ok {
			e.Slots[i] = v
		}
	}
	return e
}

// WholeEvent reads an event with all its fields. The schema, of a dynamic
// stream, gets a slot for each that it lacks.
func (r *Reader) WholeEvent(schema *Schema) *Event {
	e := r.head(schema)
	for range r.Count() {
		name := r.Text()
		v := r.Value()
		i, ok := schema.Use(name)
		if !ok {
			r.fail()
			break
		}
		for len(e.Slots) <= i {
			e.Slots = append(e.Slots, Missing)
		}
		e.Slots[i] = v
	}
	return e
}

// head reads what stands before an event's fields.
func (r *Reader) head(schema *Schema) *Event {
	e := &Event{Schema: schema, Time: Time(r.Varint()), Pos: r.Position()}
	var more Details
	switch r.Byte() {
	case 0:
	case 1:
		more.Origin = &Origin{Rule: r.Text(), Key: r.Text(), Ordinal: int(r.Uvarint())}
	default:
		r.fail()
	}
	more.Topic = r.Text()
	if raw := r.Text(); raw != "" {
		more.Raw = []byte(raw)
	}
	e.add(more)
	return e
}

// Peek returns a copy of the bytes that are left, without reading them.
func (r *Reader) Peek() string { return string(r.b) }

// Rest returns a copy of the bytes that are left, and is at the end then.
func (r *Reader) Rest() string {
	s := string(r.b)
	r.b = nil
	return s
}
