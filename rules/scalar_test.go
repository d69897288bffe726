package rules

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestPlaces finds the word BAD, which each document holds in one value, back
// in the file, whatever the style that the value is written in.
func TestPlaces(t *testing.T) {
	tests := []struct {
		name, yaml string
		text       string // of the value
		want       string // line:column of BAD
	}{
		{"plain", "when: e.x > BAD\n", "e.x > BAD", "1:13"},
		{"plain with comment", "when: e.x > BAD # why\n", "e.x > BAD", "1:13"},
		{"plain after tab", "when:\te.x > BAD\n", "e.x > BAD", "1:13"},
		{"plain without line break", "when: e.x > BAD", "e.x > BAD", "1:13"},
		{"plain on several lines", "when: e.x > 1 &&\n   e.y\n\n   > BAD\n", "e.x > 1 && e.y\n> BAD", "4:6"},
		{"plain on the next line", "when:\n  e.x > BAD\n", "e.x > BAD", "2:9"},
		{"plain after letters of two bytes", "when: e.é == x || BAD\n", "e.é == x || BAD", "1:19"},
		{"single quotes", "when: 'e.x > BAD'\n", "e.x > BAD", "1:14"},
		{"single quotes, doubled", "when: 'e.x == ''a'' || BAD'\n", "e.x == 'a' || BAD", "1:24"},
		{"single quotes on several lines", "when: 'e.x\n   > 1\n\n   && BAD'\n", "e.x > 1\n&& BAD", "4:7"},
		{"double quotes", "when: \"e.x > BAD\"\n", "e.x > BAD", "1:14"},
		{"double quotes, escaped", `when: "e.x == \"a\\n\" || BAD"` + "\n", `e.x == "a\n" || BAD`, "1:27"},
		{"double quotes, hexadecimal", `when: "\x65.x \u003e BAD"` + "\n", "e.x > BAD", "1:22"},
		{"double quotes, joined", "when: \"e.x \\\n   > BAD\"\n", "e.x > BAD", "2:6"},
		{"double quotes on several lines", "when: \"e.x\n   > BAD\"\n", "e.x > BAD", "2:6"},
		{"double quotes after letters of two bytes", "when: \"é é BAD\"\n", "é é BAD", "1:12"},
		{"literal", "when: |\n  e.x > 1 &&\n    e.y > BAD\n", "e.x > 1 &&\n  e.y > BAD\n", "3:11"},
		{"literal with blank lines", "when: |\n\n  e.x > 1 &&\n\n  e.y > BAD\n", "\ne.x > 1 &&\n\ne.y > BAD\n", "5:9"},
		{"literal, stripped", "when: |-\n  e.x > BAD\n", "e.x > BAD", "2:9"},
		{"literal, kept", "when: |+\n  e.x > BAD\n\nby: e.y\n", "e.x > BAD\n\n", "2:9"},
		{"literal, indented by number", "when: |2\n    e.x > BAD\n", "  e.x > BAD\n", "2:11"},
		{"literal after comment", "when: | # why\n  e.x > BAD\n", "e.x > BAD\n", "2:9"},
		{"literal with # inside", "when: |\n  e.x > 1 # no comment\n  && BAD\n", "e.x > 1 # no comment\n&& BAD\n", "3:6"},
		{"folded", "when: >\n  e.x > 1 &&\n  e.y > BAD\n", "e.x > 1 && e.y > BAD\n", "3:9"},
		{"folded, more indented", "when: >\n  e.x > 1 &&\n    e.y > 2\n  && BAD\n", "e.x > 1 &&\n  e.y > 2\n&& BAD\n", "4:6"},
		{"folded, stripped", "when: >-\n  e.x\n  > BAD\n", "e.x > BAD", "3:5"},
		{"in a list", "rules:\n- when: e.x > BAD\n", "e.x > BAD", "2:15"},
		{"in a nested list", "rules:\n  - - e.x > BAD\n", "e.x > BAD", "2:13"},
		{"literal in a list", "rules:\n  - name: a\n    when: |\n      e.x >\n      BAD\n", "e.x >\nBAD\n", "5:7"},
		{"in a flow mapping", "emit: {a: e.x, b: e.y + BAD}\n", "e.y + BAD", "1:25"},
		{"in a flow mapping on several lines", "emit: {a: e.x,\n  b: e.y + BAD}\n", "e.y + BAD", "2:12"},
		{"quoted in a flow list", "to: [a, 'b BAD', c]\n", "b BAD", "1:12"},
		{"after CRLF", "by: e.y\r\nwhen: |\r\n  e.x >\r\n  BAD\r\n", "e.x >\nBAD\n", "4:3"},
		{"after a byte order mark", "\ufeffwhen: e.x > BAD\n", "e.x > BAD", "1:13"},
		{"after an anchor", "when: &a e.x > BAD\n", "e.x > BAD", "1:16"},
		{"after a comment", "# one\nby: e.y # two\n# three\nwhen: e.x > BAD\n", "e.x > BAD", "4:13"},
		{"after a text with an escaped line", "by: \"a\\\n  b\"\nwhen: e.x > BAD\n", "e.x > BAD", "3:13"},
		{"after a literal", "by: |\n  a\n  b\n\nwhen: e.x > BAD\n", "e.x > BAD", "5:13"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			report := &Report{}
			root, damaged := parse(File{"f", []byte(tt.yaml)}, report)
			if damaged || len(report.Issues) > 0 {
				t.Fatalf("cannot be read: %v", report)
			}
			n := findText(root, "BAD")
			if n == nil {
				t.Fatal("no node with the word")
			}
			if n.text != tt.text {
				t.Errorf("text %q, want %q", n.text, tt.text)
			}
			at := strings.Index(n.text, "BAD")
			line, column := n.src.position(n.at(at))
			if got := fmt.Sprintf("%d:%d", line, column); got != tt.want {
				t.Errorf("BAD is at %s, want %s", got, tt.want)
			}
			if got := n.src.text[n.at(at):n.at(at+3)]; got != "BAD" {
				t.Errorf("the bytes there are %q", got)
			}
			checkOrigin(t, n)
		})
	}
}

