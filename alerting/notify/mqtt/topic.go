package mqtt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cepd/cepd/event"
)

// maxTopic is the length in bytes that MQTT allows a topic.
const maxTopic = 65535

// template is a topic with variables: texts at even places, names of
// variables at odd ones.
type template []string

// parseTemplate reads a template that may have the named variables.
func parseTemplate(s string, names ...string) (template, error) {
	if s == "" {
		return nil, errors.New("it is empty")
	}
	if strings.ContainsAny(s, "+#\x00") || !utf8.ValidString(s) {
		return nil, errors.New("a topic to publish to has no +, # or NUL and is UTF-8")
	}
	var t template
	for rest := s; ; {
		text, after, found := strings.Cut(rest, "{")
		if strings.Contains(text, "}") {
			return nil, errors.New("a } stands without its {")
		}
		t = append(t, text)
		if !found {
			return t, nil
		}
		name, rest2, closed := strings.Cut(after, "}")
		if !closed {
			return nil, errors.New("a { has no }")
		}
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("{%s} is none of {%s}", name, strings.Join(names, "}, {"))
		}
		t = append(t, name)
		rest = rest2
	}
}

// expand returns the topic of what a rule has to say about a key. An event has
// no fingerprint.
func (t template) expand(rule, key, fingerprint string) (string, error) {
	var b strings.Builder
	for i, part := range t {
		switch {
		case i%2 == 0:
			b.WriteString(part)
		case part == "rule":
			escape(&b, rule)
		case part == "fingerprint":
			escape(&b, fingerprint)
		default:
			if err := t.key(&b, i, key); err != nil {
				return "", err
			}
		}
	}
	if b.Len() > maxTopic {
		return "", fmt.Errorf("the topic is %d bytes long, more than MQTT can carry", b.Len())
	}
	return b.String(), nil
}

// key writes the parts of a key as levels. Where there is no key and the
// variable, at place i, is a level of its own, it takes the slash before it
// away, since many dislike empty levels.
func (t template) key(b *strings.Builder, i int, key string) error {
	if key == "" {
		topic := b.String()
		if strings.HasSuffix(topic, "/") && (t[i+1] == "" && i+2 == len(t) || strings.HasPrefix(t[i+1], "/")) {
			b.Reset()
			b.WriteString(topic[:len(topic)-1])
		}
		return nil
	}
	parts, err := event.DecodeKey(key)
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	for j, v := range parts {
		if j > 0 {
			b.WriteByte('/')
		}
		escape(b, v.Text())
	}
	return nil
}

// escape percent-encodes what a level of a topic must not hold: the special
// characters of MQTT, the percent sign itself, control characters, and bytes
// that are no UTF-8, which brokers refuse.
func escape(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if bad := r == '/' || r == '+' || r == '#' || r == '%' || r < ' ' || 0x7f <= r && r < 0xa0 || r == utf8.RuneError && n == 1; bad {
			for _, c := range []byte(s[i : i+n]) {
				b.WriteByte('%')
				b.WriteByte(hex[c>>4])
				b.WriteByte(hex[c&15])
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
}

// statusTopic returns the topic on which a client says whether it is online.
func statusTopic(clientID string) string {
	var b strings.Builder
	b.WriteString("cepd/")
	escape(&b, clientID)
	b.WriteString("/status")
	return b.String()
}
