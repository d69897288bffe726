package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const formatsConfig = `
rules: [rules.yaml]
state: {dir: data}
http: {listen: off, external_url: "https://cepd.example"}
own_alerts: {to: []}
sources:
  lines: {type: file, path: events.jsonl}
sinks:
  am: {type: webhook, url: "%[1]s/alertmanager"}
  ce: {type: webhook, url: "%[1]s/cloudevents", format: cloudevents, workers: 1}
  slack: {type: webhook, url: "%[1]s/slack", format: slack}
  discord: {type: webhook, url: "%[1]s/discord", format: discord}
  teams: {type: webhook, url: "%[1]s/teams", format: teams}
  page: {type: webhook, url: "%[1]s/pagerduty", format: pagerduty, routing_key_file: pagerduty.key}
  refused: {type: webhook, url: "%[1]s/refused", format: pagerduty, routing_key: "${ROUTING_KEY}"}
  phone: {type: webhook, url: "%[1]s/ntfy/plant-alerts", format: ntfy}
  own:
    type: webhook
    workers: 1
    url: "%[1]s/own"
    format: template
    secret_file: webhook.key
    headers: {X-Site: oslo}
    body: |
      {"text": "${summary}", "fire": ${status == "firing"}, "labels": ${labels}}
    event_body: |
      {"device": "${key}", "at": ${time}, "temp": ${event.temp}}
  form:
    type: webhook
    url: "%[1]s/form"
    format: template
    content_type: application/x-www-form-urlencoded
    body: title=${severity}&message=${summary}
`

const formatsRules = `
streams:
  telemetry: {source: lines, time: e.ts, watermark: {lag: 0s}, fields: {ts: timestamp, device: string, temp: double}}
rules:
  - name: too-hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    clear: e.temp < 75
    alert: {severity: critical, labels: {site: oslo}, summary: '"${key}" is at ${e.temp} <C>'}
  - name: readings
    from: telemetry
    by: e.device
    when: e.temp > 90
    emit: {temp: e.temp}
    emit_to: [own, ce]
`

// posted is a request that a receiver got.
type posted struct {
	path, id, kind, text string
	header               http.Header
}

// receivers are those of all formats, in one server. They note what comes, turn
// the first request for a page down as a busy service does, and refuse others.
type receivers struct {
	url  string
	mu   sync.Mutex
	got  map[string][]posted // by path
	busy []string            // ids of what was turned down
}

