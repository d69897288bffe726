package notify

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
)

// Status returns what sinks call the state of an alert after t: "firing" or
// "resolved", as Alertmanager has it.
func Status(t *alerting.Transition) string {
	if t.Change == alerting.Cleared {
		return "resolved"
	}
	return "firing"
}

// AppendJSON appends a transition as one JSON object, without line breaks, to
// dst. It is what the stdout, file and MQTT sinks send. Fields that are empty are
// left out, but for those that every change has.
func AppendJSON(dst []byte, t *alerting.Transition) []byte {
	dst = appendText(dst, '{', "id", t.ID)
	dst = appendText(dst, ',', "status", Status(t))
	dst = appendText(dst, ',', "change", t.Change.String())
	dst = appendText(dst, ',', "reason", t.Reason)
	dst = appendTime(dst, "time", t.Time)
	dst = appendText(dst, ',', "rule", t.Rule)
	dst = AppendKey(append(dst, `,"key":`...), t)
	dst = appendText(dst, ',', "fingerprint", t.Fingerprint)
	for _, f := range [...]struct{ name, value string }{
		{"severity", t.Severity}, {"summary", t.Summary}, {"description", t.Description}, {"runbook", t.Runbook},
	} {
		if f.value != "" {
			dst = appendText(dst, ',', f.name, f.value)
		}
	}
	dst = AppendLabels(append(dst, `,"labels":`...), t.Labels)
	dst = appendTime(dst, "starts_at", t.StartsAt)
	if t.Change == alerting.Cleared {
		dst = appendTime(dst, "ends_at", t.EndsAt)
	}
	dst = strconv.AppendInt(append(dst, `,"matches":`...), int64(t.Matches), 10)
	dst = AppendEvidence(append(dst, `,"evidence":`...), t.Evidence)
	if !t.Position.IsZero() {
		dst = appendText(dst, ',', "position", t.Position.String())
	}
	if t.Shadow {
		dst = append(dst, `,"shadow":true`...)
	}
	if t.AtEnd {
		dst = append(dst, `,"at_end":true`...)
	}
	return append(dst, '}')
}

// AppendDerived appends a derived event as one JSON object, without line
// breaks, to dst. It is what every sink sends. A late event names its stream in
// place of a rule and key.
func AppendDerived(dst []byte, d *alerting.Derived) []byte {
	if d.Late {
		dst = appendText(dst, '{', "late", d.Rule)
		dst = appendTime(dst, "time", d.Time)
		dst = appendText(dst, ',', "id", d.ID())
		return append(event.AppendObject(append(dst, `,"event":`...), d.Fields), '}')
	}
	dst = appendText(dst, '{', "rule", d.Rule)
	dst = alerting.KeyValue(d.Key, d.KeyNames).AppendJSON(append(dst, `,"key":`...))
	dst = appendTime(dst, "time", d.Time)
	dst = appendText(dst, ',', "id", d.ID())
	return append(event.AppendObject(append(dst, `,"event":`...), d.Fields), '}')
}

// AppendMessage appends what [AppendJSON] or [AppendDerived] makes of m.
func AppendMessage(dst []byte, m Message) []byte {
	if m.Derived != nil {
		return AppendDerived(dst, m.Derived)
	}
	return AppendJSON(dst, m.Transition)
}

// AppendDelivery appends what [AppendMessage] makes of d, with the number of the
// repeat where it is one, as repeat.
func AppendDelivery(dst []byte, d *Delivery) []byte {
	return AppendRepeat(AppendMessage(dst, d.Message), d)
}

// AppendRepeat adds the number of the repeat, where d is one, to a JSON object
// at the end of dst that has other members.
func AppendRepeat(dst []byte, d *Delivery) []byte {
	if d.Repeat == 0 {
		return dst
	}
	dst = append(dst[:len(dst)-1], `,"repeat":`...)
	return append(strconv.AppendInt(dst, int64(d.Repeat), 10), '}')
}

// AppendDeadLetter appends a dead letter as one JSON object, without line
// breaks, to dst.
func AppendDeadLetter(dst []byte, l *DeadLetter) []byte {
	dst = strconv.AppendUint(append(dst, `{"number":`...), l.Seq, 10)
	dst = appendText(dst, ',', "sink", l.Delivery.Sink)
	dst = appendText(dst, ',', "reason", string(l.Reason))
	dst = appendText(dst, ',', "error", l.Error)
	dst = strconv.AppendInt(append(dst, `,"tries":`...), int64(l.Tries), 10)
	dst = appendText(dst, ',', "given_up", l.Time.UTC().Format(time.RFC3339))
	dst = appendText(dst, ',', "delivery_id", l.Delivery.ID)
	dst = strconv.AppendInt(append(dst, `,"repeat":`...), int64(l.Delivery.Repeat), 10)
	return append(AppendMessage(append(dst, `,"message":`...), l.Delivery.Message), '}')
}

