package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// A template is a text with ${CEL} in it, as rules have them. What its
// expressions see are the members of the object that other sinks send. How a
// value stands in it depends on the content type, so that no value can change
// what the rest of the body means:
//
//	JSON   within quotes as text, escaped; elsewhere as JSON
//	form   percent-encoded
//	else   as it is
//
// So a template is JSON for every alert, or for none, which is found when it is
// compiled.
type template struct {
	text   *expr.Text
	vars   []variable
	quote  quoting
	quoted []bool // which parts of the text stand within quotes of JSON
}

// quoting says how values stand in a body.
type quoting uint8

const (
	quoteNothing quoting = iota
	quoteForm
	quoteJSON
	quoteLines // JSON, a value on each line
)

// variable is a name that a template can use.
type variable = expr.Var

// What templates can use beside `key`: the members of what [notify.AppendDelivery]
// writes, and two more.
var (
	alertVariables = []variable{
		{Name: "id", Type: event.TypeString}, {Name: "status", Type: event.TypeString}, {Name: "change", Type: event.TypeString},
		{Name: "reason", Type: event.TypeString}, {Name: "time", Type: event.TypeTimestamp}, {Name: "rule", Type: event.TypeString},
		{Name: "fingerprint", Type: event.TypeString}, {Name: "severity", Type: event.TypeString},
		{Name: "summary", Type: event.TypeString}, {Name: "description", Type: event.TypeString}, {Name: "runbook", Type: event.TypeString},
		{Name: "labels", Type: event.TypeMap}, {Name: "starts_at", Type: event.TypeTimestamp}, {Name: "ends_at", Type: event.TypeTimestamp},
		{Name: "matches", Type: event.TypeInt}, {Name: "evidence", Type: event.TypeList}, {Name: "repeat", Type: event.TypeInt},
		{Name: deliveryID, Type: event.TypeString}, {Name: externalURL, Type: event.TypeString},
	}
	eventVariables = []variable{
		{Name: "id", Type: event.TypeString}, {Name: "rule", Type: event.TypeString}, {Name: "late", Type: event.TypeString},
		{Name: "time", Type: event.TypeTimestamp}, {Name: "event", Type: event.TypeMap},
		{Name: deliveryID, Type: event.TypeString}, {Name: externalURL, Type: event.TypeString},
	}
)

const (
	deliveryID  = "delivery_id"
	externalURL = "external_url"
)

// Mistake is something wrong with a template, and where in its text.
type Mistake = expr.Issue

// Mistakes returns what is wrong with the templates of o.
func (o Options) Mistakes() (body, eventBody []Mistake) {
	if o.Name != Template {
		return nil, nil
	}
	_, body = compile(o.Body, alertVariables, o.contentType())
	_, eventBody = compile(o.EventBody, eventVariables, o.contentType())
	return body, eventBody
}

func (o Options) contentType() string {
	if o.ContentType == "" {
		return "application/json"
	}
	return o.ContentType
}

// CheckContentType reports what is no media type.
func CheckContentType(s string) error {
	if typ, _, err := mime.ParseMediaType(s); err != nil || !strings.Contains(typ, "/") {
		return fmt.Errorf("content_type %q is no media type; write one such as application/json or text/plain", s)
	}
	return nil
}

func quotingOf(contentType string) quoting {
	typ, _, _ := mime.ParseMediaType(contentType)
	switch {
	case typ == "application/json", strings.HasSuffix(typ, "+json"):
		return quoteJSON
	case typ == "application/x-ndjson", typ == "application/jsonl":
		return quoteLines
	case typ == "application/x-www-form-urlencoded":
		return quoteForm
	}
	return quoteNothing
}

