package format

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/internal/sample"
	"github.com/cepd/cepd/event"
)

var update = flag.Bool("update", false, "write the bodies anew; review the difference")

// options are those of each format in tests.
func options(name string) Options {
	return Options{Name: name, ExternalURL: "https://cepd.example", RoutingKey: "0123456789abcdef0123456789abcdef", Topic: "plant", Body: ownBody, EventBody: ownEventBody}
}

const ownBody = `{
  "text": "${severity}: ${summary} at ${key}, \"${labels.site}\" ${labels.none}",
  "description": ${description},
  "firing": ${status == "firing"},
  "labels": ${labels},
  "matches": ${matches}, "repeat": ${repeat},
  "seconds": ${int(starts_at)},
  "lasted": ${ends_at - starts_at},
  "hottest": ${max(evidence.filter(s, has(s.step) && s.step == "hot").map(s, s.events.map(x, double(x.temperature)))[0])},
  "id": "${delivery_id}", "url": "${external_url}/rules", "dollar": "$${x}"
}
`

const ownEventBody = `{"rule": "${rule}${late}", "at": ${time}, "event": ${event}, "kwh": "${event.kwh}", "key": ${key}}`

// body returns what a format makes of a delivery, which must be JSON on one line.
func body(t *testing.T, o Options, d *notify.Delivery) []byte {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Append([]byte("before "), d)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := bytes.CutPrefix(b, []byte("before "))
	if !ok || !json.Valid(b) {
		t.Fatalf("%s: %s", o.Name, b)
	}
	if o.Name != Template && bytes.ContainsAny(b, "\n\r") {
		t.Errorf("%s: more than a line: %q", o.Name, b)
	}
	return b
}

// TestBodies holds the bodies to the golden files, testdata/FORMAT/WHAT.json.
func TestBodies(t *testing.T) {
	repeated := notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 2)
	derived := notify.NewDelivery(notify.Emitted(sample.Derived()), "ops", 0)
	late := derived
	lateEvent := sample.Derived()
	lateEvent.Late, lateEvent.Rule, lateEvent.Key = true, "telemetry", ""
	late.Message = notify.Emitted(lateEvent)
	deliveries := map[string]notify.Delivery{"repeated": repeated, "derived": derived, "late": late}
	for name, tr := range map[string]alerting.Transition{"raised": sample.Raised(), "cleared": sample.Cleared(), "plain": sample.Plain()} {
		deliveries[name] = notify.NewDelivery(notify.Changed(tr), "ops", 0)
	}
	for _, format := range Names() {
		o := options(format)
		for what, d := range deliveries {
			if d.Derived != nil && !o.TakesEvents() {
				continue
			}
			var got bytes.Buffer
			if err := json.Indent(&got, body(t, o, &d), "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			file := filepath.Join("testdata", format, what+".json")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
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
}

// amMessage is what receivers of Alertmanager's webhooks read (its
// notify/webhook.Message and template.Data).
type amMessage struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   uint64            `json:"truncatedAlerts"`
	Receiver          string            `json:"receiver"`
	Status            string            `json:"status"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []struct {
		Status       string            `json:"status"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		StartsAt     time.Time         `json:"startsAt"`
		EndsAt       time.Time         `json:"endsAt"`
		GeneratorURL string            `json:"generatorURL"`
		Fingerprint  string            `json:"fingerprint"`
	} `json:"alerts"`
	Cepd json.RawMessage `json:"cepd"`
}

func TestBodyReadsAsAlertmanagers(t *testing.T) {
	d := notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 0)
	dec := json.NewDecoder(bytes.NewReader(body(t, Options{Name: Alertmanager}, &d)))
	dec.DisallowUnknownFields()
	var m amMessage
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if m.Version != "4" || len(m.Alerts) != 1 || !m.Alerts[0].EndsAt.IsZero() || m.Alerts[0].StartsAt.IsZero() || m.CommonLabels["alertname"] != "pump-failure" {
		t.Errorf("got %+v", m)
	}
}

// long is an alert of which everything is as long as rules and devices can make
// it, in characters that take the most room.
func long() notify.Delivery {
	tr := sample.Raised()
	for _, s := range []*string{&tr.Summary, &tr.Description, &tr.Rule} {
		*s = strings.Repeat("😀&<", 10_000)
	}
	tr.Labels = alerting.SortLabels(append(tr.Labels, alerting.Label{Name: "zone", Value: strings.Repeat("&é", 10_000)}))
	s := event.NewSchema("telemetry", nil)
	_, _ = s.Use("status")
	for range 10_000 {
		e := &event.Event{Time: tr.Time, Schema: s, Slots: []event.Value{event.String(strings.Repeat("```\"", 300))}}
		tr.Evidence[0].Events = append(tr.Evidence[0].Events, e)
	}
	return notify.NewDelivery(notify.Changed(tr), "ops", 3)
}

