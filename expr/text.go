package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/cepd/cepd/event"
)

// Text is a compiled text with expressions in it.
type Text struct {
	src   string
	parts []Part
}

// Part is a part of a text: an expression, or what stands as it is.
type Part struct {
	Program    *Program // nil for a literal
	Literal    string
	Start, End int // the bytes of the source that it was written with
}

// CompileText compiles a text in which `${CEL}` stands for the value of an
// expression. The expression ends at the brace that closes it, whatever
// braces and quoted braces it holds. `$${` stands for `${` itself. Offsets of
// issues are into src.
func CompileText(src string, scope *Scope) (*Text, []Issue) {
	t := &Text{src: src}
	var issues []Issue
	literal, from := "", 0
	for rest := 0; rest < len(src); {
		i := strings.Index(src[rest:], "${")
		if i < 0 {
			literal += src[rest:]
			break
		}
		at := rest + i
		if at > rest && src[at-1] == '$' {
			literal += src[rest:at-1] + "${"
			rest = at + 2
			continue
		}
		literal += src[rest:at]
		end := expressionEnd(src, at+2)
		if end < 0 {
			issues = append(issues, Issue{at, len(src), "the expression after ${ does not end", "close it with }, or write $${ for ${ itself"})
			break
		}
		p, found := Compile(src[at+2:end], scope, WantAny)
		for _, issue := range found {
			issue.Offset += at + 2
			issue.End += at + 2
			if strings.TrimSpace(src[at+2:end]) == "" {
				issue.Offset, issue.End = at, end+1
			}
			issues = append(issues, issue)
		}
		if literal != "" {
			t.parts = append(t.parts, Part{Literal: literal, Start: from, End: at})
			literal = ""
		}
		t.parts = append(t.parts, Part{Program: p, Start: at, End: end + 1})
		from = end + 1
		rest = end + 1
	}
	if len(issues) > 0 {
		return nil, issues
	}
	if literal != "" {
		t.parts = append(t.parts, Part{Literal: literal, Start: from, End: len(src)})
	}
	return t, nil
}

// expressionEnd returns the offset of the brace that closes the expression
// beginning at start, or -1.
func expressionEnd(src string, start int) int {
	depth := 0
	for l := (lexer{src: src, pos: start}); ; {
		t, ok := l.next()
		if !ok {
			return -1
		}
		switch {
		case t.kind == tokenOpen:
			depth++
		case t.kind == tokenClose && depth > 0:
			depth--
		case t.kind == tokenClose && src[t.start] == '}':
			return t.start
		}
	}
}

// Append appends the text for the match or event of f to dst. A part that
// fails is printed as ?; failed says how many did.
//
// Values are printed as [event.Value.Text] does, except that doubles have at
// most six decimals, so that 78.4 does not become 78.40000000000001, and that
// a key of several parts is its parts joined by "/".
func (t *Text) Append(dst []byte, f *Frame) (out []byte, failed int) {
	for _, part := range t.parts {
		if part.Program == nil {
			dst = append(dst, part.Literal...)
			continue
		}
		v, r := part.Program.eval(f)
		if r != 0 {
			dst = append(dst, '?')
			failed++
			continue
		}
		dst = part.Program.AppendText(dst, v)
	}
	return dst, failed
}

// AppendText appends a value of the expression as a text prints it, see
// [Text.Append].
func (p *Program) AppendText(dst []byte, v event.Value) []byte { return appendText(dst, v, p.wholeKey) }

func appendText(dst []byte, v event.Value, wholeKey bool) []byte {
	switch v.Kind() {
	case event.KindDouble:
		return appendDecimal(dst, v.AsDouble())
	case event.KindString:
		return append(dst, v.AsString()...)
	case event.KindMap:
		if wholeKey {
			for i, e := range v.AsMap() {
				if i > 0 {
					dst = append(dst, '/')
				}
				dst = appendText(dst, e.Value, false)
			}
			return dst
		}
	case event.KindNull:
		if wholeKey {
			return dst // the rule has no `by`: the key's text is empty
		}
	}
	return append(dst, v.Text()...)
}

// appendDecimal appends a double with at most six decimals.
func appendDecimal(dst []byte, f float64) []byte {
	if a := math.Abs(f); !(a < 1e15 && a >= 1e-4) {
		// Six decimals say nothing here. NaN and infinities are bare.
		return append(dst, strings.Trim(event.Double(f).Text(), `"`)...)
	}
	dst = strconv.AppendFloat(dst, f, 'f', 6, 64)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// Source returns the text that was compiled.
func (t *Text) Source() string { return t.src }

// Parts returns what the text consists of, in order.
func (t *Text) Parts() []Part { return t.parts }

// Programs returns the expressions of the text, in order.
func (t *Text) Programs() []*Program {
	var ps []*Program
	for _, part := range t.parts {
		if part.Program != nil {
			ps = append(ps, part.Program)
		}
	}
	return ps
}
