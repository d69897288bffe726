package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting/notify/webhook"
)

const bundled = `
streams:
  telemetry: {source: plant, topic: "plant/{device}", fields: {temp: double}}
tables:
  ratings: {file: ratings.csv, key: device}
rules:
  - name: too-hot
    from: telemetry
    by: e.device
    when: e.temp > ratings[e.device].max
    alert: {summary: "${key} is at ${e.temp}", to: [ops]}
`

// bundle loads the rules of a folder as a bundle.
func bundle(t *testing.T) (*Bundle, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"rules.yaml": bundled, "ratings.csv": "device,max\np1,80\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &Config{
		Rules:   []string{filepath.Join(dir, "rules.yaml")},
		Sources: []Source{{Name: "plant", Type: "file", File: FileSource{Path: "-"}}},
		Sinks:   []Sink{{Name: "ops", Type: "stdout"}, {Name: "chat", Type: "webhook", Webhook: WebhookSink{Config: webhook.Config{Format: "slack"}}}},
	}
	b, set, report, err := c.LoadBundle()
	if err != nil || !report.OK() {
		t.Fatalf("%v\n%v", err, report)
	}
	return b, set.Hash
}

// A bundle compiles to the same set when the files are gone.
func TestBundle(t *testing.T) {
	b, want := bundle(t)
	data, hash := b.Encode()
	if err := os.RemoveAll(filepath.Dir(b.Files[0].Name)); err != nil {
		t.Fatal(err)
	}
	again, err := DecodeBundle(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b, again); d != "" {
		t.Error(d)
	}
	set, report := again.Compile()
	if !report.OK() {
		t.Fatal(report)
	}
	if len(b.AlertsOnly) != 1 || b.AlertsOnly[0] != "chat" {
		t.Errorf("%v take alerts only, want chat", b.AlertsOnly)
	}
	if set.Hash != want || len(set.Tables) != 1 || set.Tables[0].Rows != 1 {
		t.Errorf("got set %s with tables %v, want %s", set.Hash, set.Tables, want)
	}
	again.Sinks = append(again.Sinks, "more")
	if _, other := again.Encode(); other == hash || hash != BundleHash(data) {
		t.Error("the hash does not tell bundles apart")
	}
}

// A bundle that is damaged is an error, not another bundle.
func TestDamagedBundle(t *testing.T) {
	b, _ := bundle(t)
	data, _ := b.Encode()
	for n := range data {
		if _, err := DecodeBundle(data[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are a bundle", n, len(data))
		}
	}
	for _, c := range []struct{ old, new, want string }{
		{`"cepd_rules":1`, `"cepd_rules":2`, "format is 2"},
		{`"size":`, `"size":-`, "do not agree"},
		{`{"cepd`, `["cepd`, "no head"},
	} {
		if _, err := DecodeBundle([]byte(strings.Replace(string(data), c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.new, err, c.want)
		}
	}
}

func FuzzDecodeBundle(f *testing.F) {
	b := &Bundle{Sources: []string{"plant"}}
	data, _ := b.Encode()
	f.Add(data)
	f.Add([]byte(`{"cepd_rules":1,"files":[{"name":"a","size":2}]}` + "\nab"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBundle(data)
		if err != nil {
			return
		}
		again, _ := b.Encode()
		if second, err := DecodeBundle(again); err != nil || !cmp.Equal(b, second) {
			t.Errorf("%v: %s", err, cmp.Diff(b, second))
		}
	})
}
