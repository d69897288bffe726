package nfa

import (
	"os"
	"strings"
	"testing"
)

// TestManual runs every example of the manual of patterns.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../docs/patterns.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for i, block := range strings.Split(string(text), "```") {
		kind, body, _ := strings.Cut(block, "\n")
		cmd := map[string]string{"pattern": "match", "explain": "explain"}[kind]
		if i%2 == 0 || cmd == "" {
			continue
		}
		ran++
		input, want, ok := strings.Cut(body, "----\n")
		if !ok {
			t.Errorf("no answer in\n%s", body)
			continue
		}
		if !strings.Contains(input, "skip:") {
			input += "skip: none\n"
		}
		got, err := runScenario(cmd, input)
		if err != nil || got != want {
			t.Errorf("%s got\n%s%v", body, got, err)
		}
	}
	if ran < 30 {
		t.Errorf("only %d examples", ran)
	}
}
