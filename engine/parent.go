package engine

import (
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
	rule    string
	key     string // encoded
	fires   bool
	ordinal int // among changes of one alert at one time
}

// announce notes a change of an alert that children look at.
func (s *Shard) announce(ks *keyState, slot alertSlot, d alerting.Decision) {
	rule := s.env.rule.Name
	if slot != alertMain || len(s.plan.children[rule]) == 0 {
		return
	}
	p := &parentChange{rule: rule, key: strings.Clone(ks.key), fires: d.Change == alerting.Raised}
	if n := len(s.out.parents); n > 0 {
		last := s.out.parents[n-1]
		if last.at == d.Time && last.parent.rule == rule && last.parent.key == ks.key {
			p.ordinal = last.parent.ordinal + 1
		}
	}
	s.out.parents = append(s.out.parents, item{at: d.Time, parent: p})
}

// toChildren carries what shards announced to the children's lanes of all
// shards.
func (e *Engine) toChildren() {
	for _, from := range e.shards {
		for _, it := range from.out.parents {
			for _, lane := range e.plan.children[it.parent.rule] {
				for _, to := range e.shards {
					to.lanes[lane].arrived = append(to.lanes[lane].arrived, it)
				}
			}
		}
		from.out.parents = nil
	}
}

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
	at      event.Time
	ordinal int
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
		l.fires[who] = since{it.at, p.ordinal}
		return
	}
	if s := l.fires[who]; s.at == it.at && s.ordinal > p.ordinal {
		return // it fires again, since the same time
	}
	delete(l.fires, who)
	for _, t := range l.tables {
		for i, r := range t.rules {
			if r.Unless == nil || r.Unless.Rule != p.rule {
				continue
			}
			for _, ks := range t.keys { // output is sorted by key
				for slot, a := range ks.states[i].alerts {
					if a != nil && r.parentKey(ks) == p.key {
						s.frame.Event, s.frame.Key = nil, ks.values()
						s.env.begin(r, nil, nil, nil)
						s.release(l, ks, alertSlot(slot), a, it.at)
						s.setAlert(l, ks, i, alertSlot(slot), a, it.at)
					}
				}
			}
		}
	}
}
