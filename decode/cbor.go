package decode

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"

	"github.com/cepd/cepd/event"
)

// cborDecoder decodes maps of CBOR (RFC 8949):
//
//	a2                              a map of two entries
//	   66 646576696365              text of six bytes: device
//	      62 7031                   p1
//	   64 74656d70                  temp
//	      fb 4051d00000000000       71.25
//
// It shares with the decoder of JSON what does not depend on how a value is
// written: the fields, their types, the names of an object and the trie that
// remembers these. The lead to a value is its key here, and no more.
type cborDecoder struct {
	jsonDecoder
	lax bool // what no event may hold is returned all the same
}

func newCBOR(schema *event.Schema, captured []string) *cborDecoder {
	return &cborDecoder{jsonDecoder: *newJSON(schema, captured)}
}

// IsCBOR reports whether a payload begins as a map of CBOR does. Neither JSON
// nor any other text does.
func IsCBOR(payload []byte) bool {
	return len(payload) > 0 && payload[0]>>5 == cborMap || bytes.HasPrefix(payload, []byte(cborSelfDescribing))
}

// CutCBOR cuts the first item off a sequence of CBOR (RFC 8742).
func CutCBOR(sequence []byte) (item, rest []byte, err error) {
	d := newCBOR(event.NewSchema("", nil), nil)
	d.begin(sequence)
	p := d.skipItem(d.prefix(), 0, nil)
	if _, err := d.end(); err != nil {
		return nil, nil, err
	}
	return sequence[:p:p], sequence[p:], nil
}

// cborEntries returns the entries of a map, also such as no event may hold.
func cborEntries(payload []byte) ([]event.Entry, error) {
	d := newCBOR(event.NewSchema("", nil), nil)
	d.lax = true
	d.begin(payload)
	p := d.prefix()
	v, next := d.item(p, 0, nil, event.TypeAny)
	switch {
	case next >= 0 && v.Kind() != event.KindMap:
		d.fail(ReasonNotObject, p, "the payload is CBOR, but no map")
	case next >= 0 && next < len(payload):
		d.fail(ReasonTrailingData, next, "something follows the map")
	}
	if _, err := d.end(); err != nil {
		return nil, err
	}
	return v.AsMap(), nil
}

// Decode implements [Decoder].
func (d *cborDecoder) Decode(payload []byte, e *event.Event) (int, error) {
	d.fields.clear(e)
	d.begin(payload)
	if p := d.message(e.Slots); p >= 0 && p < len(payload) {
		d.fail(ReasonTrailingData, p, "something follows the map")
	}
	return d.end()
}

// message reads the map at the top into slots.
func (d *cborDecoder) message(slots []event.Value) int {
	switch {
	case len(d.b) > MaxPayload:
		return d.fail(ReasonTooLarge, MaxPayload, "the payload is larger than 256 KB")
	case len(d.b) == 0:
		return d.fail(ReasonEmpty, 0, "the payload is empty")
	case d.b[0] == '{':
		return d.fail(ReasonSyntax, 0, "this is not CBOR; it begins as JSON does")
	}
	p := d.prefix()
	kind, n, next := d.head(p)
	if next < 0 {
		return -1
	}
	if kind != cborMap {
		if d.skipItem(p, 0, nil) >= 0 {
			d.fail(ReasonNotObject, p, "the payload is CBOR, but no map")
		}
		return -1
	}
	o := object{at: d.trie.start(), slot: -1, top: true}
	left := d.items(p, n)
	for p = next; ; {
		if o.at != nil {
			if p, o.at = d.usualEntries(p, o.at, &left, slots); p < 0 {
				return -1
			}
		}
		var more bool
		if p, more = d.more(p, &left); !more {
			return p
		}
		if p = d.key(p, &o); p < 0 {
			return -1
		}
		if o.slot < 0 {
			p = d.skipItem(p, 1, o.at)
		} else {
			p = d.itemField(p, o.at, d.fields.types[o.slot], &slots[o.slot])
		}
		if p < 0 {
			return -1
		}
	}
}

// usualEntries reads what comes as it did in the last messages: entries of the map at
// the top from p on, the last key before which is at. It returns the same of where
// it cannot go on.
func (d *cborDecoder) usualEntries(p int, at *node, left *items, slots []event.Value) (int, *node) {
	b := d.b
	for left.open || left.left > 0 {
		n := at.next
		if n == nil || !n.lead.at(b, p) {
			break
		}
		at = n
		left.left--
		p += int(n.lead.length)
		if start, end := shortText(b, p); end > 0 {
			if n.slot >= 0 && !d.textAs(event.StringOf(b[start:end]).AsString(), n.typ, &slots[n.slot]) {
				d.missed++
			}
			p = end
			continue
		}
		if end := plainDouble(b, p, n, slots); end > 0 {
			p = end
			continue
		}
		if n.slot < 0 {
			p = d.skipItem(p, 1, at)
		} else {
			p = d.itemField(p, at, n.typ, &slots[n.slot])
		}
		if p < 0 {
			return -1, at
		}
	}
	return p, at
}

