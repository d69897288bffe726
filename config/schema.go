package config

import (
	js "github.com/cepd/cepd/internal/jsonschema"
)

// SchemaID is where the schema of cepd.yaml is published.
const SchemaID = "https://raw.githubusercontent.com/cepd/cepd/main/schema/cepd.schema.json"

// Schema returns the JSON Schema of cepd.yaml, made of the keys that [Parse]
// reads.
func Schema() []byte {
	return js.Document(SchemaID, "cepd.yaml", (&Config{}).fields().schema(""), nil)
}

// shape says what may stand at a path, for the schema.
type shape func(path string) js.Schema

// variable is a value that an environment variable is a part of.
var variable = js.Matching(`\$\{`)

// plainShape is that of a value, or of a variable in its place.
func plainShape(s js.Schema) shape {
	return func(string) js.Schema { return js.Either(s, variable) }
}

func scalarShape(string) js.Schema { return js.Schema{"type": []string{"string", "number", "boolean"}} }

func wordShape(words ...string) shape { return plainShape(js.Enum(words...)) }

func listShape(path string) js.Schema { return js.Listed(scalarShape(path)) }

func tableShape(path string) js.Schema { return js.Map("", scalarShape(path)) }

// What texts look like, as far as an expression of this size can tell.
const (
	durationPattern = `^([0-9.]+(w|d|h|m|s|ms|us|ns))+$`
	sizePattern     = `^[0-9.]+ *([KMGT]i?)?B$`
	namePattern     = `^[A-Za-z_][A-Za-z0-9_-]*$`
)

// schema returns the schema of a mapping at a path.
func (f fields) schema(path string) js.Schema {
	keys := map[string]js.Schema{}
	for key, set := range f {
		at := join(path, key)
		keys[key] = js.Described(set.is(at), descriptions[at])
	}
	return js.Object(keys, nil, nil)
}

func sourceSchema(path string) js.Schema {
	return byType(path, sourceTypes, func(typ string) fields { return (&Source{Type: typ}).fields() })
}

func sinkSchema(path string) js.Schema {
	return byType(path, sinkTypes, func(typ string) fields { return (&Sink{Type: typ}).fields() })
}

// byType returns the schema of a mapping whose keys depend on its `type`.
func byType(path string, types []string, of func(typ string) fields) js.Schema {
	var each []js.Schema
	for _, typ := range types {
		is := js.Schema{"properties": js.Schema{"type": js.Schema{"const": typ}}}
		each = append(each, js.Schema{"if": is, "then": of(typ).schema(path + "." + typ)})
	}
	return js.Schema{
		"type": "object", "required": []string{"type"}, "allOf": each,
		"properties": map[string]js.Schema{"type": js.Described(js.Enum(types...), descriptions[path+".type"])},
	}
}

// descriptions says what each key is for, by its path.
var descriptions = describe()

