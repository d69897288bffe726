package nfa

import (
	"fmt"
	"strconv"
	"strings"
)

// A tiny evaluator for the conditions of the Flink cases, which are written in
// a small part of CEL. It keeps these tests free of the expression package.

// vars is what an expression sees.
type vars map[string]any

type expr func(v vars) any

type evalError string

type exprParser struct {
	text string
	at   int
}

func parseExpr(text string) expr {
	p := &exprParser{text: text}
	e := p.binary(0)
	if p.space(); p.at < len(p.text) {
		panic("condition not understood: " + text[p.at:] + " in " + text)
	}
	return e
}

// holds evaluates a condition; an error is false.
func (e expr) holds(v vars) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, is := r.(evalError); !is {
				panic(r)
			}
			ok = false
		}
	}()
	return e(v).(bool)
}

func (p *exprParser) space() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

func (p *exprParser) token(s string) bool {
	p.space()
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

var levels = [][]string{{"||"}, {"&&"}, {"==", "!=", "<=", ">=", "<", ">"}, {"+", "-"}}

func (p *exprParser) binary(level int) expr {
	if level == len(levels) {
		return p.unary()
	}
	left := p.binary(level + 1)
again:
	for _, op := range levels[level] {
		if p.token(op) {
			left = apply(op, left, p.binary(level+1))
			goto again
		}
	}
	return left
}

func (p *exprParser) unary() expr {
	if p.token("!") {
		e := p.unary()
		return func(v vars) any { return !e(v).(bool) }
	}
	return p.postfix(p.primary())
}

func (p *exprParser) name() string {
	p.space()
	from := p.at
	for p.at < len(p.text) && isName(p.text[p.at]) {
		p.at++
	}
	return p.text[from:p.at]
}

func (p *exprParser) primary() expr {
	p.space()
	switch c := p.text[p.at]; {
	case c == '(':
		p.at++
		e := p.binary(0)
		p.expect(")")
		return e
	case c == '\'':
		end := strings.IndexByte(p.text[p.at+1:], '\'') + p.at + 1
		s := p.text[p.at+1 : end]
		p.at = end + 1
		return func(vars) any { return s }
	case isDigit(c):
		from := p.at
		for p.at < len(p.text) && (isDigit(p.text[p.at]) || p.text[p.at] == '.') {
			p.at++
		}
		f, err := strconv.ParseFloat(p.text[from:p.at], 64)
		if err != nil {
			panic(err)
		}
		return func(vars) any { return f }
	}
	name := p.name()
	switch name {
	case "true", "false":
		return func(vars) any { return name == "true" }
	case "size":
		p.expect("(")
		e := p.binary(0)
		p.expect(")")
		return func(v vars) any { return float64(len(e(v).([]any))) }
	case "sum":
		p.expect("(")
		e := p.binary(0)
		p.expect(")")
		return func(v vars) any {
			total := 0.0
			for _, x := range e(v).([]any) {
				total += x.(float64)
			}
			return total
		}
	case "":
		panic("condition not understood: " + p.text[p.at:])
	}
	return func(v vars) any { return v[name] }
}

func (p *exprParser) expect(s string) {
	if !p.token(s) {
		panic(fmt.Sprintf("expected %s at %d of %s", s, p.at, p.text))
	}
}

func (p *exprParser) postfix(e expr) expr {
	for {
		of := e
		switch {
		case p.token("["):
			i := p.binary(0)
			p.expect("]")
			e = func(v vars) any { return index(of(v), i(v)) }
		case p.token("."):
			name := p.name()
			if !p.token("(") {
				e = func(v vars) any { return index(of(v), name) }
				continue
			}
			if name == "map" {
				x := p.name()
				p.expect(",")
				body := p.binary(0)
				e = func(v vars) any {
					var out []any
					for _, item := range of(v).([]any) {
						out = append(out, body(vars{x: item, "e": v["e"], "m": v["m"]}))
					}
					return out
				}
			} else {
				arg := p.binary(0)
				e = func(v vars) any {
					if name == "contains" {
						return strings.Contains(of(v).(string), arg(v).(string))
					}
					return strings.HasPrefix(of(v).(string), arg(v).(string))
				}
			}
			p.expect(")")
		default:
			return e
		}
	}
}

func index(of, i any) any {
	switch of := of.(type) {
	case map[string]any:
		if v, ok := of[i.(string)]; ok {
			return v
		}
	case func(string) []any:
		return of(i.(string))
	case []any:
		if n := int(i.(float64)); n < len(of) {
			return of[n]
		}
	}
	panic(evalError("no such field"))
}

func apply(op string, left, right expr) expr {
	switch op {
	case "||":
		return func(v vars) any { return left.holds(v) || right(v).(bool) }
	case "&&":
		return func(v vars) any { return left(v).(bool) && right(v).(bool) }
	case "==":
		return func(v vars) any { return left(v) == right(v) }
	case "!=":
		return func(v vars) any { return left(v) != right(v) }
	}
	return func(v vars) any {
		a, b := left(v).(float64), right(v).(float64)
		switch op {
		case "<":
			return a < b
		case "<=":
			return a <= b
		case ">":
			return a > b
		case ">=":
			return a >= b
		case "+":
			return a + b
		}
		return a - b
	}
}
