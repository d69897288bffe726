package decode

import (
	"bytes"
	"math"
	"math/big"
	"time"
	"unicode/utf8"

	"github.com/cepd/cepd/event"
)

// The kinds of items: the three highest bits of their first byte. RFC 8949 calls
// them major types.
const (
	cborUint byte = iota
	cborNegative
	cborBytes
	cborText
	cborList
	cborMap
	cborTag
	cborSimple // and floating-point numbers
)

// What the five lowest bits of an item's first byte mean, if it is no number
// below 24.
const (
	cborLong = 24 // one byte follows; and two, four or eight from here on
	cborOpen = 31 // the length is unknown, and a break ends the item

	cborDouble = cborSimple<<5 | cborLong + 3
	cborBreak  = cborSimple<<5 | cborOpen
)

// Simple values.
const (
	cborFalse = 20
	cborTrue  = 21
)

// Tags.
const (
	cborTimeText       = 0
	cborTimeEpoch      = 1
	cborBig            = 2
	cborBigNegative    = 3
	cborSelfDescribing = "\xd9\xd9\xf7" // a prefix that means nothing, and that no UTF-8 begins with
)

// maxBig is how many bytes of a big number are looked at: a double holds no
// number with more.
const maxBig = 128

// cut is the mistake of a payload that ends within an item.
func (d *cborDecoder) cut() int {
	return d.fail(ReasonSyntax, len(d.b), "the CBOR ends too early")
}

// head reads what the item at p begins with: its kind, and the number that says
// its value, its length or its tag.
func (d *cborDecoder) head(p int) (kind byte, n uint64, next int) {
	if p >= len(d.b) {
		return 0, 0, d.cut()
	}
	first := d.b[p]
	kind, n = first>>5, uint64(first&31)
	if n < cborLong {
		return kind, n, p + 1
	}
	if n < cborLong+4 {
		next = p + 1 + 1<<(n-cborLong)
		if next > len(d.b) {
			return 0, 0, d.cut()
		}
		n = 0
		for _, c := range d.b[p+1 : next] {
			n = n<<8 | uint64(c)
		}
		return kind, n, next
	}
	switch {
	case first == cborBreak:
		return 0, 0, d.fail(ReasonSyntax, p, "this is not CBOR: a break stands where a value should be")
	case n != cborOpen || kind < cborBytes || kind > cborMap:
		return 0, 0, d.fail(ReasonSyntax, p, "this is not CBOR: no item begins with this byte")
	}
	return kind, 0, p + 1
}

// items are those that are left of a list, or the entries of a map.
type items struct {
	left uint64
	open bool // not counted, but ended by a break
}

// items returns how many items the list or map at p has, whose head says n.
func (d *cborDecoder) items(p int, n uint64) items {
	return items{n, d.b[p]&31 == cborOpen}
}

// more reports whether another item begins at p. If none does, next is the offset
// behind the list or map.
func (d *cborDecoder) more(p int, n *items) (next int, more bool) {
	if n.open {
		if p < len(d.b) && d.b[p] == cborBreak {
			return p + 1, false
		}
		return p, true
	}
	more = n.left > 0
	n.left--
	return p, more
}

// negative returns the number that n stands for in a negative integer.
func negative(n uint64) *big.Int {
	i := new(big.Int).SetUint64(n)
	return i.Not(i)
}

// bytesOf returns the bytes of the text or byte string at p, whose head says n and
// ends at next: those of the payload where they are in one piece.
func (d *cborDecoder) bytesOf(p int, kind byte, n uint64, next int) ([]byte, int) {
	switch {
	case d.b[p]&31 == cborOpen:
		return d.pieces(next, kind)
	case n > uint64(len(d.b)-next):
		return nil, d.cut()
	}
	b := d.b[next : next+int(n)]
	if kind == cborText && !utf8.Valid(b) {
		return nil, d.fail(ReasonInvalidUTF8, next+validLength(b), "a text is not valid UTF-8")
	}
	return b, next + int(n)
}

