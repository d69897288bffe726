package config

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/cepd/cepd/alerting/notify/file"
	"github.com/cepd/cepd/alerting/notify/format"
	"github.com/cepd/cepd/alerting/notify/mqtt"
	js "github.com/cepd/cepd/internal/jsonschema"
	"github.com/cepd/cepd/mqttconn"
	"github.com/cepd/cepd/rules"
)

// Parse reads a cepd.yaml. Relative paths in it start from the folder of file,
// which is otherwise only named in messages. The Config is usable only if there
// are no issues.
func Parse(file string, src []byte, getenv func(string) (string, bool)) (*Config, []rules.Issue) {
	c, r := parse(file, src, getenv)
	return c, r.issues
}

// parse reads a cepd.yaml, and returns what it found in it. What contradicts itself
// is reported beside what cannot be read, unless it may come of that.
func parse(file string, src []byte, getenv func(string) (string, bool)) (*Config, *reader) {
	r := newReader(getenv)
	c := &Config{Watch: true}
	root := r.parse(src)
	if root != nil {
		r.object(root, "", c.fields())
	}
	slices.SortFunc(c.Sources, func(a, b Source) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Sinks, func(a, b Sink) int { return cmp.Compare(a.Name, b.Name) })
	c.EnsureDefaults()
	if root != nil || len(r.issues) == 0 {
		for _, p := range c.Validate() {
			if r.follows(p) {
				continue
			}
			if n := r.templates[p.Path]; n != nil && p.End > 0 {
				message, advice, _ := strings.Cut(p.Error(), "; ")
				r.issues = append(r.issues, rules.TextIssue(rules.File{Name: file, Data: src}, n, p.Start, p.End, message, advice))
				continue
			}
			r.issues = append(r.issues, issue(r.place(p.Path), p.Error()))
		}
	}
	c.resolve(filepath.Dir(file))
	placed(c.rulePlaces, file, src)
	r.issues = sorted(r.issues, file, src)
	return c, r
}

// fields are the keys of cepd.yaml.
func (c *Config) fields() fields {
	return fields{
		"rules":      set{c.readRules, listShape},
		"watch":      boolean(&c.Watch),
		"state":      object(c.State.fields()),
		"outbox":     object(c.Outbox.fields()),
		"own_alerts": object(c.OwnAlerts.fields()),
		"http":       object(fields{"listen": text(&c.HTTP.Listen), "external_url": address(&c.HTTP.ExternalURL, "http", "https")}),
		"sources":    named(func(r *reader, n ast.Node, path, name string) { c.Sources = append(c.Sources, r.source(n, path, name)) }, sourceSchema),
		"sinks":      named(func(r *reader, n ast.Node, path, name string) { c.Sinks = append(c.Sinks, r.sink(n, path, name)) }, sinkSchema),
	}
}

// readRules reads the names of rule files, and notes where they stand.
func (c *Config) readRules(r *reader, n ast.Node, path string) {
	texts(&c.Rules).read(r, n, path)
	nodes := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		nodes = seq.Values
	}
	for _, n := range nodes {
		if n != nil {
			c.rulePlaces = append(c.rulePlaces, issue(n.GetToken(), ""))
		}
	}
}

// named reads a mapping from names that its author chose.
func named(read func(r *reader, n ast.Node, path, name string), entry shape) set {
	return set{func(r *reader, n ast.Node, path string) {
		r.entries(n, path, func(name string, kt *token.Token, v ast.Node) {
			if !isEnvName(strings.ReplaceAll(name, "-", "_")) {
				r.add(kt, "%q is no name; names have letters, digits, _ and - and do not begin with a digit", name)
				return
			}
			read(r, v, join(path, name), name)
		})
	}, func(path string) js.Schema { return js.Map(namePattern, entry(path)) }}
}

// typed reads the key `type` of a mapping, so that the other keys can be judged
// by it. It reports what is wrong only if there is no usable type.
func (r *reader) typed(n ast.Node, path string, types ...string) string {
	probe := newReader(r.getenv)
	typ := ""
	probe.entries(n, path, func(key string, kt *token.Token, v ast.Node) {
		if key == "type" {
			choice(&typ, types...).read(probe, v, join(path, key))
		}
	})
	switch {
	case typ != "":
	case len(probe.issues) > 0:
		r.issues = append(r.issues, probe.issues...)
		r.broken[path] = true
	default:
		r.add(r.places[path], "%s has no type; types are %s", path, strings.Join(types, ", "))
	}
	return typ
}

// skip reads nothing: the value has been read.
var skip = set{func(*reader, ast.Node, string) {}, plainShape(js.Text())}

// The types of sources and sinks.
var (
	sourceTypes = []string{"mqtt", "http", "file"}
	sinkTypes   = []string{"webhook", "mqtt", "file", "stdout"}
)

func (r *reader) source(n ast.Node, path, name string) Source {
	s := Source{Name: name, MQTT: MQTTSource{QoS: 1}}
	if s.Type = r.typed(n, path, sourceTypes...); s.Type != "" {
		r.object(n, path, s.fields())
	}
	return s
}

