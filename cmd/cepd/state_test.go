package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stoppedState makes a state directory with two snapshots, of a cepd that was
// stopped.
func stoppedState(t *testing.T) (dir string) {
	t.Helper()
	base := t.TempDir()
	dir = filepath.Join(base, "data")
	for name, text := range map[string]string{
		"cepd.yaml": fmt.Sprintf("rules: [rules.yaml]\nhttp: {listen: off}\nstate: {dir: %s}\nsources: {in: {type: file, path: \"-\"}}\nsinks: {out: {type: stdout}}\n", dir),
		"rules.yaml": `
streams:
  readings: {source: in, time: e.ts}
rules:
  - {name: too-hot, from: readings, by: e.device, when: e.temp > 80, alert: {summary: "${key} is hot"}}
  - {name: rise, from: readings, by: e.device, pattern: a -> b, define: {a: e.temp < 50, b: e.temp > 90}, within: 1h, alert: {summary: "${key}"}}
`,
	} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for day := range 2 {
		var in, out, errOut bytes.Buffer
		for i := range 20 {
			fmt.Fprintf(&in, "{\"ts\":\"2026-03-0%dT12:00:%02dZ\",\"device\":\"p%d\",\"temp\":%d}\n", day+1, i, i%5, i*5)
		}
		if code := run([]string{"run", "-c", filepath.Join(base, "cepd.yaml")}, &in, &out, &errOut); code != exitOK {
			t.Fatalf("exit code %d: %s", code, errOut.String())
		}
	}
	return dir
}

// tree returns the contents of all files below a directory, by name.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		all[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// harmless are the files that nobody misses: locks, room that is kept free, what
// badger makes anew, and what every start writes for those who ask.
var harmless = []string{"LOCK", "RULES", "snapshots/BALLAST", "snapshots/DISCARD", "snapshots/KEYREGISTRY"}

// TestVerifyNoticesDamage removes each file of a state directory and flips a bit
// in the middle of it. That is noticed, without touching anything, unless the
// file is of no matter.
func TestVerifyNoticesDamage(t *testing.T) {
	dir := stoppedState(t)
	files := tree(t, dir)
	try := func(what string, damaged bool) {
		t.Helper()
		before := tree(t, dir)
		var out, errOut bytes.Buffer
		code := run([]string{"state", "verify", dir}, strings.NewReader(""), &out, &errOut)
		if said := out.String() + errOut.String(); damaged != (code == exitFail) {
			t.Errorf("%s: exit code %d:\n%s", what, code, said)
		}
		if !maps.Equal(before, tree(t, dir)) {
			t.Errorf("%s: files were touched", what)
		}
	}
	try("nothing", false)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data, path := []byte(files[name]), filepath.Join(dir, name)
		if slices.Contains(harmless, name) || strings.HasSuffix(name, ".vlog") {
			continue
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		try(name+" removed", true)
		flipped := bytes.Clone(data)
		flipped[len(data)/2] ^= 4
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		try(name+" flipped", true)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	try("nothing, again", false)
}

// TestDamagedKey damages what both snapshots know of one key. Verify names it; a
// start goes on with all others, and clears the alert that nobody knows any
// more, and raises one that says so.
func TestDamagedKey(t *testing.T) {
	dir := stoppedState(t)
	tables, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, name := range tables {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; ; {
			i := bytes.Index(data[at:], []byte("p3 is hot")) // in the raise that is kept for the clear
			if i < 0 {
				break
			}
			data[at+i] ^= 1
			flipped++
			at += i + 1
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if flipped < 2 {
		t.Fatalf("%d rows were damaged, want two", flipped)
	}
	var out, errOut bytes.Buffer
	if code := run([]string{"state", "verify", dir}, strings.NewReader(""), &out, &errOut); code != exitFail {
		t.Errorf("verify: exit code %d", code)
	}
	for _, want := range []string{`lost: what rule too-hot knows of key "p3"`, "a start uses it all the same", "3 alerts would fire"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("verify does not say %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	config := filepath.Join(filepath.Dir(dir), "cepd.yaml")
	if code := run([]string{"run", "-c", config}, strings.NewReader(""), &out, &errOut); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	if n := strings.Count(out.String(), `"change":"cleared","reason":"damaged"`); n != 1 || !strings.Contains(out.String(), `"key":"p3"`) {
		t.Errorf("the start told %q, want one clear of p3", out.String())
	}
	if n := strings.Count(out.String(), `"rule":"cepd:state-damaged"`); n != 1 || !strings.Contains(out.String(), "a piece of state was damaged, of too-hot") {
		t.Errorf("the start told %q, want one alert of it", out.String())
	}
	if !strings.Contains(errOut.String(), "rule starts afresh") {
		t.Errorf("the log does not say it:\n%s", errOut.String())
	}
	out.Reset()
	if code := run([]string{"state", "verify", dir}, strings.NewReader(""), &out, &errOut); code != exitFail && code != exitOK {
		t.Errorf("verify: exit code %d", code)
	}
	if strings.Contains(out.String(), "lost:") || !strings.Contains(out.String(), "4 alerts would fire") {
		t.Errorf("after the start verify says:\n%s", out.String())
	}
}
