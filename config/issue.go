package config

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"

	"github.com/cepd/cepd/rules"
)

// secret finds lines that are not to be shown: a password or key, headers, or user
// and password in a URL.
var secret = regexp.MustCompile(`(?i)\b(password|secret|token|authorization|headers|routing_key)["']?\s*:|://[^/\s]*@`)

// issue makes an issue about a token. What follows a semicolon in the message
// is advice.
func issue(t *token.Token, text string) rules.Issue {
	i := rules.Issue{Line: 1, Column: 1, EndLine: 1, EndColumn: 1, Severity: rules.Error}
	i.Message, i.Advice, _ = strings.Cut(text, "; ")
	if t != nil && t.Position != nil {
		i.Line, i.Column = t.Position.Line, t.Position.Column
		i.EndLine, i.EndColumn = i.Line, i.Column+utf8.RuneCountInString(t.Value)
	}
	return i
}

// placed adds file and line to issues: not the lines that may hold a secret.
func placed(issues []rules.Issue, file string, src []byte) {
	lines := strings.Split(string(src), "\n")
	for n := range issues {
		i := &issues[n]
		i.File = file
		i.Source = ""
		if i.Line <= len(lines) && !secret.MatchString(lines[i.Line-1]) {
			i.Source = strings.TrimRight(lines[i.Line-1], "\r")
		}
	}
}

// sorted returns the issues by place, with the lines that they are about, but
// for lines that may hold a secret.
func sorted(issues []rules.Issue, file string, src []byte) []rules.Issue {
	placed(issues, file, src)
	slices.SortStableFunc(issues, func(a, b rules.Issue) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(issues)
}