func newReceivers(t *testing.T) *receivers {
	r := &receivers{got: map[string][]posted{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		p := posted{req.URL.Path, req.Header.Get("Webhook-Id"), req.Header.Get("Content-Type"), string(body), req.Header}
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case p.path == "/pagerduty" && len(r.busy) == 0:
			r.busy = append(r.busy, p.id)
			w.WriteHeader(http.StatusTooManyRequests)
			return
		case p.path == "/refused":
			http.Error(w, `{"status":"invalid event"}`, http.StatusBadRequest)
			return
		}
		r.got[p.path] = append(r.got[p.path], p)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

// TestWebhookFormats runs the program over a file, with a sink of each format.
func TestWebhookFormats(t *testing.T) {
	bin, dir := build(t), t.TempDir()
	r := newReceivers(t)
	write(t, dir, "cepd.yaml", fmt.Sprintf(formatsConfig, r.url))
	write(t, dir, "rules.yaml", formatsRules)
	write(t, dir, "pagerduty.key", "0123456789abcdef0123456789abcdef\n")
	write(t, dir, "webhook.key", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\n")
	write(t, dir, "events.jsonl", `{"ts":"2026-03-01T12:00:00Z","device":"p1","temp":95.5}
{"ts":"2026-03-01T12:05:30Z","device":"p1","temp":70}
`)
	cepd := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(bin, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "ROUTING_KEY=x")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	log := cepd("run")

	const json, raise, clear = "application/json", `"p1" is at 95.5 <C>`, "5m30s"
	escaped := strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(raise)
	for path, want := range map[string][]string{
		"/alertmanager": {json + " firing " + raise, json + " resolved " + raise},
		"/cloudevents": {
			"application/cloudevents+json dev.cepd.alert.raised https://cepd.example/rules/too-hot p1 95.5",
			"application/cloudevents+json dev.cepd.event.derived https://cepd.example/rules/readings p1 95.5",
			"application/cloudevents+json dev.cepd.alert.cleared https://cepd.example/rules/too-hot p1 70",
		},
		"/slack":     {json + " CRITICAL too-hot p1: " + escaped + " #c62828", json + " CLEARED too-hot p1: " + escaped + " #2e7d32"},
		"/discord":   {json + " CRITICAL too-hot p1: " + raise, json + " CLEARED too-hot p1: " + raise},
		"/teams":     {json + " AdaptiveCard CRITICAL too-hot p1", json + " AdaptiveCard CLEARED too-hot p1"},
		"/pagerduty": {json + " trigger 0123456789abcdef0123456789abcdef critical p1 " + raise, json + " resolve 0123456789abcdef0123456789abcdef"},
		"/ntfy/":     {json + " plant-alerts 5 CRITICAL too-hot p1", json + " plant-alerts 2 CLEARED too-hot p1"},
		"/own": {
			json + ` {"text": "\"p1\" is at 95.5 <C>", "fire": true, "labels": {"alertname":"too-hot","device":"p1","severity":"critical","site":"oslo"}}`,
			json + ` {"device": "p1", "at": "2026-03-01T12:00:00Z", "temp": 95.5}`,
			json + ` {"text": "\"p1\" is at 95.5 <C>", "fire": false, "labels": {"alertname":"too-hot","device":"p1","severity":"critical","site":"oslo"}}`,
		},
		"/form": {
			"application/x-www-form-urlencoded title=critical&message=%22p1%22+is+at+95.5+%3CC%3E",
			"application/x-www-form-urlencoded title=critical&message=%22p1%22+is+at+95.5+%3CC%3E",
		},
	} {
		var got []string
		for _, p := range r.got[path] {
			got = append(got, p.kind+" "+gist(t, p))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}

	// What a service had no time for came again under the same id.
	page := r.got["/pagerduty"]
	if len(page) != 2 || page[0].id != r.busy[0] {
		t.Fatalf("turned down %v, and then came %v", r.busy, page)
	}
	// Raise and clear are of one incident.
	if dedupKey(t, page[0]) != dedupKey(t, page[1]) {
		t.Errorf("%s and %s have other dedup_keys", page[0].text, page[1].text)
	}
	// Any body is signed.
	for _, p := range r.got["/own"] {
		h := hmac.New(sha256.New, []byte("0123456789abcdef01234567"))
		h.Write([]byte(p.id + "." + p.header.Get("Webhook-Timestamp") + "." + p.text))
		if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); p.header.Get("Webhook-Signature") != want || p.header.Get("X-Site") != "oslo" {
			t.Errorf("headers %v, want the signature %s", p.header, want)
		}
	}
	// What a service refuses is kept, with what it said.
	if list := cepd("dlq", "list", "-d", "data"); strings.Count(list, "refused") != 2 || !strings.Contains(list, "client") {
		t.Errorf("dead letters:\n%s\nlog:\n%s", list, log)
	}
	if letter := cepd("dlq", "show", "1", "-d", "data"); !strings.Contains(letter, "400 Bad Request") || !strings.Contains(letter, "invalid event") {
		t.Errorf("a dead letter: %s", letter)
	}
}

// gist returns what is most worth knowing of what a receiver got.
func gist(t *testing.T, p posted) string {
	t.Helper()
	if p.path == "/own" || p.path == "/form" {
		return p.text
	}
	var doc any
	if err := json.Unmarshal([]byte(p.text), &doc); err != nil {
		t.Fatalf("%s: %v in %s", p.path, err, p.text)
	}
	var out []string
	for path := range strings.FieldsSeq(map[string]string{
		"/alertmanager": "status alerts.0.annotations.summary",
		"/cloudevents":  "type source subject data.event.temp data.evidence.0.events.0.temp",
		"/slack":        "text attachments.0.color",
		"/discord":      "content",
		"/teams":        "attachments.0.content.type attachments.0.content.body.0.text",
		"/pagerduty":    "event_action routing_key payload.severity payload.source payload.summary",
		"/ntfy/":        "topic priority title",
	}[p.path]) {
		if v := at(doc, strings.Split(path, ".")); v != nil {
			out = append(out, fmt.Sprint(v))
		}
	}
	return strings.Join(out, " ")
}

// at returns the part of a JSON value at a path, nil if there is none.
func at(v any, path []string) any {
	for _, step := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			v = nil
			if i := int(step[0] - '0'); i < len(x) {
				v = x[i]
			}
		default:
			return nil
		}
	}
	return v
}

func dedupKey(t *testing.T, p posted) string {
	t.Helper()
	m := regexp.MustCompile(`"dedup_key":"([0-9a-f]{16})"`).FindStringSubmatch(p.text)
	if m == nil {
		t.Fatalf("no dedup_key in %s", p.text)
	}
	return m[1]
}
