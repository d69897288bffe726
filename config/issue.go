package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Issue is a mistake in a cepd.yaml and where it stands.
type Issue struct {
	File         string
	Line, Column int // from 1 up; columns count characters
	Message      string
	Text         string // the line; empty where it may hold a secret
}

// secret finds lines that are not to be shown: a password or the like, or user
// and password in a URL.
var secret = regexp.MustCompile(`(?i)\b(password|secret)["']?\s*:|://[^/\s]*@`)

// String prints file, line, column, message, the line and a caret below the
// place.
func (i Issue) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", i.File, i.Line, i.Column, i.Message)
	if strings.TrimSpace(i.Text) == "" {
		return b.String()
	}
	b.WriteString("\n  " + i.Text + "\n  ")
	for n, c := range []rune(i.Text) {
		if n+1 >= i.Column {
			break
		}
		if c != '\t' { // a tab keeps its width
			c = ' '
		}
		b.WriteRune(c)
	}
	b.WriteString("^")
	return b.String()
}

// sorted returns the issues by place, with their lines.
func (r *reader) sorted(file string, src []byte) []Issue {
	lines := strings.Split(string(src), "\n")
	for i := range r.issues {
		is := &r.issues[i]
		is.File = file
		if is.Line <= len(lines) && !secret.MatchString(lines[is.Line-1]) {
			is.Text = strings.TrimRight(lines[is.Line-1], "\r")
		}
	}
	slices.SortStableFunc(r.issues, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(r.issues)
}