// pieces joins the pieces of a text or byte string, the first of which is at p.
func (d *cborDecoder) pieces(p int, kind byte) (all []byte, next int) {
	for {
		switch {
		case p >= len(d.b):
			return nil, d.cut()
		case d.b[p] == cborBreak:
			return all, p + 1
		case d.b[p]>>5 != kind || d.b[p]&31 == cborOpen:
			return nil, d.fail(ReasonSyntax, p, "this is not CBOR: a text or byte string in pieces has a piece of another kind")
		}
		var piece []byte
		_, n, next := d.head(p)
		if next >= 0 {
			piece, next = d.bytesOf(p, kind, n, next)
		}
		if next < 0 {
			return nil, -1
		}
		all, p = append(all, piece...), next
	}
}

// validLength returns how many bytes of b are UTF-8 before one that is not.
func validLength(b []byte) int {
	p := 0
	for p < len(b) {
		r, n := utf8.DecodeRune(b[p:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		p += n
	}
	return p
}

// item reads the item at p as it is. A type matters where an item can be more
// than one thing: a time is a number or a text too, and a number that needs more
// than 64 bits is a double or a text, if one is asked for.
func (d *cborDecoder) item(p, depth int, at *node, t event.Type) (event.Value, int) {
	kind, n, next := d.head(p)
	if next < 0 {
		return event.Missing, -1
	}
	switch kind {
	case cborUint:
		if n > math.MaxInt64 {
			return event.Uint(n), next
		}
		return event.Int(int64(n)), next
	case cborNegative:
		if n > math.MaxInt64 {
			return d.big(negative(n), t, p, next)
		}
		return event.Int(^int64(n)), next
	case cborText:
		b, next := d.bytesOf(p, kind, n, next)
		return event.StringOf(b), next
	case cborBytes:
		b, next := d.bytesOf(p, kind, n, next)
		return event.Bytes(b), next
	case cborSimple:
		return d.simple(p, n, next)
	}
	if depth >= MaxDepth {
		return event.Missing, d.tooDeep(p)
	}
	switch kind {
	case cborList:
		return d.list(next, d.items(p, n), depth, at)
	case cborMap:
		return d.entries(next, d.items(p, n), depth, at)
	}
	return d.tagged(p, n, next, depth, at, t)
}

// simple returns the simple value or floating-point number at p, whose head says
// n. What has no meaning, or is undefined, is null.
func (d *cborDecoder) simple(p int, n uint64, next int) (event.Value, int) {
	f := 0.0
	switch d.b[p] & 31 {
	case cborFalse:
		return event.Bool(false), next
	case cborTrue:
		return event.Bool(true), next
	case cborLong + 1:
		f = half(uint16(n))
	case cborLong + 2:
		f = float64(math.Float32frombits(uint32(n)))
	case cborLong + 3:
		f = math.Float64frombits(n)
	case cborLong:
		if n < 32 { // these have one byte
			return event.Missing, d.fail(ReasonSyntax, p, "this is not CBOR: a simple value is too long")
		}
		return event.Null, next
	default:
		return event.Null, next
	}
	if f-f != 0 && !d.lax {
		return event.Missing, d.fail(ReasonNaN, p, "a number is NaN or infinite")
	}
	return event.Double(f), next
}

// half returns the value of a floating-point number of 16 bits.
func half(bits uint16) float64 {
	f := float64(bits & 0x3ff)
	switch exponent := int(bits >> 10 & 0x1f); {
	case exponent == 0:
		f = math.Ldexp(f, -24)
	case exponent < 31:
		f = math.Ldexp(f+0x400, exponent-25)
	case f == 0:
		f = math.Inf(1)
	default:
		f = math.NaN()
	}
	if bits>>15 != 0 {
		f = -f
	}
	return f
}

// tagged reads the item at next, which the tag at p is for. A tag of another
// kind, or for something that it cannot be for, means nothing here.
func (d *cborDecoder) tagged(p int, tag uint64, next, depth int, at *node, t event.Type) (event.Value, int) {
	v, next := d.item(next, depth+1, at, t)
	if next < 0 {
		return event.Missing, -1
	}
	switch k := v.Kind(); {
	case tag == cborTimeText && k == event.KindString && t == event.TypeAny:
		if time, err := d.times.Parse(v.AsString()); err == nil {
			return event.Timestamp(time), next
		}
	case tag == cborTimeEpoch && (t == event.TypeAny || t == event.TypeTimestamp):
		if time, ok := epochTime(v); ok {
			return event.Timestamp(time), next
		}
	case (tag == cborBig || tag == cborBigNegative) && k == event.KindBytes:
		b := bytes.TrimLeft(v.AsBytes(), "\x00")
		if len(b) > maxBig {
			if d.lax {
				return v, next
			}
			return event.Missing, d.outOfRange(p)
		}
		n := new(big.Int).SetBytes(b)
		if tag == cborBigNegative {
			n.Not(n)
		}
		return d.big(n, t, p, next)
	}
	return v, next
}

// epochTime returns the time so many seconds after 1970.
func epochTime(v event.Value) (event.Time, bool) {
	s, ok := v.Number()
	if !ok || !(math.Abs(s) < 1e11) {
		return 0, false
	}
	whole, part := math.Modf(s) // apart, since a double has no room for nanoseconds
	at, err := event.FromTime(time.Unix(int64(whole), int64(math.Round(part*1e9))))
	return at, err == nil
}

// big returns an integer, at p, of any size.
func (d *cborDecoder) big(n *big.Int, t event.Type, p, next int) (event.Value, int) {
	f, _ := new(big.Float).SetInt(n).Float64()
	switch {
	case n.IsInt64():
		return event.Int(n.Int64()), next
	case n.IsUint64():
		return event.Uint(n.Uint64()), next
	case t == event.TypeDouble && !math.IsInf(f, 0):
		return event.Double(f), next
	case t == event.TypeString || d.lax:
		return event.String(n.String()), next
	}
	return event.Missing, d.outOfRange(p)
}

func (d *cborDecoder) outOfRange(p int) int {
	return d.fail(ReasonNumberRange, p, "a number is too large for 64 bits")
}

// list reads the items of a list.
func (d *cborDecoder) list(p int, left items, depth int, at *node) (event.Value, int) {
	base := len(d.values)
	for {
		var more bool
		if p, more = d.more(p, &left); !more {
			break
		}
		var v event.Value
		if v, p = d.item(p, depth+1, at, event.TypeAny); p < 0 {
			return event.Missing, -1
		}
		d.values = append(d.values, v)
	}
	list := append([]event.Value(nil), d.values[base:]...)
	clear(d.values[base:])
	d.values = d.values[:base]
	return event.List(list), p
}

// entries reads the entries of a map.
func (d *cborDecoder) entries(p int, left items, depth int, at *node) (event.Value, int) {
	o := d.open(at)
	base := len(d.pairs)
	for {
		var more bool
		if p, more = d.more(p, &left); !more {
			break
		}
		name := p
		if p = d.key(p, &o); p < 0 {
			return event.Missing, -1
		}
		var entry event.Entry
		entry.Name, _ = d.keyName(name)
		if entry.Value, p = d.item(p, depth+1, o.at, event.TypeAny); p < 0 {
			return event.Missing, -1
		}
		d.pairs = append(d.pairs, entry)
	}
	d.close(&o)
	entries := append([]event.Entry(nil), d.pairs[base:]...)
	clear(d.pairs[base:])
	d.pairs = d.pairs[:base]
	return event.Map(entries), p
}

// skipItem checks the item at p and passes over it.
func (d *cborDecoder) skipItem(p, depth int, at *node) int {
	kind, n, next := d.head(p)
	if next < 0 {
		return -1
	}
	switch kind {
	case cborBytes, cborText:
		_, next = d.bytesOf(p, kind, n, next)
		return next
	case cborUint, cborNegative:
		return next
	case cborSimple:
		if d.b[p]&31 == cborLong {
			_, next = d.simple(p, n, next)
		}
		return next
	}
	if depth >= MaxDepth {
		return d.tooDeep(p)
	}
	if kind == cborTag {
		return d.skipItem(next, depth+1, at)
	}
	left, o := d.items(p, n), object{at: at}
	if kind == cborMap {
		o = d.open(at)
	}
	for p = next; ; {
		var more bool
		if p, more = d.more(p, &left); !more {
			break
		}
		if kind == cborMap {
			if p = d.key(p, &o); p < 0 {
				return -1
			}
		}
		if p = d.skipItem(p, depth+1, o.at); p < 0 {
			return -1
		}
	}
	if kind == cborMap {
		d.close(&o)
	}
	return p
}
