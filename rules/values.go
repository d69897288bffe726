package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// errorf reports an error about a whole node.
func (l *loader) errorf(n *node, advice, format string, args ...any) {
	l.report.add(n.src.issue(Error, n.pos, n.end, fmt.Sprintf(format, args...), advice))
}

// warnf reports a warning about a whole node.
func (l *loader) warnf(n *node, advice, format string, args ...any) {
	l.report.add(n.src.issue(Warning, n.pos, n.end, fmt.Sprintf(format, args...), advice))
}

// errorIn reports an error about some bytes of a text.
func (l *loader) errorIn(n *node, from, to int, message, advice string) {
	l.report.add(n.issueIn(Error, from, to, message, advice))
}

// issueIn makes an issue about the bytes of a text from one offset to another.
func (n *node) issueIn(severity Severity, from, to int, message, advice string) Issue {
	pos, end := n.at(from), n.at(to)
	if to > from {
		end = n.at(to-1) + 1 // not beyond a line break that follows
	}
	return n.src.issue(severity, pos, max(end, pos+1), message, advice)
}

// mapping reports whether n is a mapping, and says so if it is not.
func (l *loader) mapping(n *node, what string) bool {
	if n.bad || n.kind == mappingNode {
		return !n.bad
	}
	if n.kind == scalarNode && n.typ == emptyType {
		l.errorf(n, "", "%s is empty: `key: value` lines are wanted below it", what)
		return false
	}
	advice := ""
	switch {
	case n.kind == listNode:
		advice = "write `name: value`, without - and [ ]"
	case n.kind == scalarNode && shorthand[what] != "" && looseName.MatchString(n.text):
		advice = "write `" + strings.Trim(what, "`") + ": " + fmt.Sprintf(shorthand[what], n.text) + "`"
	}
	l.errorf(n, advice, "%s takes `key: value` lines, and this is %s", what, n.what())
	return false
}

// shorthand says how a value that stands where keys are wanted may have been
// meant.
var shorthand = map[string]string{
	"`watermark`": "{lag: %s}", "`absent`": "{for: %s}", "`no_data`": "{after: %s, do: clear}",
	"`detect`": "{value: %s}", "`flap`": "{changes: 6, within: %s}", "`unless`": "{firing: %s}",
}

// list returns the items of a list, or the node itself where one may stand for
// a list of one.
func (l *loader) list(n *node) []*node {
	if n.kind == listNode {
		return n.items
	}
	return []*node{n}
}

// text returns a text that is not empty.
func (l *loader) text(n *node, what string) (string, bool) {
	switch {
	case n.bad:
		return "", false
	case n.kind != scalarNode:
		l.errorf(n, "write it as one text", "%s must be a text, and this is %s", what, n.what())
		return "", false
	case n.typ == emptyType, n.typ == textType && strings.TrimSpace(n.text) == "":
		l.errorf(n, "write a text, or remove the key", "%s is empty", what)
		return "", false
	case n.typ != textType:
		l.errorf(n, fmt.Sprintf("put it in quotes: \"%s\"", n.text), "%s must be a text, and this is %s", what, n.what())
		return "", false
	}
	return n.text, true
}

// looseName returns the name of a stream, rule or sink.
func (l *loader) looseName(n *node, what string) (string, bool) {
	s, ok := l.text(n, what)
	if ok && !looseName.MatchString(s) {
		advice := "names are letters, digits, _ . and -"
		if strings.ContainsRune(s, ',') {
			advice = "write a list: [" + s + "]"
		} else if better := strings.Join(strings.Fields(s), "-"); looseName.MatchString(better) {
			advice += ": write `" + better + "`"
		}
		l.errorf(n, advice, "%s cannot be %q", what, s)
		return "", false
	}
	return s, ok
}

// choice returns one of some words, and the first of them where there is a
// mistake.
func (l *loader) choice(n *node, what string, words ...string) string {
	s, ok := l.text(n, what)
	if !ok || slices.Contains(words, s) {
		if ok {
			return s
		}
		return words[0]
	}
	advice := "it is one of " + strings.Join(words, ", ")
	if near := nearest(s, words); near != "" {
		advice = fmt.Sprintf("did you mean `%s`? %s", near, "It"+advice[2:])
	}
	l.errorf(n, advice, "%s cannot be `%s`", what, s)
	return words[0]
}

// duration returns a length of time; least says whether it may be zero.
func (l *loader) duration(n *node, what string, zero bool) event.Duration {
	const advice = "write a duration like 500ms, 30s, 5m, 1h30m or 7d"
	switch {
	case n.bad:
		return 0
	case n.kind != scalarNode || n.typ == boolType || n.typ == nullType:
		l.errorf(n, advice, "%s must be a duration, and this is %s", what, n.what())
		return 0
	case n.typ == emptyType:
		l.errorf(n, advice, "%s is empty", what)
		return 0
	case n.typ == numberType && n.text != "0":
		l.errorf(n, fmt.Sprintf("write the unit: %ss or %sm", n.text, n.text), "%s must be a duration, and this is a number without a unit", what)
		return 0
	}
	d, err := event.ParseDuration(strings.TrimSpace(n.text))
	switch {
	case err != nil:
		l.errorf(n, advice, "%s: %v", what, err)
	case d < 0:
		l.errorf(n, "", "%s cannot be negative", what)
	case d == 0 && !zero:
		l.errorf(n, "", "%s must be longer than zero", what)
	}
	if err != nil || d < 0 {
		return 0
	}
	return d
}

