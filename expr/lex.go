package expr

import (
	"strings"
	"unicode/utf8"
)

// A token of CEL, as far as messages and texts need tokens: to find the brace
// that ends an expression, the end of a call, and operators of other languages.
type token struct {
	kind       tokenKind
	start, end int
}

type tokenKind uint8

const (
	tokenName   tokenKind = iota // also keywords and names in backticks
	tokenNumber                  //
	tokenString                  // also bytes and raw strings
	tokenOpen                    // ( [ {
	tokenClose                   // ) ] }
	tokenOther                   // an operator or anything else
	tokenBad                     // a string that does not end
)

// lexer cuts text into tokens. It never fails: what is no CEL is tokenOther.
type lexer struct {
	src string
	pos int
}

// next returns the next token; ok is false at the end.
func (l *lexer) next() (t token, ok bool) {
	l.skipSpace()
	if l.pos >= len(l.src) {
		return token{}, false
	}
	start := l.pos
	kind := l.scan()
	return token{kind, start, l.pos}, true
}

func (l *lexer) skipSpace() {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			l.pos++
		case strings.HasPrefix(l.src[l.pos:], "//"):
			i := strings.IndexByte(l.src[l.pos:], '\n')
			if i < 0 {
				i = len(l.src) - l.pos
			}
			l.pos += i
		default:
			return
		}
	}
}

func (l *lexer) scan() tokenKind {
	c := l.src[l.pos]
	switch {
	case isNameStart(c):
		start := l.pos
		for l.pos < len(l.src) && (isNameStart(l.src[l.pos]) || isDigit(l.src[l.pos])) {
			l.pos++
		}
		if l.pos < len(l.src) && isQuote(l.src[l.pos]) && isStringPrefix(l.src[start:l.pos]) {
			raw := strings.ContainsAny(l.src[start:l.pos], "rR")
			return l.scanString(raw)
		}
		return tokenName
	case c == '`':
		if i := strings.IndexByte(l.src[l.pos+1:], '`'); i >= 0 {
			l.pos += i + 2
			return tokenName
		}
		l.pos = len(l.src)
		return tokenBad
	case isQuote(c):
		return l.scanString(false)
	case isDigit(c) || c == '.' && l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1]):
		return l.scanNumber()
	case strings.IndexByte("([{", c) >= 0:
		l.pos++
		return tokenOpen
	case strings.IndexByte(")]}", c) >= 0:
		l.pos++
		return tokenClose
	}
	for _, op := range [...]string{"&&", "||", "==", "!=", "<=", ">=", "<>", "=>", "->"} {
		if strings.HasPrefix(l.src[l.pos:], op) {
			l.pos += len(op)
			return tokenOther
		}
	}
	_, n := utf8.DecodeRuneInString(l.src[l.pos:])
	l.pos += n
	return tokenOther
}

func (l *lexer) scanNumber() tokenKind {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		exponent := (c == '+' || c == '-') && (l.src[l.pos-1] == 'e' || l.src[l.pos-1] == 'E')
		if !isDigit(c) && !isNameStart(c) && c != '.' && !exponent {
			break
		}
		l.pos++
	}
	return tokenNumber
}

func (l *lexer) scanString(raw bool) tokenKind {
	quote := l.src[l.pos : l.pos+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(l.src[l.pos:], triple) {
		quote = triple
	}
	l.pos += len(quote)
	for l.pos < len(l.src) {
		switch {
		case strings.HasPrefix(l.src[l.pos:], quote):
			l.pos += len(quote)
			return tokenString
		case l.src[l.pos] == '\\' && !raw:
			l.pos = min(l.pos+2, len(l.src))
		case l.src[l.pos] == '\n' && len(quote) == 1:
			return tokenBad
		default:
			l.pos++
		}
	}
	return tokenBad
}

func isNameStart(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isQuote(c byte) bool { return c == '"' || c == '\'' }
func isStringPrefix(s string) bool {
	return len(s) <= 2 && strings.Trim(s, "rRbB") == ""
}

// isName reports whether s can be written as a field without backticks.
func isName(s string) bool {
	if s == "" || !isNameStart(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isNameStart(s[i]) && !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// lex returns all tokens of src.
func lex(src string) []token {
	var ts []token
	l := lexer{src: src}
	for {
		t, ok := l.next()
		if !ok {
			return ts
		}
		ts = append(ts, t)
	}
}