// AppendExtras appends what cepd tells of a transition beyond what a receiver
// of Alertmanager's webhooks knows, as one JSON object.
func AppendExtras(dst []byte, t *alerting.Transition) []byte {
	dst = appendText(dst, '{', "id", t.ID)
	dst = appendText(dst, ',', "rule", t.Rule)
	dst = AppendKey(append(dst, `,"key":`...), t)
	dst = appendText(dst, ',', "change", t.Change.String())
	dst = appendText(dst, ',', "reason", t.Reason)
	dst = appendTime(dst, "time", t.Time)
	dst = strconv.AppendInt(append(dst, `,"matches":`...), int64(t.Matches), 10)
	dst = AppendEvidence(append(dst, `,"evidence":`...), t.Evidence)
	dst = appendText(dst, ',', "position", t.Position.String())
	return append(dst, '}')
}

// AppendKey appends the key of a transition as JSON: a value, an object where
// the rule's `by` has names, or null where the rule has no `by`.
func AppendKey(dst []byte, t *alerting.Transition) []byte {
	return alerting.KeyValue(t.Key, t.KeyNames).AppendJSON(dst)
}

// AppendLabels appends labels as a JSON object.
func AppendLabels(dst []byte, labels []alerting.Label) []byte {
	sep := byte('{')
	for _, l := range labels {
		dst = appendText(dst, sep, l.Name, l.Value)
		sep = ','
	}
	if sep == '{' {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// AppendEvidence appends evidence as a JSON list of objects with `step` (left
// out for the event that a condition was judged on) and `events`. Each event
// is an object of its time, as `time`, and its fields. A field of its own that
// is called time is left out.
func AppendEvidence(dst []byte, steps []alerting.Step) []byte {
	dst = append(dst, '[')
	for i, s := range steps {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		if s.Name != "" {
			dst = append(event.AppendQuoted(append(dst, `"step":`...), s.Name), ',')
		}
		dst = append(dst, `"events":[`...)
		for j, e := range s.Events {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendEvent(dst, e)
		}
		dst = append(dst, "]}"...)
	}
	return append(dst, ']')
}

func appendEvent(dst []byte, e *event.Event) []byte {
	dst = append(e.Time.Append(append(dst, `{"time":"`...)), '"')
	for _, f := range Fields(e) {
		dst = append(event.AppendQuoted(append(dst, ','), f.Name), ':')
		dst = append(dst, f.JSON...)
	}
	return append(dst, '}')
}

// Field is a field of an event as evidence shows it.
type Field struct {
	Name string
	JSON []byte
}

// Fields returns the fields that an event of some evidence holds, but for one
// called time, in order: those in its slots, then, where the event kept its
// payload, the payload's others. A payload that is no object of any
// format counts as a field of the name payload.
func Fields(e *event.Event) []Field {
	var out []Field
	if e.Schema != nil {
		for i, f := range e.Schema.Fields() {
			if v := e.Slot(i); f.Name != "time" && !v.IsMissing() {
				out = append(out, Field{f.Name, v.AppendJSON(nil)})
			}
		}
	}
	if len(e.Raw()) == 0 {
		return out
	}
	raw := decode.JSON(e.Raw())
	rest, ok := members(raw)
	if !ok {
		return append(out, Field{"payload", payload(raw)})
	}
	slots := out
	for _, f := range rest {
		if f.Name != "time" && !has(slots, f.Name) {
			out = append(out, f)
		}
	}
	return out
}

func has(fs []Field, name string) bool {
	for _, f := range fs {
		if f.Name == name {
			return true
		}
	}
	return false
}

// members returns the members of a JSON object, in its order, and false for
// anything else.
func members(raw []byte) ([]Field, bool) {
	if !json.Valid(raw) || bytes.TrimLeft(raw, " \t\r\n")[0] != '{' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	_, _ = d.Token() // the brace; no error can come, the text being valid
	var out []Field
	for d.More() {
		name, _ := d.Token()
		var v json.RawMessage
		_ = d.Decode(&v)
		out = append(out, Field{name.(string), compact(v)})
	}
	return out, true
}

// payload returns what is no JSON object as a JSON value.
func payload(raw []byte) []byte {
	if json.Valid(raw) {
		return compact(raw)
	}
	return event.AppendQuoted(nil, string(raw))
}

// compact takes the white space out of valid JSON, so that a line stays one.
func compact(v []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil {
		return []byte("null")
	}
	return b.Bytes()
}

func appendText(dst []byte, sep byte, name, value string) []byte {
	dst = append(event.AppendQuoted(append(dst, sep), name), ':')
	return event.AppendQuoted(dst, value)
}

func appendTime(dst []byte, name string, t event.Time) []byte {
	dst = append(event.AppendQuoted(append(dst, ','), name), ':', '"')
	return append(t.Append(dst), '"')
}
