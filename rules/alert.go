package rules

import (
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// scopes returns the scopes that values of `emit` and texts of `alert` are
// compiled in: one for each input, whose single event they see, with `detect`
// beside what the detector says, or in a pattern one for its steps, and with a window one for its results.
func (d *ruleDecl) scopes(kept bool) []*expr.Scope {
	if d.window != nil {
		return []*expr.Scope{d.windowScope()}
	}
	if d.body.get("pattern") != nil {
		return []*expr.Scope{{Key: d.keyScope(-1), Steps: d.steps, Self: -1}}
	}
	var out []*expr.Scope
	for i, in := range d.rule.Inputs {
		s := &expr.Scope{Event: in.Stream.Schema, Key: d.keyScope(i), Self: -1}
		if d.rule.Detect != nil {
			out = append(out, d.detectScope(i, kept))
			continue
		}
		if kept || d.rule.Absent { // of a silent key only what was kept is there
			s.Event = in.Keep
		}
		out = append(out, s)
	}
	return out
}

// emits compiles `emit` of a rule.
func (l *loader) emits(d *ruleDecl, n *node) {
	r := d.rule
	for i, e := range l.emit(d, n, "`emit`") {
		if i == 0 {
			r.Emit = e
		}
		if r.Pattern == nil && r.Window == nil {
			r.Inputs[i].Emit = e
		} else {
			for _, in := range r.Inputs {
				in.Emit = e
			}
		}
		if r.Detect != nil {
			for _, f := range e.Fields {
				l.detectReads(r.Detect, n.get(f.Name), f.Value)
			}
		}
		l.output(d, n, e)
	}
}

// emit compiles a mapping of fields to expressions, once for each scope.
func (l *loader) emit(d *ruleDecl, n *node, what string) []*Emit {
	if !l.mapping(n, what) {
		return nil
	}
	if len(n.entries) == 0 {
		l.errorf(n, "write `name: expression`", "%s is empty", what)
	}
	var out []*Emit
	for _, scope := range d.scopes(false) {
		e := &Emit{}
		for _, f := range n.entries {
			if p := l.expression(f.value, "`"+f.key.text+"` of "+what, scope, expr.WantAny); p != nil {
				e.Fields = append(e.Fields, EmitField{f.key.text, p})
			}
		}
		out = append(out, e)
	}
	return out
}

// output adds the fields of an Emit to the stream that the rule makes.
func (l *loader) output(d *ruleDecl, n *node, e *Emit) {
	r := d.rule
	var fields []event.Field
	if r.Output != nil {
		fields = r.Output.Schema.Declared()
	} else if s := l.streams[r.Name]; s != nil {
		file, line := s.name.here()
		l.errorf(d.name, "give one of them another name", "what the rule emits is a stream of its name, and there is a stream `%s` already: %s:%d", r.Name, file, line)
	}
	fields = slices.Clone(fields)
	for _, f := range e.Fields {
		i := slices.IndexFunc(fields, func(g event.Field) bool { return g.Name == f.Name })
		switch {
		case i < 0:
			fields = append(fields, event.Field{Name: f.Name, Type: f.Value.Type()})
		case fields[i].Type != f.Value.Type():
			fields[i].Type = event.TypeAny
		}
	}
	r.Output = &Stream{Name: r.Name, Producer: r.Name, Format: "json", Schema: event.NewSchema(r.Name, fields)}
}

// alerts compiles `alert` of a rule.
func (l *loader) alerts(d *ruleDecl, n *node) {
	r := d.rule
	for i, a := range l.alert(d, n, "`alert`") {
		if i == 0 {
			r.Alert = a
		}
		if r.Pattern == nil && r.Window == nil {
			r.Inputs[i].Alert = a
		} else {
			for _, in := range r.Inputs {
				in.Alert = a
			}
		}
	}
}

// severities from the worst to the least; the default is in alert.
var severities = []string{"critical", "error", "warning", "info"}

var severitySynonyms = map[string]string{
	"crit": "critical", "page": "critical", "emergency": "critical", "fatal": "critical", "major": "error",
	"err": "error", "high": "error", "warn": "warning", "medium": "warning", "minor": "warning", "low": "info", "notice": "info", "information": "info",
}

// alert compiles an `alert`, once for each scope. It returns nothing if it is
// no mapping.
func (l *loader) alert(d *ruleDecl, n *node, what string) []*Alert {
	if n.kind == scalarNode && n.typ == textType && !n.bad {
		l.errorf(n, "write it below, as `summary: ...`", "%s takes `key: value` lines, and this is a text", what)
		return nil
	}
	if !l.keys(n, alertPlace) {
		return nil
	}
	severity := "warning"
	if v := n.get("severity"); v != nil {
		severity = l.severity(v)
	}
	var to []string
	if v := n.get("to"); v != nil {
		to = l.sinks(v, "to", "remove `to`: the alert goes to every sink then")
	}
	all := false
	if v := n.get("evidence"); v != nil {
		all = l.choice(v, "`evidence`", evidenceWords...) == "all"
	}
	repeat := event.Duration(0)
	if v := n.get("repeat"); v != nil {
		repeat = l.duration(v, "`repeat`", false)
	}
	var out []*Alert
	for _, scope := range d.scopes(true) {
		a := &Alert{Severity: severity, To: to, Repeat: repeat, EvidenceAll: all}
		text := func(key string) *expr.Text {
			if v := n.get(key); v != nil {
				return l.template(v, "`"+key+"`", scope)
			}
			return nil
		}
		a.Summary, a.Description, a.Runbook = text("summary"), text("description"), text("runbook")
		if v := n.get("labels"); v != nil {
			a.Labels = l.labels(v, scope)
		}
		out = append(out, a)
	}
	return out
}

func (l *loader) severity(n *node) string {
	if s := severitySynonyms[n.text]; s != "" && !n.bad {
		l.errorf(n, "write `"+s+"`", "`severity` cannot be `%s`", n.text)
		return s
	}
	return l.choice(n, "`severity`", severities...)
}

func (l *loader) labels(n *node, scope *expr.Scope) []LabelText {
	if !l.mapping(n, "`labels`") {
		return nil
	}
	var out []LabelText
	for _, e := range n.entries {
		name := e.key.text
		switch {
		case !plainName.MatchString(name):
			l.errorf(e.key, "names are letters, digits and _, and do not begin with a digit", "a label cannot be called `%s`", name)
		case name == "severity":
			l.errorf(e.key, "write it as `severity` of the alert, not under `labels`", "every alert has a label `severity` of its own")
		case slices.Contains(ownLabels, name):
			l.errorf(e.key, "give it another name", "every alert has a label `%s` of its own", name)
		default:
			if t := l.template(e.value, "label `"+name+"`", scope); t != nil {
				out = append(out, LabelText{name, t})
			}
		}
	}
	return out
}

// emitTo reads the sinks that emitted events go to.
func (l *loader) emitTo(d *ruleDecl, n *node) {
	d.rule.EmitTo = l.eventSinks(n, "emit_to", "remove `emit_to`: the events go to no sink then")
	emits := d.body.get("emit") != nil
	if timeout := d.body.get("timeout"); timeout != nil {
		emits = emits || timeout.bad || timeout.partial || timeout.get("emit") != nil
	}
	if !emits && !d.body.partial {
		l.errorf(d.keyOf("emit_to"), "add `emit`, or remove it", "`emit_to` says where emitted events go, and the rule emits none")
	}
}

// eventSinks reads the value of a key that says where events go: a sink, or a list
// of them.
func (l *loader) eventSinks(n *node, key, otherwise string) []string {
	names := l.sinks(n, key, otherwise)
	for _, v := range l.list(n) {
		if slices.Contains(l.options.AlertsOnly, v.text) {
			l.errorf(v, "name a sink of another type, or give it `format: cloudevents`, or a template with `event_body`",
				"sink `%s` takes alerts only, because of its `format` in cepd.yaml", v.text)
		}
	}
	return names
}

// sinks reads the value of a key: a sink, or a list of them.
func (l *loader) sinks(n *node, key, otherwise string) []string {
	var out []string
	for _, v := range l.list(n) {
		name, ok := l.looseName(v, "the name of a sink")
		switch {
		case !ok:
		case slices.Contains(out, name):
			l.errorf(v, "remove one of the two", "sink `%s` is here twice", name)
		case l.options.NeedSource && !slices.Contains(l.options.Sinks, name):
			l.errorf(v, oneOf(name, l.options.Sinks, "add it to `sinks` of cepd.yaml"), "there is no sink `%s` in cepd.yaml", name)
		default:
			out = append(out, name)
		}
	}
	if n.kind == listNode && len(n.items) == 0 {
		l.errorf(n, "name a sink, or "+otherwise, "`%s` is an empty list", key)
	}
	return out
}
