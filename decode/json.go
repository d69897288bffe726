package decode

import (
	"math"

	"github.com/cepd/cepd/event"
)

// jsonDecoder decodes objects.
type jsonDecoder struct {
	scanner
	missed int // fields of another type than declared
	times  event.TimeReader
}

func newJSON(schema *event.Schema, captured []string) *jsonDecoder {
	return &jsonDecoder{scanner: scanner{fields: newFields(schema, captured)}}
}

// maxScratch is how many elements of lists and maps keep their memory for the
// next payload.
const maxScratch = 4096

// Decode implements [Decoder].
func (d *jsonDecoder) Decode(payload []byte, e *event.Event) (int, error) {
	if d.fields.many() {
		d.fields.clear(e)
	} else {
		d.fields.room(e) // what no name stands for is cleared at the end
	}
	d.begin(payload)
	p := d.object(e.Slots)
	if p >= 0 {
		if p = d.space(p); p < len(payload) {
			d.fail(ReasonTrailingData, p, "something follows the object")
		}
	}
	return d.end()
}

// Object returns all members of a payload that is a JSON object.
func Object(payload []byte) ([]event.Entry, error) {
	d := newJSON(event.NewSchema("", nil), nil)
	d.begin(payload)
	p := d.space(0)
	if p >= len(payload) || payload[p] != '{' {
		d.unexpected(p, "an object")
		_, err := d.end()
		return nil, err
	}
	v, p := d.mapValue(p, 0, nowhere)
	if p >= 0 && d.space(p) < len(payload) {
		d.fail(ReasonTrailingData, p, "something follows the object")
	}
	if _, err := d.end(); err != nil {
		return nil, err
	}
	return v.AsMap(), nil
}

func (d *jsonDecoder) begin(payload []byte) { d.b, d.err, d.missed = payload, nil, 0 }

// end gives up what belongs to the payload.
func (d *jsonDecoder) end() (int, error) {
	d.b = nil
	d.seen.reset()
	if d.err != nil || cap(d.values)+cap(d.pairs) > maxScratch {
		d.values, d.pairs = nil, nil // unfinished, or made large by one payload of many
	}
	if d.err != nil {
		return 0, d.err
	}
	return d.missed, nil
}

// object reads the object at the top into slots.
func (d *jsonDecoder) object(slots []event.Value) int {
	if len(d.b) > MaxPayload {
		return d.fail(ReasonTooLarge, MaxPayload, "the payload is larger than 256 KB")
	}
	p := d.space(0)
	if p == len(d.b) {
		return d.fail(ReasonEmpty, p, "the payload is empty")
	}
	if d.b[p] != '{' {
		if p = d.skip(p, 0, nowhere); p >= 0 {
			d.fail(ReasonNotObject, 0, "the payload is no JSON object")
		}
		return -1
	}
	o := object{at: d.trie.start(), slot: -1, top: true}
	p++
	for {
		var more bool
		before := o.at
		if before != nowhere {
			if p, before = d.usual(p, before, slots); p < 0 {
				return -1
			}
			if o.at, o.begun = before, before != 0; p < len(d.b) && d.b[p] == '}' && o.begun {
				d.fields.clearRest(slots, d.trie.nodes[before].filled)
				return p + 1
			}
		}
		if p, more = d.member(p, &o); p < 0 {
			return -1
		}
		if before != nowhere && (!more || o.at == nowhere) { // from here on, slots are as they should be
			d.fields.clearRest(slots, d.trie.nodes[before].filled)
		}
		if !more {
			return p
		}
		if o.slot < 0 {
			p = d.skip(p, 1, o.at)
		} else {
			p = d.field(p, o.at, d.fields.types[o.slot], &slots[o.slot])
		}
		if p < 0 {
			return -1
		}
	}
}

