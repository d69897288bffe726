package rules

import (
	"slices"
	"strings"
)

// compile compiles a rule once, and before the rules that take what it emits.
func (l *loader) compile(body *node) *Rule {
	if r, known := l.compiled[body]; known {
		return r
	}
	l.compiled[body] = nil
	name := ""
	if n := body.get("name"); n != nil {
		name = n.text
	}
	l.path = append(l.path, name)
	r := l.rule(body)
	l.path = l.path[:len(l.path)-1]
	l.compiled[body] = r
	return r
}

// derivedInput takes what another rule emits as an input.
func (l *loader) derivedInput(d *ruleDecl, n *node, name string) {
	if i := slices.Index(l.path, name); i >= 0 {
		circle := append(slices.Clone(l.path[i:]), name)
		slices.Reverse(circle)
		l.errorf(n, "take the events of one of them from a stream", "rules take events from each other in a circle: `%s`", strings.Join(circle, "` -> `"))
		return
	}
	r := l.compile(l.named[name])
	if r == nil || r.Name == "" {
		return // its mistakes are reported where it stands
	}
	if r.Output == nil {
		if l.named[name].get("emit") == nil {
			l.errorf(n, "add `emit` to rule `"+name+"`", "rule `%s` emits nothing", name)
		}
		return
	}
	if r.off {
		l.warnf(n, "", "rule `%s` is off, and emits nothing", name)
	}
	s := l.derived[name]
	if s == nil {
		s = &streamDecl{name: l.rules[name], stream: r.Output, keys: map[string]int{}, conds: map[string]int{}}
		l.derived[name] = s
	}
	if slices.Contains(d.streams, s) {
		if d.body.get("from") != nil {
			l.errorf(n, "remove one of the two", "rule `%s` is here twice", name)
		}
		return
	}
	d.addInput(s)
}
