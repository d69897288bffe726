package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cepd/cepd/alerting/notify"
)

// The formats.
const (
	Alertmanager = "alertmanager" // the default
	CloudEvents  = "cloudevents"
	Slack        = "slack"
	Discord      = "discord"
	Teams        = "teams"
	PagerDuty    = "pagerduty"
	Ntfy         = "ntfy"
	Template     = "template"
)

// Names returns the names of the formats, as [Options] take them.
func Names() []string {
	return []string{Alertmanager, CloudEvents, Slack, Discord, Teams, PagerDuty, Ntfy, Template}
}

// Options choose a format and say what it needs.
type Options struct {
	// Name is one of [Names].
	Name string
	// ExternalURL is where people reach this cepd; goes into bodies.
	ExternalURL string
	// RoutingKey says to PagerDuty which service an alert is for.
	RoutingKey string
	// Topic of ntfy.
	Topic string
	// Body is the template of what is said of an alert, and EventBody of an event
	// that a rule emitted; see [Mistakes].
	Body, EventBody string
	// ContentType of a template. It decides how values stand in it. Default
	// application/json.
	ContentType string
}

// TakesEvents reports whether the format can tell of events that rules emit.
func (o Options) TakesEvents() bool {
	switch o.Name {
	case Alertmanager, CloudEvents:
		return true
	case Template:
		return o.EventBody != ""
	}
	return false
}

// Format writes bodies.
type Format struct {
	name        string
	contentType string
	alert       writer
	event       writer // nil: the format does not tell of events
}

// writer appends the body for a delivery to dst.
type writer func(dst []byte, d *notify.Delivery) ([]byte, error)

// New returns a format. An error is a mistake of the options.
func New(o Options) (*Format, error) {
	f := &Format{name: o.Name, contentType: "application/json"}
	switch o.Name {
	case Alertmanager:
		f.alert = func(dst []byte, d *notify.Delivery) ([]byte, error) {
			return appendAlertmanager(dst, d, o.ExternalURL), nil
		}
		f.event = func(dst []byte, d *notify.Delivery) ([]byte, error) { return notify.AppendDerived(dst, d.Derived), nil }
	case CloudEvents:
		f.contentType = "application/cloudevents+json"
		f.alert = func(dst []byte, d *notify.Delivery) ([]byte, error) {
			return AppendCloudEvent(dst, d, o.ExternalURL), nil
		}
		f.event = f.alert
	case Slack:
		f.alert = ofNote(slack)
	case Discord:
		f.alert = ofNote(discord)
	case Teams:
		f.alert = ofNote(teams)
	case PagerDuty:
		f.alert = func(dst []byte, d *notify.Delivery) ([]byte, error) { return appendJSON(dst, pagerDuty(d, o)) }
	case Ntfy:
		f.alert = func(dst []byte, d *notify.Delivery) ([]byte, error) { return appendJSON(dst, ntfy(d, o)) }
	case Template:
		return newTemplate(o)
	default:
		return nil, fmt.Errorf("there is no format %q", o.Name)
	}
	return f, nil
}

// ContentType returns the media type of the bodies.
func (f *Format) ContentType() string { return f.contentType }

// Append appends the body for a delivery to dst. An error is one that no other
// try can mend.
func (f *Format) Append(dst []byte, d *notify.Delivery) ([]byte, error) {
	write := f.alert
	if d.Derived != nil {
		write = f.event
	}
	if write == nil {
		return nil, fmt.Errorf("format %s does not tell of events", f.name)
	}
	return write(dst, d)
}

// ofNote returns the writer of a chat's format.
func ofNote(message func(n note) any) writer {
	return func(dst []byte, d *notify.Delivery) ([]byte, error) { return appendJSON(dst, message(noteOf(d))) }
}

// appendJSON appends a value as JSON, on one line.
func appendJSON(dst []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("writing a body: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// newTemplate returns the format of the templates of o.
func newTemplate(o Options) (*Format, error) {
	f := &Format{name: o.Name, contentType: o.contentType()}
	for _, b := range []struct {
		key, text string
		vars      []variable
		to        *writer
	}{{"body", o.Body, alertVariables, &f.alert}, {"event_body", o.EventBody, eventVariables, &f.event}} {
		if b.text == "" {
			continue
		}
		t, mistakes := compile(b.text, b.vars, f.contentType)
		if len(mistakes) > 0 {
			return nil, fmt.Errorf("%s: %s", b.key, mistakes[0].Message)
		}
		*b.to = func(dst []byte, d *notify.Delivery) ([]byte, error) { return t.append(dst, d, o.ExternalURL) }
	}
	if f.alert == nil && f.event == nil {
		return nil, errors.New("the template is empty")
	}
	return f, nil
}