// usual reads what comes as it did in the last messages: members of the object
// at the top from behind the bracket or value before p on, of which at is the
// name. It returns the same of where it cannot go on.
func (d *jsonDecoder) usual(p int, at place, slots []event.Value) (int, place) {
	b, nodes := d.b, d.trie.nodes
	n := &nodes[at]
	for {
		next := n.next
		n = &nodes[next]
		if !n.lead.ends(b, p) || n.lead.length > 16 && !n.lead.inside(b, p) {
			return p, at
		}
		at = next
		p += int(n.lead.length)
		switch c := b[p]; {
		case c == '"':
			if n.typ == event.TypeTimestamp {
				if t, length := d.times.Begin(b[p+1:]); length > 0 && b[p+1+length] == '"' {
					slots[n.slot] = event.Timestamp(t)
					p += length + 2
					continue
				}
			}
			end := plainWords(b, p+1)
			if end+8 > len(b) {
				end = plainTail(b, end)
			}
			if end < len(b) && b[end] == '"' {
				if n.slot >= 0 {
					d.textField(b[p+1:end], n.typ, &slots[n.slot])
				}
				p = end + 1
				continue
			}
		case c-'0' <= 9 || c == '-':
			if n.slot < 0 {
				if p = d.skipNumber(p); p < 0 {
					return -1, at
				}
				continue
			}
			if end := shortNumber(b, p, n.typ, &slots[n.slot]); end > 0 {
				p = end
				continue
			}
		}
		if p = d.usualValue(d.space(p), at, n, slots); p < 0 {
			return -1, at
		}
		nodes = d.trie.nodes // it may have learnt
		n = &nodes[at]
	}
}

// usualValue reads any value at p, whose name is n.
func (d *jsonDecoder) usualValue(p int, at place, n *node, slots []event.Value) int {
	if n.slot < 0 {
		return d.skip(p, 1, at)
	}
	return d.field(p, at, n.typ, &slots[n.slot])
}

// field reads the value at p into a slot of a type.
func (d *jsonDecoder) field(p int, at place, t event.Type, slot *event.Value) int {
	if p >= len(d.b) {
		return d.unexpected(p, "a value")
	}
	*slot = event.Missing
	c := d.b[p]
	if c == '-' || c-'0' <= 9 {
		return d.numberField(p, t, slot)
	}
	if c == '"' {
		end, plain := d.text(p + 1)
		if end < 0 {
			return -1
		}
		if text := d.value(p+1, end, plain); !d.textAs(text, t, slot) {
			d.missed++
		}
		return end + 1
	}
	v, p := d.any(p, 1, at)
	if p < 0 {
		return -1
	}
	switch k := v.Kind(); {
	case t == event.TypeAny,
		k == event.KindBool && t == event.TypeBool,
		k == event.KindList && t == event.TypeList,
		k == event.KindMap && t == event.TypeMap:
		*slot = v
	case k != event.KindNull:
		d.missed++
	}
	return p
}

// textField stores a text in a slot of a type.
func (d *jsonDecoder) textField(text []byte, t event.Type, slot *event.Value) {
	if t == event.TypeString || t == event.TypeAny {
		*slot = event.StringOf(text)
	} else if !d.textAs(event.StringOf(text).AsString(), t, slot) {
		*slot = event.Missing
		d.missed++
	}
}

// textAs stores a text as type t, if it is one of that type.
func (d *jsonDecoder) textAs(text string, t event.Type, slot *event.Value) bool {
	switch t {
	case event.TypeAny, event.TypeString:
		*slot = event.String(text)
		return true
	case event.TypeTimestamp:
		at, err := d.times.Parse(text)
		if err == nil {
			*slot = event.Timestamp(at)
		}
		return err == nil
	case event.TypeDuration:
		length, err := event.ParseDuration(text)
		if err == nil {
			*slot = event.DurationOf(length)
		}
		return err == nil
	}
	return false
}

// numberField reads the number at p into a slot of a type.
func (d *jsonDecoder) numberField(p int, t event.Type, slot *event.Value) int {
	if end := shortNumber(d.b, p, t, slot); end > 0 {
		return end
	}
	var n number
	if p = d.number(p, &n); p < 0 {
		return -1
	}
	ok, inRange := d.numberAs(&n, t, slot)
	if !inRange {
		return d.fail(ReasonNumberRange, n.start, "a number is too large for 64 bits")
	}
	if !ok {
		d.missed++
	}
	return p
}