// compile compiles a template, or says what is wrong with it. An empty one is
// right.
func compile(src string, vars []variable, contentType string) (*template, []Mistake) {
	t := &template{vars: vars, quote: quotingOf(contentType)}
	if t.quote != quoteLines {
		src = strings.TrimRight(src, " \n") // after | a text ends in a line break
	}
	key := expr.Key{Single: true, Parts: []event.Field{{Name: "key", Type: event.TypeAny}}}
	text, mistakes := expr.CompileText(src, &expr.Scope{Key: key, Vars: vars})
	for i := range mistakes {
		if m := &mistakes[i]; src[m.Offset:m.End] == "e" && m.Advice == "" {
			m.Advice = eventAdvice(vars)
		}
	}
	if m := foreign.FindStringIndex(src); m != nil && !strings.Contains(src, "${") {
		mistakes = append(mistakes, Mistake{Offset: m[0], End: m[1], Message: src[m[0]:m[1]] + " would be posted as it stands",
			Advice: "a value goes into a body as ${...}, with CEL inside, such as ${rule}"})
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	t.text = text
	if t.quote < quoteJSON || src == "" {
		return t, nil
	}
	t.findQuoted()
	return t, t.checkJSON(src)
}

// eventAdvice says where what rules call `e` is found.
func eventAdvice(vars []variable) string {
	if slices.ContainsFunc(vars, func(v variable) bool { return v.Name == "event" }) {
		return "write `event`"
	}
	return "the events of an alert are in `evidence`, as in evidence[0].events[0].temperature"
}

// foreign is how values go into the texts of other programs.
var foreign = regexp.MustCompile(`\{\{.+?\}\}`)

// findQuoted notes which parts stand within quotes of JSON.
func (t *template) findQuoted() {
	within, escaped := false, false
	for _, part := range t.text.Parts() {
		t.quoted = append(t.quoted, within)
		for _, c := range []byte(part.Literal) {
			switch {
			case escaped:
				escaped = false
			case c == '\\' && within:
				escaped = true
			case c == '"':
				within = !within
			}
		}
	}
}

// checkJSON says where a template is not JSON. In its place stands a text of the
// same length, with null for each value, or with nothing within quotes.
func (t *template) checkJSON(src string) []Mistake {
	b := []byte(src)
	for i, part := range t.text.Parts() {
		if part.Program == nil {
			continue
		}
		for j := part.Start; j < part.End; j++ {
			b[j] = ' '
		}
		if !t.quoted[i] {
			copy(b[part.Start:part.End], "null") // ${x} is no shorter
		}
	}
	from := 0
	values := [][]byte{b}
	if t.quote == quoteLines {
		values = bytes.SplitAfter(b, []byte("\n"))
	}
	for _, value := range values {
		var raw json.RawMessage
		err := json.Unmarshal(value, &raw)
		if blank := len(bytes.TrimSpace(value)) == 0; err != nil && !(blank && t.quote == quoteLines) {
			return []Mistake{t.notJSON(src, from, len(value), err)}
		}
		from += len(value)
	}
	return nil
}

// notJSON says what is wrong with the JSON value of n bytes that begins at from.
func (t *template) notJSON(src string, from, n int, err error) Mistake {
	const advice = "a value goes in as ${...}: within quotes as text, elsewhere as JSON; what is not JSON needs its `content_type`"
	if strings.Contains(err.Error(), "unexpected end") {
		at := max(len(strings.TrimRight(src[:from+n], " \t\n"))-1, 0)
		return Mistake{Offset: at, End: at + 1, Message: "the JSON does not end", Advice: advice}
	}
	at := from
	var se *json.SyntaxError
	if errors.As(err, &se) {
		at += max(int(se.Offset)-1, 0)
	}
	for i, part := range t.text.Parts() {
		switch {
		case part.Program == nil || at < part.Start || part.End <= at:
		case t.quoted[i]:
			return Mistake{Offset: part.Start - 1, End: part.End, Message: "JSON knows no such escape", Advice: "write the backslash twice"}
		default:
			return Mistake{Offset: part.Start, End: part.End, Message: "JSON has no value here", Advice: "put it in quotes, or a comma between two values"}
		}
	}
	return Mistake{Offset: at, End: at + 1, Message: "this is no JSON: " + err.Error(), Advice: advice}
}

// append appends the body for a delivery to dst. A value that cannot be computed
// is null in JSON, and a question mark within quotes and everywhere else.
func (t *template) append(dst []byte, d *notify.Delivery, external string) ([]byte, error) {
	frame, err := t.frame(d, external)
	if err != nil {
		return nil, err
	}
	var text []byte
	for i, part := range t.text.Parts() {
		if part.Program == nil {
			dst = append(dst, part.Literal...)
			continue
		}
		v, err := part.Program.Value(frame)
		if t.quote >= quoteJSON && !t.quoted[i] {
			dst = v.AppendJSON(dst) // null for none
			continue
		}
		if text = append(text[:0], '?'); err == nil {
			text = part.Program.AppendText(text[:0], v)
		}
		dst = t.appendQuoted(dst, text)
	}
	return dst, nil
}

// appendQuoted appends a text so that it stays one value.
func (t *template) appendQuoted(dst, text []byte) []byte {
	switch t.quote {
	case quoteJSON, quoteLines:
		n := len(dst)
		dst = event.AppendQuoted(dst, string(text))
		copy(dst[n:], dst[n+1:]) // without the quotes, which the template has
		return dst[:len(dst)-2]
	case quoteForm:
		return append(dst, url.QueryEscape(string(text))...)
	}
	return append(dst, text...)
}

// frame returns the values of the variables for a delivery: those of the members
// of the object that other sinks send. A text that is not there is empty, a
// number is 0, the key is null, and anything else is missing.
func (t *template) frame(d *notify.Delivery, external string) (*expr.Frame, error) {
	members, err := decode.Object(notify.AppendDelivery(nil, d))
	if err != nil {
		return nil, fmt.Errorf("reading an alert for a template: %w", err)
	}
	members = append(members, event.Entry{Name: deliveryID, Value: event.String(d.ID)}, event.Entry{Name: externalURL, Value: event.String(external)})
	all := event.Map(members)
	f := &expr.Frame{Key: []event.Value{or(all.Field("key"), event.Null)}, Vars: make([]event.Value, len(t.vars))}
	for i, v := range t.vars {
		value := all.Field(v.Name)
		switch v.Type {
		case event.TypeString:
			value = or(value, event.String(""))
		case event.TypeInt:
			value = or(value, event.Int(0))
		case event.TypeTimestamp:
			if at, err := event.ParseTime(value.Text()); err == nil {
				value = event.Timestamp(at)
			}
		}
		f.Vars[i] = value
	}
	return f, nil
}

// or returns v, or another value where v is missing.
func or(v, other event.Value) event.Value {
	if v.IsMissing() {
		return other
	}
	return v
}
