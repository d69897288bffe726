package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cepd/cepd/alerting/notify/file"
	"github.com/cepd/cepd/alerting/notify/webhook"
	"github.com/cepd/cepd/mqttconn"
)

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// TestParse reads the whole of a file.
func TestParse(t *testing.T) {
	src, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, issues := Parse("/etc/cepd/cepd.yaml", src, env(map[string]string{"BROKER": "broker.example", "EMPTY": ""}))
	for _, i := range issues {
		t.Error(i)
	}
	want := &Config{
		Rules:  []string{"/etc/cepd/rules/*.yaml", "/srv/more.yaml"},
		Watch:  true,
		State:  State{Dir: "/etc/cepd/data", Sync: "interval", Snapshot: 10e9, History: 7 * 24 * time.Hour, Memory: 2 << 30, MinFree: 1 << 30},
		Outbox: Outbox{MaxBytes: 2 << 30, DeadLetters: 500}, OwnAlerts: OwnAlerts{To: []string{"ops", "console"}, SourceDown: 5 * time.Minute},
		HTTP: HTTP{Listen: "127.0.0.1:0", ExternalURL: "https://cepd.example"},
		Sources: []Source{
			{Name: "intake", Type: "http", MQTT: MQTTSource{QoS: 1}, HTTP: HTTPSource{Listen: "0.0.0.0:9478", Topic: "t/2", TokenFile: "/etc/cepd/token",
				TLS: ServerTLS{CertFile: "/etc/cepd/s.pem", KeyFile: "/etc/cepd/s.key", ClientCAFile: "/etc/cepd/ca.pem"}}},
			{Name: "lines", Type: "file", MQTT: MQTTSource{QoS: 1}, File: FileSource{Path: "-", Format: "jsonl", Topic: "t/1"}},
			{Name: "plant", Type: "mqtt", MQTT: MQTTSource{QoS: 0, Conn: mqttconn.Config{
				URL: "mqtts://broker.example:8883", ClientID: "cepd-plant", User: "cepd", PasswordFile: "/run/secrets/mqtt",
				TLS: mqttconn.TLS{CAFile: "/etc/cepd/ca.pem", CertFile: "/etc/cepd/cepd.pem", KeyFile: "/etc/cepd/cepd.key"},
			}}},
		},
		Sinks: []Sink{
			{Name: "console", Type: "stdout", MQTT: MQTTSink{QoS: 1, Retain: true}, Stdout: StdoutSink{Format: "text"}},
			{Name: "ops", Type: "webhook", MQTT: MQTTSink{QoS: 1, Retain: true}, Timeout: 10e9,
				Webhook: WebhookSink{Config: webhook.Config{URL: "https://hooks.example/cepd", SecretFile: "/run/secrets/webhook",
					Headers: map[string]string{"X-Site": "broker.example"}, SkipResolved: true, Format: "alertmanager", Version: "dev"}}},
			{Name: "own", Type: "webhook", MQTT: MQTTSink{QoS: 1, Retain: true},
				Webhook: WebhookSink{Config: webhook.Config{URL: "https://hooks.example/own", Format: "template", ContentType: "text/plain", TokenFile: "/etc/cepd/own.token",
					Body: "${summary}, $${BROKER}", EventBody: "${event.kwh}", Version: "dev"}}},
			{Name: "page", Type: "webhook", MQTT: MQTTSink{QoS: 1, Retain: true},
				Webhook: WebhookSink{Config: webhook.Config{URL: "https://events.pagerduty.com/v2/enqueue", Format: "pagerduty", RoutingKeyFile: "/etc/cepd/pagerduty.key", Version: "dev"}}},
			{Name: "plant", Type: "mqtt", MQTT: MQTTSink{Source: "plant", Topic: "cepd/alerts/{rule}/{key}", EventTopic: "events/{rule}", Format: "cloudevents", QoS: 1, Retain: true}},
			{Name: "warehouse", Type: "file", MQTT: MQTTSink{QoS: 1, Retain: true},
				File: file.Config{Path: "/etc/cepd/derived/{rule}-{date}.jsonl", Sync: "always"}},
		},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); d != "" {
		t.Error(d)
	}
}

// TestIssues prints what is said of mistakes, see testdata/issues.
func TestIssues(t *testing.T) {
	datadriven.RunTest(t, "testdata/issues", func(t *testing.T, d *datadriven.TestData) string {
		_, issues := Parse("cepd.yaml", []byte(d.Input), env(map[string]string{"PASSWORD": "hunter2"}))
		if len(issues) == 0 {
			return "no mistakes\n"
		}
		var b strings.Builder
		for _, i := range issues {
			b.WriteString(i.String())
		}
		return b.String()
	})
}

// TestManualSinks reads the sinks that the manual shows.
func TestManualSinks(t *testing.T) {
	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(sinks:\n.*?)^```$").FindAllStringSubmatch(string(manual), -1)
	if len(blocks) < 2 {
		t.Errorf("the manual shows %d blocks of sinks", len(blocks))
	}
	for _, b := range blocks {
		src := "rules: [a.yaml]\nsources: {plant: {type: mqtt, url: mqtt://127.0.0.1}}\n" + b[1]
		_, issues := Parse("cepd.yaml", []byte(src), env(map[string]string{"TELEGRAM_TOKEN": "x"}))
		for _, i := range issues {
			t.Error(i)
		}
	}
}

func TestExpand(t *testing.T) {
	vars := env(map[string]string{"A": "1", "EMPTY": "", "NESTED": "${A}"})
	for _, c := range []struct{ in, want, err string }{
		{in: "plain $A $", want: "plain $A $"},
		{in: "${A}-${A}", want: "1-1"},
		{in: "x${NONE:-y}z", want: "xyz"},
		{in: "${EMPTY}", want: ""},
		{in: "${EMPTY:-d}", want: "d"},
		{in: "${NONE:-}", want: ""},
		{in: "$${A} ${A}", want: "${A} 1"},
		{in: "${NESTED}", want: "${A}"},
		{in: "${NONE}", err: "NONE is not set"},
		{in: "${A", err: "no closing }"},
		{in: "${1}", err: "no name"},
		{in: "${}", err: "no name"},
	} {
		got, err := expand(c.in, vars)
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("expand(%q) = %q, %v, want %q", c.in, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("expand(%q) = %q, %v, want an error with %q", c.in, got, err, c.err)
		}
	}
}

func FuzzParse(f *testing.F) {
	src, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Add([]byte("sources: {a: {type: mqtt, tls: {}}}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, issues := Parse("cepd.yaml", src, env(nil)); len(issues) > 0 {
			for _, i := range issues {
				if i.Line < 1 || i.Column < 1 || i.String() == "" {
					t.Errorf("issue without a place: %+v", i)
				}
			}
		}
	})
}
