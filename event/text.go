package event

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// Text prints v as `${…}` in a text does: strings bare, everything else as
// [Value.AppendJSON] has it, times and durations without quotes.
func (v Value) Text() string {
	switch v.Kind() {
	case KindMissing:
		return "?"
	case KindString:
		return v.AsString()
	case KindTime:
		return v.AsTime().String()
	case KindDuration:
		return FormatDuration(v.AsDuration())
	}
	return string(v.AppendJSON(nil))
}

// AppendJSON appends v as JSON to dst. Integers stay exact, doubles are the
// shortest text that reads back the same, NaN and infinities are texts as in
// protobuf's JSON, bytes are base64, times RFC 3339, durations as rule files
// write them. Missing is null.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.Kind() {
	case KindMissing, KindNull:
		return append(dst, "null"...)
	case KindBool:
		return strconv.AppendBool(dst, v.n != 0)
	case KindInt:
		return strconv.AppendInt(dst, int64(v.n), 10)
	case KindUint:
		return strconv.AppendUint(dst, v.n, 10)
	case KindDouble:
		return appendDouble(dst, v.AsDouble())
	case KindString:
		return AppendQuoted(dst, v.AsString())
	case KindBytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, v.AsBytes())
		return append(dst, '"')
	case KindTime:
		return append(v.AsTime().Append(append(dst, '"')), '"')
	case KindDuration:
		return append(append(append(dst, '"'), FormatDuration(v.AsDuration())...), '"')
	case KindList:
		dst = append(dst, '[')
		for i, e := range v.AsList() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.AppendJSON(dst)
		}
		return append(dst, ']')
	}
	return AppendObject(dst, v.AsMap())
}

// AppendObject appends entries as a JSON object, in their order.
func AppendObject(dst []byte, es []Entry) []byte {
	dst = append(dst, '{')
	for i, e := range es {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendQuoted(dst, e.Name), ':')
		dst = e.Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	// As ECMAScript and encoding/json print: no exponent in the usual range.
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		if n := len(dst); dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
			dst = append(dst[:n-2], dst[n-1]) // 1e-7, not 1e-07
		}
		return dst
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// AppendQuoted appends s as a JSON string. Bytes that are no UTF-8 become the
// replacement character.
func AppendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			start = i
			continue
		}
		i += n
	}
	return append(append(dst, s[start:]...), '"')
}
