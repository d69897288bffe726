package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxFile is the largest rule file, in bytes: some ten thousand rules or tests.
	// Beyond it something else was taken for a rule file.
	maxFile = 4 << 20
	// maxRepairs is how many values of one file that YAML refuses are reported.
	maxRepairs = 20
)

// poison stands for a value that YAML refuses while the rest of its file is
// read on.
const poison = "\ue000refused\ue000"

// parse returns the root of a file, nil where there is none. It reports what
// YAML refuses, puts poison in the place of the value, and reads again, so
// that one such mistake does not hide the others of the file. damaged says
// that something of the file is not in the tree.
func parse(f File, r *Report) (root *node, damaged bool) {
	text := unixText(f.Data)
	src := newSource(f.Name, text)
	if i, message := unreadable(text); message != "" {
		r.add(src.issue(Error, i, i+1, message, ""))
		return nil, true
	}
	p := &repairer{src: src, report: r, lines: strings.Split(text, "\n"), done: map[int]bool{}}
	for range maxRepairs {
		file, bad, err := p.read()
		if err == nil && !bad {
			return p.root(file), damaged
		}
		damaged = true
		if bad {
			continue
		}
		if !p.refuse(err) {
			break
		}
	}
	return nil, true
}

// unixText returns a file's text without a mark of its encoding and with line
// breaks that are \n.
func unixText(data []byte) string {
	text := strings.TrimPrefix(string(data), "\ufeff")
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// unreadable finds what makes a file no text.
func unreadable(text string) (at int, message string) {
	if len(text) > maxFile {
		return maxFile, fmt.Sprintf("the file is larger than %d KiB; that is no rule file", maxFile>>10)
	}
	for i, c := range text {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"):
			return i, "the file is not UTF-8 text"
		case c < ' ' && c != '\n' && c != '\t', c == 0x7f:
			return i, fmt.Sprintf("the file holds the control character U+%04X", c)
		}
	}
	return 0, ""
}

type repairer struct {
	src    *source
	report *Report
	lines  []string     // what is left of the file
	done   map[int]bool // lines with poison
}

// read runs the YAML library. bad says that it found, and put right, a tag,
// which the library would pass over.
func (p *repairer) read() (f *ast.File, bad bool, err error) {
	defer func() {
		if e := recover(); e != nil { // it must not stop the daemon, whatever the bytes
			err = fmt.Errorf("reading YAML: %v", e)
		}
	}()
	tokens := lexer.Tokenize(strings.Join(p.lines, "\n"))
	for _, t := range tokens {
		if t.Type == token.TagType && p.refuseTag(t) {
			return nil, true, nil
		}
	}
	f, err = parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	return f, false, err
}

func (p *repairer) refuseTag(t *token.Token) bool {
	pos := (&converter{src: p.src}).place(t)
	o, ok := p.owner(t.Position.Line)
	if !ok || p.done[o.line] {
		return false
	}
	p.errorAt(pos, p.src.offset(o.line, 1)+len(p.lines[o.line-1]), o.quoted(), "YAML reads a value that begins with ! as a tag")
	p.poison(o)
	return true
}

func (p *repairer) errorAt(pos, end int, advice, message string) {
	p.report.add(p.src.issue(Error, pos, end, message, advice))
}

// root returns the node of the file's only document.
func (p *repairer) root(f *ast.File) *node {
	var docs []*ast.DocumentNode
	for _, d := range f.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			docs = append(docs, d)
		}
	}
	if len(docs) == 0 {
		p.report.add(p.src.issue(Warning, 0, 0, "the file holds no streams and no rules", ""))
		return nil
	}
	c := &converter{src: p.src, report: p.report, anchors: map[string]*node{}}
	if len(docs) > 1 {
		pos := c.place(docs[1].Start)
		c.errorAt(pos, pos+3, "remove the line `---`, or make it two files", "a rule file is one YAML document, and here a second one begins")
	}
	return c.convert(docs[0].Body)
}

// refuse reports what the library refuses, and puts poison in its place. It
// returns false if it does not know which value it is.
func (p *repairer) refuse(err error) bool {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil || syntax.Token.Position == nil {
		p.errorAt(0, 0, "", "YAML cannot be read: "+err.Error())
		return false
	}
	line := min(max(syntax.Token.Position.Line, 1), len(p.lines))
	pos := p.src.offset(line, syntax.Token.Position.Column)
	o, ok := p.owner(line)
	if ok && p.done[o.line] {
		p.plain(pos, line, syntax.Message)
		return false
	}
	if !ok {
		p.plain(pos, line, syntax.Message)
		return false
	}
	if pos < p.src.offset(o.line, 1)+o.start && line == o.line && !strings.Contains(syntax.Message, "'\t'") {
		p.misplaced(o)
		return false
	}
	if !p.explain(o, line, syntax.Message) {
		p.plain(pos, line, syntax.Message)
	}
	p.poison(o)
	return true
}

