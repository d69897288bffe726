package nfa

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cepd/cepd/event"
)

// Bounds on the text of a pattern. They keep a mistaken or hostile rule file
// from costing time or stack before anything else is known about it.
const (
	// maxText bounds the text; a pattern that a person can read has a few
	// hundred bytes.
	maxText = 16 << 10
	// maxNesting bounds parentheses within parentheses, each of which is a
	// level of recursion here and in the compiler.
	maxNesting = 50
	// maxCount bounds the numbers of a count, since each repetition that is
	// counted is a state. A longer repeat is a loop with a condition on the
	// number of its events.
	maxCount = 1000
)

// Parse reads the text of a pattern. An error is a [*SyntaxError].
func Parse(text string) (*Pattern, error) {
	p := &parser{text: text}
	if len(text) > maxText {
		return nil, &SyntaxError{0, len(text), fmt.Sprintf("the pattern is longer than %d bytes", maxText), "split it into several rules, one taking the events that the other emits"}
	}
	root, err := p.parsePattern(0)
	if err == nil && p.at < len(text) {
		err = p.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return &Pattern{Text: text, Root: root}, nil
}

// parser is a recursive-descent parser with one method per rule of the
// grammar. Each leaves at behind what it read and the space after it.
type parser struct {
	text string
	at   int
	end  int // of the last token, before the space after it
}

func (p *parser) fail(offset, end int, advice, format string, args ...any) error {
	return &SyntaxError{offset, end, fmt.Sprintf(format, args...), advice}
}

func (p *parser) space() {
	p.end = p.at
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// token consumes s if it is next.
func (p *parser) token(s string) bool {
	if !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	p.space()
	return true
}

func (p *parser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// take consumes the longest run of bytes that ok accepts.
func (p *parser) take(ok func(c byte) bool) string {
	from := p.at
	for p.at < len(p.text) && ok(p.text[p.at]) {
		p.at++
	}
	word := p.text[from:p.at]
	p.space()
	return word
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isStart(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isName(c byte) bool  { return isStart(c) || isDigit(c) }
func isTime(c byte) bool  { return isDigit(c) || c == '.' || 'a' <= c && c <= 'z' }

// word quotes the token that starts at p.at and returns its end.
func (p *parser) word() (string, int) {
	if p.at == len(p.text) {
		return "the end", p.at
	}
	end := p.at
	for end < len(p.text) && isName(p.text[end]) {
		end++
	}
	if end == p.at {
		_, n := utf8.DecodeRuneInString(p.text[p.at:])
		end += n
	}
	return strconv.Quote(p.text[p.at:end]), end
}

// unexpected explains a token that cannot stand where it does, knowing what
// people write who come from other languages.
func (p *parser) unexpected() error {
	rest := p.text[p.at:]
	for _, m := range []struct{ has, advice string }{
		{",", "steps are joined by ->, => or ~>"},
		{";", "steps are joined by ->, => or ~>"},
		{"\u2192", "write -> for it"},
		{"-->", "write -> for it"},
		{"<-", "steps are joined by ->, => or ~> and stand in the order of their events"},
		{"&&", "write (a & b) for both in any order"},
		{"||", "write a | b for either"},
		{"&", "put (a & b) in parentheses, and a group that is an operand in parentheses of its own"},
		{"!", "a negated step follows => or ->"},
		{")", "it closes nothing"},
		{"[", "options stand once, directly after the step or its count: a{2,3}[strict, greedy]"},
		{"(", "steps are joined by ->, => or ~>"},
	} {
		if strings.HasPrefix(rest, m.has) {
			return p.fail(p.at, p.at+len(m.has), m.advice, "unexpected %q", m.has)
		}
	}
	word, end := p.word()
	advice := ""
	if p.at < len(p.text) && isStart(p.text[p.at]) {
		advice = "steps are joined by ->, => or ~>"
	}
	return p.fail(p.at, end, advice, "unexpected %s", word)
}

// pattern = sequence { "|" sequence }
func (p *parser) parsePattern(depth int) (*Node, error) {
	if depth == 0 {
		p.space()
	}
	from := p.at
	first, err := p.parseSequence(depth)
	if err != nil || p.next() != '|' {
		return first, err
	}
	either := &Node{Op: OpEither, Subs: []*Node{first}, Min: 1, Max: 1, Inner: FollowRelaxed, Offset: from}
	for p.next() == '|' && !strings.HasPrefix(p.text[p.at:], "||") {
		p.token("|")
		branch, err := p.parseSequence(depth)
		if err != nil {
			return nil, err
		}
		either.Subs = append(either.Subs, branch)
	}
	either.End = p.end
	return either, nil
}

// sequence = item { follow item }
func (p *parser) parseSequence(depth int) (*Node, error) {
	seq := &Node{Op: OpSequence, Min: 1, Max: 1, Inner: FollowRelaxed, Offset: p.at}
	follow := FollowStart
	for {
		item, err := p.parseItem(depth)
		if err != nil {
			return nil, err
		}
		item.Follow = follow
		seq.Subs = append(seq.Subs, item)
		seq.End = p.end
		switch {
		case p.token("=>"):
			follow = FollowStrict
		case p.token("->"):
			follow = FollowRelaxed
		case p.token("~>"):
			follow = FollowAny
		default:
			return seq, nil
		}
	}
}

// item = "!" NAME [ options ] | operand
func (p *parser) parseItem(depth int) (*Node, error) {
	from := p.at
	if !p.token("!") {
		return p.parseOperand(depth)
	}
	n := &Node{Op: OpNot, Min: 1, Max: 1, Inner: FollowRelaxed, Offset: from}
	if p.next() == '(' {
		return nil, p.fail(from, p.at+1, "negate the step that must not come, as in a -> !b -> c", "a group cannot be negated")
	}
	var err error
	if n.Name, err = p.parseName(); err != nil {
		return nil, err
	}
	n.End = p.end
	if c := p.next(); strings.IndexByte("?*+{", c) >= 0 && c != 0 {
		return nil, p.fail(p.at, p.at+1, "leave it out: one such event is one too many", "a negated step has no count")
	}
	return n, p.parseOptions(n)
}

// operand = atom [ count ] [ options ]
func (p *parser) parseOperand(depth int) (*Node, error) {
	n, err := p.parseAtom(depth)
	if err != nil {
		return nil, err
	}
	if err := p.parseCount(n); err != nil {
		return nil, err
	}
	return n, p.parseOptions(n)
}

// atom = NAME | "(" pattern ")" | "(" operand "&" operand { "&" operand } ")"
func (p *parser) parseAtom(depth int) (*Node, error) {
	from := p.at
	if !p.token("(") {
		name, err := p.parseName()
		return &Node{Op: OpStep, Name: name, Min: 1, Max: 1, Inner: FollowRelaxed, Offset: from, End: p.end}, err
	}
	if depth == maxNesting {
		return nil, p.fail(from, from+1, "", "parentheses are nested more than %d deep", maxNesting)
	}
	n, err := p.parsePattern(depth + 1)
	if err != nil {
		return nil, err
	}
	if p.next() == '&' {
		if n, err = p.parseAll(n, depth+1); err != nil {
			return nil, err
		}
	}
	if !p.token(")") {
		if p.at < len(p.text) {
			return nil, p.unexpected()
		}
		return nil, p.fail(from, from+1, "", "this parenthesis is never closed")
	}
	n.Offset, n.End = from, p.end
	return n, nil
}

// parseAll reads the rest of (a & b & c), of which first was read as a
// pattern.
func (p *parser) parseAll(first *Node, depth int) (*Node, error) {
	if first.Op != OpSequence || len(first.Subs) != 1 {
		return nil, p.fail(p.at, p.at+1, "put what is more than a step in parentheses: ((a -> b) & c)", "& stands between steps or groups, not sequences")
	}
	if not := first.Subs[0]; not.Op == OpNot {
		return nil, p.fail(not.Offset, not.End, "say when it must not come: (a & b) -> !c -> d", "a negated step cannot be an operand of &")
	}
	all := &Node{Op: OpAll, Subs: first.Subs, Min: 1, Max: 1, Inner: FollowRelaxed}
	for p.next() == '&' && !strings.HasPrefix(p.text[p.at:], "&&") {
		p.token("&")
		if p.next() == '!' {
			return nil, p.fail(p.at, p.at+1, "say when it must not come: (a & b) -> !c -> d", "a negated step cannot be an operand of &")
		}
		operand, err := p.parseOperand(depth)
		if err != nil {
			return nil, err
		}
		all.Subs = append(all.Subs, operand)
	}
	switch rest := p.text[p.at:]; {
	case strings.HasPrefix(rest, "->"), strings.HasPrefix(rest, "=>"), strings.HasPrefix(rest, "~>"), strings.HasPrefix(rest, "|"):
		return nil, p.fail(p.at, p.at+1, "put what is more than a step in parentheses: ((a -> b) & c)", "& stands between steps or groups, not sequences")
	}
	return all, nil
}

func (p *parser) parseName() (string, error) {
	if c := p.next(); !isStart(c) {
		word, end := p.word()
		if isDigit(c) {
			return "", p.fail(p.at, end, "names start with a letter or _", "%s is no name of a step", word)
		}
		return "", p.fail(p.at, end, "", "expected the name of a step, found %s", word)
	}
	return p.take(isName), nil
}

// count = "?" | "*" | "+" | "{n}" | "{n,}" | "{n,m}"
func (p *parser) parseCount(n *Node) error {
	from := p.at
	switch {
	case p.token("?"):
		n.Optional = true
	case p.token("*"):
		n.Counted, n.Min, n.Max, n.Optional = true, 1, Unlimited, true
	case p.token("+"):
		n.Counted, n.Min, n.Max = true, 1, Unlimited
	case p.token("{"):
		if err := p.parseBraces(n, from); err != nil {
			return err
		}
	default:
		return nil
	}
	return p.secondCount(n, from)
}

// secondCount explains a count after a count.
func (p *parser) secondCount(n *Node, from int) error {
	end := p.end
	first := p.text[from:end]
	switch c := p.next(); {
	case p.at != end: // space between them; a token that cannot stand there
		return nil
	case c == '?':
		return p.fail(from, p.at+1,
			fmt.Sprintf("write %s, which finds the short repeats as well as the long ones, and until NAME to end it early", first),
			"reluctant quantifiers such as %s? do not exist", first)
	case c == '+':
		return p.fail(from, p.at+1, fmt.Sprintf("write %s[greedy], which keeps the events that the next step could take too", first),
			"possessive quantifiers such as %s+ do not exist", first)
	case c == '*' || c == '{':
		return p.fail(from, p.at+1, "put the repeat in parentheses to repeat it as a whole: (a{2})+", "a step has one count")
	}
	return nil
}

func (p *parser) parseBraces(n *Node, from int) error {
	lo, err := p.parseNumber()
	if err != nil {
		return err
	}
	hi := lo
	if p.token(",") {
		if hi = Unlimited; p.next() != '}' {
			if hi, err = p.parseNumber(); err != nil {
				return err
			}
		}
	}
	if !p.token("}") {
		_, end := p.word()
		return p.fail(from, end, "write {2}, {2,} or {2,5}", "this count is not closed")
	}
	text := p.text[from:p.end]
	switch {
	case hi == 0:
		return p.fail(from, p.end, "leave the step out, or negate it: !a", "%s repeats nothing", text)
	case hi != Unlimited && hi < lo:
		return p.fail(from, p.end, fmt.Sprintf("write {%d,%d}", hi, lo), "%s asks for at least %d and at most %d", text, lo, hi)
	case lo > maxCount || hi > maxCount:
		return p.fail(from, p.end, "write a loop, and count its events in the condition of the next step: a.size() >= 5000",
			"%s counts further than %d", text, maxCount)
	}
	n.Counted, n.Min, n.Max, n.Optional = true, max(lo, 1), hi, lo == 0
	return nil
}

func (p *parser) parseNumber() (int, error) {
	from := p.at
	digits := p.take(isDigit)
	if digits == "" {
		_, end := p.word()
		advice := "write {2}, {2,} or {2,5}"
		if p.next() == ',' {
			advice = "write {0,n} if there may be none, {1,n} otherwise"
		}
		return 0, p.fail(from, end, advice, "expected a number of repetitions")
	}
	v, err := strconv.Atoi(digits)
	if err != nil {
		v = maxCount + 1 // refused by the caller, with the whole count
	}
	return v, nil
}

// options = "[" option { "," option } "]"
func (p *parser) parseOptions(n *Node) error {
	open := p.at
	if !p.token("[") {
		return nil
	}
	var seen []string
	for {
		from := p.at
		name := p.take(isStart)
		if err := p.parseOption(n, name, from, seen); err != nil {
			return err
		}
		seen = append(seen, name)
		if p.token("]") {
			return nil
		}
		if !p.token(",") {
			if p.at == len(p.text) {
				return p.fail(open, open+1, "", "this bracket is never closed")
			}
			word, end := p.word()
			return p.fail(p.at, end, "options are separated by commas: [strict, greedy]", "unexpected %s", word)
		}
	}
}

func (p *parser) parseOption(n *Node, name string, from int, seen []string) error {
	end := max(p.end, from)
	for _, s := range seen {
		if s == name {
			return p.fail(from, end, "say it once", "%s stands twice", name)
		}
		if s == "strict" && name == "any" || s == "any" && name == "strict" {
			return p.fail(from, end, "keep one of them", "repetitions cannot follow each other both %s and %s", s, name)
		}
	}
	var err error
	switch name {
	case "strict":
		n.Inner = FollowStrict
	case "any":
		n.Inner = FollowAny
	case "greedy":
		n.Greedy = true
	case "optional":
		if n.Optional {
			return p.fail(from, end, "leave one of them out", "the count says already that it is optional")
		}
		n.Optional = true
	case "until":
		n.UntilOffset = p.at
		n.Until, err = p.parseName()
		n.UntilEnd = p.end
	case "gap":
		n.Gap, err = p.parseDuration(name)
	case "within":
		n.Within, err = p.parseDuration(name)
	default:
		word, wordEnd := strconv.Quote(name), end
		if name == "" {
			p.at = from
			word, wordEnd = p.word()
		}
		advice := "options are strict, any, greedy, optional, until NAME, gap DURATION and within DURATION"
		switch name {
		case "relaxed":
			advice = "leave it out: repetitions are relaxed where nothing is said"
		case "lazy", "reluctant":
			advice = "leave it out: a repeat finds the short lengths as well as the long ones"
		}
		err = p.fail(from, wordEnd, advice, "unknown option %s", word)
	}
	return err
}

func (p *parser) parseDuration(option string) (event.Duration, error) {
	from := p.at
	text := p.take(isTime)
	d, err := event.ParseDuration(text)
	if err != nil || text == "" {
		return 0, p.fail(from, max(p.end, from), fmt.Sprintf("write %s 500ms, %s 5m or %s 1h30m", option, option, option), "%s needs a duration", option)
	}
	if d <= 0 {
		return 0, p.fail(from, p.end, "", "%s must be longer than nothing", option)
	}
	return d, nil
}
