package rules

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Severity says whether an issue stops a rule set.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Issue is something that is wrong in a rule file, and where.
type Issue struct {
	File string `json:"file"`
	// Line and Column are the first character that it is about, EndLine and
	// EndColumn the first one after it. They count from 1, columns in
	// characters.
	Line      int      `json:"line"`
	Column    int      `json:"column"`
	EndLine   int      `json:"end_line"`
	EndColumn int      `json:"end_column"`
	Severity  Severity `json:"severity"`
	Message   string   `json:"message"`          // what is wrong
	Advice    string   `json:"advice,omitempty"` // what to write instead
	Source    string   `json:"source"`           // the line, without its line break
}

// String prints the issue with its line, a caret below, and the advice.
func (i Issue) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s: %s\n", i.File, i.Line, i.Column, i.Severity, i.Message)
	if line, caret := i.excerpt(); line != "" {
		fmt.Fprintf(&b, "  %s\n  %s\n", line, caret)
	}
	if i.Advice != "" {
		fmt.Fprintf(&b, "  = %s\n", i.Advice)
	}
	return b.String()
}

// What an excerpt shows of a long line: enough for a terminal.
const (
	excerptBefore = 80
	excerptWidth  = 160
)

// excerpt returns the line, cut if it is very long, and the line of carets
// that goes below it.
func (i Issue) excerpt() (line, caret string) {
	runes := []rune(i.Source)
	from := min(i.Column-1, len(runes))
	to := len(runes)
	if i.EndLine == i.Line {
		to = min(max(i.EndColumn-1, from+1), len(runes))
	}
	if trimmed := len([]rune(strings.TrimRight(i.Source, " \t"))); i.EndLine > i.Line {
		to = max(trimmed, from)
	}
	if strings.TrimSpace(i.Source) == "" {
		return "", ""
	}
	start, stop := 0, len(runes)
	head, tail := "", ""
	if from > excerptWidth-excerptBefore/2 {
		start, head = from-excerptBefore, "..."
	}
	if stop-start > excerptWidth {
		stop, tail = start+excerptWidth, "..."
	}
	to = min(to, stop)
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, head+string(runes[start:from]))
	return head + string(runes[start:stop]) + tail, pad + strings.Repeat("^", max(to-from, 1))
}

// source is one rule file with a table of its lines.
type source struct {
	name  string
	text  string // line breaks are \n
	lines []int  // where each line starts
}

func newSource(name, text string) *source {
	s := &source{name: name, text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// line returns a line by number, from 1, without its line break.
func (s *source) line(n int) string {
	start, end := s.lines[n-1], len(s.text)
	if n < len(s.lines) {
		end = s.lines[n] - 1
	}
	return s.text[start:end]
}

// offset returns the place of a line and a column in characters, held inside
// of the line.
func (s *source) offset(line, column int) int {
	line = min(max(line, 1), len(s.lines))
	text, at := s.line(line), 0
	for range column - 1 {
		if at >= len(text) {
			break
		}
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return s.lines[line-1] + at
}

// position returns the line and column of an offset.
func (s *source) position(at int) (line, column int) {
	at = min(max(at, 0), len(s.text))
	lo, hi := 0, len(s.lines)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; s.lines[mid] <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + 1, utf8.RuneCountInString(s.text[s.lines[lo]:at]) + 1
}

// issue makes an issue about the bytes from pos to end.
func (s *source) issue(severity Severity, pos, end int, message, advice string) Issue {
	i := Issue{File: s.name, Severity: severity, Message: message, Advice: advice}
	i.Line, i.Column = s.position(pos)
	i.EndLine, i.EndColumn = s.position(max(end, pos))
	i.Source = s.line(i.Line)
	return i
}