// fields are the keys of a source of its type.
func (s *Source) fields() fields {
	switch s.Type {
	case "mqtt":
		known := connFields(&s.MQTT.Conn)
		known["qos"] = integer(&s.MQTT.QoS, 0, 1)
		known["client"] = choice(&s.MQTT.Client, "native", "paho")
		return known
	case "http":
		h := &s.HTTP
		return fields{
			"type":       skip,
			"listen":     text(&h.Listen),
			"topic":      text(&h.Topic),
			"token":      text(&h.Token),
			"token_file": text(&h.TokenFile),
			"tls": object(fields{
				"cert_file":      text(&h.TLS.CertFile),
				"key_file":       text(&h.TLS.KeyFile),
				"client_ca_file": text(&h.TLS.ClientCAFile),
			}),
		}
	}
	return fields{
		"type":   skip,
		"path":   text(&s.File.Path),
		"format": choice(&s.File.Format, "jsonl", "csv"),
		"topic":  text(&s.File.Topic),
	}
}

func (r *reader) sink(n ast.Node, path, name string) Sink {
	s := Sink{Name: name, MQTT: MQTTSink{QoS: 1, Retain: true}}
	if s.Type = r.typed(n, path, sinkTypes...); s.Type != "" {
		r.object(n, path, s.fields())
	}
	return s
}

// fields are the keys of a sink of its type.
func (s *Sink) fields() (known fields) {
	switch s.Type {
	case "webhook":
		w := &s.Webhook.Config
		known = fields{
			"type":             skip,
			"url":              address(&w.URL, "http", "https"),
			"url_file":         text(&w.URLFile),
			"format":           choice(&w.Format, format.Names()...),
			"body":             template(&w.Body),
			"event_body":       template(&w.EventBody),
			"content_type":     text(&w.ContentType),
			"routing_key":      text(&w.RoutingKey),
			"routing_key_file": text(&w.RoutingKeyFile),
			"secret":           text(&w.Secret),
			"secret_file":      text(&w.SecretFile),
			"token":            text(&w.Token),
			"token_file":       text(&w.TokenFile),
			"headers":          table(&w.Headers),
			"send_resolved":    negated(&w.SkipResolved),
			"tls":              object(tlsFields(&s.Webhook.TLS)),
		}
	case "mqtt":
		m := &s.MQTT
		known = connFields(&m.Conn)
		known["source"] = text(&m.Source)
		known["topic"] = text(&m.Topic)
		known["event_topic"] = text(&m.EventTopic)
		known["format"] = choice(&m.Format, mqtt.FormatJSON, mqtt.FormatCloudEvents)
		known["qos"] = integer(&m.QoS, 0, 2)
		known["retain"] = boolean(&m.Retain)
		known["status_topic"] = text(&m.StatusTopic)
	case "file":
		known = fields{"type": skip, "path": text(&s.File.Path), "sync": choice(&s.File.Sync, file.SyncNever, file.SyncAlways)}
	default:
		known = fields{"type": skip, "format": choice(&s.Stdout.Format, "json", "text")}
	}
	known["workers"] = integer(&s.Workers, 1, 1000)
	known["timeout"] = duration(&s.Timeout)
	known["max_age"] = duration(&s.MaxAge)
	return known
}

// connFields are the keys that every connection to a broker has.
func connFields(c *mqttconn.Config) fields {
	return fields{
		"type":            skip,
		"url":             address(&c.URL, "mqtt", "mqtts", "ws", "wss"),
		"client_id":       text(&c.ClientID),
		"user":            text(&c.User),
		"password":        text(&c.Password),
		"password_file":   text(&c.PasswordFile),
		"keep_alive":      duration(&c.KeepAlive),
		"connect_timeout": duration(&c.ConnectTimeout),
		"reconnect_max":   duration(&c.ReconnectMax),
		"tls":             object(tlsFields(&c.TLS)),
	}
}

func tlsFields(t *mqttconn.TLS) fields {
	return fields{
		"ca_file":     text(&t.CAFile),
		"cert_file":   text(&t.CertFile),
		"key_file":    text(&t.KeyFile),
		"server_name": text(&t.ServerName),
		"skip_verify": boolean(&t.SkipVerify),
	}
}

// resolve makes paths start from dir.
func (c *Config) resolve(dir string) {
	abs := func(p *string) {
		if *p != "" && *p != "-" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	tls := func(t *mqttconn.TLS) {
		abs(&t.CAFile)
		abs(&t.CertFile)
		abs(&t.KeyFile)
	}
	conn := func(c *mqttconn.Config) {
		abs(&c.PasswordFile)
		tls(&c.TLS)
	}
	for i := range c.Rules {
		abs(&c.Rules[i])
	}
	abs(&c.State.Dir)
	for i := range c.Sources {
		conn(&c.Sources[i].MQTT.Conn)
		abs(&c.Sources[i].File.Path)
		h := &c.Sources[i].HTTP
		abs(&h.TokenFile)
		abs(&h.TLS.CertFile)
		abs(&h.TLS.KeyFile)
		abs(&h.TLS.ClientCAFile)
	}
	for i := range c.Sinks {
		conn(&c.Sinks[i].MQTT.Conn)
		abs(&c.Sinks[i].File.Path)
		abs(&c.Sinks[i].Webhook.Config.URLFile)
		abs(&c.Sinks[i].Webhook.Config.SecretFile)
		abs(&c.Sinks[i].Webhook.Config.RoutingKeyFile)
		abs(&c.Sinks[i].Webhook.Config.TokenFile)
		tls(&c.Sinks[i].Webhook.TLS)
	}
}

// place returns where a setting stands: its own place, or that of the nearest
// mapping around it.
func (r *reader) place(path string) *token.Token {
	for path != "" {
		if t := r.places[path]; t != nil {
			return t
		}
		i := strings.LastIndexByte(path, '.')
		path = path[:max(i, 0)]
	}
	return nil
}
