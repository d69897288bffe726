// Package decode turns payloads into the slots of events, and topics into
// captured fields.
//
// # Formats
//
// [New] returns a [Decoder] for a format and the schema of a stream. Only the
// fields that the schema uses are decoded; the rest of a payload is checked
// and skipped. There is no map of values and, for flat scalar fields without
// escapes, no allocation: texts share the payload, which must not change as
// long as the event is in use.
//
//   - json: an object, as strict as RFC 8259 and I-JSON have it. See [Reason]
//     for what is rejected.
//   - csv: a row that the file source has made an object; decoded as json.
//   - influx: a line of InfluxDB's protocol; written as JSON and decoded as that.
//   - cbor: a map of CBOR, whose keys are texts or integers. Byte strings are
//     bytes, and tags 0 and 1 make timestamps.
//   - value: a bare number, true, false, a JSON string or any other text,
//     which becomes the field `value`.
//
// # Types
//
// A dynamic field gets the type that the payload has: integers are int (uint
// above the range of int), other numbers double, objects and arrays maps and
// lists, null is null. A declared field gets its type:
//
//   - double takes any number, int and uint take numbers without a fraction
//     that are in range;
//   - string takes texts, and of a number its literal text (of CBOR, the shortest);
//   - timestamp takes RFC 3339 text and CBOR's times, duration text like 1h30m;
//   - bool, list and map take their own kind only;
//   - null leaves the field missing.
//
// Anything else leaves the field missing too, and is counted as mismatched.
//
// # Concurrency
//
// A decoder learns the order of fields of the messages that it sees and keeps
// scratch memory, so it is used by one goroutine at a time. What it has
// learnt affects its speed and nothing else. A [Topic] is immutable.
package decode