// owned is a value after `key:` at the beginning of a line.
type owned struct {
	line   int    // from 1
	indent int    // of the key, in bytes
	start  int    // of the value in the line, in bytes
	head   string // the line up to the value
	value  string // the rest of the line
	more   bool   // it goes on over lines
}

// noSpace finds a key without a space behind its colon.
var noSpace = regexp.MustCompile(`^ *(?:- +)*[A-Za-z_][A-Za-z0-9_.-]*:[^ /]`)

var keyLine = regexp.MustCompile(`^( *(?:- +)*)("[^"]*"|'[^']*'|[A-Za-z_][A-Za-z0-9_.-]*) *:(?:[ \t]+|$)`)

// owner finds the value that a line is part of: its own, or that of the line
// above with a key that is indented less.
func (p *repairer) owner(line int) (owned, bool) {
	indent := 1 << 30
	for n := line; n >= 1; n-- {
		text := p.lines[n-1]
		if m := keyLine.FindStringSubmatch(text); m != nil && len(m[1]) < indent {
			o := owned{line: n, indent: len(m[1]), start: len(m[0]), head: m[0], value: strings.TrimRight(text[len(m[0]):], " \t")}
			o.more = p.continues(o)
			return o, true
		}
		if trimmed := strings.TrimLeft(text, " "); trimmed != "" {
			indent = min(indent, len(text)-len(trimmed))
		}
		if line-n > 200 {
			break
		}
	}
	return owned{}, false
}

// continues reports whether the line after a value is a part of it.
func (p *repairer) continues(o owned) bool {
	if o.line >= len(p.lines) {
		return false
	}
	next := p.lines[o.line]
	trimmed := strings.TrimLeft(next, " ")
	return trimmed != "" && len(next)-len(trimmed) > o.indent && !keyLine.MatchString(next)
}

// poison replaces a value and the lines that it goes on over.
func (p *repairer) poison(o owned) {
	p.done[o.line] = true
	p.lines[o.line-1] = strings.TrimRight(o.head, " \t") + ` "` + poison + `"`
	for n := o.line; n < len(p.lines); n++ {
		trimmed := strings.TrimLeft(p.lines[n], " \t")
		if trimmed != "" && len(p.lines[n])-len(trimmed) <= o.indent {
			break
		}
		p.lines[n] = ""
	}
}

