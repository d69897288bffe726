package daemon

import (
	"os"
	"path/filepath"
	"testing"
)

// Only what may be a rule file or a table leads to a reload: cepd's own log,
// written beside them, would lead to the next one for ever.
func TestConcerns(t *testing.T) {
	r := newRig(t, tooHot)
	dir := filepath.Dir(r.file)
	r.cfg.Rules = append(r.cfg.Rules, filepath.Join(dir, "more-*.yaml"))
	r.tables[filepath.Join(dir, "ratings.csv")] = true
	save(t, filepath.Join(dir, "cepd.log"), "rules are unchanged\n")
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"rules.yaml": true, "more-pumps.yaml": true, "ratings.csv": true, "..data": true,
		"cepd.log": false, ".rules.yaml.swp": false, "pumps.yaml": false,
	} {
		if got := r.concerns(dir + "/./" + name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
