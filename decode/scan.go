package decode

import (
	"bytes"
	"math/bits"
	"unicode/utf8"
	"unsafe"

	"github.com/cepd/cepd/event"
)

// scanner reads JSON, once and from left to right. Its methods take the offset
// at which they begin and return the one behind what they have read, or -1
// after a mistake, which is then in err.
type scanner struct {
	b      []byte
	err    *Error
	fields *fields // of the object at the top
	seen   names
	trie   trie
	values []event.Value // of the lists being read
	pairs  []event.Entry // of the maps being read
}

// fail notes the first mistake.
func (s *scanner) fail(reason Reason, offset int, message string) int {
	if s.err == nil {
		s.err = &Error{Reason: reason, Offset: offset, Message: message}
	}
	return -1
}

// unexpected is the mistake of a byte that cannot stand at p.
func (s *scanner) unexpected(p int, want string) int {
	if p >= len(s.b) {
		return s.fail(ReasonSyntax, len(s.b), "the JSON ends too early, "+want+" is missing")
	}
	return s.fail(ReasonSyntax, p, "this is not JSON: there should be "+want)
}

// space skips white space.
func (s *scanner) space(p int) int {
	for p < len(s.b) && s.b[p] <= ' ' && isSpace(s.b[p]) {
		p++
	}
	return p
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// text reads the text that begins behind the quote before p and returns where
// its closing quote is. Plain texts hold neither escapes nor mistakes, and
// their bytes are their value.
func (s *scanner) text(p int) (end int, plain bool) {
	if p = plainRun(s.b, p); p < len(s.b) && s.b[p] == '"' {
		return p, true
	}
	return s.oddText(p)
}

// plainRun returns the offset of the first byte from p on that is not one of
// plain text, or the length of b.
func plainRun(b []byte, p int) int {
	if len(b) < 8 {
		for p < len(b) && b[p] >= ' ' && b[p] < utf8.RuneSelf && b[p] != '"' && b[p] != '\\' {
			p++
		}
		return p
	}
	for ; p+8 <= len(b); p += 8 {
		if m := special(word(b, p)); m != 0 {
			return p + bits.TrailingZeros64(m)>>3
		}
	}
	return p + bits.TrailingZeros64(special(lastWord(b, p)))>>3
}

// oddText goes on from p, where something is that is not plain.
func (s *scanner) oddText(p int) (end int, plain bool) {
	b := s.b
	plain = true
	for {
		p = plainRun(b, p)
		if p >= len(b) {
			return s.unexpected(p, "the end of a text"), false
		}
		switch c := b[p]; {
		case c == '"':
			return p, plain
		case c == '\\':
			plain = false
			if p = s.escape(p); p < 0 {
				return -1, false
			}
		case c < ' ':
			return s.fail(ReasonSyntax, p, "a control character stands in a text; write it as an escape"), false
		default:
			for p < len(b) && b[p] >= utf8.RuneSelf {
				r, n := utf8.DecodeRune(b[p:])
				if r == utf8.RuneError && n == 1 {
					return s.fail(ReasonInvalidUTF8, p, "a text is not valid UTF-8"), false
				}
				p += n
			}
		}
	}
}

// escape checks the escape at p.
func (s *scanner) escape(p int) int {
	if p+1 >= len(s.b) {
		return s.unexpected(p+1, "the rest of an escape")
	}
	switch s.b[p+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return p + 2
	case 'u':
	default:
		return s.fail(ReasonInvalidEscape, p, "a text has an escape that JSON does not know")
	}
	r := hex4(s.b, p+2)
	switch {
	case r < 0:
		return s.fail(ReasonInvalidEscape, p, `an escape \u has no four hexadecimal digits`)
	case r < 0xd800 || r > 0xdfff:
		return p + 6
	}
	if r < 0xdc00 && p+8 <= len(s.b) && s.b[p+6] == '\\' && s.b[p+7] == 'u' {
		if low := hex4(s.b, p+8); low >= 0xdc00 && low <= 0xdfff {
			return p + 12
		}
	}
	return s.fail(ReasonInvalidEscape, p, "an escape is half of a surrogate pair")
}

// hex4 reads four hexadecimal digits at p, or returns -1.
func hex4(b []byte, p int) rune {
	if p+4 > len(b) {
		return -1
	}
	r := rune(0)
	for _, c := range b[p : p+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape returns the value of a text that has been checked.
func unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for p := 0; p < len(raw); {
		i := bytes.IndexByte(raw[p:], '\\')
		if i < 0 {
			out = append(out, raw[p:]...)
			break
		}
		out = append(out, raw[p:p+i]...)
		p += i + 2
		switch c := raw[p-1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(raw, p)
			p += 4
			if r >= 0xd800 && r <= 0xdfff {
				r = (r-0xd800)<<10 + (hex4(raw, p+2) - 0xdc00) + 0x10000
				p += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return unsafe.String(unsafe.SliceData(out), len(out))
}

// value returns the text between start and end: the payload's own bytes where
// it is plain.
func (s *scanner) value(start, end int, plain bool) string {
	if plain {
		return unsafe.String(unsafe.SliceData(s.b[start:end]), end-start)
	}
	return unescape(s.b[start:end])
}

// literal reads true, false or null.
func (s *scanner) literal(p int, word string) int {
	if end := p + len(word); end <= len(s.b) && string(s.b[p:end]) == word {
		return end
	}
	return s.badValue(p)
}

// badValue is the mistake of something at p that is no value.
func (s *scanner) badValue(p int) int {
	rest := s.b[min(p, len(s.b)):]
	rest = bytes.TrimPrefix(rest, []byte("-"))
	if len(rest) >= 3 && (bytes.EqualFold(rest[:3], []byte("nan")) || bytes.EqualFold(rest[:3], []byte("inf"))) {
		return s.fail(ReasonNaN, p, "JSON has no NaN and no infinity")
	}
	return s.unexpected(p, "a value")
}

func (s *scanner) tooDeep(p int) int {
	return s.fail(ReasonTooDeep, p, "objects and arrays are nested too deep")
}

// comma reads what follows a value: a comma, or the bracket that closes. It
// returns where the next value begins, if there is more.
func (s *scanner) comma(p int, closing byte) (next int, more bool) {
	if p < len(s.b) && s.b[p] <= ' ' {
		p = s.space(p)
	}
	if p < len(s.b) {
		switch s.b[p] {
		case ',':
			p++
			if p < len(s.b) && s.b[p] <= ' ' {
				p = s.space(p)
			}
			return p, true
		case closing:
			return p + 1, false
		}
	}
	return s.unexpected(p, "a comma or "+string(rune(closing))), false
}
