package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cepd/cepd/alerting/notify/file"
	"github.com/cepd/cepd/alerting/notify/format"
	"github.com/cepd/cepd/alerting/notify/mqtt"
	"github.com/cepd/cepd/alerting/notify/webhook"
	ingestfile "github.com/cepd/cepd/ingest/file"
	"github.com/cepd/cepd/mqttconn"
	"github.com/cepd/cepd/rules"
)

// Config is what cepd.yaml says. Lists of named things are sorted by name, and
// paths are relative to the working directory of the process, or absolute.
type Config struct {
	// Rules are the rule files: names or patterns such as rules/*.yaml. At
	// least one.
	Rules []string
	// Watch reloads the rules when one of their files, or of their tables,
	// changes. Default true.
	Watch bool
	// State says what the daemon keeps on disk, and how carefully.
	State State
	// Outbox says how much of what sinks are still to be told is kept.
	Outbox Outbox
	// OwnAlerts says to whom cepd tells what is wrong with itself.
	OwnAlerts OwnAlerts
	// HTTP says where metrics, health and the reload endpoint are served.
	HTTP HTTP
	// Sources of events; at least one.
	Sources []Source
	// Sinks that alerts and derived events go to. None: alerts are counted and
	// logged only.
	Sinks []Sink

	rulePlaces []rules.Issue // where each of Rules stands in cepd.yaml, for messages
}

// HTTP is the daemon's own server.
type HTTP struct {
	// Listen is the address, host:port. Default 127.0.0.1:9477. Only loopback
	// addresses are accepted, since whoever reaches the server may reload; port
	// 0 takes any free one. "off" serves nothing.
	Listen string
	// ExternalURL is where people reach this server; goes into messages.
	ExternalURL string
}

// Source is one source of events.
type Source struct {
	Name string
	Type string // mqtt, http or file
	MQTT MQTTSource
	HTTP HTTPSource
	File FileSource
}

// MQTTSource reads a broker.
type MQTTSource struct {
	Conn mqttconn.Config
	// QoS of the subscriptions, 0 or 1. Default 1.
	QoS byte
	// Client is native or paho. Left out: native, but paho for WebSocket.
	Client string
}

// FileSource reads a file once, from its start to its end.
type FileSource struct {
	Path   string // - is the standard input
	Format string // jsonl or csv; left out: by the ending of Path
	Topic  string // that the records carry; left out: none
}

// Topicless reports whether the source's messages have no topic.
func (s Source) Topicless() bool { return s.Type == "file" && s.File.Topic == "" }

// Holds returns csv or jsonl: what is written in Format, else what the file's name
// tells, empty where it tells nothing.
func (f FileSource) Holds() string { return cmp.Or(f.Format, ingestfile.FormatOf(f.Path)) }

// Sink is one receiver of alerts and derived events.
type Sink struct {
	Name    string
	Type    string // webhook, mqtt, file or stdout
	Webhook WebhookSink
	MQTT    MQTTSink
	File    file.Config
	Stdout  StdoutSink

	// Workers is how many deliveries may be on their way at once. Default: as
	// package notify has it.
	Workers int
	// Timeout bounds one try. Default 15s.
	Timeout time.Duration
	// MaxAge is how long a delivery is tried. Default: for ever.
	MaxAge time.Duration
}

// AlertsOnly reports whether the sink does not take events that rules emit.
func (s Sink) AlertsOnly() bool { return s.Type == "webhook" && !s.Webhook.Config.TakesEvents() }

// WebhookSink posts to an address.
type WebhookSink struct {
	Config webhook.Config
	TLS    mqttconn.TLS // whom to trust and who we are
}

// MQTTSink publishes to a broker.
type MQTTSink struct {
	// Source names a source whose broker and credentials are used in place of
	// those of Conn. The client id is the sink's own.
	Source string
	Conn   mqttconn.Config
	// Topic with the placeholders {rule} and {key}. Default
	// cepd/alerts/{rule}/{key}.
	Topic string
	// EventTopic is the topic of derived events. Default
	// cepd/events/{rule}/{key}.
	EventTopic string
	// Format is json or cloudevents. Default json.
	Format string
	// QoS is 0, 1 or 2. Default 1.
	QoS byte
	// StatusTopic is where the connection says online and offline; "-" is
	// nowhere. Default cepd/CLIENT_ID/status.
	StatusTopic string
	// Retain keeps the alert at the broker while it fires. Default true.
	Retain bool
}

// StdoutSink writes to the standard output.
type StdoutSink struct {
	Format string // json or text; default json
}

// DefaultListen is where the daemon's own server listens.
const DefaultListen = "127.0.0.1:9477"

// EnsureDefaults fills what is left out and has a default that a zero value
// does not stand for already.
func (c *Config) EnsureDefaults() {
	if c.HTTP.Listen == "" {
		c.HTTP.Listen = DefaultListen
	}
	c.State.ensureDefaults()
	c.Outbox.ensureDefaults()
	c.OwnAlerts.ensureDefaults()
	for i := range c.Sinks {
		s := &c.Sinks[i]
		if s.Type == "mqtt" && s.MQTT.Topic == "" {
			s.MQTT.Topic = mqtt.DefaultTopic
		}
		if s.Type == "mqtt" && s.MQTT.EventTopic == "" {
			s.MQTT.EventTopic = mqtt.DefaultEventTopic
		}
		if s.Type == "mqtt" && s.MQTT.Format == "" {
			s.MQTT.Format = mqtt.FormatJSON
		}
		if s.Type == "webhook" {
			s.Webhook.Config.EnsureDefaults()
		}
		if s.Type == "file" {
			s.File.EnsureDefaults()
		}
		if s.Type == "stdout" && s.Stdout.Format == "" {
			s.Stdout.Format = "json"
		}
	}
}

