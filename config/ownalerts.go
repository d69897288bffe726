package config

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	js "github.com/cepd/cepd/internal/jsonschema"
	"github.com/cepd/cepd/rules"
)

// OwnAlerts says to whom cepd tells what is wrong with itself, and when.
type OwnAlerts struct {
	// To names sinks. Default: all of them.
	To []string
	// Off says that nobody is told: To is an empty list.
	Off bool
	// SourceDown is how long a source may be disconnected. Default 1m: longer
	// than a broker takes to start again, and than the longest wait between two
	// tries to connect.
	SourceDown time.Duration
}

func (o *OwnAlerts) ensureDefaults() {
	if o.SourceDown == 0 {
		o.SourceDown = time.Minute
	}
}

// fields are the keys of `own_alerts`.
func (o *OwnAlerts) fields() fields {
	to := texts(&o.To)
	return fields{
		"to": set{func(r *reader, n ast.Node, path string) {
			seq, ok := n.(*ast.SequenceNode)
			o.Off = ok && len(seq.Values) == 0
			to.read(r, n, path)
		}, func(path string) js.Schema {
			return js.Either(scalarShape(path), js.Schema{"type": "array", "items": scalarShape(path)})
		}},
		"source_down": duration(&o.SourceDown),
	}
}

func (c *Config) validateOwnAlerts(missing missingReport) {
	for _, name := range c.OwnAlerts.To {
		if !c.hasSink(name) {
			missing("sinks."+name, "own_alerts.to", "there is no sink %q", name)
		}
	}
}

func (c *Config) hasSink(name string) bool {
	for _, s := range c.Sinks {
		if s.Name == name {
			return true
		}
	}
	return false
}

// own returns what goes with the rules that come into force.
func (c *Config) own() *rules.Own {
	if c.OwnAlerts.Off {
		return nil
	}
	own := &rules.Own{To: c.OwnAlerts.To, SourceDown: c.OwnAlerts.SourceDown}
	for _, s := range c.Sources {
		if s.Type == "mqtt" { // others have nothing to lose: they wait to be called, or end
			own.Sources = append(own.Sources, s.Name)
		}
	}
	return own
}
