package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReportCap checks that a file with very many mistakes does not push those
// of another file out of the report.
func TestReportCap(t *testing.T) {
	var bad strings.Builder
	bad.WriteString("rules:\n")
	for i := range 200 {
		fmt.Fprintf(&bad, "  - {name: r%d, from: nothing, when: e.x, alert: {}}\n", i)
	}
	_, report := Load([]File{
		{"a.yaml", []byte(bad.String())},
		{"b.yaml", []byte("rulez: []\n")},
	}, Options{})
	if report.Errors != 201 || len(report.Issues) != maxIssues+1 || report.Omitted != 150 {
		t.Errorf("%d errors, %d shown, %d left out", report.Errors, len(report.Issues), report.Omitted)
	}
	if last := report.Issues[len(report.Issues)-1]; last.File != "b.yaml" {
		t.Errorf("the last issue is of %s", last.File)
	}
	if text := report.String(); !strings.HasSuffix(text, "... and 150 more\n201 errors\n") {
		t.Errorf("ends in %q", text[max(0, len(text)-60):])
	}
	if err := report.Err(); err == nil || err.Error() != report.String() {
		t.Errorf("error %v", err)
	}
}

func TestReportJSON(t *testing.T) {
	_, report := Load([]File{{"a.yaml", []byte("streams: {t: }\nrules:\n  - {name: x, from: t, when: e.x > 1, alert: {sevrity: info}}\n")}}, Options{})
	var b bytes.Buffer
	if err := writeJSON(&b, report); err != nil {
		t.Fatal(err)
	}
	want := `{
  "issues": [
    {
      "file": "a.yaml",
      "line": 3,
      "column": 47,
      "end_line": 3,
      "end_column": 54,
      "severity": "error",
      "message": "` + "`alert` has no key `sevrity`" + `",
      "advice": "` + "did you mean `severity`?" + `",
      "source": "  - {name: x, from: t, when: e.x > 1, alert: {sevrity: info}}"
    }
  ],
  "errors": 1,
  "warnings": 0,
  "omitted": 0
}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestReportEmpty checks that a program which reads the report as JSON finds a
// list in it also where nothing is wrong.
func TestReportEmpty(t *testing.T) {
	set, report := Load(nil, Options{})
	if set == nil || report.Err() != nil || report.String() != "" {
		t.Errorf("set %v, report %q", set, report)
	}
	var b bytes.Buffer
	if err := writeJSON(&b, report); err != nil || !strings.Contains(b.String(), `"issues": []`) {
		t.Errorf("%v %s", err, b.String())
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 500)
	tests := []struct {
		name        string
		issue       Issue
		line, caret string
	}{
		{"letters of two bytes", Issue{Line: 1, Column: 3, EndLine: 1, EndColumn: 5, Source: "é é é"}, "é é é", "  ^^"},
		{"tab", Issue{Line: 1, Column: 3, EndLine: 1, EndColumn: 4, Source: "a\tb"}, "a\tb", " \t^"},
		{"nothing", Issue{Line: 1, Column: 2, EndLine: 1, EndColumn: 2, Source: "ab"}, "ab", " ^"},
		{"behind the end", Issue{Line: 1, Column: 3, EndLine: 1, EndColumn: 3, Source: "ab"}, "ab", "  ^"},
		{"several lines", Issue{Line: 1, Column: 2, EndLine: 3, EndColumn: 1, Source: "abc  "}, "abc  ", " ^^"},
		{"blank line", Issue{Line: 1, Column: 1, EndLine: 1, EndColumn: 1, Source: "  "}, "", ""},
		{"long line", Issue{Line: 1, Column: 400, EndLine: 1, EndColumn: 403, Source: long},
			"..." + long[:160] + "...", strings.Repeat(" ", 83) + "^^^"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line, caret := tt.issue.excerpt()
			if tt.name == "long line" {
				line = strings.TrimSuffix(line, "...")
				tt.line = strings.TrimSuffix(tt.line, "...")
				line, tt.line = line[:100], tt.line[:100]
			}
			if line != tt.line || caret != tt.caret {
				t.Errorf("got\n%q\n%q, want\n%q\n%q", line, caret, tt.line, tt.caret)
			}
		})
	}
}

// writeJSON writes a report as commands do.
func writeJSON(w io.Writer, r *Report) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