// quoted is the advice to write a value in quotes.
func (o owned) quoted() string {
	key := strings.TrimSpace(o.head)
	key = strings.TrimLeft(key, "- ")
	switch {
	case o.value == "" || o.more || len(o.value) > 100:
		return "put the whole value in quotes, or on the next line after |"
	case strings.HasPrefix(o.value, "{"):
		return "write each entry on a line of its own, or its value in quotes"
	case !strings.Contains(o.value, "'"):
		return fmt.Sprintf("put it in quotes: %s '%s'", key, o.value)
	case !strings.ContainsAny(o.value, `"\`):
		return fmt.Sprintf("put it in quotes: %s \"%s\"", key, o.value)
	}
	return fmt.Sprintf("write `%s |` and put the value on the next line, indented", key)
}

// explain says in terms of rules why YAML refuses a value. It returns false if
// it cannot tell.
func (p *repairer) explain(o owned, line int, message string) bool {
	begin := p.src.offset(o.line, 1) + o.start
	end := begin + len(o.value)
	if p.dollar(o.line) {
		return true
	}
	say := func(pos, end int, advice, message string) bool {
		p.errorAt(pos, end, advice, message)
		return true
	}
	v := o.value
	if strings.Contains(message, "'\t'") {
		return p.tab(line)
	}
	if v == "" || line != o.line {
		return false
	}
	switch v[0] {
	case '"', '\'':
		return p.explainQuote(o, begin)
	case '`', '@', '%':
		return say(begin, end, o.quoted(), fmt.Sprintf("YAML does not let a value begin with %c", v[0]))
	case '[':
		return say(begin, end, o.quoted(), "YAML reads a value that begins with [ as a list")
	case '{':
		if strings.Count(v, "'")%2 == 1 {
			return say(begin, end, "write a quote inside of '...' twice, or put \"...\" around the text", "a text in '...' ends at the next quote")
		}
		return say(begin, end, o.quoted(), "inside of {...} YAML ends a value at a comma, and at [ { ] and }")
	case '&', '*':
		return say(begin, end, o.quoted(), fmt.Sprintf("YAML reads a value that begins with %c as a reference", v[0]))
	case '|', '>':
		return say(begin, end, fmt.Sprintf("write only %c here, and the text from the next line on, indented", v[0]), fmt.Sprintf("a text follows %c on the same line", v[0]))
	case '-':
		return say(begin, end, o.quoted(), "YAML reads `- ` as an entry of a list")
	}
	if i := strings.Index(v, ": "); i >= 0 {
		return say(begin+i, begin+i+1, o.quoted(), "YAML reads `: ` inside of a value as a second key")
	}
	if strings.HasSuffix(v, ":") {
		return say(end-1, end, o.quoted(), "YAML reads `:` at the end of a value as a second key")
	}
	return p.indentation(o)
}

// misplaced says that a line with a key of its own does not belong where it
// stands.
func (p *repairer) misplaced(o owned) {
	at := p.src.offset(o.line, 1)
	p.errorAt(at+o.indent, at+o.start+len(o.value), "indent it like the keys that it belongs to",
		fmt.Sprintf("this line is indented by %d spaces, which fits none of the lines before", o.indent))
}

// indentation says that the line after a value is indented wrongly.
func (p *repairer) indentation(o owned) bool {
	for n := o.line + 1; n <= len(p.lines); n++ {
		text := p.lines[n-1]
		trimmed := strings.TrimLeft(text, " ")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		indent := len(text) - len(trimmed)
		if indent <= o.indent || !keyLine.MatchString(text) {
			return false
		}
		at := p.src.offset(n, 1)
		p.errorAt(at+indent, at+len(text), fmt.Sprintf("indent it by %d spaces, as the key before it", o.indent),
			fmt.Sprintf("this line is indented by %d spaces and is read as part of line %d", indent, o.line))
		return true
	}
	return false
}

func (p *repairer) tab(line int) bool {
	at := p.src.offset(line, 1)
	i := strings.IndexByte(p.lines[line-1], '\t')
	if i < 0 {
		return false
	}
	p.errorAt(at+i, at+i+1, "YAML is indented with spaces", "a tab stands in the indentation")
	return true
}

// explainQuote says what is wrong with a value that begins with a quote.
func (p *repairer) explainQuote(o owned, begin int) bool {
	v := o.value
	decode := decodeDouble
	if v[0] == '\'' {
		decode = decodeSingle
	}
	if at := badEscape(v, 1); v[0] == '"' && at >= 0 {
		p.errorAt(begin+at, begin+at+2, escapeAdvice, escapeMessage)
		return true
	}
	_, origin, ok := decode(v, 1)
	if !ok {
		p.errorAt(begin, begin+len(v), fmt.Sprintf("end the value with %c", v[0]), fmt.Sprintf("the quote %c is not closed in this line or a following one", v[0]))
		return true
	}
	after := origin[len(origin)-1] + 1
	rest := strings.TrimLeft(v[after:], " ")
	if rest == "" {
		return p.indentation(o)
	}
	advice := o.quoted()
	inner, other := v[1:len(v)-1], `"`
	if v[0] == '"' {
		other = "'"
	}
	goesOn := strings.ContainsAny(v[after-2:after-1], " =<>!+-*/%(,&|")
	if goesOn && v[len(v)-1] == v[0] && !strings.ContainsAny(inner, other+`\`) {
		// Quotes in quotes of the same kind: the outer ones are to be others.
		advice = "put it in the other quotes: " + strings.TrimLeft(strings.TrimSpace(o.head), "- ") + " " + other + inner + other
	} else if v[0] == '\'' && strings.Count(v, "'")%2 == 1 {
		advice = "write a quote inside of '...' twice, or put \"...\" around the text"
	}
	p.errorAt(begin+len(v)-len(rest), begin+len(v), advice, "YAML ends the value at the closing quote, and more follows")
	return true
}

// dollar says that a text with ${...} stands inside of {...} or [...] without
// quotes: YAML takes its braces for its own.
func (p *repairer) dollar(line int) bool {
	text := p.lines[line-1]
	depth, quote := 0, byte(0)
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '$' && depth > 0 && strings.HasPrefix(text[i:], "${"):
			at, end := p.src.offset(line, 1)+i, i+2
			if n := strings.IndexByte(text[i:], '}'); n >= 0 {
				end = i + n + 1
			}
			p.errorAt(at, at+end-i, `put the whole text in quotes, as in "`+text[i:end]+`"`, "inside of {...} and [...] YAML takes the braces of ${...} for its own")
			return true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// plain reports what the library says, in its words where there are no better
// ones.
func (p *repairer) plain(pos, line int, message string) {
	end := p.src.offset(line, 1) + len(p.src.line(line))
	advice := ""
	if strings.Contains(message, "'\t'") && p.tab(line) {
		return
	}
	if p.dollar(line) {
		return
	}
	if m := noSpace.FindString(p.src.line(line)); m != "" {
		p.errorAt(p.src.offset(line, 1)+len(m)-2, p.src.offset(line, 1)+len(m), "write a space after the colon", "this line is no `key: value`")
		return
	}
	switch message {
	case "non-map value is specified", "unexpected key name":
		message, advice = "this line is no `key: value`", "write `key: value`, or indent the line if it goes on from the one before"
	case "value is not allowed in this context", "value is not allowed in this context. map key-value is pre-defined", "unexpected scalar value":
		message, advice = "YAML does not expect this here", "look at the indentation of this line and of the one before"
	default:
		message = "YAML cannot be read here: " + message
	}
	p.errorAt(pos, max(end, pos+1), advice, message)
}
