package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

func TestMessages(t *testing.T) {
	records := []event.Record{{Kind: event.KindSourceUp}, {Kind: event.KindMessage}, {Kind: event.KindMessage}, {Kind: event.KindSourceDown}}
	if n := messages(records); n != 2 {
		t.Errorf("%d messages, want 2: announcements are none", n)
	}
}

// Only a source without topics that one stream has to itself stands in for that
// of the stream.
func TestStandIn(t *testing.T) {
	set, report := rules.Load([]rules.File{{Name: "r.yaml", Data: []byte(`
streams:
  alone: {source: one, topic: "x/{a}", format: csv}
  left: {source: two, topic: "l/{a}"}
  right: {source: two, topic: "r/{a}"}
  told: {source: three, topic: "t/{a}"}
  broker: {source: four, topic: "b/{a}"}
rules:
  - {name: r, from: [alone, left, right, told, broker], where: has(e.a), emit: {a: e.a}}
`)}}, rules.Options{NeedSource: true, Sources: []string{"one", "two", "three", "four"}, Topicless: []string{"one", "two"}})
	if !report.OK() || report.Warnings != 2 {
		t.Fatal(report)
	}
	d := &Daemon{standIns: map[string]engine.StandIn{"old": {}}, cfg: &config.Config{Sources: []config.Source{
		{Name: "one", Type: "file"}, {Name: "two", Type: "file"},
		{Name: "three", Type: "file", File: config.FileSource{Topic: "t/1"}}, {Name: "four", Type: "mqtt"},
	}}}
	d.standIn(&ruleSet{set: set, topicless: []string{"one", "two"}})
	if diff := cmp.Diff(map[string]engine.StandIn{"one": {Stream: "alone"}}, d.standIns); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{"-": "csv", "x.jsonl": "jsonl", "x.log": "csv"} {
		s := config.Source{Name: "one", Type: "file", File: config.FileSource{Path: name}}
		if got := fileFormat(set, s); got != want {
			t.Errorf("format of %s: %q, want %q", name, got, want)
		}
	}
}
