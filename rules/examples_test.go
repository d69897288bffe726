package rules

import (
	"os"
	"path/filepath"
	"testing"
)

// TestExamples loads every example: none has anything to be said about.
func TestExamples(t *testing.T) {
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
			if _, report := Load([]File{{Name: name, Data: data}}, Options{ReadTable: tableFrom(filepath.Dir(name))}); len(report.Issues) > 0 {
				t.Error(report)
			}
		})
	}
}
