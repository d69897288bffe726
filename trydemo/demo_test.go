package trydemo

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/ingest/file"
	"github.com/cepd/cepd/internal/leak"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/scenario"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestRun lets twenty minutes of the freezers pass as fast as they can, and
// wants what the demonstration promises: an alert with its evidence, its end,
// and hints that work.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	sum, err := Run(t.Context(), Options{For: 20 * time.Microsecond, Speed: 60e6, Seed: 1, Dir: dir, Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"RAISED   warning  compressor-failed  f08\n    The compressor of f08 stopped after 4 readings under strain, at most 8.1 A\n",
		"    strain   06:01:",
		"RAISED   critical  freezer-too-warm  f08\n",
		"CLEARED  critical  freezer-too-warm  f08",
		"RAISED   warning  door-left-open  f04\n",
		"2880 events from 24 freezers",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	raised, cleared := sum.Stats.Raised.Total(""), sum.Stats.Cleared.Total("")
	if sum.Published != 2880 || sum.Stats.Events.Total("") != 2880 || raised < 3 || cleared < 2 {
		t.Errorf("published %d, events %d, raised %d, cleared %d", sum.Published, sum.Stats.Events.Total(""), raised, cleared)
	}
	if t.Failed() {
		t.Log(text)
	}
	replay(t, dir, raised, cleared)
}

// replay replays the recording, which gives what the demonstration gave.
func replay(t *testing.T, dir string, raised, cleared int64) {
	name := filepath.Join(dir, "rules", "freezers.yaml")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	set, report := rules.Load([]rules.File{{Name: name, Data: data}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	src, err := file.Open(file.Config{Path: filepath.Join(dir, "events.jsonl")})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	until, err := scenario.ParseUntil("last")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	sum, err := scenario.Replay(t.Context(), scenario.Options{Rules: set, Source: src, Until: until, Print: scenario.NewJSON(&out)})
	if err != nil {
		t.Fatal(err)
	}
	if r, c := sum.Stats.Raised.Total(""), sum.Stats.Cleared.Total(""); r != raised || c < cleared {
		t.Errorf("the recording gives %d raised and %d cleared, the demonstration gave %d and %d", r, c, raised, cleared)
	}
}

// TestInterrupted ends at once, and well, when its context does.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	cancelled := writerFunc(func(b []byte) (int, error) {
		if strings.Contains(out.String(), "RAISED") {
			cancel()
		}
		return out.Write(b)
	})
	if _, err := Run(ctx, Options{Speed: 60e6, Dir: t.TempDir(), Out: cancelled}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "events from 24 freezers") {
		t.Errorf("the output lacks its end:\n%s", out.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestFreezers: the same seed gives the same readings, in order of time, and
// another one the same first faults.
func TestFreezers(t *testing.T) {
	a, b, other := newPlant(1), newPlant(1), newPlant(2)
	last, differ := begin-1, false
	for range 10_000 {
		x, y, z := a.next(), b.next(), other.next()
		if string(x.payload) != string(y.payload) || x.topic() != y.topic() {
			t.Fatalf("the same seed gives %s and %s", x.payload, y.payload)
		}
		if x.time <= last {
			t.Fatalf("%v comes after %v", x.time, last)
		}
		last = x.time
		differ = differ || string(x.payload) != string(z.payload)
	}
	if !differ {
		t.Error("another seed gives the same readings")
	}
	if d := a.faults[0]; d != other.faults[0] {
		t.Errorf("first faults differ: %v, %v", d, other.faults[0])
	}
}
