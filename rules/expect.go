package rules

import (
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
)

// expects reads `expect` of a test.
func (l *loader) expects(d *testDecl, n *node, rules map[string]*Rule) {
	switch {
	case n.bad:
		return
	case n.kind != listNode:
		l.errorf(n, "write `- {at: 10s, rule: ..., alert: raised}` below it, or [] for nothing at all", "`expect` is a list, and this is %s", n.what())
		return
	}
	for _, item := range n.items {
		if !l.keys(item, expectPlace) {
			continue
		}
		x := &Expect{}
		_, x.Line = item.here()
		l.expectAt(d, item, x)
		r := l.expectRule(item, x, rules)
		l.expectWhat(item, x, r)
		if v := item.get("key"); v != nil {
			x.Key = l.expectKey(v, r)
		}
		if v := item.get("emit"); v != nil {
			l.expectEmit(item, v, x, r)
		}
		l.expectAlert(item, x, r)
		if v := item.get("to"); v != nil {
			x.To = l.expectSinks(v)
		}
		d.test.Expect = append(d.test.Expect, x)
	}
}

// expectAt reads when something is expected, which must be before the end.
func (l *loader) expectAt(d *testDecl, n *node, x *Expect) {
	at := n.get("at")
	if at == nil {
		if !n.partial {
			l.lacks(n, "add `at:` and the time since the start, such as 10s", "the expectation does not say when")
		}
		return
	}
	x.At = l.testTime(at, "`at`")
	if d.ok && x.At > d.end {
		text := event.FormatDuration(x.At)
		l.errorf(at, "let event time go on: add `until: "+text+"` to the test", "nothing happens at %s: the test ends with its last event, at %s", text, event.FormatDuration(d.end))
	}
}

// expectRule finds the rule of an expectation. It returns nil if there is none,
// or if the rule has mistakes of its own.
func (l *loader) expectRule(n *node, x *Expect, rules map[string]*Rule) *Rule {
	v := n.get("rule")
	if v == nil {
		if !n.partial {
			l.lacks(n, "add `rule:` and the name of a rule", "the expectation does not name a rule")
		}
		return nil
	}
	name, ok := l.looseName(v, "the name of a rule")
	if !ok {
		return nil
	}
	x.Rule = name
	if l.rules[name] == nil {
		if !l.damaged {
			var names []string
			for known := range l.rules {
				names = append(names, known)
			}
			slices.Sort(names)
			l.errorf(v, oneOf(name, names, "declare it under `rules`"), "there is no rule `%s`", name)
		}
		return nil
	}
	return rules[name]
}

// expectWhat reads whether an alert or a derived event is expected.
func (l *loader) expectWhat(n *node, x *Expect, r *Rule) {
	alert, emit := n.get("alert"), n.get("emit")
	switch {
	case alert != nil && emit != nil:
		l.errorf(emit, "make it two expectations", "an expectation has `alert` or `emit`, not both")
	case alert == nil && emit == nil:
		if !n.partial {
			l.lacks(n, "add `alert: raised` or `alert: cleared`, or `emit` with fields", "the expectation does not say what happens")
		}
	case alert != nil:
		x.Alert = l.choice(alert, "`alert`", changeWords...)
		if r != nil && r.Alert == nil && timeoutAlert(r) == nil && l.named[r.Name].get("alert") == nil { // one that has mistakes is there
			l.errorf(alert, "", "rule `%s` has no `alert`", r.Name)
		}
	}
}

func timeoutAlert(r *Rule) *Alert {
	if r.Pattern == nil || r.Pattern.Timeout == nil {
		return nil
	}
	return r.Pattern.Timeout.Alert
}

// expectAlert reads what is expected of an alert.
func (l *loader) expectAlert(n *node, x *Expect, r *Rule) {
	for _, key := range []string{"labels", "summary", "timeout"} {
		if v := n.get(key); v != nil && n.get("emit") != nil && n.get("alert") == nil {
			l.errorf(v, "remove it", "`%s` belongs to an alert, and this is a derived event", key)
			return
		}
	}
	if v := n.get("labels"); v != nil && l.mapping(v, "`labels`") {
		for _, e := range v.entries {
			l.expectLabel(e, x, r)
		}
	}
	if v := n.get("summary"); v != nil {
		if text, ok := l.text(v, "`summary`"); ok {
			x.Summary = event.String(strings.TrimRight(text, " \n"))
		}
	}
	if v := n.get("timeout"); v != nil && !v.bad {
		switch {
		case v.kind != scalarNode || v.typ != boolType:
			l.errorf(v, "", "`timeout` is true or false, and this is %s", v.what())
		case r != nil && timeoutAlert(r) == nil && v.text == "true":
			l.errorf(v, "", "rule `%s` has no alert under `timeout`", r.Name)
		default:
			x.Timeout = event.Bool(v.text == "true")
		}
	}
}

