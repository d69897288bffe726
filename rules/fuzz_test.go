package rules

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad checks that no bytes make Load panic, and that what it says about
// them stands inside of the file.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../examples/rules/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, text := range []string{"rules: {}", "rules: [{}]"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, report := Load([]File{{"f.yaml", data}}, Options{})
		if (set == nil) == report.OK() {
			t.Fatalf("set %v with %d errors", set, report.Errors)
		}
		for _, i := range report.Issues {
			if i.Line < 1 || i.Column < 1 || i.EndLine < i.Line || i.Message == "" {
				t.Errorf("issue %+v", i)
			}
			_ = i.String()
		}
	})
}
