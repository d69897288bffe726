package expr

import (
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
)

// source is the text of an expression with its tokens. It finds the bytes that
// a node of the syntax tree was written with.
type source struct {
	text   string
	tokens []token
	runes  []int // byte offset of each code point, nil where all are ASCII
	info   *ast.SourceInfo
}

func newSource(text string) *source {
	s := &source{text: text, tokens: lex(text)}
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			for at := range text {
				s.runes = append(s.runes, at)
			}
			s.runes = append(s.runes, len(text))
			break
		}
	}
	return s
}

// offset converts an offset in code points, which the library counts in, to
// one in bytes.
func (s *source) offset(cp int) int {
	switch {
	case cp < 0:
		return 0
	case s.runes == nil:
		return min(cp, len(s.text))
	case cp >= len(s.runes):
		return len(s.text)
	}
	return s.runes[cp]
}

// token returns the index of the token at or after a byte offset.
func (s *source) token(offset int) int {
	for i, t := range s.tokens {
		if t.end > offset {
			return i
		}
	}
	return len(s.tokens)
}

// at returns the bytes of the token at a byte offset.
func (s *source) at(offset int) (start, end int) {
	if i := s.token(offset); i < len(s.tokens) && s.tokens[i].start <= offset {
		return s.tokens[i].start, s.tokens[i].end
	}
	return offset, min(offset+1, len(s.text))
}

// node returns the bytes of the token that stands for a node: of an operator
// or name; for a call its function's name, for a selection its field.
func (s *source) node(id int64) (start, end int) {
	r, ok := s.info.GetOffsetRange(id)
	if !ok {
		return 0, len(s.text)
	}
	at := s.offset(int(r.Start))
	i := s.token(at)
	if i == len(s.tokens) {
		return s.at(at)
	}
	switch s.text[s.tokens[i].start:s.tokens[i].end] {
	case "(": // a call: the name before
		if i > 0 && s.tokens[i-1].kind == tokenName {
			i--
		}
	case ".": // a selection: the name after
		for i+1 < len(s.tokens) && s.tokens[i].kind == tokenOther {
			i++
		}
	case "[": // an index: what is inside
		if i+1 < len(s.tokens) && i > 0 && (s.tokens[i-1].kind == tokenName || s.tokens[i-1].kind == tokenClose) {
			i++
		}
	}
	return s.tokens[i].start, s.tokens[i].end
}

// span returns the bytes of a whole subtree.
func (s *source) span(e ast.Expr) (start, end int) {
	if call, ok := s.info.GetMacroCall(e.ID()); ok {
		start, end = s.span(call)
		if a, b := s.node(e.ID()); b > a {
			start, end = min(start, a), s.closing(max(end, b))
		}
		return start, end
	}
	start, end = len(s.text), 0
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(n ast.Expr) {
		r, ok := s.info.GetOffsetRange(n.ID())
		if !ok || n.Kind() == ast.UnspecifiedExprKind {
			return
		}
		a, b := s.node(n.ID())
		start, end = min(start, a, s.offset(int(r.Start))), max(end, b)
		if s.text[s.offset(int(r.Start)):] != "" {
			end = max(end, s.matching(s.offset(int(r.Start))))
		}
	}))
	if start > end {
		return 0, len(s.text)
	}
	return start, end
}

// matching returns the end of the bracket that closes the one at a byte
// offset, 0 where there is none.
func (s *source) matching(offset int) int {
	depth := 0
	for _, t := range s.tokens[s.token(offset):] {
		switch t.kind {
		case tokenOpen:
			depth++
		case tokenClose:
			depth--
		}
		if depth <= 0 {
			if t.kind == tokenClose {
				return t.end
			}
			return 0
		}
	}
	return 0
}

// closing returns end, moved past a closing bracket right after it.
func (s *source) closing(end int) int {
	if i := s.token(end); i < len(s.tokens) && s.tokens[i].kind == tokenClose {
		return s.tokens[i].end
	}
	return end
}
