package engine

import (
	"bufio"
	"encoding/hex"
	flags "flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cepd/cepd/rules"
)

var golden = flags.Bool("golden", false, "write the golden rows of the present encoding anew")

// TestGoldenRows reads the state that every encoding of rows left behind, all of
// it. Rows of an older encoding stay as they are for ever, and must be read for
// ever; those of the present one may be written anew, with -golden, as long as no
// version was released with it. After that a test that fails here asks for a new
// [Encoding], or, if only shapes of rules changed, says that an upgrade would
// make these rules start afresh.
func TestGoldenRows(t *testing.T) {
	for encoding := 1; encoding <= Encoding; encoding++ {
		base := filepath.Join("testdata", "encoding", fmt.Sprint(encoding))
		if *golden && encoding == Encoding {
			writeGolden(t, base)
		}
		text, err := os.ReadFile(base + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		set, report := rules.Load([]rules.File{{Name: base + ".yaml", Data: text}}, rules.Options{})
		if !report.OK() {
			t.Fatal(report)
		}
		rows := readGolden(t, base+".rows")
		for _, row := range rows {
			if about := DescribeRow(row.Name); about.What == "unknown" {
				t.Errorf("encoding %d: row %q is not described", encoding, row.Name)
			}
		}
		e, damage, err := Restore(Config{}, set, inOrder(rows))
		if err != nil || len(damage) > 0 {
			t.Errorf("encoding %d: %v, damage %v%s", encoding, err, damage, rewriteHint)
			continue
		}
		if e.whole {
			t.Errorf("encoding %d: some rows were left out: the shape of a rule is another one%s", encoding, rewriteHint)
		}
		if d := differ(e.Rows(), rows); d != "" && encoding == Encoding {
			t.Errorf("encoding %d: %s%s", encoding, d, rewriteHint)
		}
	}
}

const rewriteHint = "\n(before the encoding was released: go test ./engine -run GoldenRows -golden)"

// readGolden reads rows that are written as a name and a value on each line, in
// hexadecimal digits.
func readGolden(t *testing.T, name string) []Row {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []Row
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, err := hex.DecodeString(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, Row{n, v})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func writeGolden(t *testing.T, base string) {
	t.Helper()
	set := storySet(t)
	e := New(Config{Load: func(string) (*rules.Set, error) { return set, nil }})
	e.Step(Input{Records: storyRecords(set, 1, 250)[:250]})
	var b strings.Builder
	for _, row := range e.Rows() {
		fmt.Fprintf(&b, "%x %x\n", row.Name, row.Value)
	}
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{base + ".yaml": storyRules, base + ".rows": b.String()} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
