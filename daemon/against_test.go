package daemon

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cepd/cepd/rules"
)

// What a reload would do is told before: of a daemon that runs, and of a
// directory.
func TestAgainst(t *testing.T) {
	r := keptRigWith(t, tooHot, filepath.Join(t.TempDir(), "state"), func(o *Options) { o.Config.HTTP.Listen = "127.0.0.1:0" })
	r.start(t)
	load := func(text string) *rules.Set {
		set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: []byte(text)}}, rules.Options{})
		if !report.OK() {
			t.Fatal(report)
		}
		return set
	}
	for _, c := range []struct{ name, rules, want string }{
		{"another threshold", strings.Replace(tooHot, "> 80", "> 90", 1), "1 rule, 1 kept with state"},
		{"another name", strings.Replace(tooHot, "name: too-hot", "name: hotter", 1), "1 rule, 1 added, 1 removed"},
		{"a pattern", strings.Replace(tooHot, "when: e.temp > 80", "pattern: a -> b\n    within: 1m\n    define: {a: e.temp > 80, b: e.temp < 70}", 1), "1 rule, 1 started afresh"},
	} {
		for _, where := range []string{"http://" + r.Addr(), r.cfg.State.Dir} {
			re, err := Against(t.Context(), where, load(strings.Replace(c.rules, "${e.temp}", "x", 1)))
			if err != nil || re.String() != c.want {
				t.Errorf("%s against %s: %q, %v, want %q", c.name, where, re, err, c.want)
			}
		}
	}
	r.stop(t)
	if _, err := Against(t.Context(), t.TempDir(), load(tooHot)); err == nil || !strings.Contains(err.Error(), "is no state directory") {
		t.Errorf("against an empty folder: %v", err)
	}
	if _, err := Against(t.Context(), "http://"+r.Addr(), load(tooHot)); err == nil {
		t.Error("against a daemon that has stopped")
	}
}
