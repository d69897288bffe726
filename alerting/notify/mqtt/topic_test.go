package mqtt

import (
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

func key(t *testing.T, parts ...event.Value) string {
	t.Helper()
	k, err := event.AppendKey(nil, parts...)
	if err != nil {
		t.Fatal(err)
	}
	return string(k)
}

func TestTopic(t *testing.T) {
	s := event.String
	tests := []struct {
		template string
		rule     string
		parts    []event.Value
		want     string
	}{
		{DefaultTopic, "hot", []event.Value{s("p1")}, "cepd/alerts/hot/p1"},
		{DefaultTopic, "hot", []event.Value{s("oslo"), s("p1")}, "cepd/alerts/hot/oslo/p1"},
		{DefaultTopic, "hot", []event.Value{event.Int(-7)}, "cepd/alerts/hot/-7"},
		{DefaultTopic, "hot", []event.Value{event.Double(1.5)}, "cepd/alerts/hot/1.5"},
		// What would make two topics one, or a topic a filter, is encoded.
		{DefaultTopic, "a/b", []event.Value{s("x/y")}, "cepd/alerts/a%2Fb/x%2Fy"},
		{DefaultTopic, "r", []event.Value{s("+"), s("#"), s("%2F")}, "cepd/alerts/r/%2B/%23/%252F"},
		{DefaultTopic, "r", []event.Value{s("a\x00b\nc\x7f\u0085")}, "cepd/alerts/r/a%00b%0Ac%7F%C2%85"},
		{DefaultTopic, "r", []event.Value{s("caf\u00e9 \xff")}, "cepd/alerts/r/caf\u00e9 %FF"},
		{DefaultTopic, "r", []event.Value{s("$SYS")}, "cepd/alerts/r/$SYS"},
		// A rule without a key.
		{DefaultTopic, "watchdog", nil, "cepd/alerts/watchdog"},
		{"a/{key}/{rule}", "r", nil, "a/r"},
		{"a/{rule}-{key}", "r", nil, "a/r-"},
		{"a/{key}x", "r", nil, "a/x"},
		{"{key}", "r", nil, ""},
		// An empty text is a key, and so a level.
		{DefaultTopic, "r", []event.Value{s("")}, "cepd/alerts/r/"},
		{"{fingerprint}", "r", nil, "f00d"},
		{"fixed", "r", []event.Value{s("p1")}, "fixed"},
	}
	for _, tt := range tests {
		tpl, err := parseTemplate(tt.template, "rule", "key", "fingerprint")
		if err != nil {
			t.Errorf("parseTemplate(%q): %v", tt.template, err)
			continue
		}
		if got, err := tpl.expand(tt.rule, key(t, tt.parts...), "f00d"); err != nil || got != tt.want {
			t.Errorf("%q of rule %q, key %v = %q, %v; want %q", tt.template, tt.rule, tt.parts, got, err, tt.want)
		}
	}
}

func TestTopicErrors(t *testing.T) {
	for template, want := range map[string]string{
		"":         "empty",
		"a/+/b":    "no +, #",
		"a/#":      "no +, #",
		"a/{rule":  "no }",
		"a/rule}":  "without its {",
		"a/{site}": "{site} is none of {rule}, {key}",
	} {
		if _, err := parseTemplate(template, "rule", "key"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseTemplate(%q): %v, want an error with %q", template, err, want)
		}
	}
	tpl, _ := parseTemplate(DefaultTopic, "rule", "key")
	if _, err := tpl.expand(strings.Repeat("r", maxTopic), "", ""); err == nil {
		t.Error("a topic that is too long is no error")
	}
}
