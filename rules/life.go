package rules

import (
	"slices"
	"strings"
	"time"
)

// defaultForget is when a silent key is forgotten where nothing is said: a
// device that was taken away must not alert for ever.
const defaultForget = 7 * 24 * time.Hour

// absent compiles a rule that looks for silence.
func (l *loader) absent(d *ruleDecl, n *node) {
	r := d.rule
	r.Absent, r.Silence, r.Forget = true, SilenceRaise, defaultForget
	d.shape = append(d.shape, "absent")
	for _, other := range []string{"when", "pattern", "window", "detect"} {
		if k := d.keyOf(other); k != nil {
			l.errorf(k, "make it two rules", "a rule has `absent` or `%s`, not both", other)
		}
	}
	l.unwanted(d, patternKeys, "`%s` belongs to a rule with `pattern`", "")
	l.unwanted(d, []string{"for", "clear", "clear_for", "clear_after", "no_data"}, "`%s` does nothing in a rule with `absent`",
		"how long the silence may last is `for` under `absent`; the key's next event clears the alert")
	if !l.keys(n, absentPlace) {
		return
	}
	if v := n.get("for"); v != nil {
		r.NoData = l.duration(v, "`for`", false)
	} else if !n.partial {
		l.errorf(d.keyOf("absent"), "write `absent: {for: 2m}`", "`absent` does not say for how long")
	}
	if v := n.get("of"); v != nil {
		l.absentOf(d, v)
	}
	if v := n.get("forget"); v != nil {
		r.Forget = l.duration(v, "`forget`", false)
		if r.Forget > 0 && r.NoData > 0 && r.Forget <= r.NoData {
			l.errorf(v, "write a longer time than `for`", "a key would be forgotten before its silence is noticed")
		}
	}
}

// noData reads what becomes of the alert of a key that sends nothing.
func (l *loader) noData(d *ruleDecl, n *node) {
	if !l.keys(n, noDataPlace) {
		return
	}
	r := d.rule
	if v := n.get("after"); v != nil {
		r.NoData = l.duration(v, "`after`", false)
	} else if !n.partial {
		l.errorf(d.keyOf("no_data"), "write `no_data: {after: 10m, do: clear}`", "`no_data` does not say `after` how long")
	}
	if v := n.get("do"); v != nil {
		switch l.choice(v, "`do`", noDataWords...) {
		case "clear":
			r.Silence = SilenceClear
		case "raise":
			r.Silence, r.Forget = SilenceRaise, max(defaultForget, 2*r.NoData)
		}
	}
}

// maxFlapChanges bounds the changes that an alert remembers.
const maxFlapChanges = 100

func (l *loader) flap(d *ruleDecl, n *node) {
	if !l.keys(n, flapPlace) {
		return
	}
	f := &d.rule.Flap
	changes, within := n.get("changes"), n.get("within")
	if changes == nil || within == nil {
		if !n.partial {
			l.errorf(d.keyOf("flap"), "write `flap: {changes: 6, within: 10m}`", "`flap` needs both `changes` and `within`")
		}
		return
	}
	f.Changes = l.number(changes, "`changes`", 2, maxFlapChanges)
	f.Within = l.duration(within, "`within`", false)
}

// mode reads whether the rule is at work.
func (l *loader) mode(d *ruleDecl) {
	n := d.body.get("mode")
	if n == nil {
		return
	}
	switch l.choice(n, "`mode`", modeWords...) {
	case "shadow":
		d.rule.Shadow = true
	case "off":
		d.rule.off = true
	}
}

// unlessDecl is an `unless` whose rule is looked up when all are known.
type unlessDecl struct {
	rule   *Rule
	firing *node
	on     *node // nil where it is left out
}

func (l *loader) unlessOf(d *ruleDecl, n *node) {
	if !l.keys(n, unlessPlace) {
		return
	}
	firing := n.get("firing")
	if firing == nil {
		if !n.partial {
			l.errorf(d.keyOf("unless"), "write `unless: {firing: gateway-offline, on: [gateway]}`", "`unless` does not say which rule's alert holds this one back")
		}
		return
	}
	if _, ok := l.looseName(firing, "`firing`"); ok {
		l.unless = append(l.unless, unlessDecl{d.rule, firing, n.get("on")})
	}
}

// parents resolves every `unless`.
func (l *loader) parents(all []*Rule) {
	byName := map[string]*Rule{}
	var names []string
	for _, r := range all {
		byName[r.Name] = r
		names = append(names, r.Name)
	}
	for _, u := range l.unless {
		name := u.firing.text
		parent := byName[name]
		switch {
		case parent == nil && l.rules[name] != nil:
			// has a mistake of its own
		case parent == nil:
			others := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == u.rule.Name })
			l.errorf(u.firing, oneOf(name, others, "name a rule"), "there is no rule `%s`", name)
		case parent.Alert == nil:
			l.errorf(u.firing, "add `alert` to rule `"+name+"`, or name another", "rule `%s` has no alert that could fire", name)
		case dependsOn(byName, parent, u.rule, map[string]bool{}):
			l.errorf(u.firing, "let only one of them depend on the other", "rules `%s` and `%s` wait for each other", u.rule.Name, name)
		case parent.off:
			l.warnf(u.firing, "", "rule `%s` is off, and holds nothing back", name)
		default:
			l.on(u, parent)
		}
	}
}

// dependsOn reports whether a rule is judged after another, or is it.
func dependsOn(byName map[string]*Rule, r, other *Rule, seen map[string]bool) bool {
	if r == other {
		return true
	}
	if r == nil || seen[r.Name] {
		return false
	}
	seen[r.Name] = true
	for _, in := range r.Inputs {
		if in.Stream.Producer != "" && dependsOn(byName, byName[in.Stream.Producer], other, seen) {
			return true
		}
	}
	return r.Unless != nil && dependsOn(byName, byName[r.Unless.Rule], other, seen)
}

// on finds the parts of the rule's key that make up its parent's.
func (l *loader) on(u unlessDecl, parent *Rule) {
	un := &Unless{Rule: parent.Name}
	for _, name := range parent.KeyLabels {
		i := slices.Index(u.rule.KeyLabels, name)
		if i < 0 {
			l.errorf(u.firing, lacksPart(name, parent, u.rule), "rule `%s` has an alert for each `%s`, and this rule's key has no such part", parent.Name, name)
			return
		}
		un.Parts = append(un.Parts, i)
	}
	if u.on != nil {
		var names []string
		for _, n := range l.list(u.on) {
			if name, ok := l.text(n, "`on`"); ok {
				names = append(names, name)
			}
		}
		sorted := slices.Sorted(slices.Values(names))
		if !slices.Equal(sorted, slices.Sorted(slices.Values(parent.KeyLabels))) {
			advice := "write `on: [" + strings.Join(parent.KeyLabels, ", ") + "]`"
			if len(parent.KeyLabels) == 0 {
				advice = "remove `on`: it has one alert for all"
			}
			l.errorf(u.on, advice, "the alerts of rule `%s` are not told apart by that", parent.Name)
			return
		}
	}
	u.rule.Unless = un
}

// lacksPart advises on a part of the key of one rule that another one's lacks.
func lacksPart(name string, parent, r *Rule) string {
	advice := "add `" + name + "` to `by` of this rule"
	if len(r.KeyLabels) == 1 && len(parent.KeyLabels) == 1 {
		advice += ", or write `by: {" + name + ": ...}` if its `" + r.KeyLabels[0] + "` is the same by another name"
	}
	return advice
}
