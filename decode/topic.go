package decode

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxTopic is the longest topic that MQTT can carry, in bytes.
const maxTopic = 65535

// Topic is a topic template: levels parted by "/", each a literal text or
// {name}, which captures one level; the last may be {name...}, which captures
// the rest. The zero Topic matches every topic and captures nothing.
type Topic struct {
	text   string
	filter string
	levels []level
	names  []string
}

type level struct {
	literal string // where it captures nothing
	capture bool
	rest    bool
}

// TopicError says what is wrong with a topic template, and where.
type TopicError struct {
	Offset, End int // of the part that is wrong, in bytes
	Message     string
}

// Error returns the message.
func (e *TopicError) Error() string { return e.Message }

// ParseTopic reads a topic template such as plant/{site}/{device}/telemetry.
// The error is a [*TopicError].
func ParseTopic(text string) (Topic, error) {
	if err := checkTopicText(text); err != nil {
		return Topic{}, err
	}
	t := Topic{text: text}
	var filter strings.Builder
	for start := 0; start <= len(text); {
		end := len(text)
		if i := strings.IndexByte(text[start:], '/'); i >= 0 {
			end = start + i
		}
		l, name, err := parseLevel(text[start:end], start, end == len(text))
		if err != nil {
			return Topic{}, err
		}
		if start > 0 {
			filter.WriteByte('/')
		}
		switch {
		case l.capture && slices.Contains(t.names, name):
			return Topic{}, &TopicError{start, end, fmt.Sprintf("{%s} is captured twice; give one of them another name", name)}
		case l.rest:
			filter.WriteByte('#')
		case l.capture:
			filter.WriteByte('+')
		default:
			filter.WriteString(l.literal)
		}
		if l.capture {
			t.names = append(t.names, name)
		}
		t.levels = append(t.levels, l)
		start = end + 1
	}
	t.filter = filter.String()
	return t, nil
}

func checkTopicText(text string) error {
	switch {
	case text == "":
		return &TopicError{0, 0, "a topic cannot be empty"}
	case len(text) > maxTopic:
		return &TopicError{maxTopic, len(text), fmt.Sprintf("a topic cannot be longer than %d bytes", maxTopic)}
	case strings.HasPrefix(text, "$share/"):
		return &TopicError{0, len("$share"), "a shared subscription ($share) is no topic"}
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return &TopicError{i, i + 1, "a topic cannot hold the character U+0000"}
	}
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return &TopicError{i, i + 1, "a topic must be UTF-8"}
			}
		}
	}
	return nil
}

// parseLevel reads one level of a template, which begins at offset at.
func parseLevel(s string, at int, last bool) (l level, name string, err error) {
	fail := func(from, to int, format string, args ...any) (level, string, error) {
		return level{}, "", &TopicError{at + from, at + to, fmt.Sprintf(format, args...)}
	}
	if i := strings.IndexAny(s, "+#"); i >= 0 {
		return fail(i, i+1, "write {name} for one level and {name...} for the rest, not %q", s[i])
	}
	i := strings.IndexAny(s, "{}")
	if i < 0 {
		return level{literal: s}, "", nil
	}
	if i > 0 || s[0] != '{' || strings.IndexAny(s[1:], "{}") != len(s)-2 || s[len(s)-1] != '}' {
		return fail(0, len(s), "{name} must be a whole level: between two slashes, nothing beside it")
	}
	name, rest := strings.CutSuffix(s[1:len(s)-1], "...")
	switch {
	case name == "":
		return fail(0, len(s), "a name is missing between the braces")
	case !isName(name):
		return fail(1, 1+len(name), "%q is no name; names are letters, digits and _, and do not begin with a digit", name)
	case rest && !last:
		return fail(0, len(s), "{%s...} takes the rest of a topic, so nothing can follow it", name)
	}
	return level{capture: true, rest: rest}, name, nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// String returns the template as it was written.
func (t Topic) String() string { return t.text }

// Filter returns the MQTT topic filter of the template: + for {name} and # for
// {name...}.
func (t Topic) Filter() string {
	if t.levels == nil {
		return "#"
	}
	return t.filter
}

// Names returns the names of the captures, in order. They must not be changed.
func (t Topic) Names() []string { return t.names }

// Match reports whether topic is one that [Topic.Filter] subscribes to, and
// appends what the template captures of it to dst, in the order of
// [Topic.Names]. Captures share topic's bytes. As in MQTT, captures may be
// empty, {name...} also takes nothing at all (a/{rest...} matches a), and no
// capture at the beginning takes a topic that starts with $.
func (t Topic) Match(topic string, dst []string) ([]string, bool) {
	n := len(dst)
	rest, more := topic, true
	for i := range t.levels {
		l := &t.levels[i]
		if i == 0 && l.capture && topic != "" && topic[0] == '$' {
			return dst[:n], false
		}
		if l.rest {
			return append(dst, rest), true
		}
		if !more {
			return dst[:n], false
		}
		at := strings.IndexByte(rest, '/')
		head := rest
		if more = at >= 0; more {
			head, rest = rest[:at], rest[at+1:]
		} else {
			rest = ""
		}
		if l.capture {
			dst = append(dst, head)
		} else if head != l.literal {
			return dst[:n], false
		}
	}
	if more && t.levels != nil {
		return dst[:n], false
	}
	return dst, true
}
