package scenario

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/ingest/file"
)

const hot = `
streams:
  telemetry: {time: e.ts, watermark: {lag: 5s}, fields: {ts: timestamp, device: string, temp: double}}
rules:
  - name: hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    emit: {device: e.device, temp: e.temp}
  - name: very
    from: hot
    by: e.device
    when: e.temp > 90
    alert: {summary: hot}
`

const readings = `{"ts":"2026-03-01T12:00:00Z","device":"a","temp":85}
{"ts":"2026-03-01T12:00:10Z","device":"b"}
{"ts":"2026-03-01T12:00:20Z","device":"a","temp":95}
`

func readingsOf(t *testing.T, path, text string) ingest.Source {
	t.Helper()
	s, err := file.Open(file.Config{Path: path, Reader: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// interrupted is a source that is interrupted after its first batch.
type interrupted struct {
	ingest.Source
	cancel context.CancelFunc
}

func (s interrupted) Read(ctx context.Context) (ingest.Batch, error) {
	b, err := s.Source.Read(ctx)
	s.cancel()
	return b, err
}

// What was counted before an interruption is told.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	src, err := file.Open(file.Config{Reader: strings.NewReader(readings), BatchRecords: 2})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Replay(ctx, Options{Rules: loadSet(t, "hot.yaml", hot), Source: interrupted{src, cancel}, Print: discard{}})
	if !errors.Is(err, context.Canceled) || sum.Stats.Events.Total("telemetry") != 2 {
		t.Errorf("%d events, %v; want the two that were read, and that it was interrupted", sum.Stats.Events.Total("telemetry"), err)
	}
}

// A time to end at that events go beyond is told, one behind them is not.
func TestReached(t *testing.T) {
	for until, want := range map[string]string{
		"2026-03-01T12:00:15Z": "2026-03-01T12:00:20Z", "2026-03-01T12:00:21Z": "", "last": "", "end": "",
	} {
		u, err := ParseUntil(until)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := Replay(t.Context(), Options{Rules: loadSet(t, "hot.yaml", hot), Source: readingsOf(t, "-", readings), Until: u, Print: discard{}})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if sum.Reached != event.Time(0) {
			got = sum.Reached.String()
		}
		if got != want {
			t.Errorf("until %s: reached %q, want %q", until, got, want)
		}
	}
}

// A rule over derived events is explained by the stream that they come from,
// and a condition that failed is named.
func TestExplainDerived(t *testing.T) {
	set := loadSet(t, "hot.yaml", hot)
	if got := StreamOf(set, "very"); got != "telemetry" {
		t.Errorf("StreamOf: %q", got)
	}
	for rule, want := range map[string][]string{
		"very": {`a  {"device":"a","temp":85}`, "`when` does not hold", "alert raised"},
		"hot":  {"`when` failed: no such field, in e.temp > 80"},
	} {
		var out strings.Builder
		if _, err := Explain(t.Context(), Options{Rules: set, Source: readingsOf(t, "-", readings)}, rule, "", &out); err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: no %q in\n%s", rule, w, out.String())
			}
		}
	}
}
