package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cepd/cepd/internal/mosquitto"
)

const celsius = `
  - name: celsius
    from: telemetry
    by: e.device
    where: e.status == "F"
    emit: {site: e.site, celsius: (e.temp - 32.0) / 1.8}
    emit_to: [warehouse, plant]
`

const eventsConfig = `
rules: [rules/*.yaml]
watch: false
state: {dir: state}
http: {listen: 127.0.0.1:0}
sources:
  plant: {type: mqtt, url: "mqtt://${BROKER}"}
sinks:
  plant: {type: mqtt, source: plant, event_topic: "lake/{rule}/{key}", workers: 1}
  warehouse: {type: file, path: "derived/{rule}-{date}.jsonl"}
`

// TestEventsEndToEnd sends messages of a real broker on, filtered and mapped,
// to a file and to the broker. Both get the same.
func TestEventsEndToEnd(t *testing.T) {
	broker := mosquitto.Start(t)
	dir := t.TempDir()
	write(t, dir, "cepd.yaml", eventsConfig)
	write(t, dir, "rules/plant.yaml", e2eStreams+celsius)
	lake := dial(t, broker, "lake").subscribe("lake/#")
	devices := dial(t, broker, "devices")
	cepd := start(t, dir, "BROKER="+broker)

	devices.publish("plant/oslo/p1", `{"ts":"2026-03-01T12:00:00Z","temp":212,"status":"F"}`)
	devices.publish("plant/oslo/p1", `{"ts":"2026-03-01T12:00:01Z","temp":10,"status":"C"}`)
	devices.publish("plant/bergen/p2", `{"ts":"2026-03-02T12:00:02Z","temp":32,"status":"F"}`)
	var got []string
	for _, topic := range []string{"lake/celsius/p1", "lake/celsius/p2"} {
		m := receive(t, "an event at the broker", lake)
		if m.topic != topic || m.retained {
			t.Errorf("got %+v, want it on %s", m, topic)
		}
		got = append(got, m.payload)
	}
	var first struct {
		Rule, Key, Time string
		Event           map[string]any
	}
	if err := json.Unmarshal([]byte(got[0]), &first); err != nil {
		t.Fatal(err)
	}
	if first.Rule != "celsius" || first.Key != "p1" || first.Time != "2026-03-01T12:00:00Z" || first.Event["site"] != "oslo" || first.Event["celsius"] != 100.0 {
		t.Errorf("the first event is %s", got[0])
	}
	cepd.stop(t, syscall.SIGTERM)
	for i, day := range []string{"2026-03-01", "2026-03-02"} {
		text, err := os.ReadFile(filepath.Join(dir, "derived", "celsius-"+day+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSuffix(string(text), "\n") != got[i] {
			t.Errorf("the file has %s, the broker %s", text, got[i])
		}
	}
}
