package decode

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/cepd/cepd/event"
)

// influxDecoder decodes one line of InfluxDB's line protocol, as agents such as
// Telegraf publish it, one metric in a message:
//
//	weather,location=oslo temperature=82,humid=true 1465839830100400200
//	measurement tags      fields                    timestamp
//
// Tags and fields become fields of the event by their names, and so do the
// measurement and the timestamp, which have none. The line is written as JSON
// and then decoded as that, so that all that holds of JSON holds of it.
type influxDecoder struct {
	json *jsonDecoder
	line influxLine
}

func newInflux(schema *event.Schema, captured []string) *influxDecoder {
	return &influxDecoder{json: newJSON(schema, captured)}
}

// The names of what stands in a line without a name.
const (
	influxMeasurement = "measurement"
	influxTimestamp   = "timestamp"
)

// Decode implements [Decoder].
func (d *influxDecoder) Decode(payload []byte, e *event.Event) (int, error) {
	object, err := d.line.object(payload)
	if err != nil {
		return 0, err
	}
	// Texts of the event share the object's memory, so it is new each time.
	return d.json.Decode(bytes.Clone(object), e)
}

// influxLine reads a line.
type influxLine struct {
	b    []byte
	at   int
	out  []byte // the object
	text []byte // what is being read, without its escapes
	err  *Error
}

// object returns the line as a JSON object, which is valid until the next call.
func (l *influxLine) object(payload []byte) ([]byte, error) {
	switch l.b, l.at, l.out, l.err = bytes.TrimRight(payload, " \r\n"), 0, append(l.out[:0], '{'), nil; {
	case len(payload) > MaxPayload:
		return nil, &Error{ReasonTooLarge, MaxPayload, "the payload is larger than 256 KB"}
	case len(bytes.TrimSpace(l.b)) == 0:
		return nil, &Error{ReasonEmpty, 0, "the payload is empty"}
	case !utf8.Valid(l.b):
		return nil, &Error{ReasonInvalidUTF8, 0, "the payload is not valid UTF-8"}
	}
	l.measurement()
	for l.err == nil && l.next(',') {
		l.member("a tag", " ,=", func() { l.textValue("a tag", " ,=") })
	}
	l.want(' ', "a blank before the fields")
	for more := true; l.err == nil && more; more = l.next(',') {
		l.member("a field", " ,=", l.fieldValue)
	}
	if l.err == nil && l.at < len(l.b) {
		l.timestamp()
	}
	if l.err != nil {
		return nil, l.err
	}
	return append(l.out, '}'), nil
}

func (l *influxLine) fail(at int, message string) {
	if l.err == nil {
		l.err = &Error{ReasonSyntax, at, message}
	}
}

// next takes a byte if it comes next.
func (l *influxLine) next(c byte) bool {
	if l.err != nil || l.at >= len(l.b) || l.b[l.at] != c {
		return false
	}
	l.at++
	return true
}

func (l *influxLine) want(c byte, what string) {
	if l.err == nil && !l.next(c) {
		l.fail(l.at, "there should be "+what)
	}
	for l.next(' ') && c == ' ' { // several blanks are as good as one
	}
}

// name reads up to one of some bytes that no backslash stands before.
func (l *influxLine) name(what, ends string) {
	l.text = l.text[:0]
	start := l.at
	for ; l.at < len(l.b); l.at++ {
		c := l.b[l.at]
		switch {
		case c == '\n':
			l.fail(l.at, "there is a second line; a message holds one (Telegraf: batch = false)")
			return
		case c == '\\' && l.at+1 < len(l.b) && bytes.IndexByte([]byte(" ,=\\"), l.b[l.at+1]) >= 0:
			l.at++
			c = l.b[l.at]
		case bytes.IndexByte([]byte(ends), c) >= 0:
			if l.at == start {
				l.fail(start, "there should be the name of "+what)
			}
			return
		}
		l.text = append(l.text, c)
	}
	if l.at == start {
		l.fail(start, "there should be the name of "+what)
	}
}

func (l *influxLine) quoted(text []byte) {
	data, err := json.Marshal(string(text))
	if err != nil {
		panic("decode: a text cannot be written: " + err.Error())
	}
	l.out = append(l.out, data...)
}