// number returns a whole number between two bounds.
func (l *loader) number(n *node, what string, least, most int) int {
	if n.bad {
		return least
	}
	i, err := strconv.Atoi(strings.ReplaceAll(n.text, "_", ""))
	if n.kind != scalarNode || n.style != plain || err != nil && !errors.Is(err, strconv.ErrRange) {
		l.errorf(n, "", "%s must be a whole number, and this is %s", what, n.what())
		return least
	}
	if err != nil || i < least || i > most {
		l.errorf(n, "", "%s must be between %d and %d", what, least, most)
		return least
	}
	return i
}

// expression compiles the text of a node. It returns nil after a mistake.
func (l *loader) expression(n *node, what string, scope *expr.Scope, want expr.Want) *expr.Program {
	if !l.expressionText(n, what) || l.readsDamaged(n.text) {
		return nil
	}
	l.seeTables(scope)
	p, issues := expr.Compile(n.text, scope, want)
	if len(issues) > 0 {
		l.expressionIssues(n, scope, issues)
		return nil
	}
	return p
}

// expressionText reports whether a node can be an expression at all. Numbers
// and booleans are: they mean the same in CEL.
func (l *loader) expressionText(n *node, what string) bool {
	text := strings.TrimSpace(n.text)
	switch {
	case n.bad:
		return false
	case n.kind != scalarNode && n.flow:
		l.errorf(n, "put it in quotes, or on the next line after |", "%s must be an expression, and YAML reads this as %s", what, n.what())
	case n.kind != scalarNode:
		l.errorf(n, "", "%s must be an expression, and this is %s", what, n.what())
	case text == "":
		l.errorf(n, "write a CEL expression, or remove the key", "%s is an empty expression", what)
	case text[0] == '#' && (n.style == singleQuoted || n.style == doubleQuoted):
		l.errorIn(n, strings.IndexByte(n.text, '#'), len(n.text), "a comment cannot begin after an open quote: all of it is the expression",
			"close the quote before the comment, or move the comment to a line above; in CEL comments begin with //")
	case text[0] == '#':
		l.errorIn(n, strings.IndexByte(n.text, '#'), strings.IndexByte(n.text, '#')+1, "after | every line belongs to the expression, this one too",
			"move the comment above the key, or begin it with // as in CEL")
	default:
		return true
	}
	return false
}

// expressionIssues reports what is wrong with an expression, in terms of YAML
// where YAML has cut it.
func (l *loader) expressionIssues(n *node, scope *expr.Scope, issues []expr.Issue) {
	if n.style == plain && l.cutByComment(n) {
		return
	}
	for _, i := range issues {
		l.expressionIssue(n, scope, i)
	}
}

// expressionIssue reports an issue, with advice that only this package can
// give.
func (l *loader) expressionIssue(n *node, scope *expr.Scope, i expr.Issue) {
	at := n.text[min(max(i.Offset, 0), len(n.text)):min(max(i.End, i.Offset, 0), len(n.text))]
	switch {
	case i.Advice != "":
	case strings.HasPrefix(at, "#"):
		i.Advice = "in CEL comments begin with //"
	case at == "e" && scope.Event == nil && len(scope.Steps) > 0:
		i.Advice = "write the name of a step instead, or `key`"
	}
	l.errorIn(n, i.Offset, i.End, i.Message, i.Advice)
}

// cutByComment reports an expression of which YAML took a part for a comment:
// there is one after it, and a quote before that is open.
func (l *loader) cutByComment(n *node) bool {
	if strings.Count(n.text, `"`)%2 == 0 && strings.Count(n.text, "'")%2 == 0 {
		return false
	}
	line, _ := n.src.position(n.end)
	rest := n.src.line(line)
	rest = rest[min(n.end-n.src.lines[line-1], len(rest)):]
	trimmed := strings.TrimLeft(rest, " \t")
	if !strings.HasPrefix(trimmed, "#") || len(trimmed) == len(rest) {
		return false
	}
	at := n.end + len(rest) - len(trimmed)
	whole := strings.TrimRight(n.text+rest, " \t")
	advice := "write it after | on the next line"
	if !strings.Contains(whole, "'") {
		advice = fmt.Sprintf("put the whole expression in quotes: '%s'", whole)
	}
	l.report.add(n.src.issue(Error, at, at+len(trimmed), "YAML reads ` #` as the beginning of a comment, which cuts the expression", advice))
	return true
}

// foreign finds what stands for a value in texts elsewhere.
var foreign = regexp.MustCompile(`\{\{|\$(?:key|e)\b|\{(?:key|e)[.}]`)

// template compiles a text with ${...} in it. It returns nil after a mistake.
func (l *loader) template(n *node, what string, scope *expr.Scope) *expr.Text {
	if _, ok := l.text(n, what); !ok {
		return nil
	}
	text := strings.TrimRight(n.text, " \n") // after | a text ends in a line break
	if l.readsDamaged(text) {
		return nil
	}
	l.seeTables(scope)
	t, issues := expr.CompileText(text, scope)
	for _, i := range issues {
		l.expressionIssue(n, scope, i)
	}
	if m := foreign.FindStringIndex(text); m != nil && !strings.Contains(text, "${") {
		l.report.add(n.issueIn(Warning, m[0], m[1], text[m[0]:m[1]]+" is printed as it stands", "a value goes into a text as ${...}, with CEL inside, such as ${key}"))
	}
	if len(issues) > 0 {
		return nil
	}
	return t
}
