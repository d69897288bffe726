package decode

import (
	"strings"
	"unicode/utf8"

	"github.com/cepd/cepd/event"
)

// valueDecoder decodes payloads that are one bare value.
type valueDecoder struct {
	jsonDecoder
	slot int // of the field `value`; -1 if nobody uses it
}

func newValue(schema *event.Schema, captured []string) *valueDecoder {
	d := &valueDecoder{jsonDecoder: *newJSON(schema, captured), slot: -1}
	if i, ok := d.fields.slots["value"]; ok {
		d.slot = i
	}
	return d
}

// Decode implements [Decoder].
func (d *valueDecoder) Decode(payload []byte, e *event.Event) (int, error) {
	d.fields.clear(e)
	d.begin(payload)
	p := d.space(0)
	switch {
	case len(payload) > MaxPayload:
		d.fail(ReasonTooLarge, MaxPayload, "the payload is larger than 256 KB")
	case p == len(payload):
		d.fail(ReasonEmpty, p, "the payload is empty")
	case !utf8.Valid(payload):
		d.fail(ReasonInvalidUTF8, 0, "the payload is not valid UTF-8")
	case d.slot >= 0:
		d.scalar(p, d.fields.types[d.slot], &e.Slots[d.slot])
	}
	return d.end()
}

// scalar reads the scalar at p, if there is one and nothing behind it; else
// the payload as a text.
func (d *valueDecoder) scalar(p int, t event.Type, slot *event.Value) {
	if c := d.b[p]; c != '{' && c != '[' {
		if end := d.skip(p, 0, nil); end >= 0 && d.space(end) == len(d.b) {
			d.field(p, nil, t, slot)
			return
		}
		d.err = nil
	}
	text := d.value(0, len(d.b), true)
	if t != event.TypeAny && t != event.TypeString {
		text = strings.Trim(text, " \t\r\n")
	}
	if !d.textAs(text, t, slot) {
		d.missed++
	}
}
