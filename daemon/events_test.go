package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/engine"
)

// routes filters, maps and routes, and takes what it emits further.
const routes = `
streams:
  telemetry: {source: plant, topic: "plant/{site}/telemetry", time: e.ts, watermark: {lag: 1s}, fields: {ts: timestamp, device: string, temp: double}}
rules:
  - name: readings
    from: telemetry
    by: e.device
    where: e.temp > -50
    emit: {site: e.site, celsius: e.temp}
    emit_to: warehouse
  - name: pairs
    from: readings
    by: e.site
    pattern: a -> b
    define: {a: e.celsius > 20, b: e.celsius > 20}
    within: 1d
    emit: {sum: a.celsius + b.celsius}
    emit_to: [warehouse, out]
  - name: broken
    from: telemetry
    by: e.device
    where: e.temp <= -50
    emit: {temp: e.temp}
    emit_to: quarantine
  - name: hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    emit: {temp: e.temp}
    alert: {summary: "${e.temp}", to: [quarantine]}
`

const telemetry = `{"ts":"2026-03-01T23:59:58Z","device":"d1","temp":21.5}
{"ts":"2026-03-01T23:59:59Z","device":"d2","temp":-60}
{"ts":"2026-03-02T00:00:01Z","device":"d1","temp":30}
{"ts":"2026-03-02T00:00:02Z","device":"d2","temp":90}
{"ts":"2026-03-02T00:00:09Z","device":"d1","temp":0}
`

// ids are what only the sample of a run shows to be the same.
var ids = regexp.MustCompile(`"id":"[0-9a-f]{32}"`)

// TestEventsToFiles reads a file and writes what rules emit to others, from one
// end to the other, twice: what comes out is the same, ids included.
func TestEventsToFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	in, rules := write("in.jsonl", telemetry), write("rules.yaml", routes)
	var runs []map[string]string
	for run := range 2 {
		conf := write("cepd.yaml", fmt.Sprintf(`
rules: %q
http: {listen: "off"}
sources: {plant: {type: file, path: %q, topic: plant/oslo/telemetry}}
sinks:
  warehouse: {type: file, path: "out%d/{rule}-{date}.jsonl"}
  quarantine: {type: file, path: "out%d/bad.jsonl", sync: always}
  out: {type: stdout}
`, rules, in, run, run))
		src, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		cfg, issues := config.Parse(conf, src, os.LookupEnv)
		if len(issues) > 0 {
			t.Fatal(issues)
		}
		out := &output{}
		d, err := New(Options{Config: cfg, Stdout: out, Shards: 1 + 3*run})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-d.Done()
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		files := readAll(t, filepath.Join(dir, fmt.Sprint("out", run)))
		files["stdout"] = out.buf.String()
		runs = append(runs, files)
		sent := map[string]uint64{}
		for _, s := range d.dispatcher.Stats().Sinks {
			sent[s.Name] = s.Sent
		}
		if diff := cmp.Diff(map[string]uint64{"warehouse": 4, "quarantine": 2, "out": 1}, sent); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		if n := d.Stats().Emitted[engine.CounterKey{Name: "readings"}]; n != 3 {
			t.Errorf("%d events of readings are counted, want 3", n)
		}
	}
	if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
		t.Errorf("the second run gives something else:\n%s", diff)
	}
	got := map[string]string{}
	for name, text := range runs[0] {
		got[name] = ids.ReplaceAllString(text, `"id":"..."`)
	}
	want := map[string]string{
		"readings-2026-03-01.jsonl": `{"rule":"readings","key":"d1","time":"2026-03-01T23:59:58Z","id":"...","event":{"site":"oslo","celsius":21.5}}` + "\n",
		"readings-2026-03-02.jsonl": `{"rule":"readings","key":"d1","time":"2026-03-02T00:00:01Z","id":"...","event":{"site":"oslo","celsius":30}}` + "\n" +
			`{"rule":"readings","key":"d2","time":"2026-03-02T00:00:02Z","id":"...","event":{"site":"oslo","celsius":90}}` + "\n",
		"pairs-2026-03-02.jsonl": `{"rule":"pairs","key":"oslo","time":"2026-03-02T00:00:01Z","id":"...","event":{"sum":51.5}}` + "\n",
		"stdout":                 `{"rule":"pairs","key":"oslo","time":"2026-03-02T00:00:01Z","id":"...","event":{"sum":51.5}}` + "\n",
	}
	bad := strings.Split(got["bad.jsonl"], "\n")
	delete(got, "bad.jsonl")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if len(bad) != 3 || bad[0] != `{"rule":"broken","key":"d2","time":"2026-03-01T23:59:59Z","id":"...","event":{"temp":-60}}` ||
		!strings.Contains(bad[1], `"change":"raised"`) || !strings.Contains(bad[1], `"rule":"hot"`) {
		t.Errorf("the file of both has %q", bad)
	}
}

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}
