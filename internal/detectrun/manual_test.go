package detectrun

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cepd/cepd/detectors"
)

var rewrite = flag.Bool("rewrite", false, "write the manual")

const marker = "<!-- From here on the text is made of the descriptions in the code: make detectors-doc -->\n"

// manual is the part of docs/detectors.md that is made of descriptions.
func manual() string {
	var b strings.Builder
	b.WriteString(marker)
	for _, d := range detectors.Methods() {
		fmt.Fprintf(&b, "\n## %s\n\n**%s.**", d.Name, d.Title)
		if d.Multivariate {
			b.WriteString(" *Also for several channels together.*")
		}
		fmt.Fprintf(&b, " %s\n", strings.ReplaceAll(d.Text, "\n", " "))
		fmt.Fprintf(&b, "\n![What %s says of a series with five faults](detectors/%s.svg)\n", d.Name, d.Name)
		if len(d.Params) == 0 {
			continue
		}
		b.WriteString("\n| parameter | default | meaning |\n| --- | --- | --- |\n")
		for _, p := range d.Params {
			def := p.Format(p.Default)
			if math.IsInf(p.Default, 0) {
				def = "none"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.Name, def, p.Text)
		}
	}
	return b.String()
}

// TestManual keeps docs/detectors.md equal to the descriptions.
func TestManual(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "detectors.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), marker)
	if !ok {
		t.Fatalf("%s has lost the line %q", path, marker)
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(head+manual()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if marker+rest != manual() {
		t.Error("docs/detectors.md is not what the descriptions say; run make detectors-doc")
	}
}

const sample = `when,temp,load
2026-03-01 00:00:00,20,1
2026-03-01 00:01:00,21,2
no time,1,1
2026-03-01 00:02:00,oops,3
2026-03-01 00:03:00,90,4
`

func TestRun(t *testing.T) {
	var out, sum, plot, page bytes.Buffer
	cfg := detectors.Config{With: map[string]float64{"high": 80}}
	r, err := Run(strings.NewReader(sample), &out, Options{Method: "range", Config: cfg, Time: "when", Values: []string{"temp"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "timestamp,temp,score,expected,lower,upper,anomaly\n" +
		"2026-03-01T00:00:00Z,20,0,,,80,false\n2026-03-01T00:01:00Z,21,0,,,80,false\n" +
		"2026-03-01T00:02:00Z,,0,,,,false\n2026-03-01T00:03:00Z,90,0.999,,,80,true\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.Summary(&sum)
	for _, part := range []string{"4 values of temp", "1 row without a time", "1 anomaly", "90 is outside of the range that ends at 80"} {
		if !strings.Contains(sum.String(), part) {
			t.Errorf("the summary lacks %q:\n%s", part, sum.String())
		}
	}
	r.Plot(&plot, 80)
	if !strings.Contains(plot.String(), "^") || !strings.Contains(plot.String(), "*") {
		t.Errorf("the plot shows no anomaly:\n%s", plot.String())
	}
	if err := r.HTML(&page, "</script><b>"); err != nil {
		t.Fatal(err)
	}
	if p := page.String(); strings.Contains(p, "</script><b>") || strings.Contains(p, "{{") || strings.Contains(p, "http") {
		t.Error("the page is not closed in itself")
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		in   string
		o    Options
		want string
	}{
		{"", Options{Method: "auto"}, "the file is empty"},
		{"a,b\n1,2\n", Options{Method: "auto", Values: []string{"c"}}, "there are a, b"},
		{"a,b\nx,y\n", Options{Method: "auto"}, "no column of numbers"},
		{"a\n1\n", Options{Method: "magic"}, "no detector"},
		{"a,b\n1,2\n", Options{Method: "ewma", Values: []string{"a", "b"}}, "one value at a time"},
	} {
		_, err := Run(strings.NewReader(c.in), &bytes.Buffer{}, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.in, err, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]string{
		"2026-03-01T12:00:00+01:00": "2026-03-01T11:00:00Z", "2026-03-01": "2026-03-01T00:00:00Z",
		"1772366400": "2026-03-01T12:00:00Z", "1772366400000": "2026-03-01T12:00:00Z", "1772366400.5": "2026-03-01T12:00:00.5Z",
	} {
		if at, ok := parseTime(text, nil); !ok || at.String() != want {
			t.Errorf("%s: got %v %v, want %s", text, at, ok, want)
		}
	}
	if _, ok := parseTime("soon", nil); ok {
		t.Error("soon is a time")
	}
}
