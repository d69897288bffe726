package rules

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew; review the difference")

// TestBroken loads files with mistakes and compares what is said about them.
func TestBroken(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			set, report := Load([]File{{Name: filepath.Base(name), Data: data}}, Options{ReadTable: tableFrom(filepath.Dir(name))})
			if set != nil && report.Warnings == 0 {
				t.Error("loads without a word")
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".golden", report.String())
		})
	}
}

// tableFrom reads tables from a folder.
func tableFrom(dir string) func(ruleFile, name string) (File, error) {
	return func(_, name string) (File, error) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			err = fmt.Errorf("there is no file %s", name)
		}
		return File{Name: name, Data: data}, err
	}
}

// golden compares a text with a file, or writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
