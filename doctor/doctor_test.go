package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/cepd/cepd/alerting/notify/webhook"
	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/internal/mosquitto"
	"github.com/cepd/cepd/rules"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

const oneRule = `
streams:
  telemetry: {source: plant, topic: "plant/{site}/t", fields: {temp: double}}
rules:
  - {name: hot, from: telemetry, by: e.site, when: e.temp > 80, alert: {summary: hot}}
`

// examine returns the worst level and the findings, a line each.
func examine(t *testing.T, cfg *config.Config, probe int) (Level, string) {
	t.Helper()
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(oneRule)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	var b strings.Builder
	worst := Examine(t.Context(), cfg, Options{Set: set, Probe: probe, Timeout: patience}, func(f Finding) {
		fmt.Fprintf(&b, "%s: %s: %s\n", f.About, f.Level, f.Text)
		for _, line := range f.Advice {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	})
	return worst, b.String()
}

func plant(url string) []config.Source {
	s := config.Source{Name: "plant", Type: "mqtt", MQTT: config.MQTTSource{QoS: 1}}
	s.MQTT.Conn.URL, s.MQTT.Conn.ClientID = url, "cepd-plant"
	return []config.Source{s}
}

// A broker with small limits: both are found out, and nothing is left of the
// probe's session.
func TestSmallBroker(t *testing.T) {
	url := "mqtt://" + mosquitto.Start(t, "max_queued_messages 120", "max_inflight_messages 10")
	worst, got := examine(t, &config.Config{State: config.State{Dir: t.TempDir()}, Sources: plant(url)}, 200)
	for _, want := range []string{
		"source plant: ok: may read plant/+/t with QoS 1\n",
		"source plant: warn: the broker sends 10 messages before the first is acknowledged\n",
		"source plant: warn: the broker keeps 120 of 200 messages for a cepd that is away, and drops the rest\n",
		"      max_queued_messages 0\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
	if worst != Warn || strings.Contains(got, "stays at the broker") {
		t.Errorf("worst is %v", worst)
	}
	if t.Failed() {
		t.Log(got)
	}
}

// A broker that was told what the advice says: the lines of the advice are its
// configuration.
func TestAdvisedBroker(t *testing.T) {
	url := "mqtt://" + mosquitto.Start(t, mosquittoLines...)
	worst, got := examine(t, &config.Config{State: config.State{Dir: t.TempDir()}, Sources: plant(url)}, 1500)
	for _, want := range []string{
		"source plant: ok: the broker sends 200 messages or more before the first is acknowledged\n",
		"source plant: ok: the broker keeps 1500 messages for a cepd that is away, and perhaps more\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
	if worst > Warn { // a small disk is a warning
		t.Errorf("worst is %v", worst)
	}
	if t.Failed() {
		t.Log(got)
	}
}

// hesitant stands before a broker, and passes on no more than fifty messages of a
// connection before the client has asked something else. It returns its address.
func hesitant(t *testing.T, broker string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	pass := func(to io.WriteCloser, from io.Reader, each func(packets.ControlPacket)) {
		defer to.Close()
		for {
			p, err := packets.ReadPacket(from)
			if err != nil {
				return
			}
			each(p)
			if p.Write(to) != nil {
				return
			}
		}
	}
	serve := func(in net.Conn) {
		out, err := net.Dial("tcp", broker)
		if err != nil {
			in.Close()
			return
		}
		asked, messages := make(chan struct{}), 0
		var once sync.Once
		ask := func() { once.Do(func() { close(asked) }) }
		go func() {
			pass(out, in, func(p packets.ControlPacket) {
				if _, ok := p.(*packets.UnsubscribePacket); ok {
					ask()
				}
			})
			ask()
		}()
		pass(in, out, func(p packets.ControlPacket) {
			if _, ok := p.(*packets.PublishPacket); ok {
				if messages++; messages > 50 {
					<-asked
				}
			}
		})
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go serve(in)
		}
	}()
	return l.Addr().String()
}

// A broker that is silent for a while, as a slow one is, or one far away, is not
// taken for one that keeps little.
func TestSlowBroker(t *testing.T) {
	url := "mqtt://" + hesitant(t, mosquitto.Start(t, mosquittoLines...))
	_, got := examine(t, &config.Config{State: config.State{Dir: t.TempDir()}, Sources: plant(url)}, 200)
	for _, want := range []string{
		"source plant: ok: the broker sends 200 messages or more before the first is acknowledged\n",
		"source plant: ok: the broker keeps 200 messages for a cepd that is away, and perhaps more\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// closedPort returns an address that nobody listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

var measured = regexp.MustCompile(`takes [0-9.]+[µm]?s|[0-9]+ [GM]B|127\.0\.0\.1:[0-9]+`)

// Everything but brokers: what is there, what is not, and what is missing in
// cepd.yaml.
func TestEverythingElse(t *testing.T) {
	dir := t.TempDir()
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was posted") }))
	defer hook.Close()
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	sink := func(name, typ string) config.Sink { return config.Sink{Name: name, Type: typ} }
	hooks, trusted, gone, files := sink("hooks", "webhook"), sink("trusted", "webhook"), sink("gone", "webhook"), sink("files", "file")
	page, chat := sink("page", "webhook"), sink("chat", "webhook")
	hooks.Webhook.Config.URL = hook.URL + "/x"
	trusted.Webhook.Config.URL = secure.URL
	gone.Webhook.Config.URL = "http://" + closedPort(t)
	page.Webhook.Config = webhook.Config{URL: hook.URL, Format: "pagerduty", RoutingKeyFile: filepath.Join(dir, "key")}
	chat.Webhook.Config = webhook.Config{URLFile: filepath.Join(dir, "url"), Format: "slack"}
	files.File.Path = filepath.Join(dir, "new", "{rule}.jsonl")
	cfg := &config.Config{
		Sources: append(plant("mqtt://"+closedPort(t)),
			config.Source{Name: "in", Type: "http", HTTP: config.HTTPSource{Listen: "127.0.0.1:0", Token: "x"}},
			config.Source{Name: "busy", Type: "http", HTTP: config.HTTPSource{Listen: strings.TrimPrefix(hook.URL, "http://")}},
			config.Source{Name: "lines", Type: "file", File: config.FileSource{Path: filepath.Join(dir, "none.jsonl")}},
		),
		Sinks: []config.Sink{hooks, trusted, gone, page, chat, files, sink("out", "stdout")},
	}
	worst, got := examine(t, cfg, 0)
	if worst != Fail {
		t.Errorf("worst is %v", worst)
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(got, dir, "DIR")) {
		if !strings.HasPrefix(line, "    ") {
			lines = append(lines, measured.ReplaceAllString(strings.TrimSpace(line), "…"))
		}
	}
	want := []string{
		"state: warn: state.dir is not set: a restart forgets all state, and what was acknowledged and not delivered",
		"source plant: fail: cannot connect to mqtt://…: network Error : dial tcp …: connect: connection refused",
		"source in: ok: can listen on …",
		"source in: warn: the token goes over the network as plain text",
		"source busy: note: … is in use, which is as it should be if cepd runs now",
		"source lines: fail: open DIR/none.jsonl: no such file or directory",
		"sink hooks: ok: http://… answers; nothing was posted",
		"sink trusted: fail: TLS with …: tls: failed to verify certificate: x509: certificate signed by unknown authority",
		"sink gone: fail: dial tcp …: connect: connection refused",
		"sink page: fail: setting up a webhook: reading routing_key_file: open DIR/key: no such file or directory",
		"sink chat: fail: setting up a webhook: reading url_file: open DIR/url: no such file or directory",
		"sink files: ok: DIR can be written",
		"sink out: ok: writes to the standard output",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// A folder for the state is looked at with a sync, and nothing stays in it.
func TestState(t *testing.T) {
	dir := t.TempDir()
	_, got := examine(t, &config.Config{State: config.State{Dir: filepath.Join(dir, "data")}}, 0)
	if !strings.Contains(got, "state: ok: "+dir+" can be written; a sync to the disk takes ") {
		t.Error(got)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A doctor that is interrupted ends.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	worst := Examine(ctx, &config.Config{Sources: plant("mqtt://" + l.Addr().String())}, Options{Set: &rules.Set{}}, func(Finding) {})
	if worst != Fail {
		t.Errorf("worst is %v", worst)
	}
}