// TestLimits holds what is sent of a long alert to what the services take.
func TestLimits(t *testing.T) {
	d := long()
	read := func(format string, to any) {
		if err := json.Unmarshal(body(t, options(format), &d), to); err != nil {
			t.Fatal(err)
		}
	}
	units := func(s string) int { return len(utf16.Encode([]rune(s))) }
	check := func(what string, got, most int) {
		if got > most || got < most/10 {
			t.Errorf("%s: %d, want at most %d, and not much less", what, got, most)
		}
	}

	var s slackMessage
	read(Slack, &s)
	check("the text for Slack", len(s.Text), 3000)
	for _, b := range s.Attachments[0].Blocks {
		if b.Text != nil {
			check("a section for Slack", len(b.Text.Text), 3000)
		}
	}

	var dc discordMessage
	read(Discord, &dc)
	check("the content for Discord", units(dc.Content), 2000)
	check("the description for Discord", units(dc.Embeds[0].Description), 4096)
	check("the footer for Discord", units(dc.Embeds[0].Footer.Text), 2048)
	check("the embed for Discord", units(dc.Embeds[0].Description+dc.Embeds[0].Footer.Text), 6000)
	if n := strings.Count(dc.Embeds[0].Description, "```"); n != 2 {
		t.Errorf("%d fences in the description for Discord: what a device sends can leave the block", n)
	}

	check("the message for Teams", len(body(t, options(Teams), &d)), 28<<10)

	var p pagerDutyEvent
	read(PagerDuty, &p)
	check("the summary for PagerDuty", units(p.Payload.Summary), 1024)
	if size := len(body(t, options(PagerDuty), &d)); size > 512_000 || !bytes.Contains(p.Payload.Details, []byte(`"evidence":[],`)) || !bytes.Contains(p.Payload.Details, []byte(`"repeat":3`)) {
		t.Errorf("an event of %d bytes for PagerDuty", size)
	}
	longer := long()
	longer.Transition.Description = strings.Repeat("x", 500_000)
	if size := len(body(t, options(PagerDuty), &longer)); size > 10_000 {
		t.Errorf("an event of %d bytes for PagerDuty, whose details have no room", size)
	}

	var n ntfyMessage
	read(Ntfy, &n)
	check("the title for ntfy", len(n.Title), 250)
	check("the message for ntfy", len(n.Message), 4096)
}

// TestMentions sends what would call people, or link elsewhere, in a chat.
func TestMentions(t *testing.T) {
	tr := sample.Raised()
	tr.Summary, tr.Runbook = "<!channel> & <https://evil.example|here> @everyone", "javascript:alert(1)"
	d := notify.NewDelivery(notify.Changed(tr), "ops", 0)
	if got := string(body(t, options(Slack), &d)); strings.ContainsAny(got, "<>") || !strings.Contains(got, "&lt;!channel&gt; &amp; ") {
		t.Errorf("Slack: %s", got)
	}
	if got := string(body(t, options(Discord), &d)); !strings.Contains(got, `"allowed_mentions":{"parse":[]}`) {
		t.Errorf("Discord: %s", got)
	}
	for _, format := range []string{Teams, PagerDuty, Ntfy} {
		var m map[string]any
		if err := json.Unmarshal(body(t, options(format), &d), &m); err != nil {
			t.Fatal(err)
		}
		if m["click"] != nil || m["links"] != nil || strings.Contains(string(body(t, options(Teams), &d)), "OpenUrl") {
			t.Errorf("%s links to what is no web page: %v", format, m)
		}
	}
}

// Whatever a severity is, services get one that they know.
func TestSeverities(t *testing.T) {
	for severity, want := range map[string]string{"critical": "critical", "error": "error", "warning": "warning", "info": "info", "": "warning", "page": "warning"} {
		tr := sample.Raised()
		tr.Severity = severity
		d := notify.NewDelivery(notify.Changed(tr), "ops", 0)
		var p pagerDutyEvent
		if err := json.Unmarshal(body(t, options(PagerDuty), &d), &p); err != nil || p.Payload.Severity != want {
			t.Errorf("severity %q is %q to PagerDuty, want %q (%v)", severity, p.Payload.Severity, want, err)
		}
	}
}

// Formats that tell of alerts only say so of an event.
func TestEventsRefused(t *testing.T) {
	d := notify.NewDelivery(notify.Emitted(sample.Derived()), "ops", 0)
	for _, name := range Names() {
		o := options(name)
		o.EventBody = ""
		f, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Append(nil, &d)
		if refused := err != nil; refused == o.TakesEvents() {
			t.Errorf("%s takes events: %v, and says %v of one", name, o.TakesEvents(), err)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"", 1, ""}, {"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"😀😀", 4, "😀😀"}, {"😀😀", 3, "😀…"}, {"😀b", 2, "…"}, {"a\xffb", 3, "a\ufffdb"},
	} {
		if got := cut(c.in, c.most); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.in, c.most, got, c.want)
		}
	}
	if got := cutBytes("ééé", 5); got != "é…" {
		t.Errorf("cutBytes = %q", got)
	}
}
