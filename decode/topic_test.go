package decode

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseTopic(t *testing.T) {
	for _, test := range []struct {
		text, filter string
		names        []string
	}{
		{"plant/{site}/{device}/telemetry", "plant/+/+/telemetry", []string{"site", "device"}},
		{"{a}", "+", []string{"a"}},
		{"{all...}", "#", []string{"all"}},
		{"a/{rest...}", "a/#", []string{"rest"}},
		{"a", "a", nil},
		{"/a//{b}/", "/a//+/", []string{"b"}},
		{"$SYS/{x}", "$SYS/+", []string{"x"}},
		{"gr\u00fc\u00dfe/{_1}", "gr\u00fc\u00dfe/+", []string{"_1"}},
	} {
		topic, err := ParseTopic(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if topic.Filter() != test.filter || !slices.Equal(topic.Names(), test.names) || topic.String() != test.text {
			t.Errorf("%q: got %q %q %q", test.text, topic.Filter(), topic.Names(), topic.String())
		}
	}
}

func TestParseTopicErrors(t *testing.T) {
	for _, test := range []struct{ text, where, message string }{
		{"", "", "empty"},
		{"plant/+/a", "+", "write {name} for one level"},
		{"plant/#", "#", "{name...} for the rest"},
		{"a/b+c", "+", "write {name}"},
		{"a/{}/b", "{}", "a name is missing"},
		{"a/{...}", "{...}", "a name is missing"},
		{"a/{b}/{b}", "{b}", "captured twice"},
		{"{a}/x/{a...}", "{a...}", "captured twice"},
		{"a/{b...}/c", "{b...}", "nothing can follow"},
		{"a/{b.c}", "b.c", "no name"},
		{"a/{1b}", "1b", "no name"},
		{"a/{b c}/d", "b c", "no name"},
		{"a/dev-{id}", "dev-{id}", "whole level"},
		{"a/{id}x", "{id}x", "whole level"},
		{"a/{id", "{id", "whole level"},
		{"a/id}", "id}", "whole level"},
		{"a/{b}{c}", "{b}{c}", "whole level"},
		{"a/{", "{", "whole level"},
		{"$share/g/a", "$share", "shared subscription"},
		{"a\x00b", "\x00", "U+0000"},
		{"a/\xff/b", "\xff", "UTF-8"},
		{strings.Repeat("a", 65536), "a", "longer than 65535"},
	} {
		_, err := ParseTopic(test.text)
		var bad *TopicError
		if !errors.As(err, &bad) || !strings.Contains(bad.Message, test.message) {
			t.Errorf("%.40q: got %v, want %q", test.text, err, test.message)
			continue
		}
		if got := test.text[bad.Offset:bad.End]; got != test.where {
			t.Errorf("%.40q: the mistake is at %q, want %q", test.text, got, test.where)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct{ template, topic, want string }{
		{"plant/{site}/{device}/telemetry", "plant/oslo/p1/telemetry", "oslo|p1"},
		{"plant/{site}/{device}/telemetry", "plant/oslo/p1/state", "-"},
		{"plant/{site}/{device}/telemetry", "plant/oslo/telemetry", "-"},
		{"plant/{site}/{device}/telemetry", "plant/oslo/p1/telemetry/x", "-"},
		{"plant/{site}/{device}/telemetry", "plant//p1/telemetry", "|p1"},
		{"a/{rest...}", "a/b/c", "b/c"},
		{"a/{rest...}", "a/", ""},
		{"a/{rest...}", "a", ""},
		{"a/{rest...}", "ab", "-"},
		{"{all...}", "a/b", "a/b"},
		{"{all...}", "$SYS/x", "-"},
		{"{x}/y", "$a/y", "-"},
		{"$a/{x}", "$a/y", "y"},
		{"a", "a", ""},
		{"a", "a/", "-"},
		{"a/", "a", "-"},
		{"a", "A", "-"},
		{"{a}", "", ""},
	} {
		topic, err := ParseTopic(test.template)
		if err != nil {
			t.Fatal(err)
		}
		captured, ok := topic.Match(test.topic, nil)
		got := strings.Join(captured, "|")
		if !ok {
			got = "-"
		}
		if got != test.want {
			t.Errorf("%q on %q: got %q, want %q", test.template, test.topic, got, test.want)
		}
	}
	var zero Topic
	if got, ok := zero.Match("any/thing", nil); !ok || len(got) != 0 || zero.Filter() != "#" || zero.Names() != nil {
		t.Error("the zero Topic must match everything")
	}
	topic, _ := ParseTopic("a/{b}/c")
	dst := []string{"x"}
	if got, ok := topic.Match("a/1/c", dst); !ok || !slices.Equal(got, []string{"x", "1"}) {
		t.Errorf("got %q", got)
	}
	if got, ok := topic.Match("a/1/d", dst); ok || !slices.Equal(got, dst) {
		t.Errorf("got %q", got)
	}
}

func TestMatchAllocations(t *testing.T) {
	topic, _ := ParseTopic("plant/{site}/{device}/telemetry")
	dst := make([]string, 0, 2)
	if n := testing.AllocsPerRun(100, func() { topic.Match("plant/oslo/p1/telemetry", dst) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// mqttMatch is the obvious way to match a filter.
func mqttMatch(filter, topic []string) bool {
	switch {
	case len(filter) == 1 && filter[0] == "#":
		return true
	case len(filter) == 0 || len(topic) == 0:
		return len(filter) == len(topic)
	case filter[0] != "+" && filter[0] != topic[0]:
		return false
	}
	return mqttMatch(filter[1:], topic[1:])
}

// FuzzTopic holds templates against MQTT's own rules: a template matches what
// its filter does, and what it captured, put in, gives the topic again.
func FuzzTopic(f *testing.F) {
	for _, seed := range [][2]string{
		{"plant/{site}/{device}/telemetry", "plant/oslo/p1/telemetry"}, {"a/{rest...}", "a/b/c"}, {"a/{rest...}", "a"},
		{"{x}/{y}", "/"}, {"$x/{y}", "$x/1"}, {"{x...}", "$SYS"}, {"a+/b", ""}, {"{a", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, template, text string) {
		topic, err := ParseTopic(template)
		if err != nil {
			var bad *TopicError
			if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > bad.End || bad.End > len(template) || bad.Message == "" {
				t.Fatalf("%q: bad error %#v", template, err)
			}
			return
		}
		if topic.String() != template || !utf8.ValidString(topic.Filter()) {
			t.Fatalf("%q: %q %q", template, topic.String(), topic.Filter())
		}
		filter := strings.Split(topic.Filter(), "/")
		want := mqttMatch(filter, strings.Split(text, "/")) &&
			!(strings.HasPrefix(text, "$") && (filter[0] == "+" || filter[0] == "#"))
		captured, got := topic.Match(text, nil)
		if got != want {
			t.Fatalf("%q on %q: got %v, MQTT has %v", template, text, got, want)
		}
		if !got {
			return
		}
		if len(captured) != len(topic.Names()) {
			t.Fatalf("%q on %q: captured %q", template, text, captured)
		}
		again := template
		for i, name := range topic.Names() {
			again = strings.Replace(strings.Replace(again, "{"+name+"}", captured[i], 1), "{"+name+"...}", captured[i], 1)
		}
		if !strings.ContainsAny(text, "{}") && again != text && again != text+"/" {
			t.Fatalf("%q on %q: captured %q, which gives %q", template, text, captured, again)
		}
	})
}
