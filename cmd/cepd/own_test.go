package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/cepd/cepd/internal/mosquitto"
)

const ownConfig = `
rules: [rules/*.yaml]
watch: false
state: {dir: state}
http: {listen: 127.0.0.1:0}
own_alerts: {to: ops, source_down: 300ms}
sources:
  plant: {type: mqtt, url: "mqtt://${BROKER}", reconnect_max: 1s}
sinks:
  ops: {type: webhook, url: "%s"}
  log: {type: file, path: log.jsonl}
`

// TestBrokerForgets kills a broker that keeps nothing: that it is gone is an
// alert, which outlives a restart of cepd, and that it has forgotten the session
// is another. Both are told once, to the sink that is to be told.
func TestBrokerForgets(t *testing.T) {
	broker := mosquitto.New(t)
	listen := func() {
		if err := broker.Start(); err != nil {
			t.Fatal(err)
		}
	}
	listen()
	hook := newHook(t)
	dir := t.TempDir()
	write(t, dir, "cepd.yaml", fmt.Sprintf(ownConfig, hook.url))
	write(t, dir, "rules/plant.yaml", e2eStreams+fmt.Sprintf(tooHot, ""))
	devices := func() *mqttClient { return dial(t, broker.Address, "devices") }

	cepd := start(t, dir, "BROKER="+broker.Address)
	devices().publish("plant/oslo/p1", `{"ts":"2026-03-01T12:00:00Z","temp":85}`)
	for told := false; !told; { // that it took long to connect at first may be told too
		n := receive(t, "the raise", hook.got)
		if told = n.what == "too-hot firing"; !told && !strings.HasPrefix(n.what, "cepd:source-down ") {
			t.Fatalf("got %q %q", n.what, n.summary)
		}
	}
	cepd.waitFor(t, "all deliveries", `^cepd_deliveries_pending\{sink="ops"\} 0$`)
	for len(hook.got) > 0 {
		<-hook.got
	}

	broker.Kill()
	down := receive(t, "the source is down", hook.got)
	if down.what != "cepd:source-down firing" || !strings.Contains(down.summary, "source plant has been disconnected since 20") {
		t.Fatalf("got %q %q", down.what, down.summary)
	}
	cepd.stop(t, syscall.SIGTERM)
	listen()
	cepd = start(t, dir, "BROKER="+broker.Address)
	checkAll(t, hook, "cepd:source-down resolved", "cepd:session-lost firing")

	devices().publish("plant/oslo/p1", `{"ts":"2026-03-01T12:00:10Z","temp":70}`)
	receive(t, "the clear", hook.got).check(t, "too-hot resolved", "p1 is at 85")
	cepd.stop(t, syscall.SIGTERM)
	select {
	case n := <-hook.got:
		t.Errorf("one notification too many: %s", n.raw)
	default:
	}
}

const refusedConfig = `
rules: [rules.yaml]
watch: false
state: {dir: state}
http: {listen: 127.0.0.1:0}
sources:
  plant: {type: http, listen: 127.0.0.1:0}
sinks:
  ops: {type: webhook, url: "%s"}
  broken: {type: webhook, url: "%s"}
`

const hotDevices = `
streams:
  telemetry: {source: plant, time: e.ts, watermark: {lag: 0s}, fields: {ts: timestamp, device: string, temp: double}}
rules:
  - {name: too-hot, from: telemetry, by: e.device, when: e.temp > 80, alert: {summary: "${key} is at ${e.temp}"}}
`

// TestSinkRefuses: a receiver that refuses whatever it is sent is an alert, told
// once to the other sinks too, and never an alert about itself. It outlives a
// restart.
func TestSinkRefuses(t *testing.T) {
	hook := newHook(t)
	tries := make(chan string, 100)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries <- r.Header.Get("webhook-id")
		http.Error(w, "no such hook", http.StatusGone)
	}))
	t.Cleanup(broken.Close)
	dir := t.TempDir()
	write(t, dir, "cepd.yaml", fmt.Sprintf(refusedConfig, hook.url, broken.URL))
	write(t, dir, "rules.yaml", hotDevices)
	say := func(p *process, event string) {
		p.mu.Lock()
		url := regexp.MustCompile(`"taking events by HTTP".*"url":"([^"]*)"`).FindStringSubmatch(p.stderr.String())
		p.mu.Unlock()
		if url == nil {
			t.Fatal("cepd takes no events")
		}
		resp, err := http.Post(url[1], "application/json", strings.NewReader(event))
		answer(t, resp, err)
	}
	cepd := start(t, dir)
	say(cepd, `{"ts":"2026-03-01T12:00:00Z","device":"p1","temp":85}`)
	checkAll(t, hook, "cepd:dead-letters firing", "too-hot firing")
	receive(t, "the alert", tries)
	receive(t, "and the one about it", tries)
	say(cepd, `{"ts":"2026-03-01T12:00:10Z","device":"p1","temp":70}`)
	receive(t, "the clear", hook.got).check(t, "too-hot resolved", "p1 is at 85")
	receive(t, "the clear", tries)
	cepd.stop(t, syscall.SIGTERM)

	cepd = start(t, dir)
	say(cepd, `{"ts":"2026-03-01T12:01:00Z","device":"p1","temp":90}`)
	receive(t, "another raise", hook.got).check(t, "too-hot firing", "p1 is at 90")
	receive(t, "another raise", tries)
	if got := cepd.get(t, "/metrics"); !strings.Contains(got, `cepd_alerts_firing{rule="cepd:dead-letters"} 1`) {
		t.Errorf("metrics: %s", grep(got, "dead-letters"))
	}
	cepd.stop(t, syscall.SIGTERM)
	if n := len(hook.got) + len(tries); n > 0 {
		t.Errorf("%d notifications too many", n)
	}
}
