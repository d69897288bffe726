package decode

import (
	"encoding/json"
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
	} else if len(e.Slots) != len(d.fields.types) {
		d.fields.room(e) // what no name stands for is cleared at the end
	}
	if n := len(payload); n > 0 && n <= MaxPayload && payload[n-1] != '}' {
		payload = withoutSpace(payload)
	}
	p, n, odd := d.usual(payload, 0, d.trie.start(), e.Slots)
	if p < len(payload)-1 {
		p, n, odd = d.nearlyUsual(payload, p, n, odd, e.Slots)
	}
	if p == len(payload)-1 && p < MaxPayload && payload[p] == '}' && !odd && n.parent != nil {
		d.fields.clearRest(e.Slots, n.filled)
		return 0, nil
	}
	d.begin(payload)
	if p > 0 && len(payload) <= MaxPayload || d.isObject() {
		p = d.object(p, n, odd, 1, e.Slots)
	}
	if p >= 0 {
		if p = d.space(p); p < len(payload) {
			d.fail(ReasonTrailingData, p, "something follows the object")
		}
	}
	return d.end()
}

// withoutSpace returns a payload without the white space at its end, if it is an
// object.
func withoutSpace(payload []byte) []byte {
	n := len(payload)
	for n > 0 && isSpace(payload[n-1]) {
		n--
	}
	if n > 0 && payload[n-1] == '}' {
		return payload[:n]
	}
	return payload
}

// JSON returns a payload for those who read JSON: a map of CBOR and a line of
// InfluxDB's protocol as objects, and anything else as it is. Bytes become base64,
// and times RFC 3339.
func JSON(payload []byte) []byte {
	switch {
	case IsCBOR(payload):
		if entries, err := cborEntries(payload); err == nil {
			return event.AppendObject(nil, entries)
		}
	case !json.Valid(payload):
		var line influxLine
		if object, err := line.object(payload); err == nil {
			return object
		}
	}
	return payload
}

// Object returns all members of a payload that is a JSON object, a map of CBOR or a
// line of InfluxDB's protocol.
func Object(payload []byte) ([]event.Entry, error) {
	if IsCBOR(payload) {
		return cborEntries(payload)
	}
	payload = JSON(payload)
	d := newJSON(event.NewSchema("", nil), nil)
	d.begin(payload)
	p := d.space(0)
	if p >= len(payload) || payload[p] != '{' {
		d.unexpected(p, "an object")
		_, err := d.end()
		return nil, err
	}
	v, p := d.mapValue(p, 0, nil)
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

// isObject reports whether the payload begins like an object; else it notes what
// is wrong.
func (d *jsonDecoder) isObject() bool {
	if len(d.b) > MaxPayload {
		d.fail(ReasonTooLarge, MaxPayload, "the payload is larger than 256 KB")
		return false
	}
	p := d.space(0)
	switch {
	case p == len(d.b):
		d.fail(ReasonEmpty, p, "the payload is empty")
	case d.b[p] == '{':
		return true
	case d.skip(p, 0, nil) >= 0:
		d.fail(ReasonNotObject, 0, "the payload is no JSON object")
	}
	return false
}

// object goes on with an object from where [jsonDecoder.usual] left it. depth is
// how deep its values stand. What is not at the top has no slots.
func (d *jsonDecoder) object(p int, n *node, odd bool, depth int, slots []event.Value) int {
	top := depth == 1
	for {
		for odd {
			if p = d.readValue(p, n, int(n.slot), depth, slots); p < 0 {
				return -1
			}
			p, n, odd = d.usual(d.b, p, n, slots)
		}
		o, more := object{at: n, begun: n.parent != nil, slot: -1, top: top}, false
		if p, more = d.member(p, &o); p < 0 {
			return -1
		}
		if top && (!more || o.at == nil) { // from here on, slots are as they should be
			d.fields.clearRest(slots, n.filled)
		}
		if !more {
			return p
		}
		if o.at == nil {
			return d.strange(p, &o, depth, slots)
		}
		n, odd = o.at, true
	}
}

// strange reads the rest of an object, from a value on whose name the trie does
// not have.
func (d *jsonDecoder) strange(p int, o *object, depth int, slots []event.Value) int {
	for more := true; more; {
		if p = d.readValue(p, nil, o.slot, depth, slots); p < 0 {
			return -1
		}
		p, more = d.member(p, o)
	}
	d.close(o)
	return p
}

// skip checks the value at p and passes over it. depth is how deep the value
// stands, n is its name in the trie.
func (d *jsonDecoder) skip(p, depth int, n *node) int {
	if p >= len(d.b) {
		return d.unexpected(p, "a value")
	}
	switch c := d.b[p]; c {
	case '"':
		end, _ := d.text(p + 1)
		if end < 0 {
			return -1
		}
		return end + 1
	case '{':
		return d.skipObject(p, depth, n)
	case '[':
		return d.skipArray(p, depth, n)
	case 't':
		return d.literal(p, "true")
	case 'f':
		return d.literal(p, "false")
	case 'n':
		return d.literal(p, "null")
	default:
		return d.skipNumber(p)
	}
}

func (d *jsonDecoder) skipArray(p, depth int, n *node) int {
	if depth >= MaxDepth {
		return d.tooDeep(p)
	}
	p = d.space(p + 1)
	if p < len(d.b) && d.b[p] == ']' {
		return p + 1
	}
	for {
		if p = d.skip(p, depth+1, n); p < 0 {
			return -1
		}
		var more bool
		if p, more = d.comma(p, ']'); !more {
			return p
		}
	}
}

func (d *jsonDecoder) skipObject(p, depth int, n *node) int {
	if depth >= MaxDepth {
		return d.tooDeep(p)
	}
	o, odd := d.open(n), false
	if o.at != nil {
		p, n, odd = d.usual(d.b, p, o.at, nil)
		return d.object(p, n, odd, depth+1, nil)
	}
	p, more := d.member(p, &o)
	if !more {
		return p
	}
	return d.strange(p, &o, depth+1, nil)
}

// readValue reads the value at p, or behind the white space there, for a slot, if it
// has one. n is its name in the trie.
func (d *jsonDecoder) readValue(p int, n *node, slot, depth int, slots []event.Value) int {
	if p = d.space(p); slot < 0 {
		return d.skip(p, depth, n)
	}
	return d.field(p, n, d.fields.types[slot], &slots[slot])
}

// field reads the value at p into a slot of a type.
func (d *jsonDecoder) field(p int, at *node, t event.Type, slot *event.Value) int {
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
func (d *jsonDecoder) any(p, depth int, at *node) (event.Value, int) {
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

func (d *jsonDecoder) listValue(p, depth int, at *node) (event.Value, int) {
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

func (d *jsonDecoder) mapValue(p, depth int, at *node) (event.Value, int) {
	if depth >= MaxDepth {
		return event.Missing, d.tooDeep(p)
	}
	o := d.open(at)
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