// numberAs stores a number as type t, if it is one of that type.
func (s *scanner) numberAs(n *number, t event.Type, slot *event.Value) (ok, inRange bool) {
	switch t {
	case event.TypeString:
		*slot = event.String(s.literalOf(n))
		return true, true
	case event.TypeDouble:
		f, inRange := s.double(n)
		if inRange {
			*slot = event.Double(f)
		}
		return true, inRange
	}
	v, inRange := s.numberValue(n)
	if !inRange {
		return false, false
	}
	switch t {
	case event.TypeAny:
		*slot = v
		return true, true
	case event.TypeInt, event.TypeUint:
		*slot, ok = wholeAs(v, t)
		return ok, true
	}
	return false, true
}

// wholeAs returns a number as an int or uint, if it is whole and in range.
func wholeAs(v event.Value, t event.Type) (event.Value, bool) {
	if v.Kind() == event.KindDouble {
		f := v.AsDouble()
		if f > maxExact || f < -maxExact || f != math.Trunc(f) {
			return event.Missing, false
		}
		v = event.Int(int64(f))
	}
	switch {
	case v.Kind() == event.KindInt && t == event.TypeInt, v.Kind() == event.KindUint && t == event.TypeUint:
		return v, true
	case v.Kind() == event.KindInt && v.AsInt() >= 0:
		return event.Uint(uint64(v.AsInt())), true
	}
	return event.Missing, false
}

// maxExact is the largest number below which a double is what was written,
// if that was whole.
const maxExact = 1<<53 - 1

// any reads the value at p as it is.
func (d *jsonDecoder) any(p, depth int, at place) (event.Value, int) {
	if p >= len(d.b) {
		return event.Missing, d.unexpected(p, "a value")
	}
	switch d.b[p] {
	case '"':
		end, plain := d.text(p + 1)
		if end < 0 {
			return event.Missing, -1
		}
		return event.String(d.value(p+1, end, plain)), end + 1
	case '{':
		return d.mapValue(p, depth, at)
	case '[':
		return d.listValue(p, depth, at)
	case 't':
		return event.Bool(true), d.literal(p, "true")
	case 'f':
		return event.Bool(false), d.literal(p, "false")
	case 'n':
		return event.Null, d.literal(p, "null")
	}
	var v event.Value
	p = d.numberField(p, event.TypeAny, &v)
	return v, p
}

func (d *jsonDecoder) listValue(p, depth int, at place) (event.Value, int) {
	if depth >= MaxDepth {
		return event.Missing, d.tooDeep(p)
	}
	p = d.space(p + 1)
	if p < len(d.b) && d.b[p] == ']' {
		return event.List(nil), p + 1
	}
	base := len(d.values)
	for {
		var v event.Value
		if v, p = d.any(p, depth+1, at); p < 0 {
			return event.Missing, -1
		}
		d.values = append(d.values, v)
		var more bool
		if p, more = d.comma(p, ']'); more {
			continue
		}
		list := append([]event.Value(nil), d.values[base:]...)
		clear(d.values[base:])
		d.values = d.values[:base]
		return event.List(list), p
	}
}

func (d *jsonDecoder) mapValue(p, depth int, at place) (event.Value, int) {
	if depth >= MaxDepth {
		return event.Missing, d.tooDeep(p)
	}
	o := d.open(at)
	p++
	base := len(d.pairs)
	for {
		var more bool
		if p, more = d.member(p, &o); !more {
			break
		}
		name := d.value(o.start, o.end, o.plain)
		var v event.Value
		if v, p = d.any(p, depth+1, o.at); p < 0 {
			return event.Missing, -1
		}
		d.pairs = append(d.pairs, event.Entry{Name: name, Value: v})
	}
	if p < 0 {
		return event.Missing, -1
	}
	d.close(&o)
	entries := append([]event.Entry(nil), d.pairs[base:]...)
	clear(d.pairs[base:])
	d.pairs = d.pairs[:base]
	return event.Map(entries), p
}
