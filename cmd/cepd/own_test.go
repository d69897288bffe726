package main

import (
	"fmt"
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
	receive(t, "the raise", hook.got).check(t, "too-hot firing", "p1 is at 85")

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
