package notify_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/internal/sample"
	"github.com/cepd/cepd/event"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestJSON(t *testing.T) {
	for name, tr := range map[string]alerting.Transition{"raised": sample.Raised(), "cleared": sample.Cleared(), "plain": sample.Plain()} {
		line := notify.AppendJSON(nil, &tr)
		if bytes.ContainsAny(line, "\n\r") {
			t.Errorf("%s: more than a line: %q", name, line)
		}
		var got bytes.Buffer
		if err := json.Indent(&got, line, "", "  "); err != nil {
			t.Fatalf("%s: %v in %s", name, err, line)
		}
		got.WriteByte('\n')
		file := filepath.Join("testdata", name+".json")
		if *rewrite {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

func TestDerivedJSON(t *testing.T) {
	const want = `{"rule":"readings","key":{"site":"oslo","device":"p1"},"time":"2026-03-01T12:00:20Z","id":"00112233445566778899aabbccddeeff",` +
		`"event":{"kwh":1.5,"note \"x\"":"a\nb` + "\u009b" + `","none":null}}`
	d := sample.Derived()
	if diff := cmp.Diff(want, string(notify.AppendDerived(nil, &d))); diff != "" {
		t.Error(diff)
	}
	d.Key, d.Fields = "", nil
	if got, want := string(notify.AppendDerived(nil, &d)), `{"rule":"readings","key":null,"time":"2026-03-01T12:00:20Z","id":"00112233445566778899aabbccddeeff","event":{}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d.Late = true
	if got, want := string(notify.AppendDerived(nil, &d)), `{"late":"readings","time":"2026-03-01T12:00:20Z","id":"00112233445566778899aabbccddeeff","event":{}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A repeat says its number; the change itself says none.
func TestRepeatJSON(t *testing.T) {
	plain, last := sample.Plain(), notify.AppendMessage(nil, notify.Changed(sample.Plain()))
	for n, want := range map[int]string{0: string(last), 3: string(last[:len(last)-1]) + `,"repeat":3}`} {
		d := notify.NewDelivery(notify.Changed(plain), "s", n)
		if got := string(notify.AppendDelivery(nil, &d)); got != want {
			t.Errorf("repeat %d: %s, want %s", n, got, want)
		}
	}
}

// Kept payloads come in all shapes.
func TestEvidencePayload(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                       `{"time":"1970-01-01T00:00:00Z"}`,
		"{}":                                     `{"time":"1970-01-01T00:00:00Z"}`,
		`{"a":1,"b":[ 2 ]}`:                      `{"time":"1970-01-01T00:00:00Z","a":1,"b":[2]}`,
		"[1,\n2]":                                `{"time":"1970-01-01T00:00:00Z","payload":[1,2]}`,
		"21.5":                                   `{"time":"1970-01-01T00:00:00Z","payload":21.5}`,
		"on \xff":                                `{"time":"1970-01-01T00:00:00Z","payload":"on ` + "\ufffd" + `"}`,
		`{"a":`:                                  `{"time":"1970-01-01T00:00:00Z","payload":"{\"a\":"}`,
		`{"a":1} trailing`:                       `{"time":"1970-01-01T00:00:00Z","payload":"{\"a\":1} trailing"}`,
		"\xa2\x01\x02\x61b\x42hi":                `{"time":"1970-01-01T00:00:00Z","1":2,"b":"aGk="}`,
		"\xa1\x01":                               `{"time":"1970-01-01T00:00:00Z","payload":"` + "\ufffd" + `\u0001"}`,
		`{"big":123456789012345678901234567890}`: `{"time":"1970-01-01T00:00:00Z","big":123456789012345678901234567890}`,
	} {
		e := &event.Event{More: &event.Details{Raw: []byte(raw)}}
		got := string(notify.AppendEvidence(nil, []alerting.Step{{Events: []*event.Event{e}}}))
		if want = `[{"events":[` + want + `]}]`; got != want {
			t.Errorf("payload %q gives\n%s, want\n%s", raw, got, want)
		}
	}
}
