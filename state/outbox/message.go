package outbox

import (
	"encoding/binary"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

// messageVersion is the first byte of an encoded message. A change of what
// follows needs another one, and the old one is read for as long as there may
// be outboxes that hold it.
const messageVersion = 1

// What an encoded message is, after the version.
const (
	isTransition = 1
	isDerived    = 2
	isLate       = 3 // a derived event that is none, but one that came too late
)

// maxAhead bounds how many elements get memory before they have been read, so
// that damaged bytes cannot exhaust it.
const maxAhead = 256

// appendMessage appends an encoding of m to dst. Nothing that a sink may want
// to send is left out: rendered texts, labels, evidence, targets.
func appendMessage(dst []byte, m notify.Message) []byte {
	dst = append(dst, messageVersion)
	if d := m.Derived; d != nil && d.Late {
		return appendDerived(append(dst, isLate), d)
	} else if d != nil {
		return appendDerived(append(dst, isDerived), d)
	}
	return appendTransition(append(dst, isTransition), m.Transition)
}

func appendTransition(dst []byte, t *alerting.Transition) []byte {
	dst = append(dst, byte(t.Change))
	for _, s := range []string{t.ID, t.Reason, t.Rule, t.Key, t.Fingerprint, t.Severity, t.Summary, t.Description, t.Runbook} {
		dst = event.AppendText(dst, s)
	}
	dst = appendTexts(appendTexts(dst, t.KeyNames), t.To)
	dst = binary.AppendUvarint(dst, uint64(len(t.Labels)))
	for _, l := range t.Labels {
		dst = event.AppendText(event.AppendText(dst, l.Name), l.Value)
	}
	for _, n := range []int64{int64(t.StartsAt), int64(t.EndsAt), int64(t.Time), int64(t.Matches), int64(t.Repeat)} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = appendBool(appendBool(t.Position.AppendBinary(dst), t.Shadow), t.AtEnd)
	dst = binary.AppendUvarint(dst, uint64(len(t.Evidence)))
	for _, s := range t.Evidence {
		dst = binary.AppendUvarint(event.AppendText(dst, s.Name), uint64(len(s.Events)))
		for _, e := range s.Events {
			dst = appendEvent(dst, e)
		}
	}
	return dst
}

// noSchema stands in for the schema of an event that has none.
var noSchema = event.NewSchema("", nil)

func appendEvent(dst []byte, e *event.Event) []byte {
	if e.Schema == nil {
		bare := *e
		bare.Schema = noSchema
		e = &bare
	}
	return e.AppendBinary(event.AppendText(dst, e.Schema.Stream()))
}

func appendDerived(dst []byte, d *alerting.Derived) []byte {
	for _, s := range []string{d.ID(), d.Rule, d.Key} {
		dst = event.AppendText(dst, s)
	}
	dst = appendTexts(appendTexts(dst, d.KeyNames), d.To)
	dst = d.Position.AppendBinary(binary.AppendVarint(dst, int64(d.Time)))
	dst = binary.AppendUvarint(dst, uint64(len(d.Fields)))
	for _, f := range d.Fields {
		dst = f.Value.AppendBinary(event.AppendText(dst, f.Name))
	}
	return dst
}

func appendTexts(dst []byte, all []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, s := range all {
		dst = event.AppendText(dst, s)
	}
	return dst
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// readMessage reads what appendMessage wrote; r must be at its end then.
func readMessage(r *event.Reader) (notify.Message, error) {
	var m notify.Message
	if r.Byte() != messageVersion {
		r.Fail()
	}
	switch r.Byte() {
	case isTransition:
		t := readTransition(r)
		m = notify.Message{Transition: &t}
	case isLate:
		d := readDerived(r)
		d.Late = true
		m = notify.Message{Derived: &d}
	case isDerived:
		d := readDerived(r)
		m = notify.Message{Derived: &d}
	default:
		r.Fail()
	}
	if r.Len() > 0 {
		r.Fail()
	}
	if err := r.Err(); err != nil {
		return notify.Message{}, err
	}
	return m, nil
}

func readTransition(r *event.Reader) (t alerting.Transition) {
	t.Change = alerting.Change(r.Byte())
	if t.Change != alerting.Raised && t.Change != alerting.Cleared {
		r.Fail()
	}
	for _, s := range []*string{&t.ID, &t.Reason, &t.Rule, &t.Key, &t.Fingerprint, &t.Severity, &t.Summary, &t.Description, &t.Runbook} {
		*s = r.Text()
	}
	t.KeyNames, t.To = readTexts(r), readTexts(r)
	for range r.Count() {
		t.Labels = append(t.Labels, alerting.Label{Name: r.Text(), Value: r.Text()})
	}
	t.StartsAt, t.EndsAt, t.Time = event.Time(r.Varint()), event.Time(r.Varint()), event.Time(r.Varint())
	t.Matches, t.Repeat = int(r.Varint()), time.Duration(r.Varint())
	t.Position, t.Shadow, t.AtEnd = r.Position(), readBool(r), readBool(r)
	schemas := map[string]*event.Schema{}
	for range r.Count() {
		t.Evidence = append(t.Evidence, readStep(r, schemas))
	}
	return t
}

// readStep reads a step whose events have the given schemas, by stream, which
// grow as fields are found.
func readStep(r *event.Reader, schemas map[string]*event.Schema) alerting.Step {
	s := alerting.Step{Name: r.Text()}
	n := r.Count()
	if n > 0 {
		s.Events = make([]*event.Event, 0, min(n, maxAhead))
	}
	for range n {
		stream := r.Text()
		if schemas[stream] == nil {
			schemas[stream] = event.NewSchema(stream, nil)
		}
		s.Events = append(s.Events, r.WholeEvent(schemas[stream]))
	}
	return s
}

func readDerived(r *event.Reader) (d alerting.Derived) {
	for _, s := range []*string{&d.KnownID, &d.Rule, &d.Key} {
		*s = r.Text()
	}
	d.KeyNames, d.To = readTexts(r), readTexts(r)
	d.Time, d.Position = event.Time(r.Varint()), r.Position()
	for range r.Count() {
		name := r.Text()
		d.Fields = append(d.Fields, event.Entry{Name: name, Value: r.Value()})
	}
	return d
}

func readTexts(r *event.Reader) []string {
	n := r.Count()
	if n == 0 {
		return nil
	}
	out := make([]string, 0, min(n, maxAhead))
	for range n {
		out = append(out, r.Text())
	}
	return out
}

func readBool(r *event.Reader) bool {
	b := r.Byte()
	if b > 1 {
		r.Fail()
	}
	return b == 1
}
