package scenario

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/text"
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
)

// Printer receives what a scenario finds, in the order of event time.
type Printer interface {
	Alert(t *alerting.Transition) error
	Match(m *engine.Match) error
	Derived(d *alerting.Derived) error
}

// held is output that waits until nothing earlier can follow.
type held []entry

type entry struct {
	time  event.Time
	rule  string
	key   string
	print func(Printer) error
}

func (h *held) add(o *engine.Output) {
	for i := range o.Transitions {
		t := &o.Transitions[i]
		*h = append(*h, entry{t.Time, t.Rule, t.Key, func(p Printer) error { return p.Alert(t) }})
	}
	for i := range o.Matches {
		m := &o.Matches[i]
		*h = append(*h, entry{m.Time, m.Rule, m.Key, func(p Printer) error { return p.Match(m) }})
	}
	for i := range o.Emitted {
		d := &o.Emitted[i]
		*h = append(*h, entry{d.Time, d.Rule, d.Key, func(p Printer) error { return p.Derived(d) }})
	}
}

// release prints what is earlier than settled; at the end of time, everything.
func (h *held) release(settled event.Time, p Printer) error {
	if len(*h) == 0 {
		return nil
	}
	slices.SortStableFunc(*h, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.rule, b.rule), cmp.Compare(a.key, b.key))
	})
	n, _ := slices.BinarySearchFunc(*h, settled, func(e entry, t event.Time) int { return cmp.Compare(e.time, t) })
	if settled == event.MaxTime {
		n = len(*h)
	}
	for _, e := range (*h)[:n] {
		if err := e.print(p); err != nil {
			return err
		}
	}
	*h = slices.Delete(*h, 0, n)
	return nil
}

// jsonPrinter prints one JSON object a line.
type jsonPrinter struct {
	w   *bufio.Writer
	buf []byte
}

// NewJSON returns a printer for programs: one JSON object a line, with its
// kind in the field "kind".
func NewJSON(w io.Writer) Printer { return &jsonPrinter{w: bufio.NewWriter(w)} }

func (p *jsonPrinter) Alert(t *alerting.Transition) error {
	p.buf = append(p.buf[:0], `{"kind":"alert",`...)
	start := len(p.buf)
	p.buf = notify.AppendJSON(p.buf, t)
	p.buf = slices.Delete(p.buf, start, start+1) // its own opening brace
	return p.line()
}

func (p *jsonPrinter) Match(m *engine.Match) error {
	kind := "match"
	if m.Timeout {
		kind = "timeout"
	}
	p.head(kind, m.Rule, m.Key, m.Names, m.Time)
	p.buf = append(p.buf, `,"steps":{`...)
	for i, s := range m.Steps {
		if i > 0 {
			p.buf = append(p.buf, ',')
		}
		p.buf = append(event.AppendQuoted(p.buf, s.Name), ":["...)
		for j, e := range s.Events {
			if j > 0 {
				p.buf = append(p.buf, ',')
			}
			p.buf = appendEvent(p.buf, e)
		}
		p.buf = append(p.buf, ']')
	}
	p.buf = append(p.buf, "}}"...)
	return p.line()
}

// appendEvent appends an event as it came, and one that a rule emitted, which never
// came, as an object of the fields that are kept of it.
func appendEvent(dst []byte, e *event.Event) []byte {
	if len(e.Raw()) > 0 || e.Schema == nil {
		return appendPayload(dst, e.Raw())
	}
	var fields []event.Entry
	for i, f := range e.Schema.Fields() {
		if v := e.Slot(i); !v.IsMissing() {
			fields = append(fields, event.Entry{Name: f.Name, Value: v})
		}
	}
	return event.AppendObject(dst, fields)
}

// appendPayload appends what came as JSON on one line: a text that is none is quoted.
func appendPayload(dst, raw []byte) []byte {
	v := decode.JSON(raw)
	if !json.Valid(v) {
		return event.AppendQuoted(dst, string(raw))
	}
	if bytes.IndexByte(v, '\n') < 0 {
		return append(dst, v...)
	}
	b := bytes.NewBuffer(dst)
	_ = json.Compact(b, v) // it is valid
	return b.Bytes()
}

func (p *jsonPrinter) Derived(d *alerting.Derived) error {
	if d.Late {
		p.buf = event.AppendQuoted(append(p.buf[:0], `{"kind":"late","stream":`...), d.Rule)
		p.buf = append(d.Time.Append(append(p.buf, `,"time":"`...)), '"')
	} else {
		p.head("event", d.Rule, d.Key, d.KeyNames, d.Time)
	}
	p.buf = event.AppendObject(append(p.buf, `,"event":`...), d.Fields)
	p.buf = append(p.buf, '}')
	return p.line()
}

func (p *jsonPrinter) head(kind, rule, key string, names []string, t event.Time) {
	p.buf = event.AppendQuoted(append(p.buf[:0], `{"kind":`...), kind)
	p.buf = event.AppendQuoted(append(p.buf, `,"rule":`...), rule)
	p.buf = alerting.KeyValue(key, names).AppendJSON(append(p.buf, `,"key":`...))
	p.buf = append(p.buf, `,"time":"`...)
	p.buf = append(t.Append(p.buf), '"')
}

func (p *jsonPrinter) line() error {
	p.buf = append(p.buf, '\n')
	if _, err := p.w.Write(p.buf); err != nil {
		return err
	}
	return p.w.Flush()
}

// textPrinter prints for people.
type textPrinter struct {
	w       io.Writer
	options text.Options
	buf     []byte
}

// NewText returns a printer for people.
func NewText(w io.Writer, o text.Options) Printer { return &textPrinter{w: w, options: o} }

func (p *textPrinter) Alert(t *alerting.Transition) error {
	return p.print(text.Append(p.buf[:0], t, p.options))
}

func (p *textPrinter) Match(m *engine.Match) error {
	word := "match"
	if m.Timeout {
		word = "timeout"
	}
	b := append(m.Time.Append(p.buf[:0]), "  "...)
	b = append(append(append(b, word...), "  "...), m.Rule...)
	if k := event.KeyText(m.Key); k != "" {
		b = append(append(b, "  "...), k...)
	}
	b = append(b, '\n')
	for _, s := range m.Steps {
		for _, e := range s.Events {
			b = append(append(append(append(b, "    "...), s.Name...), "  "...), decode.JSON(e.Raw())...)
			b = append(b, '\n')
		}
	}
	return p.print(b)
}

func (p *textPrinter) Derived(d *alerting.Derived) error {
	return p.print(text.AppendDerived(p.buf[:0], d, p.options))
}

func (p *textPrinter) print(b []byte) error {
	p.buf = b
	_, err := p.w.Write(b)
	return err
}
