package scenario

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/rules"
)

var update = flag.Bool("update", false, "write the golden files anew; review the difference")

// loadSet loads one rule file. Its tables are those of the examples.
func loadSet(t testing.TB, name, text string) *rules.Set {
	t.Helper()
	set, report := rules.Load([]rules.File{{Name: name, Data: []byte(text)}}, rules.Options{
		ReadTable: func(_, table string) (rules.File, error) {
			data, err := os.ReadFile(filepath.Join("../examples/rules", table))
			return rules.File{Name: table, Data: data}, err
		},
	})
	if !report.OK() {
		t.Fatal(report)
	}
	return set
}

func runAll(t testing.TB, set *rules.Set) *TestReport {
	t.Helper()
	rep, err := RunTests(set, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// passes runs all tests of a rule file, of which there must be some, and sees to
// it that the engine keeps none of their payloads.
func passes(t *testing.T, name, text string) {
	t.Helper()
	set := loadSet(t, name, text)
	keepsNoPayload(t, name, set)
	rep := runAll(t, set)
	if len(rep.Results) == 0 {
		t.Errorf("%s has no tests", name)
	}
	for _, r := range rep.Results {
		if !r.Passed() {
			t.Errorf("%s:%d: %s\n%s", name, r.Test.Line, r.Test.Name, r.Failure())
		}
	}
}

// TestExampleRules runs the tests of every example.
func TestExampleRules(t *testing.T) {
	files, err := filepath.Glob("../examples/rules/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			passes(t, name, string(data))
		})
	}
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// TestManual runs the tests in the examples of the manual.
func TestManual(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains("\n"+b[1], "\ntests:") {
				passes(t, name, b[1])
				ran++
			}
		}
	}
	if ran == 0 {
		t.Error("the manual has no tests")
	}
}

// TestMeaning runs the tests of testdata/passing.yaml, which say what tests mean.
func TestMeaning(t *testing.T) {
	data, err := os.ReadFile("testdata/passing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	passes(t, "passing.yaml", string(data))
}

// TestFailing compares what is said about tests that fail, in all formats, with
// golden files.
func TestFailing(t *testing.T) {
	data, err := os.ReadFile("testdata/failing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set := loadSet(t, "failing.yaml", string(data))
	rep := runAll(t, set)
	again := runAll(t, set)
	for _, f := range []struct {
		ext   string
		write func(*TestReport, *bytes.Buffer) error
	}{
		{"txt", func(r *TestReport, b *bytes.Buffer) error { return writeAll(r, b, false) }},
		{"verbose.txt", func(r *TestReport, b *bytes.Buffer) error { return writeAll(r, b, true) }},
		{"json", func(r *TestReport, b *bytes.Buffer) error { return r.WriteJSON(b) }},
		{"xml", func(r *TestReport, b *bytes.Buffer) error { return r.WriteJUnit(b) }},
	} {
		var got, other bytes.Buffer
		if err := f.write(rep, &got); err != nil {
			t.Fatal(err)
		}
		if err := f.write(again, &other); err != nil {
			t.Fatal(err)
		}
		if got.String() != other.String() {
			t.Errorf("%s: the same tests give another output on another run", f.ext)
		}
		name := "testdata/failing." + f.ext
		if *update {
			if err := os.WriteFile(name, got.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if passed, failed := rep.Counts(); passed != 3 || failed != 3 {
		t.Errorf("%d passed, %d failed", passed, failed)
	}
}

func writeAll(r *TestReport, b *bytes.Buffer, verbose bool) error {
	for _, t := range r.Results {
		if err := t.WriteText(b, verbose); err != nil {
			return err
		}
	}
	return nil
}

// manyTests returns a rule file with n tests of a pattern over 20 events each.
func manyTests(n int) string {
	var b strings.Builder
	b.WriteString(telemetryRules + "\ntests:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: case %d
    series: {set: {site: oslo, device: p%d}, every: 10s, temperature: 60x5 90x4 60x3, vibration: 1x12}
    events:
      - {at: 125s, device: p%d, vibration: 9.0}
      - {at: 135s, device: p%d, status: stopped}
    until: 2h
    expect:
      - {at: 135s, rule: pump-failure, alert: raised, key: p%d}
      - {at: 1h2m15s, rule: pump-failure, alert: cleared, key: p%d}
`, i, i, i, i, i, i)
	}
	return b.String()
}

// BenchmarkTests is all of `cepd test` for a file with 1,000 tests: reading the
// file and running them.
func BenchmarkTests(b *testing.B) {
	const n = 1000
	text := manyTests(n)
	b.ReportAllocs()
	for b.Loop() {
		rep := runAll(b, loadSet(b, "rules.yaml", text))
		if passed, _ := rep.Counts(); passed != n {
			b.Fatalf("%d passed", passed)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e6/n/float64(b.N), "us/test")
}
