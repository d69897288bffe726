package stdout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/internal/sample"
	"github.com/cepd/cepd/alerting/notify/stdout"
)

func TestSink(t *testing.T) {
	var out bytes.Buffer
	s, err := stdout.New(stdout.Config{Writer: &out})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := s.Notify(t.Context(), notify.NewDelivery(notify.Changed(sample.Raised()), "s", 0)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 20 {
		t.Errorf("%d lines, want 20", len(lines))
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %q", l)
		}
	}

	out.Reset()
	s, err = stdout.New(stdout.Config{Writer: &out, Format: "text"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Notify(t.Context(), notify.NewDelivery(notify.Changed(sample.Cleared()), "s", 0)); err != nil {
		t.Fatal(err)
	}
	if want := "2026-03-01T12:06:05Z  CLEARED  critical  pump-failure  oslo/p1  after 5m30s (clear_after)\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestEvents(t *testing.T) {
	for format, want := range map[string]string{"json": `{"rule":"readings",`, "text": "2026-03-01T12:00:20Z  event  readings  oslo/p1  {"} {
		var out bytes.Buffer
		s, err := stdout.New(stdout.Config{Writer: &out, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Notify(t.Context(), notify.NewDelivery(notify.Emitted(sample.Derived()), "s", 0)); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
			t.Errorf("%s: got %q, want a line that begins with %s", format, got, want)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestErrors(t *testing.T) {
	s, err := stdout.New(stdout.Config{Writer: broken{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Notify(t.Context(), notify.NewDelivery(notify.Changed(sample.Raised()), "s", 0)); err == nil {
		t.Error("no error from a stream that is gone")
	}
	for _, c := range []stdout.Config{{}, {Writer: broken{}, Format: "xml"}} {
		if _, err := stdout.New(c); err == nil {
			t.Errorf("New(%+v) gives no error", c)
		}
	}
}