// expectSinks reads the sinks that something goes to; an empty list is none of
// them.
func (l *loader) expectSinks(n *node) []string {
	if n.kind == listNode && len(n.items) == 0 && !n.bad {
		return []string{}
	}
	return l.sinks(n, "to", "write [] for none")
}

func (l *loader) expectLabel(e entry, x *Expect, r *Rule) {
	known := slices.Clone(ownLabels)
	if r != nil {
		known = append(known, r.KeyLabels...)
		for _, a := range []*Alert{r.Alert, timeoutAlert(r)} {
			if a != nil {
				for _, label := range a.Labels {
					known = append(known, label.Name)
				}
			}
		}
		if !slices.Contains(known, e.key.text) {
			l.errorf(e.key, oneOf(e.key.text, slices.Compact(slices.Sorted(slices.Values(known))), ""), "alerts of rule `%s` have no label `%s`", r.Name, e.key.text)
			return
		}
	}
	switch {
	case e.value.bad:
	case e.value.kind != scalarNode || e.value.typ == nullType || e.value.typ == emptyType:
		l.errorf(e.value, "", "a label is a text, and this is %s", e.value.what())
	default:
		x.Labels = append(x.Labels, event.Entry{Name: e.key.text, Value: event.String(e.value.text)})
	}
}

// expectKey reads a key, or the parts of it that are named.
func (l *loader) expectKey(n *node, r *Rule) event.Value {
	v, ok := l.value(n, "`key`")
	if !ok || r == nil {
		return event.Missing
	}
	switch {
	case len(r.KeyLabels) == 0:
		if v.Kind() != event.KindNull {
			l.errorf(n, "remove it", "rule `%s` has no `by`, and so no keys", r.Name)
		}
	case len(r.KeyNames) > 0 && n.kind != mappingNode:
		l.errorf(n, "write {"+strings.Join(r.KeyNames, ": ..., ")+": ...}", "the key of rule `%s` has several parts, and this is %s", r.Name, n.what())
	case len(r.KeyNames) > 0:
		for i, e := range n.entries {
			part := slices.Index(r.KeyNames, e.key.text)
			if part < 0 {
				l.errorf(e.key, oneOf(e.key.text, r.KeyNames, ""), "the key of rule `%s` has no part `%s`", r.Name, e.key.text)
				return event.Missing
			}
			v.AsMap()[i].Value = written(r.keyType(part), v.AsMap()[i].Value, e.value)
		}
	case n.kind != scalarNode:
		l.errorf(n, "", "the key of rule `%s` is one value, and this is %s", r.Name, n.what())
	default:
		return written(r.keyType(0), v, n)
	}
	return v
}

// keyType returns the type of a part of a rule's key.
func (r *Rule) keyType(part int) event.Type {
	for _, in := range r.Inputs {
		if in.Key < len(in.Stream.Keys) {
			if k := in.Stream.Keys[in.Key]; part < len(k.Parts) {
				return k.Parts[part].Type()
			}
		}
	}
	return event.TypeAny
}

// expectEmit reads the fields that are expected of a derived event.
func (l *loader) expectEmit(item, n *node, x *Expect, r *Rule) {
	if !l.mapping(n, "`emit`") {
		return
	}
	if r != nil && r.Output == nil {
		if l.named[r.Name].get("emit") == nil {
			l.errorf(n, "", "rule `%s` emits nothing", r.Name)
		}
		return
	}
	x.Emit = []event.Entry{}
	for _, e := range n.entries {
		want := event.TypeAny
		if r != nil {
			t, ok := r.Output.Schema.Lookup(e.key.text)
			if !ok {
				var names []string
				for _, f := range r.Output.Schema.Declared() {
					names = append(names, f.Name)
				}
				l.errorf(e.key, oneOf(e.key.text, names, ""), "rule `%s` emits no field `%s`", r.Name, e.key.text)
				continue
			}
			want = t
		}
		if v, ok := l.testValue(e, want); ok {
			x.Emit = append(x.Emit, event.Entry{Name: e.key.text, Value: written(want, v, e.value)})
		}
	}
}

// written returns a value as a type has it: numbers where a text is wanted as
// they are written, and times and durations from text.
func written(want event.Type, v event.Value, n *node) event.Value {
	switch {
	case want == event.TypeString && n.kind == scalarNode && n.typ == numberType:
		return event.String(n.text)
	case v.Kind() != event.KindString:
	case want == event.TypeTimestamp:
		if t, err := event.ParseTime(v.AsString()); err == nil {
			return event.Timestamp(t)
		}
	case want == event.TypeDuration:
		if d, err := event.ParseDuration(v.AsString()); err == nil {
			return event.DurationOf(d)
		}
	}
	return v
}
