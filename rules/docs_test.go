package rules

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block finds the code of the manual, with the words behind its fence.
var block = regexp.MustCompile("(?ms)^```([a-z ]+)\n(.*?)^```$")

// fragmentHead is what goes before the part of a rule that the manual shows.
const fragmentHead = `streams: {telemetry: {time: e.ts}, meters: {}}
rules:
  - name: example
`

// TestManual loads every example of the manual. Examples marked "rule" are the
// keys of one rule; those marked "broken" are followed by what is said of them.
func TestManual(t *testing.T) {
	for _, page := range []string{"rules.md", "time.md"} {
		t.Run(page, func(t *testing.T) { testPage(t, "../docs/"+page) })
	}
}

func testPage(t *testing.T, page string) {
	manual, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := block.FindAllStringSubmatch(string(manual), -1)
	if len(blocks) < 5 {
		t.Fatalf("only %d examples", len(blocks))
	}
	for i, b := range blocks {
		t.Run(fmt.Sprint(i, " ", b[1]), func(t *testing.T) {
			switch b[1] {
			case "yaml":
				loads(t, b[2])
			case "yaml rule":
				loads(t, fragment(b[2]))
			case "yaml broken":
				_, report := Load([]File{{"rules.yaml", []byte(b[2])}}, Options{ReadTable: tableFrom("../examples/rules")})
				if diff := cmp.Diff(blocks[i+1][2], report.String()); diff != "" {
					t.Errorf("manual and report differ (-manual +report):\n%s", diff)
				}
			}
		})
	}
}

// fragment makes a file of the keys of a rule.
func fragment(keys string) string {
	has := func(key string) bool { return regexp.MustCompile(`(?m)^    ` + key + `:`).MatchString(keys) }
	var b strings.Builder
	b.WriteString(fragmentHead)
	if !has("from") {
		b.WriteString("    from: telemetry\n")
	}
	if !has("by") && !has("emit") {
		b.WriteString("    by: e.device\n")
	}
	b.WriteString(keys)
	return b.String()
}

// loads checks that there is nothing to be said about a file.
func loads(t *testing.T, text string) {
	t.Helper()
	if _, report := Load([]File{{"rules.yaml", []byte(text)}}, Options{ReadTable: tableFrom("../examples/rules")}); len(report.Issues) > 0 {
		t.Error(report, "\n", text)
	}
}
