package rules

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A condition that is never true is a mistake, and an expensive one: nothing
// ever says so. Those are found whose parts, held together by &&, compare the
// same thing with constants that exclude each other, as in
//
//	e.temperature > 90 && e.temperature < 80

// comparison matches a part that compares a field with a constant.
var comparison = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.]*)\s*(==|<=|>=|<|>)\s*(-?[0-9]+(?:\.[0-9]+)?|"[^"\\]*"|'[^'\\]*'|true|false)$`)

// bounds is what the parts so far leave of a value.
type bounds struct {
	low, high     float64
	lowIn, highIn bool   // the bound itself is left too
	text          string // the only text or bool that is left, in quotes
	lowBy, highBy string // the parts that say so
	textBy        string
}

// never returns the parts of a condition that exclude each other, empty if there
// are none: then it may be true, as far as this can tell.
func never(src string) (one, other string) {
	all := map[string]*bounds{}
	for _, part := range conjuncts(src) {
		if part == "false" {
			return part, part
		}
		m := comparison.FindStringSubmatch(part)
		if m == nil {
			continue
		}
		b := all[m[1]]
		if b == nil {
			b = &bounds{low: math.Inf(-1), high: math.Inf(1)}
			all[m[1]] = b
		}
		if by := b.narrow(m[2], m[3], part); by != "" {
			return by, part
		}
	}
	return "", ""
}

// narrow takes in a part, and returns the one before that it excludes.
func (b *bounds) narrow(op, constant, part string) (by string) {
	x, err := strconv.ParseFloat(constant, 64)
	if err != nil {
		if op != "==" {
			return ""
		}
		constant = strings.ReplaceAll(constant, "'", `"`)
		if b.text != "" && b.text != constant {
			return b.textBy
		}
		b.text, b.textBy = constant, part
		return ""
	}
	if (op == "==" || op[0] == '>') && (x > b.low || x == b.low && op == ">") {
		b.low, b.lowIn, b.lowBy = x, op != ">", part
	}
	if (op == "==" || op[0] == '<') && (x < b.high || x == b.high && op == "<") {
		b.high, b.highIn, b.highBy = x, op != "<", part
	}
	if b.low < b.high || b.low == b.high && b.lowIn && b.highIn {
		return ""
	}
	if b.lowBy == part {
		return b.highBy
	}
	return b.lowBy
}

// warnNever warns of a condition that is never true.
func (l *loader) warnNever(n *node, what, follows string) {
	one, other := never(strings.TrimSpace(n.text))
	switch {
	case one == "":
	case one == other:
		l.warnf(n, "", "%s is never true%s", what, follows)
	default:
		l.warnf(n, "correct one of them, or write || for either", "%s is never true%s: `%s` and `%s` exclude each other", what, follows, one, other)
	}
}