func describe() map[string]string {
	text := map[string]string{
		"rules":                  "Rule files: names, or patterns such as rules/*.yaml.",
		"watch":                  "Load the rules anew when one of their files changes; true if left out.",
		"state":                  "What the daemon keeps on disk, and how carefully.",
		"state.dir":              "The folder. Left out: nothing outlives the process.",
		"state.sync":             "When what came in is on the disk: always (before it is acknowledged), interval, or never.",
		"state.snapshot":         "How often the state is written, if anything changed; 30s if left out.",
		"state.history":          "How long the input log is kept beyond what recovery needs.",
		"state.memory":           "What the process may use, such as 2GB.",
		"state.min_free":         "The disk space that is left to others; 256MB if left out.",
		"outbox":                 "How much of what sinks are still to be told is kept.",
		"outbox.max_bytes":       "The room that it may take; 1GB if left out.",
		"outbox.dead_letters":    "How many deliveries that were given up are kept; 10000 if left out.",
		"own_alerts":             "Alerts that cepd raises about itself.",
		"own_alerts.to":          "The sinks that they go to; left out: all; [] for none.",
		"own_alerts.source_down": "How long a source may be disconnected before it is an alert; 1m if left out.",
		"http":                   "The daemon's own server: metrics, health, reload.",
		"http.listen":            "Its address on the loopback; off for none.",
		"http.external_url":      "Where people reach it, for the texts of alerts.",
		"sources":                "Where events come from, by names that the streams of rules use.",
		"sources.type":           "What kind of source it is.",
		"sinks":                  "Where alerts and derived events go, by name.",
		"sinks.type":             "What kind of sink it is.",

		"sources.mqtt.qos":                "Quality of service of the subscriptions; 1 if left out.",
		"sources.mqtt.client":             "The library that reads; native if left out.",
		"sources.http.listen":             "The address that events are posted to.",
		"sources.http.topic":              "The topic of events that are posted without one.",
		"sources.http.token":              "What clients must show; better in token_file.",
		"sources.http.token_file":         "A file with what clients must show.",
		"sources.http.tls":                "What the server proves itself with.",
		"sources.http.tls.cert_file":      "Its certificate.",
		"sources.http.tls.key_file":       "The key of its certificate.",
		"sources.http.tls.client_ca_file": "Whom clients' certificates must be of.",
		"sources.file.path":               "A file; - is the standard input.",
		"sources.file.format":             "How it is written; left out: by the end of its name.",
		"sources.file.topic":              "The topic that its messages have.",

		"sinks.webhook.url":              "Where alerts are posted to.",
		"sinks.webhook.url_file":         "A file with the address.",
		"sinks.webhook.format":           "How alerts are written: alertmanager if left out.",
		"sinks.webhook.body":             "What is posted of an alert, with format: template. In it, ${...} is an expression.",
		"sinks.webhook.event_body":       "What is posted of a derived event, with format: template; left out: the sink takes alerts only.",
		"sinks.webhook.content_type":     "What the templates are; application/json if left out.",
		"sinks.webhook.routing_key":      "The integration key of a service, with format: pagerduty; better in routing_key_file.",
		"sinks.webhook.routing_key_file": "A file with the integration key.",
		"sinks.webhook.secret":           "What posts are signed with (Standard Webhooks); better in secret_file.",
		"sinks.webhook.secret_file":      "A file with what posts are signed with.",
		"sinks.webhook.token":            "What each post has as Authorization: Bearer; better in token_file.",
		"sinks.webhook.token_file":       "A file with the token.",
		"sinks.webhook.headers":          "Headers that every post has.",
		"sinks.webhook.send_resolved":    "Whether cleared alerts are posted; true if left out.",
		"sinks.mqtt.source":              "A source whose broker and credentials are used.",
		"sinks.mqtt.topic":               "The topic of alerts, with {rule} and {key}.",
		"sinks.mqtt.event_topic":         "The topic of derived events, with {rule} and {key}.",
		"sinks.mqtt.format":              "How alerts and derived events are written; json if left out.",
		"sinks.mqtt.qos":                 "Quality of service; 1 if left out.",
		"sinks.mqtt.retain":              "Whether the broker keeps an alert while it fires; true if left out.",
		"sinks.mqtt.status_topic":        "Where the connection says online and offline; - for nowhere.",
		"sinks.file.path":                "The file, with {rule} and {date}.",
		"sinks.file.sync":                "When what is written is on the disk: never (the operating system decides) or always.",
		"sinks.stdout.format":            "How alerts are written.",
	}
	for path, kin := range map[string][]string{"sources": sourceTypes, "sinks": sinkTypes} {
		for _, typ := range kin {
			text[path+"."+typ+".type"] = text[path+".type"]
		}
	}
	for _, typ := range sinkTypes {
		text["sinks."+typ+".workers"] = "How many deliveries may be on their way at once."
		text["sinks."+typ+".timeout"] = "How long one try may take; 15s if left out."
		text["sinks."+typ+".max_age"] = "How long a delivery is tried."
	}
	for _, path := range []string{"sources.mqtt", "sinks.mqtt"} {
		text[path+".url"] = "The broker: mqtt://broker.example:1883, or mqtts, ws, wss."
		text[path+".client_id"] = "The name of the session at the broker; left out: made once, and kept in the state folder."
		text[path+".user"] = "The name to log in with."
		text[path+".password"] = "The password; better in password_file."
		text[path+".password_file"] = "A file with the password."
		text[path+".keep_alive"] = "How often the broker is asked whether it is there."
		text[path+".connect_timeout"] = "How long a connection may take to be made."
		text[path+".reconnect_max"] = "The longest wait between two tries to connect."
	}
	for _, path := range []string{"sources.mqtt.tls", "sinks.mqtt.tls", "sinks.webhook.tls"} {
		text[path] = "Whom to trust, and who we are."
		text[path+".ca_file"] = "Authorities to trust, in place of the system's."
		text[path+".cert_file"] = "Our certificate."
		text[path+".key_file"] = "The key of our certificate."
		text[path+".server_name"] = "The name that the server's certificate must have."
		text[path+".skip_verify"] = "Trust anybody; for tests only."
	}
	return text
}
