package file

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cepd/cepd/event"
)

// template is a path with variables: texts at even places, names of variables
// at odd ones.
type template []string

// CheckPath says what is wrong with the template of a path.
func CheckPath(path string) error {
	_, err := parsePath(path)
	return err
}

// parsePath reads the template of a path.
func parsePath(s string) (template, error) {
	switch {
	case s == "":
		return nil, errors.New("no path; write path: \"derived/{rule}-{date}.jsonl\"")
	case s == "-":
		return nil, errors.New("- is no file; a sink of type stdout writes to the standard output")
	case strings.HasSuffix(s, "/") || strings.ContainsRune(s, 0):
		return nil, fmt.Errorf("%q is no name of a file", s)
	}
	var t template
	for rest := s; ; {
		text, after, found := strings.Cut(rest, "{")
		if strings.Contains(text, "}") {
			return nil, fmt.Errorf("a } stands without its { in %q", s)
		}
		t = append(t, text)
		if !found {
			return t, nil
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("a { has no } in %q", s)
		}
		if name != "rule" && name != "date" {
			return nil, fmt.Errorf("{%s} is neither {rule} nor {date}", name)
		}
		t = append(t, name)
		rest = behind
	}
}

// root returns the folder below which all files are.
func (t template) root() string {
	if len(t) == 1 {
		return filepath.Dir(t[0])
	}
	return filepath.Dir(t[0] + "x")
}

// expand returns the path for a rule and a day.
func (t template) expand(rule string, at event.Time) string {
	var b strings.Builder
	for i, part := range t {
		switch {
		case i%2 == 0:
			b.WriteString(part)
		case part == "rule":
			escape(&b, rule)
		default:
			b.WriteString(at.Go().UTC().Format("2006-01-02"))
		}
	}
	return filepath.Clean(b.String())
}

// escape writes a name so that it is one part of a path, on any system, and
// never one that means a folder or is hidden: what is neither letter nor digit
// nor one of _ - . is percent-encoded, and so is a dot at the start.
func escape(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		plain := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
}
