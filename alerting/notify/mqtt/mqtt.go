package mqtt

import (
	"context"
	"errors"
	"fmt"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/format"
)

// Topics where a configuration names none.
const (
	DefaultTopic      = "cepd/alerts/{rule}/{key}" // of alerts
	DefaultEventTopic = "cepd/events/{rule}/{key}" // of derived events
)

// The formats of payloads.
const (
	FormatJSON        = "json"
	FormatCloudEvents = format.CloudEvents
)

// Publisher publishes one message. It returns nil only when the broker has
// confirmed it; for QoS 0, when it was written to the connection.
type Publisher interface {
	Publish(ctx context.Context, topic string, qos byte, retain bool, payload []byte) error
}

// Config sets up a [Sink].
type Config struct {
	// Publisher to publish through, which the caller closes.
	Publisher Publisher
	// Topic of an alert's messages, in which {rule}, {key} and {fingerprint}
	// are replaced. The parts of a key are levels of the topic; in each, and in
	// a rule's name, / + # % and control characters are percent-encoded. A rule
	// without a key leaves out the level that is {key} alone. In the alert of a
	// rule's `timeout`, {rule} is its name and ":timeout". Default:
	// [DefaultTopic].
	Topic string
	// EventTopic is the topic of derived events, in which {rule} and {key} are
	// replaced. They are never retained. Default: [DefaultEventTopic].
	EventTopic string
	// Format of the payloads: json, or cloudevents for CloudEvents in JSON.
	// Default: json.
	Format string
	// ExternalURL is where people reach this cepd; goes into CloudEvents.
	ExternalURL string
	// QoS is the MQTT quality of service, 0 to 2.
	QoS byte
	// Retain makes the broker keep the message of an alert while it fires.
	Retain bool
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	if c.Topic == "" {
		c.Topic = DefaultTopic
	}
	if c.EventTopic == "" {
		c.EventTopic = DefaultEventTopic
	}
	if c.Format == "" {
		c.Format = FormatJSON
	}
}

// Validate reports every contradiction in c at once.
func (c Config) Validate() error {
	var errs []error
	if c.Publisher == nil {
		errs = append(errs, errors.New("no publisher"))
	}
	if _, err := parseTemplate(c.Topic, "rule", "key", "fingerprint"); err != nil {
		errs = append(errs, fmt.Errorf("topic %q: %w", c.Topic, err))
	}
	if _, err := parseTemplate(c.EventTopic, "rule", "key"); err != nil {
		errs = append(errs, fmt.Errorf("event_topic %q: %w", c.EventTopic, err))
	}
	if c.Format != FormatJSON && c.Format != FormatCloudEvents {
		errs = append(errs, fmt.Errorf("format is %q; formats are json and cloudevents", c.Format))
	}
	if c.QoS > 2 {
		errs = append(errs, fmt.Errorf("qos is %d; it is 0, 1 or 2", c.QoS))
	}
	return errors.Join(errs...)
}

// Sink is a [notify.Notifier] that publishes to a broker.
type Sink struct {
	cfg               Config
	topic, eventTopic template
}

// New returns a sink.
func New(cfg Config) (*Sink, error) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("setting up an MQTT sink: %w", err)
	}
	s := &Sink{cfg: cfg}
	var err error
	if s.topic, err = parseTemplate(cfg.Topic, "rule", "key", "fingerprint"); err != nil {
		return nil, err
	}
	if s.eventTopic, err = parseTemplate(cfg.EventTopic, "rule", "key"); err != nil {
		return nil, err
	}
	return s, nil
}

// Notify publishes a delivery and waits for the broker's confirmation. The
// payload is what [notify.AppendDelivery] gives, or that as a CloudEvent; or
// nothing where a clear takes away what was retained.
func (s *Sink) Notify(ctx context.Context, d notify.Delivery) error {
	topic, err := s.topicOf(d.Message)
	if err != nil {
		return notify.Permanent(notify.ReasonClient, err)
	}
	retain := s.cfg.Retain && d.Derived == nil
	var payload []byte
	if !retain || d.Transition.Change != alerting.Cleared {
		payload = s.payload(&d)
	}
	if err := s.cfg.Publisher.Publish(ctx, topic, s.cfg.QoS, retain, payload); err != nil {
		return fmt.Errorf("publishing to %s: %w", topic, err)
	}
	return nil
}

func (s *Sink) payload(d *notify.Delivery) []byte {
	if s.cfg.Format == FormatCloudEvents {
		return format.AppendCloudEvent(nil, d, s.cfg.ExternalURL)
	}
	return notify.AppendDelivery(nil, d)
}

func (s *Sink) topicOf(m notify.Message) (string, error) {
	if d := m.Derived; d != nil {
		return s.eventTopic.expand(d.Rule, d.Key, "")
	}
	return s.topic.expand(ruleOf(m.Transition), m.Transition.Key, m.Transition.Fingerprint)
}

// timeoutSuffix follows the rule's name in the topic of the alert of its
// `timeout`, so that this one and the rule's other alert do not take each other's
// place. No rule's name has a colon.
const timeoutSuffix = ":timeout"

func ruleOf(t *alerting.Transition) string {
	for _, l := range t.Labels {
		if l.Name == "timeout" && l.Value == "true" {
			return t.Rule + timeoutSuffix
		}
	}
	return t.Rule
}
