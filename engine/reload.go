package engine

import (
	"fmt"
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
	set, err := e.config.Load(string(rec.Payload))
	var next *machinery
	if err == nil {
		next, err = e.prepare(set)
	}
	if re.Err = err; err != nil {
		return
	}
	re.compare(e.plan.set, set)
	e.unlist(re.Kept, set)
	was := e.plan.set
	lose := re.losses(was, set)
	e.clearAlerts(re.Removed, alerting.ReasonRuleRemoved, rec.Pos, everySlot)
	e.clearAlerts(re.Restarted, alerting.ReasonRuleChanged, rec.Pos, everySlot)
	for _, name := range re.Kept {
		switch p := lose[name]; {
		case p.told && !p.sounded:
			e.clearAlerts([]string{name}, alerting.ReasonRuleShadow, rec.Pos, everySlot)
		case p.slots != [alertSlots]bool{}:
			e.clearAlerts([]string{name}, alerting.ReasonRuleChanged, rec.Pos, p.slots)
		}
	}
	e.takeOutput()
	var parents []item
	for _, s := range e.shards {
		parents = append(parents, s.out.parents...)
	}
	e.replace(next, lose)
	e.carry(parents)
	if e.reconnect(rec) {
		e.lookOut() // the idle time of keys begins anew
	}
	for _, name := range re.Kept {
		if lose[name].held {
			e.release(name)
		}
	}
	for i := range e.plan.lanes {
		e.list(i)
	}
	if lagFell(was, set) {
		e.lookAtKeys()
	}
	for _, name := range re.Removed {
		delete(e.options.issuers, name)
	}
	for _, names := range [][]string{re.Added, re.Restarted} {
		for _, name := range names {
			e.options.start(name, rec.Pos)
		}
	}
	for _, s := range e.shards {
		s.out.countUp() // from here on others issue what is emitted
	}
}

// release tells of alerts of a rule that nothing holds back any more.
func (e *Engine) release(name string) {
	at := e.plan.places[name]
	for _, s := range e.shards {
		l := s.lanes[at.lane]
		t := l.tables[at.table]
		for ks := range t.keys.all() { // what is put out is sorted by key
			for slot, a := range ks.look(at.rule).alerts() {
				if a.Phase == alerting.Firing && !a.Told {
					s.env.begin(t.rules[at.rule], nil, nil, nil)
					s.obey(e.position)
					t.touch(ks, at.rule)
					now := max(ks.now(e.clocks[at.lane].mark), a.Since)
					s.release(l, ks, slot, a, now)
					s.setAlert(l, ks, at.rule, slot, a, now)
				}
			}
		}
	}
}

// reconnect fits the partitions of streams to the sources that they have now, and
// reports whether a stream has come to one.
func (e *Engine) reconnect(rec *event.Record) (any bool) {
	for _, rt := range e.router.streams {
		m := rt.marks
		m.parts = slices.DeleteFunc(m.parts, func(p partition) bool { return !slices.Contains(e.router.sources[p.source], rt) })
		for source, streams := range e.router.sources { // of each stream there is one
			if len(m.parts) == 0 && e.router.clock.up[source] && slices.Contains(streams, rt) {
				m.sourceUp(source, rec.Arrival)
				any = true
			}
		}
	}
	return any
}

// lagFell reports whether keys have a time of their own that is less far behind
// their events than it was.
func lagFell(old, set *rules.Set) bool {
	return slices.ContainsFunc(set.Streams, func(s *rules.Stream) bool {
		return s.Watermark.PerKey && slices.ContainsFunc(old.Streams, func(was *rules.Stream) bool {
			return was.Name == s.Name && s.Watermark.Lag < was.Watermark.Lag
		})
	})
}

// part is the part of a rule's state that a reload does away with.
type part struct {
	all   bool             // everything
	slots [alertSlots]bool // alerts that the rule does not have any more
	// told says that sinks know of none of its alerts: those of a rule that
	// goes into shadow mode are cleared, of one that comes out they never heard.
	told, sounded bool
	held          bool // what holds its alerts back has changed
}

var everySlot = [alertSlots]bool{true, true}

// losses says what rules lose of their state.
func (re *Reload) losses(old, set *rules.Set) map[string]part {
	lose := map[string]part{}
	for _, names := range [][]string{re.Added, re.Removed, re.Restarted} {
		for _, name := range names {
			lose[name] = part{all: true}
		}
	}
	before := map[string]*rules.Rule{}
	for _, r := range old.Rules {
		before[r.Name] = r
	}
	for _, r := range set.Rules {
		was := before[r.Name]
		if was == nil || lose[r.Name].all {
			continue
		}
		p := part{
			told: r.Shadow != was.Shadow, sounded: was.Shadow,
			held: r.Shadow != was.Shadow || (r.Active == nil) != (was.Active == nil),
		}
		p.slots[alertMain] = was.Alert != nil && r.Alert == nil
		p.slots[alertTimeout] = timeoutAlert(was) != nil && timeoutAlert(r) == nil
		lose[r.Name] = p
	}
	return lose
}

func timeoutAlert(r *rules.Rule) *rules.Alert {
	if r.Pattern == nil || r.Pattern.Timeout == nil {
		return nil
	}
	return r.Pattern.Timeout.Alert
}

// compare fills in what becomes of the rules. What a rule waits for is part of
// its state: events that it has not seen yet lie in the lane that it is in.
func (re *Reload) compare(old, set *rules.Set) { re.foresee(Shapes(old), set) }

// Shape is the shape of a rule's state: as long as it is the same, a reload keeps
// the state.
type Shape struct {
	Rule  string `json:"rule"`
	Shape string `json:"shape"`
}

// Shapes returns the shapes of a set's rules, in its order.
func Shapes(set *rules.Set) []Shape {
	var all []Shape
	for _, r := range set.Rules {
		all = append(all, Shape{r.Name, shapeOf(r)})
	}
	return all
}

// Foresee says what would become of rules of the given shapes if a set came into
// force.
func Foresee(old []Shape, set *rules.Set) Reload {
	var re Reload
	re.foresee(old, set)
	return re
}

func (re *Reload) foresee(old []Shape, set *rules.Set) {
	shapes := map[string]string{}
	for _, s := range old {
		shapes[s.Rule] = s.Shape
	}
	for _, r := range set.Rules {
		switch shape, known := shapes[r.Name]; {
		case !known:
			re.Added = append(re.Added, r.Name)
		case shape != shapeOf(r):
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

// shapeOf is the shape of a rule's state and its place among the others.
func shapeOf(r *rules.Rule) string {
	shape := fmt.Sprintf("%s level %d", r.Shape, r.Level)
	if r.Unless != nil {
		shape += " unless " + r.Unless.Rule
	}
	return shape
}

// clearAlerts clears what fires of rules that go, at the record that says so. What
// is known of the alerts themselves stays as it is.
func (e *Engine) clearAlerts(names []string, reason string, pos event.Position, slots [alertSlots]bool) {
	for _, name := range names {
		at := e.plan.places[name]
		for _, s := range e.shards {
			t := s.lanes[at.lane].tables[at.table]
			for ks := range t.keys.all() { // what is put out is sorted by key
				s.env.begin(t.rules[at.rule], nil, nil, nil)
				s.obey(e.position)
				for slot, a := range ks.look(at.rule).alerts() {
					if a.Told && slots[slot] {
						now := max(ks.now(e.clocks[at.lane].mark), a.Since)
						s.tell(ks, slot, a.copy(), alerting.Decision{Change: alerting.Cleared, Reason: reason, Time: now}, grounds{last: pos})
					}
				}
			}
		}
	}
}
