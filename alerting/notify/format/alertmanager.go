package format

import (
	"strconv"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

// noEnd is the end of an alert that still fires, as Alertmanager writes it.
const noEnd = "0001-01-01T00:00:00Z"

// appendAlertmanager appends Alertmanager's webhook message, version 4, of a
// group of one alert. What cepd knows beyond it, the evidence above all, stands
// under one more key, cepd.
func appendAlertmanager(dst []byte, d *notify.Delivery, externalURL string) []byte {
	t := d.Transition
	status := notify.Status(t)
	dst = append(dst, `{"version":"4"`...)
	dst = field(dst, "groupKey", groupKey(t.Labels))
	dst = append(dst, `,"truncatedAlerts":0`...)
	dst = field(dst, "status", status)
	dst = field(dst, "receiver", d.Sink)
	dst = notify.AppendLabels(append(dst, `,"groupLabels":`...), t.Labels)
	dst = notify.AppendLabels(append(dst, `,"commonLabels":`...), t.Labels)
	notes := annotations(t)
	dst = notify.AppendLabels(append(dst, `,"commonAnnotations":`...), notes)
	dst = field(dst, "externalURL", externalURL)

	dst = append(dst, `,"alerts":[{"status":`...)
	dst = event.AppendQuoted(dst, status)
	dst = notify.AppendLabels(append(dst, `,"labels":`...), t.Labels)
	dst = notify.AppendLabels(append(dst, `,"annotations":`...), notes)
	dst = field(dst, "startsAt", t.StartsAt.String())
	end := noEnd
	if t.Change == alerting.Cleared {
		end = t.EndsAt.String()
	}
	dst = field(dst, "endsAt", end)
	dst = field(dst, "generatorURL", externalURL)
	dst = field(dst, "fingerprint", t.Fingerprint)
	dst = append(dst, `}],"cepd":`...)
	return append(notify.AppendRepeat(notify.AppendExtras(dst, t), d), '}')
}

func field(dst []byte, name, value string) []byte {
	dst = append(event.AppendQuoted(append(dst, ','), name), ':')
	return event.AppendQuoted(dst, value)
}

// annotations returns the texts of an alert under the names that Prometheus
// users give them.
func annotations(t *alerting.Transition) []alerting.Label {
	var out []alerting.Label
	for _, l := range []alerting.Label{{Name: "description", Value: t.Description}, {Name: "runbook_url", Value: t.Runbook}, {Name: "summary", Value: t.Summary}} {
		if l.Value != "" {
			out = append(out, l)
		}
	}
	return out
}

// groupKey identifies the group, which is one of all labels, as Alertmanager
// does at its topmost route.
func groupKey(labels []alerting.Label) string {
	b := []byte("{}:{")
	for i, l := range labels {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendQuote(append(append(b, l.Name...), '='), l.Value)
	}
	return string(append(b, '}'))
}