func (l *influxLine) measurement() {
	if l.b[0] == '#' {
		l.fail(0, "this is a comment")
		return
	}
	l.name("a measurement", " ,")
	l.out = append(l.out, `"`+influxMeasurement+`":`...)
	l.quoted(l.text)
}

// member reads a name, = and a value.
func (l *influxLine) member(what, ends string, value func()) {
	l.name(what, ends)
	l.out = append(l.out, ',')
	l.quoted(l.text)
	l.out = append(l.out, ':')
	if l.err == nil && !l.next('=') {
		l.fail(l.at, "there should be = and a value")
	}
	if l.err == nil {
		value()
	}
}

func (l *influxLine) textValue(what, ends string) {
	l.name("the value of "+what, ends)
	l.quoted(l.text)
}

// fieldValue reads a number, a text in quotes, true or false.
func (l *influxLine) fieldValue() {
	if l.next('"') {
		l.string()
		return
	}
	start := l.at
	for l.at < len(l.b) && l.b[l.at] != ',' && l.b[l.at] != ' ' && l.b[l.at] != '\n' {
		l.at++
	}
	word := string(l.b[start:l.at])
	switch word {
	case "t", "T", "true", "True", "TRUE":
		l.out = append(l.out, "true"...)
		return
	case "f", "F", "false", "False", "FALSE":
		l.out = append(l.out, "false"...)
		return
	case "":
		l.fail(start, "there should be a value")
		return
	}
	switch number, end := word[:len(word)-1], word[len(word)-1]; end {
	case 'i':
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			l.out = strconv.AppendInt(l.out, n, 10)
			return
		}
	case 'u':
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			l.out = strconv.AppendUint(l.out, n, 10)
			return
		}
	default:
		if l.float(start, word) {
			return
		}
	}
	l.fail(start, "this is no number, no text in quotes, and neither true nor false")
}

// float writes a decimal so that it is read as one. A whole number without a
// suffix is a decimal too.
func (l *influxLine) float(start int, word string) bool {
	f, err := strconv.ParseFloat(word, 64)
	switch {
	case math.IsNaN(f):
		l.err = &Error{ReasonNaN, start, "there is no NaN here"}
		return true
	case math.IsInf(f, 0):
		l.err = &Error{ReasonNumberRange, start, "a number is too large for 64 bits"}
		return true
	case err != nil || bytes.ContainsAny([]byte(word), "xXpP_"):
		return false
	}
	length := len(l.out)
	l.out = strconv.AppendFloat(l.out, f, 'g', -1, 64)
	if !bytes.ContainsAny(l.out[length:], ".e") {
		l.out = append(l.out, ".0"...)
	}
	return true
}

// string reads the rest of a text in quotes.
func (l *influxLine) string() {
	l.text = l.text[:0]
	for start := l.at - 1; ; l.at++ {
		if l.at >= len(l.b) {
			l.fail(start, "the quote is not closed")
			return
		}
		switch c := l.b[l.at]; {
		case c == '\\' && l.at+1 < len(l.b) && (l.b[l.at+1] == '"' || l.b[l.at+1] == '\\'):
			l.at++
			l.text = append(l.text, l.b[l.at])
		case c == '"':
			l.at++
			l.quoted(l.text)
			return
		default:
			l.text = append(l.text, c)
		}
	}
}

// timestamp reads what is behind the fields.
func (l *influxLine) timestamp() {
	if l.b[l.at] == '\n' {
		l.fail(l.at, "there is a second line; a message holds one (Telegraf: batch = false)")
		return
	}
	l.want(' ', "a blank or the end of the line")
	start := l.at
	n, err := strconv.ParseInt(string(l.b[min(start, len(l.b)):]), 10, 64)
	switch {
	case l.err != nil:
	case err != nil && bytes.IndexByte(l.b[start:], '\n') >= 0:
		l.fail(start+bytes.IndexByte(l.b[start:], '\n'), "there is a second line; a message holds one (Telegraf: batch = false)")
	case err != nil:
		l.fail(start, "the timestamp is no whole number")
	default:
		l.out = append(l.out, `,"`+influxTimestamp+`":`...)
		l.out = strconv.AppendInt(l.out, n, 10)
	}
}
