package engine

import (
	"cmp"
	"strings"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

// A rule with `unless` looks at whether another rule's alert fires. Since the
// two may have different keys, every shard knows of all such alerts: what the
// parent's shard announces goes to all shards, and into the lanes of the
// children in the order of event time.

// parentChange is an alert of a parent that began or ceased to fire.
type parentChange struct {
	rule  string
	key   string // encoded
	fires bool
	order changeOrder
}

// changeOrder orders the changes of one alert at one time, by what brought them
// about. It does not depend on what else was judged before.
type changeOrder struct {
	cause  cause
	pos    event.Position // of the event, or of the record that orders the change
	number int            // among the changes of one judgment
}

// cause is what a shard is at work on, in the order in which it is at one time.
type cause uint8

const (
	causeInterval cause = iota
	causeEvent
	causeRelease
	causeSteady
	causeReload // or another record that changes alerts
)

func (o changeOrder) compare(p changeOrder) int {
	return cmp.Or(cmp.Compare(o.cause, p.cause), o.pos.Compare(p.pos), cmp.Compare(o.number, p.number))
}

// obey notes that a record changes alerts by itself.
func (s *Shard) obey(record event.Position) { s.cause, s.obeyed = causeReload, record }

// announce notes a change of an alert that children look at. That of a rule in
// shadow mode holds nobody back.
func (s *Shard) announce(ks *keyState, slot alertSlot, d alerting.Decision) {
	r := s.env.rule
	if slot != alertMain || r.Shadow || len(s.plan.children[r.Name]) == 0 {
		return
	}
	o := changeOrder{cause: s.cause, number: s.env.told}
	switch {
	case s.cause == causeReload:
		o.pos = s.obeyed
	case s.env.event != nil:
		o.pos = s.env.event.Pos
	}
	s.out.parents = append(s.out.parents, item{at: d.Time, parent: &parentChange{
		rule: r.Name, key: strings.Clone(ks.key), fires: d.Change == alerting.Raised, order: o,
	}})
}

// toChildren carries what shards announced to the children's lanes of all
// shards.
func (e *Engine) toChildren() {
	for _, from := range e.shards {
		e.carry(from.out.parents)
		from.out.parents = nil
	}
}

func (e *Engine) carry(changes []item) {
	told := map[parentKey]int{}
	for _, it := range changes {
		p := it.parent
		children := e.plan.children[p.rule]
		if len(children) == 0 { // after a reload the rule may be gone
			continue
		}
		keyed := e.plan.lanes[e.parentLane(p.rule)].keyed
		if keyed {
			// They come in the order in which they take effect, whatever their times.
			who := parentKey{p.rule, p.key}
			p.order = changeOrder{cause: causeEvent, pos: e.position, number: told[who]}
			told[who]++
		}
		for _, lane := range children {
			it := it
			if keyed && !e.plan.lanes[lane].keyed {
				it.at = max(it.at, e.clocks[lane].mark)
			}
			for _, to := range e.shards {
				to.lanes[lane].arrived = append(to.lanes[lane].arrived, it)
			}
		}
	}
}

func (e *Engine) parentLane(rule string) int { return e.plan.places[rule].lane }

// parentFires reports whether the alert fires that holds back the rule's alert
// of a key.
func (s *Shard) parentFires(ks *keyState, r *rulePlan) bool {
	_, fires := ks.table.lane.fires[parentKey{r.Unless.Rule, r.parentKey(ks)}]
	return fires
}

// parentKey is an alert of a parent.
type parentKey struct{ rule, key string }

// since says when a parent's alert began to fire.
type since struct {
	at    event.Time
	order changeOrder
}

// parentKey returns the key of the parent that goes with a key of the rule.
func (r *rulePlan) parentKey(ks *keyState) string {
	values := ks.values()
	parts := make([]event.Value, 0, len(r.Unless.Parts))
	for _, i := range r.Unless.Parts {
		parts = append(parts, values[i])
	}
	key, err := event.AppendKey(nil, parts...)
	if err != nil {
		panic("engine: the parts of a key are no key: " + err.Error())
	}
	return string(key)
}

// parentChanged takes in a change of a parent, and lets go of what it held
// back.
func (s *Shard) parentChanged(l *lane, it *item) {
	p := it.parent
	who := parentKey{p.rule, p.key}
	if p.fires {
		l.fires[who] = since{it.at, p.order}
		return
	}
	if s := l.fires[who]; s.at == it.at && s.order.compare(p.order) > 0 {
		return // it fires again, since the same time
	}
	delete(l.fires, who)
	for _, t := range l.tables {
		for i, r := range t.rules {
			if r.Unless == nil || r.Unless.Rule != p.rule {
				continue
			}
			for ks := range t.keys.all() { // output is sorted by key
				for slot, a := range ks.look(i).alerts() {
					if r.parentKey(ks) == p.key {
						t.touch(ks, i)
						s.frame.Event, s.frame.Key, s.cause = nil, s.keyOf(ks), causeRelease
						s.env.begin(r, nil, nil, nil)
						s.release(l, ks, slot, a, it.at)
						s.setAlert(l, ks, i, slot, a, it.at)
					}
				}
			}
		}
	}
}
