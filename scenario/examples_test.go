package scenario

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting/notify/text"
	"github.com/cepd/cepd/ingest/file"
	"github.com/cepd/cepd/rules"
)

// TestExamples replays the recorded events of every example, and compares what
// comes out with the file beside them, which is what `cepd replay` prints. The
// number of shards and the size of batches must make no difference. Memory that
// is given back is spoilt.
func TestExamples(t *testing.T) {
	names, err := filepath.Glob("../examples/rules/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no examples", err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".yaml")
		t.Run(base, func(t *testing.T) {
			want, err := os.ReadFile("../examples/data/" + base + ".expected.txt")
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range []Options{{Shards: 1}, {Shards: 1, BatchRecords: 1}, {Shards: 8}, {Shards: 3, BatchRecords: 7}} {
				if diff := cmp.Diff(string(want), replayExample(t, name, base, o)); diff != "" {
					t.Errorf("%d shards, batches of %d (-want +got):\n%s", o.Shards, o.BatchRecords, diff)
				}
			}
		})
	}
}

func replayExample(t *testing.T, name, base string, o Options) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	set, report := rules.Load([]rules.File{{Name: name, Data: data}}, rules.Options{
		ReadTable: func(_, table string) (rules.File, error) {
			data, err := os.ReadFile(filepath.Join("../examples/rules", table))
			return rules.File{Name: table, Data: data}, err
		},
	})
	if !report.OK() {
		t.Fatal(report)
	}
	events, err := filepath.Glob("../examples/data/" + base + ".*")
	if err != nil {
		t.Fatal(err)
	}
	events = slices.DeleteFunc(events, func(f string) bool { return strings.HasSuffix(f, ".expected.txt") })
	if len(events) != 1 {
		t.Fatalf("the example has recorded events %v, want one file", events)
	}
	src, err := file.Open(file.Config{Path: events[0], BatchRecords: o.BatchRecords})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	o.Source = spoiling{src}
	var out bytes.Buffer
	o.Rules, o.Print = set, NewText(&out, text.Options{})
	if _, err := Replay(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
