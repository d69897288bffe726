package format

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/internal/sample"
)

// TestTemplates writes templates for the raised sample and shows their bodies, or
// what is wrong with them; see testdata/templates.
func TestTemplates(t *testing.T) {
	d := notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 0)
	derived := notify.NewDelivery(notify.Emitted(sample.Derived()), "ops", 0)
	datadriven.RunTest(t, "testdata/templates", func(t *testing.T, c *datadriven.TestData) string {
		o := Options{Name: Template, Body: c.Input + "\n", ExternalURL: "https://cepd.example"}
		for _, a := range c.CmdArgs {
			if a.Key == "type" {
				o.ContentType = a.Vals[0]
			}
		}
		about := &d
		if c.Cmd == "event" {
			o.Body, o.EventBody, about = "", o.Body, &derived
		}
		body, eventBody := o.Mistakes()
		var out strings.Builder
		for _, m := range append(body, eventBody...) {
			fmt.Fprintf(&out, "%s\n%s", m.Message, excerpt(c.Input, m))
			if m.Advice != "" {
				fmt.Fprintf(&out, "= %s\n", m.Advice)
			}
		}
		f, err := New(o)
		if (err == nil) != (out.Len() == 0) {
			t.Fatalf("%s: Mistakes and New do not agree: %v\n%s", c.Pos, err, out.String())
		}
		if err != nil {
			return out.String()
		}
		b, err := f.Append(nil, about)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(f.ContentType(), "json") && !strings.Contains(f.ContentType(), "nd") && !json.Valid(b) {
			t.Errorf("%s: no JSON: %s", c.Pos, b)
		}
		return string(b) + "\n"
	})
}

// excerpt shows where in a text a mistake is.
func excerpt(text string, m Mistake) string {
	start := strings.LastIndexByte(text[:m.Offset], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return line + "\n" + strings.Repeat(" ", m.Offset-start) + strings.Repeat("^", max(m.End-m.Offset, 1)) + "\n"
}

// FuzzTemplate: a template that is said to be JSON is JSON, whatever stands in an
// alert.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{`{"a": ${key}, "b": "${summary}"}`, `"\\${summary}"`, `["${rule}${labels}", ${labels.none}]`, `{${rule}: 1}`, `"$${x}"`, `"a\"${rule}"`} {
		f.Add(s, "a\"b\\\n\u2028\xff", "{}")
	}
	f.Fuzz(func(t *testing.T, text, summary, label string) {
		o := Options{Name: Template, Body: text}
		if mistakes, _ := o.Mistakes(); len(mistakes) > 0 || text == "" {
			return
		}
		tr := sample.Raised()
		tr.Summary, tr.Labels[2].Value = summary, label
		d := notify.NewDelivery(notify.Changed(tr), "ops", 0)
		if w, err := New(o); err != nil {
			t.Errorf("%q: %v", text, err)
		} else if b, err := w.Append(nil, &d); err != nil || strings.Trim(text, " \n") != "" && !json.Valid(b) {
			t.Errorf("%q makes %q, %v", text, b, err)
		}
	})
}
