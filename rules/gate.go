package rules

import "strings"

// A linked condition is asked of every run that waits for it, again and again.
// Often a part of it looks at the event alone, as the first does in
//
//	e.kind == "b" && e.x > a.x
//
// That part is made a condition of its own, the gate: it is evaluated once for
// an event, and where it is false no run is asked at all.

// conjuncts cuts an expression at the && that hold it together. It returns the
// expression whole where anything else does, or might.
func conjuncts(src string) []string {
	var parts []string
	depth, start := 0, 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"' || c == '\'' || c == '`':
			end, ok := quotedEnd(src, i)
			if !ok {
				return []string{src}
			}
			i = end
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case c == '/' && strings.HasPrefix(src[i:], "//"):
			return []string{src}
		case depth > 0:
		case c == '?' && (i == 0 || src[i-1] != '.'), strings.HasPrefix(src[i:], "||"):
			return []string{src}
		case strings.HasPrefix(src[i:], "&&"):
			parts = append(parts, strings.TrimSpace(src[start:i]))
			i++
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(src[start:]))
}

// quotedEnd returns the last byte of the text in quotes that begins at src[i].
// Raw texts and those in three quotes are left to the caller.
func quotedEnd(src string, i int) (end int, ok bool) {
	if i > 0 && strings.IndexByte("rRbB", src[i-1]) >= 0 || strings.HasPrefix(src[i:], strings.Repeat(src[i:i+1], 3)) {
		return 0, false
	}
	for j := i + 1; j < len(src); j++ {
		switch src[j] {
		case '\\':
			j++
		case src[i]:
			return j, true
		}
	}
	return 0, false
}
