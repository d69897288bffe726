package scenario

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cepd/cepd/config"
)

// TestContract runs the tests of the files that show the whole rule language, as
// it was promised: each construct and key is in one of them.
func TestContract(t *testing.T) {
	names, err := filepath.Glob("../rules/testdata/contract/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, name := range names {
		if filepath.Base(name) == "cepd.yaml" {
			continue
		}
		files++
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			passes(t, name, string(text))
		})
	}
	if files < 6 {
		t.Errorf("%d files", files)
	}
}

// TestContractDaemon reads the cepd.yaml beside them, and the rules that it
// names, with the sources and sinks that they refer to.
func TestContractDaemon(t *testing.T) {
	const name = "../rules/testdata/contract/cepd.yaml"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c, issues := config.Parse(name, text, os.LookupEnv)
	for _, i := range issues {
		t.Error(i)
	}
	if len(issues) > 0 {
		return
	}
	if _, report, err := c.LoadRules(); err != nil || len(report.Issues) > 0 {
		t.Error(report, err)
	}
}
