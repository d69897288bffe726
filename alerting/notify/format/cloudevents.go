package format

import (
	"net/url"
	"strings"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

// AppendCloudEvent appends a delivery as a CloudEvent, version 1.0, in the JSON
// format, to dst. Its data is the object that other sinks send, its id that of the
// delivery: the same on every try, and another one for each sink.
func AppendCloudEvent(dst []byte, d *notify.Delivery, externalURL string) []byte {
	dst = append(dst, `{"specversion":"1.0"`...)
	dst = field(dst, "id", d.ID)
	dst = field(dst, "source", cloudEventSource(d.Message, externalURL))
	dst = field(dst, "type", "dev.cepd."+cloudEventType(d))
	if subject := keyText(d.Message); subject != "" {
		dst = field(dst, "subject", subject)
	}
	dst = field(dst, "time", d.Time().String())
	dst = field(dst, "datacontenttype", "application/json")
	return append(notify.AppendDelivery(append(dst, `,"data":`...), d), '}')
}

func cloudEventType(d *notify.Delivery) string {
	switch {
	case d.Derived != nil && d.Derived.Late:
		return "event.late"
	case d.Derived != nil:
		return "event.derived"
	case d.Repeat > 0:
		return "alert.repeated"
	case d.Transition.Change == alerting.Cleared:
		return "alert.cleared"
	}
	return "alert.raised"
}

// cloudEventSource names the rule, or for a late event the stream, as a URI below
// that of this cepd.
func cloudEventSource(m notify.Message, externalURL string) string {
	kind := "/rules/"
	if m.Derived != nil && m.Derived.Late {
		kind = "/streams/"
	}
	if externalURL == "" {
		externalURL = "/cepd"
	}
	return strings.TrimSuffix(externalURL, "/") + kind + url.PathEscape(m.Rule())
}

// keyText returns the parts of a message's key, joined by a slash.
func keyText(m notify.Message) string {
	if m.Derived != nil {
		return event.KeyText(m.Derived.Key)
	}
	return event.KeyText(m.Transition.Key)
}