// findText returns a value that holds a word.
func findText(n *node, word string) *node {
	if n.kind == scalarNode && strings.Contains(n.text, word) {
		return n
	}
	for _, e := range n.entries {
		if f := findText(e.value, word); f != nil {
			return f
		}
	}
	for _, i := range n.items {
		if f := findText(i, word); f != nil {
			return f
		}
	}
	return nil
}

// checkOrigin checks that every byte of a text comes from the same byte of the
// file, or from white space, an escape or a doubled quote, in order.
func checkOrigin(t rapid.TB, n *node) {
	t.Helper()
	if len(n.origin) != len(n.text)+1 {
		t.Fatalf("%d places for %d bytes", len(n.origin), len(n.text))
	}
	for i := range len(n.text) {
		at := n.origin[i]
		if at > n.origin[i+1] {
			t.Errorf("byte %d of %q stands behind the next one", i, n.text)
		}
		c := n.src.text[at]
		if c != n.text[i] && c != '\\' && !(isBlank(c) && isBlank(n.text[i])) {
			t.Errorf("byte %d of %q is %q in the file", i, n.text, c)
		}
	}
}

// TestRandomPlaces writes random texts in random styles at random places of a
// file, and expects to read the same texts from the right places.
func TestRandomPlaces(t *testing.T) {
	words := []string{"a", "é", "e.x", "== 'b'", `"c"`, `\`, "#", " #", "&&", "(", "[", "{", ": ", "-", "!x", "%", "  ", "\U0001f600"}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("top:\n")
		var want []string
		for i := range rapid.IntRange(1, 6).Draw(t, "values") {
			text := strings.TrimSpace("x" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 6).Draw(t, "words"), ""))
			fmt.Fprintf(&b, "  - key%d: ", i)
			switch rapid.SampledFrom([]string{"single", "double", "literal", "folded"}).Draw(t, "style") {
			case "single":
				b.WriteString("'" + strings.ReplaceAll(text, "'", "''") + "' # comment\n")
			case "double":
				b.WriteString(doubleQuote(t, text) + "\n")
			case "literal":
				text += "\n\n  " + text
				b.WriteString("|\n      " + strings.ReplaceAll(text, "\n", "\n      ") + "\n")
				text += "\n"
			case "folded":
				b.WriteString(">-\n      " + text + "\n      y\n")
				text += " y"
			}
			want = append(want, text)
		}
		report := &Report{}
		root, damaged := parse(File{"f", []byte(b.String())}, report)
		if damaged || len(report.Issues) > 0 {
			t.Fatalf("%s\n%v", b.String(), report)
		}
		for i, item := range root.get("top").items {
			n := item.entries[0].value
			if n.text != want[i] {
				t.Errorf("in\n%s\nvalue %d is %q, want %q", b.String(), i, n.text, want[i])
			}
			checkOrigin(t, n)
		}
	})
}

// doubleQuote writes a text in double quotes, with escapes where they are
// needed and elsewhere by chance.
func doubleQuote(t *rapid.T, text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case rapid.IntRange(0, 3).Draw(t, "escape") == 0:
			fmt.Fprintf(&b, "\\U%08x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}
