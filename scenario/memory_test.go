package scenario

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/rules"
)

// spoil writes over the payload of a record.
func spoil(r *event.Record) { copy(r.Payload, bytes.Repeat([]byte{'?'}, len(r.Payload))) }

// spoiling is a source that spoils memory that is given back.
type spoiling struct{ ingest.Source }

func (s spoiling) Read(ctx context.Context) (ingest.Batch, error) {
	b, err := s.Source.Read(ctx)
	if free := b.Free; free != nil {
		records := b.Records
		b.Free = func() {
			for i := range records {
				spoil(&records[i])
			}
			free()
		}
	}
	return b, err
}

// keepsNoPayload runs the tests of a rule file record by record, with payloads
// spoilt as soon as the engine says that it refers to none, and without.
func keepsNoPayload(t *testing.T, name string, set *rules.Set) {
	t.Helper()
	for _, test := range set.Tests {
		for _, matches := range []bool{false, true} {
			want, _ := printSteps(t, set, test, matches, false)
			got, spoilt := printSteps(t, set, test, matches, true)
			if got != want {
				t.Errorf("%s:%d: %s: with payloads spoilt that should be in use no more:\n%s\nwant\n%s", name, test.Line, test.Name, got, want)
			}
			if spoilt == 0 {
				t.Errorf("%s:%d: %s: the engine refers to all payloads to the end", name, test.Line, test.Name)
			}
		}
	}
}

// TestTexts keeps texts of events in every way that there is.
func TestTexts(t *testing.T) {
	text, err := os.ReadFile("testdata/texts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set := loadSet(t, "texts.yaml", string(text))
	keepsNoPayload(t, "texts.yaml", set)
	printed, _ := printSteps(t, set, set.Tests[0], false, false)
	for _, want := range []string{`"highest":"/3"`, `"often":[{"value":"/1"`, `/1 on alpha, /2 to /2, /4`, `was last seen at /2`, `"tags":["t"]`} {
		if !strings.Contains(printed, want) {
			t.Errorf("%s is nowhere in\n%s", want, printed)
		}
	}
}

func printSteps(t *testing.T, set *rules.Set, test *rules.Test, matches, spoils bool) (printed string, spoilt int) {
	t.Helper()
	run, err := newTestRun(set, test)
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Config{
		Load: func(string) (*rules.Set, error) { return run.set, nil }, StandIns: run.standIns, Emitted: true, Matches: matches,
	})
	var text bytes.Buffer
	var waits held
	untils := make([]event.Time, len(run.records))
	first := 0
	for i := range run.records {
		out := e.Step(engine.Input{Records: run.records[i : i+1]})
		waits.add(&out)
		if err := waits.release(out.Settled, NewJSON(&text)); err != nil {
			t.Fatal(err)
		}
		untils[i] = e.HeldUntil()
		for ; first <= i && len(waits) == 0 && (untils[i] == event.MinTime || untils[first] <= out.Settled); first++ {
			if spoils && run.records[first].Kind == event.KindMessage {
				spoil(&run.records[first])
			}
			spoilt++
		}
	}
	if err := waits.release(event.MaxTime, NewJSON(&text)); err != nil {
		t.Fatal(err)
	}
	return text.String(), spoilt
}