// shortText returns where the text at p begins and ends, if it is one of ASCII, in
// one piece and of less than 256 bytes; 0 for all else, right or wrong.
func shortText(b []byte, p int) (start, end int) {
	size := int(b[p]) - int(cborText<<5)
	start = p + 1
	if size == cborLong && start < len(b) {
		size = int(b[start])
		start++
	} else if size < 0 || size >= cborLong {
		return 0, 0
	}
	if end = start + size; end > len(b) || !ascii(b, start, end) {
		return 0, 0
	}
	return start, end
}

// plainDouble reads the double at p into the slot of n, if it has one and that
// is for it. It returns where the double ends; 0 for all else, right or wrong.
func plainDouble(b []byte, p int, n *node, slots []event.Value) (end int) {
	if b[p] != cborDouble || p+9 > len(b) || n.typ != event.TypeDouble && n.typ != event.TypeAny {
		return 0
	}
	if n.slot >= 0 {
		f := math.Float64frombits(binary.BigEndian.Uint64(b[p+1:]))
		if f-f != 0 {
			return 0
		}
		slots[n.slot] = event.Double(f)
	}
	return p + 9
}

// ascii reports whether all bytes from start to end are ASCII.
func ascii(b []byte, start, end int) bool {
	p, all := start, uint64(0)
	for ; p+8 <= end; p += 8 {
		all |= word(b, p)
	}
	if left := end - p; left > 0 && p+8 <= len(b) {
		all |= word(b, p) << (8 * (8 - left))
	} else {
		for ; p < end; p++ {
			all |= uint64(b[p])
		}
	}
	return all&high == 0
}

// prefix returns where the message begins behind the tags that say that it is
// CBOR.
func (d *cborDecoder) prefix() int {
	p := 0
	for bytes.HasPrefix(d.b[p:], []byte(cborSelfDescribing)) {
		p += len(cborSelfDescribing)
	}
	return p
}

// key reads a key of o, and returns where its value begins.
func (d *cborDecoder) key(p int, o *object) int {
	if n, value := o.at.predict(d.b, p); value != 0 {
		o.at, o.slot = n, int(n.slot)
		return value
	}
	name, next := d.keyName(p)
	if next < 0 {
		return -1
	}
	if n := o.at.find(name); n != nil {
		o.at, o.slot = n, int(n.slot)
	} else if !d.enter(p, name, true, o) {
		return -1
	}
	if o.at != nil {
		o.at.lead.learn(d.b[p:next], 0)
	}
	return next
}

// keyName returns the name that a key is: a text, or an integer as text.
func (d *cborDecoder) keyName(p int) (name string, next int) {
	kind, n, next := d.head(p)
	switch {
	case next < 0:
		return "", -1
	case kind == cborText:
		b, next := d.bytesOf(p, kind, n, next)
		return unsafe.String(unsafe.SliceData(b), len(b)), next
	case kind == cborUint:
		return strconv.FormatUint(n, 10), next
	case kind == cborNegative:
		return negative(n).String(), next
	}
	return "", d.fail(ReasonNameType, p, "a key of a map is neither a text nor an integer")
}

// itemField reads the item at p into a slot of a type.
func (d *cborDecoder) itemField(p int, at *node, t event.Type, slot *event.Value) int {
	v, p := d.item(p, 1, at, t)
	if p < 0 {
		return -1
	}
	*slot = event.Missing
	ok := false
	switch k := v.Kind(); {
	case t == event.TypeAny,
		k == event.KindBool && t == event.TypeBool,
		k == event.KindTime && t == event.TypeTimestamp,
		k == event.KindList && t == event.TypeList,
		k == event.KindMap && t == event.TypeMap:
		*slot, ok = v, true
	case k == event.KindNull:
		ok = true
	case k == event.KindString:
		ok = d.textAs(v.AsString(), t, slot)
	case t == event.TypeInt || t == event.TypeUint:
		*slot, ok = wholeAs(v, t)
	case t == event.TypeDouble:
		var f float64
		if f, ok = v.Number(); ok {
			*slot = event.Double(f)
		}
	case t == event.TypeString:
		if _, ok = v.Number(); ok {
			*slot = event.String(v.Text())
		}
	}
	if !ok {
		d.missed++
	}
	return p
}
