package rules

import (
	"strings"
	"testing"
)

// TestUnreadable gives Load files that are no text, or no rule file.
func TestUnreadable(t *testing.T) {
	tests := []struct {
		name, data, want string
	}{
		{"no UTF-8", "streams:\n  a\xffb:\n", "f.yaml:2:4: error: the file is not UTF-8 text\n"},
		{"control character", "streams:\n  a\x00:\n", "f.yaml:2:4: error: the file holds the control character U+0000\n"},
		{"large", strings.Repeat("# comment\n", 1<<19), "error: the file is larger than 4096 KiB; that is no rule file\n"},
		{"deep", "streams: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "error: mappings and lists are nested more than 100 levels deep\n"},
		{"replacement character", "streams: {\ufffd: }\n", "error: the name of a stream cannot be \"\ufffd\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, report := Load([]File{{"f.yaml", []byte(tt.data)}}, Options{})
			if set != nil || report.OK() {
				t.Fatal("loads")
			}
			if got := report.String(); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
