package engine

import (
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// reload brings the rule set of a record into force: rules of the same name
// and shape keep their state, alerts of the others are cleared. A set that
// cannot be loaded changes nothing.
func (e *Engine) reload(rec *event.Record) {
	re := &Reload{Position: rec.Pos}
	e.out.Reload = re
	var set *rules.Set
	if set, re.Err = e.config.Load(string(rec.Payload)); re.Err != nil {
		return
	}
	re.compare(e.plan.set, set)
	e.unlist(re.Kept, set)
	rows := e.Rows()
	silenced, sounded := re.modes(e.plan.set, set)
	e.clearAlerts(re.Removed, alerting.ReasonRuleRemoved)
	e.clearAlerts(re.Restarted, alerting.ReasonRuleChanged)
	e.clearAlerts(silenced, alerting.ReasonRuleShadow)
	e.takeOutput()
	if re.Err = e.install(set); re.Err != nil {
		return
	}
	fresh := map[string]part{}
	for _, names := range [][]string{re.Added, re.Removed, re.Restarted} {
		for _, name := range names {
			fresh[name] = all
		}
	}
	for _, name := range slices.Concat(silenced, sounded) {
		fresh[name] = alerts
	}
	// What was read a moment ago from live state reads back, or the encoding is
	// broken.
	if err := e.restore(rows, fresh); err != nil {
		panic("engine: " + err.Error())
	}
	for i := range e.plan.lanes {
		e.list(i)
	}
	for name, part := range fresh {
		if part == all {
			delete(e.options.started, name)
		}
	}
	for _, names := range [][]string{re.Added, re.Restarted} {
		for _, name := range names {
			e.options.started[name] = rec.Pos
		}
	}
}

// part is the part of a rule's state that a reload does away with.
type part uint8

const (
	alerts part = iota + 1 // its alerts
	all
)

// modes returns the kept rules that go into shadow mode and those that come out
// of it. Neither brings its alerts along: the ones have been cleared, of the
// others no sink knows.
func (re *Reload) modes(old, set *rules.Set) (silenced, sounded []string) {
	shadow := map[string]bool{}
	for _, r := range old.Rules {
		shadow[r.Name] = r.Shadow
	}
	for _, r := range set.Rules {
		switch {
		case !slices.Contains(re.Kept, r.Name) || r.Shadow == shadow[r.Name]:
		case r.Shadow:
			silenced = append(silenced, r.Name)
		default:
			sounded = append(sounded, r.Name)
		}
	}
	return silenced, sounded
}

// compare fills in what becomes of the rules.
func (re *Reload) compare(old, set *rules.Set) {
	shapes := map[string]string{}
	for _, r := range old.Rules {
		shapes[r.Name] = r.Shape
	}
	for _, r := range set.Rules {
		switch shape, known := shapes[r.Name]; {
		case !known:
			re.Added = append(re.Added, r.Name)
		case shape != r.Shape:
			re.Restarted = append(re.Restarted, r.Name)
		default:
			re.Kept = append(re.Kept, r.Name)
		}
		delete(shapes, r.Name)
	}
	for name := range shapes {
		re.Removed = append(re.Removed, name)
	}
	for _, names := range [][]string{re.Added, re.Kept, re.Restarted, re.Removed} {
		slices.Sort(names)
	}
}

// clearAlerts clears what fires of rules that go.
func (e *Engine) clearAlerts(names []string, reason string) {
	for _, name := range names {
		at := e.plan.places[name]
		for _, s := range e.shards {
			t := s.lanes[at.lane].tables[at.table]
			for _, ks := range t.keys { // what is put out is sorted by key
				s.env.begin(t.rules[at.rule], nil, nil, nil)
				for slot, a := range ks.states[at.rule].alerts {
					if a != nil && a.Told {
						now := max(e.clocks[at.lane].mark, a.Since)
						s.tell(ks, alertSlot(slot), a, alerting.Decision{Change: alerting.Cleared, Reason: reason, Time: now}, grounds{})
					}
				}
			}
		}
	}
}
