package decode

import (
	"fmt"
	"strings"

	"github.com/cepd/cepd/event"
)

const (
	// MaxPayload is the largest payload that is decoded, in bytes. Sensors
	// send hundreds of bytes; a limit keeps one sender from holding up a shard.
	MaxPayload = 256 << 10
	// MaxDepth is how deep objects and arrays may be nested.
	MaxDepth = 32
)

// Decoder decodes the payloads of one stream. It is used by one goroutine at
// a time.
type Decoder interface {
	// Decode fills e.Slots, one for each field of the schema that the decoder
	// was made for, from payload. It reuses the memory of e.Slots if that is
	// large enough. Slots of captured fields keep what they hold. It returns
	// how many fields had another type than declared and are missing for it.
	//
	// The error, if any, is an [*Error]; e.Slots then holds nothing of use.
	Decode(payload []byte, e *event.Event) (mismatched int, err error)
}

// Reason says why a payload was rejected. It is the value of a metric's label.
type Reason string

// The reasons for rejecting a payload.
const (
	ReasonEmpty          Reason = "empty"            // nothing in it
	ReasonTooLarge       Reason = "too_large"        // more than MaxPayload bytes
	ReasonTooDeep        Reason = "too_deep"         // nested more than MaxDepth levels
	ReasonSyntax         Reason = "syntax"           // not of the format: no JSON
	ReasonNotObject      Reason = "not_object"       // JSON, but no object; CBOR, but no map
	ReasonTrailingData   Reason = "trailing_data"    // something after the object
	ReasonDuplicateName  Reason = "duplicate_name"   // two fields of one object have the same name
	ReasonCaseFoldedName Reason = "case_folded_name" // a name differs from a used field in case only
	ReasonNameType       Reason = "name_type"        // a key of CBOR that is neither a text nor an integer
	ReasonInvalidUTF8    Reason = "invalid_utf8"     // bytes that are no UTF-8
	ReasonInvalidEscape  Reason = "invalid_escape"   // unknown escape, or half of a surrogate pair
	ReasonNaN            Reason = "nan"              // NaN or Infinity, which JSON does not have; of CBOR, in what is used
	ReasonNumberRange    Reason = "number_range"     // a used number that neither 64-bit integers nor doubles hold
)

// Reasons returns all reasons, in a fixed order.
func Reasons() []Reason {
	return []Reason{ReasonEmpty, ReasonTooLarge, ReasonTooDeep, ReasonSyntax, ReasonNotObject, ReasonTrailingData,
		ReasonDuplicateName, ReasonCaseFoldedName, ReasonNameType, ReasonInvalidUTF8, ReasonInvalidEscape, ReasonNaN, ReasonNumberRange}
}

// Error says why and where a payload was rejected.
type Error struct {
	Reason  Reason
	Offset  int    // in the payload, in bytes
	Message string // in plain words
}

// Error returns the message with the offset.
func (e *Error) Error() string { return fmt.Sprintf("%s (at byte %d)", e.Message, e.Offset) }

// Formats returns the names of the formats that [New] knows.
func Formats() []string { return []string{"json", "csv", "value", "influx", "cbor"} }

// FixedFields returns the names of the only fields that events of a format
// can have beside captured ones; nil where a payload names its own fields.
func FixedFields(format string) []string {
	if format == "value" {
		return []string{"value"}
	}
	return nil
}

// New returns a decoder of a format for the fields that schema uses now.
// Captured fields are those that the topic gives; payload fields of the same
// name are not looked at.
func New(format string, schema *event.Schema, captured ...string) (Decoder, error) {
	switch format {
	case "json", "csv":
		return newJSON(schema, captured), nil
	case "value":
		return newValue(schema, captured), nil
	case "influx":
		return newInflux(schema, captured), nil
	case "cbor":
		return newCBOR(schema, captured), nil
	}
	return nil, fmt.Errorf("unknown format %q; formats are %s", format, strings.Join(Formats(), ", "))
}
