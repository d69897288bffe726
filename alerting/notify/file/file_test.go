package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/internal/sample"
	"github.com/cepd/cepd/event"
)

func at(t *testing.T, s string) event.Time {
	t.Helper()
	v, err := event.ParseTime(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newSink(t *testing.T, cfg Config) *Sink {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// emitted is a derived event of a rule with one field.
func emitted(t *testing.T, rule, when string, n int) notify.Delivery {
	t.Helper()
	return notify.NewDelivery(notify.Emitted(alerting.Derived{
		KnownID: fmt.Sprint("id", n), Rule: rule, Time: at(t, when), Fields: []event.Entry{{Name: "n", Value: event.Int(int64(n))}},
	}), "warehouse", 0)
}

func send(t *testing.T, s *Sink, ds ...notify.Delivery) {
	t.Helper()
	for _, d := range ds {
		if err := s.Notify(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// files returns the names and contents of all files in a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range names(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(b)
	}
	return out
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(dir, path)
			out = append(out, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func line(rule, when string, n int) string {
	return fmt.Sprintf(`{"rule":%q,"key":null,"time":%q,"id":"id%d","event":{"n":%d}}`+"\n", rule, when, n, n)
}

// Events go to the files of their rules and days, alerts too.
func TestFiles(t *testing.T) {
	for _, sync := range []string{"", SyncAlways} {
		dir := t.TempDir()
		s := newSink(t, Config{Path: dir + "/derived/{rule}-{date}.jsonl", Sync: sync})
		send(t, s,
			emitted(t, "kwh", "2026-03-01T23:59:59.5Z", 1), emitted(t, "kwh", "2026-03-02T00:00:00Z", 2),
			emitted(t, "cold", "2026-03-02T00:00:00Z", 3), emitted(t, "kwh", "2026-03-01T12:00:00Z", 4),
			notify.NewDelivery(notify.Changed(sample.Plain()), "warehouse", 0),
		)
		plain := sample.Plain()
		want := map[string]string{
			"derived/kwh-2026-03-01.jsonl":  line("kwh", "2026-03-01T23:59:59.5Z", 1) + line("kwh", "2026-03-01T12:00:00Z", 4),
			"derived/kwh-2026-03-02.jsonl":  line("kwh", "2026-03-02T00:00:00Z", 2),
			"derived/cold-2026-03-02.jsonl": line("cold", "2026-03-02T00:00:00Z", 3),
			"derived/warm-2026-03-01.jsonl": string(notify.AppendJSON(nil, &plain)) + "\n",
		}
		if diff := cmp.Diff(want, files(t, dir)); diff != "" {
			t.Errorf("sync %q (-want +got):\n%s", sync, diff)
		}
	}
}

// A name never leads out of the folder.
func TestNames(t *testing.T) {
	tpl, err := parsePath("d/{rule}/{date}.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for rule, want := range map[string]string{
		"too-hot_2.x":     "d/too-hot_2.x/2026-03-01.jsonl",
		"..":              "d/%2E./2026-03-01.jsonl",
		"../../etc/x":     "d/%2E.%2F..%2Fetc%2Fx/2026-03-01.jsonl",
		`C:\a`:            "d/C%3A%5Ca/2026-03-01.jsonl",
		"caf\u00e9\x00\n": "d/caf%C3%A9%00%0A/2026-03-01.jsonl",
	} {
		if got := tpl.expand(rule, at(t, "2026-03-01T12:00:00Z")); got != want {
			t.Errorf("rule %q: %s, want %s", rule, got, want)
		}
	}
	for path, want := range map[string]string{"a.jsonl": ".", "a/b-{rule}": "a", "{date}/x": ".", "/v/{date}": "/v"} {
		tpl, err := parsePath(path)
		if err != nil || tpl.root() != want {
			t.Errorf("root of %s: %s, %v; want %s", path, tpl.root(), err, want)
		}
	}
}

// More files than may be open at once take turns.
func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, Config{Path: dir + "/{rule}.jsonl"})
	for n := range 3 * maxOpen {
		for range 2 {
			send(t, s, emitted(t, fmt.Sprint("r", n), "2026-03-01T12:00:00Z", n))
		}
		send(t, s, emitted(t, "always", "2026-03-01T12:00:00Z", n))
	}
	if len(s.files) > maxOpen || s.files[filepath.Join(dir, "always.jsonl")] == nil {
		t.Errorf("%d files are open, want at most %d, and the busy one among them", len(s.files), maxOpen)
	}
	for name, text := range files(t, dir) {
		want := 2
		if name == "always.jsonl" {
			want = 3 * maxOpen
		}
		if got := strings.Count(text, "\n"); got != want {
			t.Errorf("%s has %d lines, want %d", name, got, want)
		}
	}
}

// A line that a crash cut off stays alone; a file that is moved is made anew.
func TestRepair(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.jsonl")
	if err := os.WriteFile(name, []byte(`{"whole":1}`+"\n"+`{"cut":`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSink(t, Config{Path: dir + "/x.jsonl"})
	s.recheck = 0
	const when = "2026-03-01T12:00:00Z"
	send(t, s, emitted(t, "r", when, 1))
	if err := os.Rename(name, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	send(t, s, emitted(t, "r", when, 2))
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	send(t, s, emitted(t, "r", when, 3))
	want := map[string]string{"moved": `{"whole":1}` + "\n" + `{"cut":` + "\n" + line("r", when, 1), "x.jsonl": line("r", when, 3)}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What fails may be tried again, and leaves no part of a line behind.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, Config{Path: dir + "/{rule}/x.jsonl"})
	const when = "2026-03-01T12:00:00Z"
	if err := os.WriteFile(filepath.Join(dir, "r"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Notify(t.Context(), emitted(t, "r", when, 1)); err == nil {
		t.Error("a file where a folder should be is no error")
	}
	if err := os.Remove(filepath.Join(dir, "r")); err != nil {
		t.Fatal(err)
	}
	send(t, s, emitted(t, "r", when, 1))

	// A write that got half-way, as on a full disk.
	path := filepath.Join(dir, "r", "x.jsonl")
	if _, err := s.files[path].WriteString("half"); err != nil {
		t.Fatal(err)
	}
	if err := s.takeBack(path, 4); err != nil {
		t.Fatal(err)
	}
	send(t, s, emitted(t, "r", when, 2))
	if diff := cmp.Diff(map[string]string{"r/x.jsonl": line("r", when, 1) + line("r", when, 2)}, files(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Notify(t.Context(), emitted(t, "r", when, 3)); err == nil {
		t.Error("a closed sink takes deliveries")
	}
}

// A full disk is an error that another try may mend.
func TestFullDisk(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("SKIPPED: there is no " + full)
	}
	s := newSink(t, Config{Path: full})
	for range 2 {
		err := s.Notify(t.Context(), emitted(t, "r", "2026-03-01T12:00:00Z", 1))
		var e *notify.Error
		if err == nil || errors.As(err, &e) {
			t.Errorf("on a full disk: %v, want an error that is no final one", err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, Config{Path: dir + "/x.jsonl"})
	var wg sync.WaitGroup
	for n := range 50 {
		d := emitted(t, "r", "2026-03-01T12:00:00Z", n)
		wg.Go(func() {
			if err := s.Notify(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := slices.Sorted(strings.Lines(files(t, dir)["x.jsonl"]))
	var want []string
	for n := range 50 {
		want = append(want, line("r", "2026-03-01T12:00:00Z", n))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConfig(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for cfg, want := range map[Config]string{
		{}:                         "no path",
		{Path: "-"}:                "path: - is no file; a sink of type stdout",
		{Path: "d/"}:               "no name of a file",
		{Path: "{key}.jsonl"}:      "{key} is neither {rule} nor {date}",
		{Path: "{rule"}:            "a { has no }",
		{Path: "rule}"}:            "without its {",
		{Path: "x", Sync: "often"}: `sync is "often"; it is never or always`,
		{Path: blocked + "/x/y"}:   "not a directory",
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v): %v, want it to say %q", cfg, err, want)
		}
	}
}

func BenchmarkNotify(b *testing.B) {
	s, err := New(Config{Path: b.TempDir() + "/{rule}-{date}.jsonl"})
	if err != nil {
		b.Fatal(err)
	}
	d := notify.NewDelivery(notify.Emitted(alerting.Derived{
		KnownID: "0123456789abcdef0123456789abcdef", Rule: "readings", Fields: []event.Entry{
			{Name: "meter", Value: event.String("m1")}, {Name: "kwh", Value: event.Double(1.25)},
		},
	}), "warehouse", 0)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Notify(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
