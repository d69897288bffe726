package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	shown   = regexp.MustCompile("`([^`]+)`")
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// anchors returns what the headings of a page are called in links to it.
func anchors(page string) map[string]bool {
	out := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		name := strings.ToLower(h[1])
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		out[strings.ReplaceAll(name, " ", "-")] = true
	}
	return out
}

// TestLinks follows every link from the manual to a file of the project.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(pages, "../../README.md", "../../examples/README.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			path := filepath.Join(filepath.Dir(name), file)
			if file == "" {
				path = name
			}
			page, err := os.ReadFile(path)
			if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
				continue
			}
			switch {
			case err != nil:
				t.Errorf("%s links to %s: %v", name, m[1], err)
			case anchor != "" && !anchors(string(page))[anchor]:
				t.Errorf("%s links to %s, and there is no such heading", name, m[1])
			}
		}
	}
}

// TestAsks wants every test that docs/asks.md names, and all asks.
func TestAsks(t *testing.T) {
	text, err := os.ReadFile("../../docs/asks.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, f := range load(t) {
		if !f.test {
			continue
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(f.src, -1) {
			tests[f.pkg+"."+string(m[1])] = true
		}
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| | what") {
			continue
		}
		rows++
		named := shown.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(cells) != 4 || len(named) == 0 {
			t.Errorf("a row of %d cells that names %d tests: %s", len(cells), len(named), line)
		}
		for _, m := range named {
			if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil && !tests[m[1]] {
				t.Errorf("there is no test or file %s", m[1])
			}
		}
	}
	if rows != 45 {
		t.Errorf("%d rows, want 45", rows)
	}
}