// Problem is something wrong with a setting, named by its path in cepd.yaml
// such as sources.plant.url.
type Problem struct {
	Path       string
	Message    string
	Start, End int // bytes of the template at Path that it is about; 0: not of a template

	about string // the path of what is missing, if that is not Path
}

// Error returns path and message.
func (p Problem) Error() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// report notes a problem, and missingReport one that is there because something
// else, the setting at about, is not there.
type (
	report        func(path, format string, args ...any)
	missingReport func(about, path, format string, args ...any)
)

// Validate reports every contradiction in c at once. It opens no file.
func (c *Config) Validate() []Problem {
	var ps []Problem
	bad := func(path, format string, args ...any) {
		ps = append(ps, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	missing := func(about, path, format string, args ...any) {
		ps = append(ps, Problem{Path: path, about: about, Message: fmt.Sprintf(format, args...)})
	}
	if len(c.Rules) == 0 {
		missing("rules", "", "no rules; write rules: [rules/*.yaml]")
	}
	if len(c.Sources) == 0 {
		missing("sources", "", "no sources; name at least one under sources:")
	}
	if err := checkListen(c.HTTP.Listen); err != nil {
		bad("http.listen", "%v", err)
	}
	c.State.validate(bad, missing)
	c.Outbox.validate(bad)
	stdin := ""
	for _, s := range c.Sources {
		path := "sources." + s.Name
		switch {
		case s.Type == "mqtt":
			validateConn(path, s.MQTT.Conn, bad, missing)
			if s.MQTT.Client == "native" && s.MQTT.Conn.URL != "" && !s.MQTT.Conn.Stream() {
				bad(path+".client", "native does not speak WebSocket; leave client out, or write client: paho")
			}
		case s.Type == "http":
			s.HTTP.validate(path, bad, missing)
		case s.Type == "file" && s.File.Path == "":
			missing(path+".path", path, "no path; write path: events.jsonl, or - for the standard input")
		case s.Type == "file" && s.File.Path == "-":
			if stdin != "" {
				bad(path+".path", "the standard input is read by sources.%s already", stdin)
			}
			stdin = s.Name
		}
	}
	for _, s := range c.Sinks {
		c.validateSink("sinks."+s.Name, s, bad, missing)
		if s.Type == "webhook" {
			ps = append(ps, templateProblems("sinks."+s.Name, s.Webhook.Config)...)
		}
	}
	c.validateSinkFiles(bad)
	c.validateOwnAlerts(missing)
	return ps
}

func (c *Config) validateSink(path string, s Sink, bad report, missing missingReport) {
	switch s.Type {
	case "webhook":
		each(s.Webhook.Config.Validate(), func(line string) { bad(path, "%s", line) })
	case "file":
		if s.File.Path != "" {
			path += ".path"
		}
		each(file.CheckPath(s.File.Path), func(line string) { bad(path, "%s", line) })
	case "mqtt":
		m := s.MQTT
		_, err := mqtt.New(mqtt.Config{Publisher: &mqtt.Client{}, Topic: m.Topic, EventTopic: m.EventTopic, Format: m.Format, QoS: m.QoS})
		each(errors.Unwrap(err), func(line string) { bad(path, "%s", line) })
		if m.Source == "" {
			validateConn(path, m.Conn, bad, missing)
			return
		}
		if m.Conn.URL != "" {
			bad(path+".source", "url and source are both set; source takes the broker of that source")
		}
		i := slices.IndexFunc(c.Sources, func(src Source) bool { return src.Name == m.Source })
		if i < 0 || c.Sources[i].Type != "mqtt" {
			missing("sources."+m.Source, path+".source", "there is no source %q of type mqtt", m.Source)
		}
	}
}

// templateProblems reports what is wrong with the templates of a webhook.
func templateProblems(path string, w webhook.Config) []Problem {
	var ps []Problem
	add := func(path string, mistakes []format.Mistake) {
		for _, m := range mistakes {
			p := Problem{Path: path, Message: m.Message, Start: m.Offset, End: m.End}
			if m.Advice != "" {
				p.Message += "; " + m.Advice
			}
			ps = append(ps, p)
		}
	}
	body, eventBody := w.Mistakes()
	add(path+".body", body)
	add(path+".event_body", eventBody)
	return ps
}

// validateSinkFiles reports files that two sinks write to.
func (c *Config) validateSinkFiles(bad report) {
	writers := map[string]string{}
	for _, s := range c.Sinks {
		if s.Type != "file" || s.File.Path == "" {
			continue
		}
		path := filepath.Clean(s.File.Path)
		if other, ok := writers[path]; ok {
			bad("sinks."+s.Name+".path", "sinks.%s writes to that file already", other)
			continue
		}
		writers[path] = s.Name
	}
}

// validateConn checks a connection; its client id may be made later.
func validateConn(path string, conn mqttconn.Config, bad report, missing missingReport) {
	if conn.URL == "" {
		missing(path+".url", path, "no url; write url: mqtt://broker.example:1883")
		return
	}
	if conn.ClientID == "" {
		conn.ClientID = "made later"
	}
	each(conn.Validate(), func(line string) { bad(path, "%s", line) })
}

// each calls f with each of the errors that were joined to err.
func each(err error, f func(line string)) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		f(line)
	}
}

func checkListen(addr string) error {
	if addr == "off" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is no address like %s; write off for none", addr, DefaultListen)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address; put a proxy with authentication in front of %s", addr, DefaultListen)
}
