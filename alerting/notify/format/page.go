package format

import (
	"encoding/json"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

// PagerDutyURL is where PagerDuty takes events, but for accounts in its European
// region.
const PagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

// PagerDuty's Events API, version 2, takes one change of one alert. Those of the
// same dedup_key are of the same incident. A summary has 1,024 characters at
// most, a whole event 512 KB.
type (
	pagerDutyEvent struct {
		RoutingKey string            `json:"routing_key"`
		Action     string            `json:"event_action"`
		DedupKey   string            `json:"dedup_key"`
		Client     string            `json:"client,omitempty"`
		ClientURL  string            `json:"client_url,omitempty"`
		Links      []pagerDutyLink   `json:"links,omitempty"`
		Payload    *pagerDutyPayload `json:"payload,omitempty"`
	}
	pagerDutyLink struct {
		Href string `json:"href"`
		Text string `json:"text"`
	}
	pagerDutyPayload struct {
		Summary   string          `json:"summary"`
		Source    string          `json:"source"`
		Severity  string          `json:"severity"`
		Timestamp string          `json:"timestamp"`
		Class     string          `json:"class"`
		Details   json.RawMessage `json:"custom_details,omitempty"`
	}
)

// maxDetails is how long the details of an event for PagerDuty are at most. Longer
// ones go without the evidence, and what is still longer does not go.
const maxDetails = 400 << 10

func pagerDuty(d *notify.Delivery, o Options) any {
	t := d.Transition
	e := pagerDutyEvent{RoutingKey: o.RoutingKey, Action: "resolve", DedupKey: t.Fingerprint}
	if t.Change == alerting.Cleared {
		return e
	}
	n := noteOf(d)
	e.Action, e.Client, e.ClientURL = "trigger", "cepd", o.ExternalURL
	if link := n.link(); link != "" {
		e.Links = []pagerDutyLink{{link, "Runbook"}}
	}
	source, summary := event.KeyText(t.Key), t.Summary
	if source == "" {
		source = t.Rule
	}
	if summary == "" {
		summary = n.title
	}
	e.Payload = &pagerDutyPayload{
		Summary: cut(summary, 1024), Source: cut(source, 255), Severity: n.look.pagerDuty,
		Timestamp: t.StartsAt.String(), Class: cut(t.Rule, 255), Details: pagerDutyDetails(d),
	}
	return e
}

// pagerDutyDetails returns what other sinks send.
func pagerDutyDetails(d *notify.Delivery) json.RawMessage {
	if all := notify.AppendDelivery(nil, d); len(all) <= maxDetails {
		return all
	}
	alert, short := *d.Transition, *d
	alert.Evidence, short.Message = nil, notify.Message{Transition: &alert}
	if rest := notify.AppendDelivery(nil, &short); len(rest) <= maxDetails {
		return rest
	}
	return nil
}

// ntfy takes messages of 4,096 bytes at most, posted to the address of the
// server, not of the topic.
type ntfyMessage struct {
	Topic    string   `json:"topic"`
	Title    string   `json:"title"`
	Message  string   `json:"message"`
	Priority int      `json:"priority"`
	Tags     []string `json:"tags"`
	Click    string   `json:"click,omitempty"`
}

func ntfy(d *notify.Delivery, o Options) any {
	n := noteOf(d)
	return ntfyMessage{
		Topic: o.Topic, Title: cutBytes(n.title, 250), Message: cutBytes(joined(n.summary, n.details, n.facts), 4000),
		Priority: n.look.priority, Tags: []string{n.look.tag}, Click: n.link(),
	}
}
