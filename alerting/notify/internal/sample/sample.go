// Package sample holds the alerts and the event that tests of the sinks send, so
// that their golden texts can be compared.
package sample

import (
	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

func at(s string) event.Time {
	t, err := event.ParseTime("2026-03-01T12:" + s + "Z")
	if err != nil {
		panic(err)
	}
	return t
}

func reading(when, field string, v event.Value) *event.Event {
	s := event.NewSchema("telemetry", nil)
	_, _ = s.Use("time") // the event's own idea of its time
	_, _ = s.Use(field)
	_, _ = s.Use("missing")
	return &event.Event{Time: at(when), Schema: s, Slots: []event.Value{event.Int(7), v}}
}

// Raised is an alert of a pattern, with all that an alert can have.
func Raised() alerting.Transition {
	key, err := event.AppendKey(nil, event.String("oslo"), event.String("p1"))
	if err != nil {
		panic(err)
	}
	labels := alerting.SortLabels([]alerting.Label{{Name: "severity", Value: "critical"}, {Name: "alertname", Value: "pump-failure"}, {Name: "site", Value: "oslo \"north\""}})
	return alerting.Transition{
		ID: "0123456789abcdef0123456789abcdef", Change: alerting.Raised, Reason: "matched",
		Rule: "pump-failure", Key: string(key), KeyNames: []string{"site", "device"},
		Fingerprint: alerting.Fingerprint("pump-failure", "", labels), Severity: "critical", Labels: labels,
		Summary: "p1 stopped after 3 hot readings", Description: "First line\nsecond line", Runbook: "https://example.com/pumps",
		StartsAt: at("00:35"), Time: at("00:35"), Matches: 1,
		Evidence: []alerting.Step{
			{Name: "hot", Events: []*event.Event{
				reading("00:00", "temperature", event.Double(90.5)), reading("00:10.25", "temperature", event.Int(91)), reading("00:20", "temperature", event.Int(93)),
			}},
			{Name: "spike", Events: []*event.Event{reading("00:25", "vibration", event.Double(9))}},
			{Name: "stop", Events: []*event.Event{reading("00:35", "status", event.String("stopped"))}},
		},
		To: []string{"ops"}, Position: event.Position{Seq: 42},
	}
}

// Cleared is the end of [Raised].
func Cleared() alerting.Transition {
	t := Raised()
	t.ID, t.Change, t.Reason = "fedcba9876543210fedcba9876543210", alerting.Cleared, "clear_after"
	t.Time, t.EndsAt, t.Matches = at("06:05"), at("06:05"), 2
	t.Position.Seq = 99
	return t
}

// Plain is an alert of a condition on events without a key, whose evidence
// kept the payload.
func Plain() alerting.Transition {
	e := reading("00:00", "temp", event.Double(21))
	e.More = &event.Details{Raw: []byte(`{"time": 1, "temp": 21.0, "note": "a\tb", "deep": {"x": [1, 2]}}`)}
	return alerting.Transition{
		ID: "00", Change: alerting.Raised, Reason: "when", Rule: "warm", Fingerprint: "f", StartsAt: at("00:00"), Time: at("00:00"),
		Evidence: []alerting.Step{{Events: []*event.Event{e}}}, AtEnd: true,
	}
}

// Derived is an event that a rule emitted, with what JSON must escape.
func Derived() alerting.Derived {
	t := Raised()
	return alerting.Derived{
		KnownID: "00112233445566778899aabbccddeeff", Rule: "readings", Key: t.Key, KeyNames: t.KeyNames, Time: at("00:20"), Position: event.Position{Seq: 7},
		Fields: []event.Entry{{Name: "kwh", Value: event.Double(1.5)}, {Name: "note \"x\"", Value: event.String("a\nb\u009b")}, {Name: "none", Value: event.Null}},
		To:     []string{"warehouse"},
	}
}
