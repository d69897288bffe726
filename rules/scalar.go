package rules

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// scalar returns the node of a text on one or several lines.
func (c *converter) scalar(n ast.Node) *node {
	t := n.GetToken()
	out := &node{src: c.src, text: t.Value, pos: c.place(t)}
	if t.Value == poison {
		out.bad, out.end = true, out.pos
		return out
	}
	switch n.(type) {
	case *ast.NullNode:
		out.typ = nullType
		if t.Type == token.ImplicitNullType {
			out.text, out.typ, out.end = "", emptyType, out.pos
			return out
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.typ = numberType
	case *ast.BoolNode:
		out.typ = boolType
	case *ast.MergeKeyNode:
		out.text = "<<"
	}
	switch t.Type {
	case token.SingleQuoteType:
		out.style = singleQuoted
		c.quoted(out, '\'', decodeSingle)
	case token.DoubleQuoteType:
		out.style = doubleQuoted
		c.quoted(out, '"', decodeDouble)
	default:
		out.origin, _ = align(c.src.text, out.pos, out.text)
		out.end = out.origin[len(out.origin)-1]
	}
	return out
}

// TextIssue makes an issue about the bytes from one offset to another of a text in
// a YAML file that package goccy/go-yaml has parsed.
func TextIssue(f File, n ast.Node, from, to int, message, advice string) Issue {
	c := &converter{src: newSource(f.Name, unixText(f.Data)), report: &Report{}, anchors: map[string]*node{}}
	return c.convert(n).issueIn(Error, from, to, message, advice)
}

// quoted fills in a quoted text from the file, and keeps the library's reading
// of it where it does not begin where the library says.
func (c *converter) quoted(n *node, quote byte, decode func(string, int) (string, []int, bool)) {
	src := c.src.text
	if n.pos < len(src) && src[n.pos] == quote {
		if text, origin, ok := decode(src, n.pos+1); ok {
			n.text, n.origin = text, origin
			n.end = origin[len(origin)-1] + 1
			return
		}
		if at := badEscape(src, n.pos+1); quote == '"' && at >= 0 {
			c.errorAt(at, at+2, escapeAdvice, escapeMessage)
			n.bad = true
		}
	}
	n.end = n.pos + 1
}

const (
	escapeMessage = "in double quotes YAML does not know this escape"
	escapeAdvice  = "write the backslash twice, or use single quotes"
)

// badEscape returns where the first escape stands that YAML does not know, in
// a text in double quotes whose first byte is src[i]; -1 if there is none.
func badEscape(src string, i int) int {
	for ; i < len(src) && src[i] != '"'; i++ {
		if src[i] == '\\' {
			_, n := unescape(src[i:])
			if n == 0 {
				return i
			}
			i += n - 1
		}
	}
	return -1
}

// block returns the node of a text after | or >.
func (c *converter) block(n *ast.LiteralNode) *node {
	out := &node{src: c.src, style: literal, pos: c.place(n.Start)}
	if n.Start.Type == token.FoldedType {
		out.style = folded
	}
	if n.Value != nil {
		out.text = n.Value.Value
	}
	from := len(c.src.text)
	if i := strings.IndexByte(c.src.text[out.pos:], '\n'); i >= 0 {
		from = out.pos + i + 1
	}
	out.origin, _ = align(c.src.text, from, out.text)
	out.end = out.origin[len(out.origin)-1]
	return out
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

// align finds where each byte of an unquoted or block text stands in src. YAML
// changes nothing in such a text but the white space around line breaks, so
// that all else is found byte by byte; of a run of white space, the last bytes
// match the last ones. The result has one more entry than text, for its end;
// ok is false if the text is not there.
func align(src string, from int, text string) (origin []int, ok bool) {
	origin = make([]int, 0, len(text)+1)
	j := from
	for i := 0; i < len(text); {
		if !isBlank(text[i]) {
			for j < len(src) && isBlank(src[j]) && i == 0 {
				j++
			}
			if j >= len(src) || src[j] != text[i] {
				return fill(origin, len(text)+1, min(j, len(src))), false
			}
			origin = append(origin, j)
			i, j = i+1, j+1
			continue
		}
		n := i
		for n < len(text) && isBlank(text[n]) {
			n++
		}
		start := j
		for j < len(src) && isBlank(src[j]) {
			j++
		}
		if n == len(text) && j > start { // the end of the text, not of what follows
			j = min(start+n-i, j)
		}
		for ; i < n; i++ {
			origin = append(origin, max(start, j-(n-i)))
		}
	}
	return append(origin, j), true
}

// fill appends v to origin until it has n entries.
func fill(origin []int, n, v int) []int {
	for len(origin) < n {
		origin = append(origin, v)
	}
	return origin
}

// textBuilder collects a text and where its bytes stand.
type textBuilder struct {
	text   []byte
	origin []int
}

func (b *textBuilder) add(s string, at int) {
	for i := range len(s) {
		b.text = append(b.text, s[i])
		b.origin = append(b.origin, at)
	}
}

func (b *textBuilder) byte(c byte, at int) {
	b.text = append(b.text, c)
	b.origin = append(b.origin, at)
}

// fold reads a run of white space from src[i] on that holds a line break, as
// YAML folds it in a quoted text: one line break is a space, each further one
// is kept. Without a line break it adds the white space as it is.
func (b *textBuilder) fold(src string, i int) (next int) {
	j, breaks := i, 0
	for j < len(src) && isBlank(src[j]) {
		if src[j] == '\n' {
			breaks++
		}
		j++
	}
	switch breaks {
	case 0:
		for k := i; k < j; k++ {
			b.byte(src[k], k)
		}
	case 1:
		b.byte(' ', i)
	default:
		for range breaks - 1 {
			b.byte('\n', i)
		}
	}
	return j
}

// decodeSingle reads a text in single quotes whose first byte is src[i].
func decodeSingle(src string, i int) (text string, origin []int, ok bool) {
	var b textBuilder
	for i < len(src) {
		switch {
		case isBlank(src[i]):
			i = b.fold(src, i)
		case src[i] != '\'':
			b.byte(src[i], i)
			i++
		case i+1 < len(src) && src[i+1] == '\'':
			b.byte('\'', i)
			i += 2
		default:
			return string(b.text), append(b.origin, i), true
		}
	}
	return "", nil, false
}

// decodeDouble reads a text in double quotes whose first byte is src[i].
func decodeDouble(src string, i int) (text string, origin []int, ok bool) {
	var b textBuilder
	for i < len(src) {
		switch {
		case isBlank(src[i]):
			i = b.fold(src, i)
		case src[i] == '"':
			return string(b.text), append(b.origin, i), true
		case src[i] != '\\':
			b.byte(src[i], i)
			i++
		default:
			s, n := unescape(src[i:])
			if n == 0 {
				return "", nil, false
			}
			b.add(s, i)
			i += n
		}
	}
	return "", nil, false
}

// escapes are those of one letter.
var escapes = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r", 'e': "\x1b",
	' ': " ", '"': "\"", '/': "/", '\\': "\\", 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029",
}

// unescape reads the escape at the beginning of s, and how long it is; 0 if it
// is none.
func unescape(s string) (text string, n int) {
	if len(s) < 2 {
		return "", 0
	}
	digits := 0
	switch s[1] {
	case '\n': // continues on the next line, whose indentation does not count
		n = 2
		for n < len(s) && (s[n] == ' ' || s[n] == '\t') {
			n++
		}
		return "", n
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		if e, ok := escapes[s[1]]; ok {
			return e, 2
		}
		return "", 0
	}
	if len(s) < 2+digits {
		return "", 0
	}
	r, err := strconv.ParseUint(s[2:2+digits], 16, 32)
	if err != nil || !utf8.ValidRune(rune(r)) {
		return "", 0
	}
	return string(rune(r)), 2 + digits
}
