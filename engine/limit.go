package engine

import (
	"cmp"
	"math"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

// A rule with `limits: {keys: n}` keeps state of so many keys, those that it
// has judged last. Which key goes must not depend on how groups of keys are
// spread over shards, so each group has a part of the limit and its own order.
// Keys fall on groups at random: a part has room for more than its share, so
// that a rule which stays within its limit loses no key.

// groupKeys returns how many keys a group may have under a limit: its share and
// five standard deviations of what chance makes of it, and five.
func groupKeys(limit int) int {
	share := float64(limit) / event.Groups
	return int(math.Ceil(share + float64(5*math.Sqrt(share)) + 5))
}

// keyPlace is the place of one rule and key in the order in which they were
// last judged.
type keyPlace struct {
	at   event.Time     // of the last event
	pos  event.Position // the same
	keys *keyState
	rule int

	before, after *keyPlace
}

// compare orders places; the first goes first.
func (p *keyPlace) compare(q *keyPlace) int {
	return cmp.Or(cmp.Compare(p.at, q.at), p.pos.Compare(q.pos), cmp.Compare(p.keys.key, q.keys.key))
}

// keyLimit is the limit of one rule in a shard.
type keyLimit struct {
	most   int // keys of a group
	groups [event.Groups]keyOrder
}

// keyOrder is the order of one group's keys, as a list.
type keyOrder struct {
	first, last *keyPlace
	n           int
	restored    bool // places were put in as they came: it is to be sorted
}

// newLimits returns the limits of a table's rules, by number; nil for those
// that have none.
func newLimits(t *tablePlan) []*keyLimit {
	limits := make([]*keyLimit, len(t.rules))
	for i, r := range t.rules {
		if r.Keys > 0 {
			limits[i] = &keyLimit{most: groupKeys(r.Keys)}
		}
	}
	return limits
}

func (l *keyLimit) order(p *keyPlace) *keyOrder { return &l.groups[event.Group([]byte(p.keys.key))] }

// put puts a place where it belongs, mostly at the end: events come in order.
func (o *keyOrder) put(p *keyPlace) {
	at := o.last
	for at != nil && at.compare(p) > 0 {
		at = at.before
	}
	p.before = at
	if at == nil {
		p.after, o.first = o.first, p
	} else {
		p.after, at.after = at.after, p
	}
	if p.after == nil {
		o.last = p
	} else {
		p.after.before = p
	}
	o.n++
}

func (o *keyOrder) remove(p *keyPlace) {
	if p.before == nil {
		o.first = p.after
	} else {
		p.before.after = p.after
	}
	if p.after == nil {
		o.last = p.before
	} else {
		p.after.before = p.before
	}
	p.before, p.after = nil, nil
	o.n--
}

// sort orders places that were put in one after the other.
func (o *keyOrder) sort() {
	var all []*keyPlace
	for p := o.first; p != nil; p = p.after {
		all = append(all, p)
	}
	slices.SortFunc(all, (*keyPlace).compare)
	*o = keyOrder{}
	for _, p := range all {
		o.put(p)
	}
}

// limit gives a key its place among those of a rule after an event, and takes
// the state of others to stay within the rule's limit.
func (s *Shard) limit(l *lane, ks *keyState, rule int, it *item) {
	limit, st := ks.table.limits[rule], ks.look(rule)
	if limit == nil || st.empty() || ks.table.rules[rule].listed[ks.key] {
		return
	}
	p := st.place()
	if p == nil {
		p = &keyPlace{keys: ks, rule: rule}
		st.more().place = p
	} else {
		limit.order(p).remove(p)
	}
	p.at, p.pos = l.heardAt(it.at), it.event.Pos
	o := limit.order(p)
	o.put(p)
	for o.n > limit.most {
		s.evict(l, o.first, p.at)
	}
}

// evict drops what a rule keeps of a key, for others.
func (s *Shard) evict(l *lane, p *keyPlace, now event.Time) {
	ks := p.keys
	ks.table.touch(ks, p.rule)
	s.env.begin(ks.table.rules[p.rule], nil, nil, nil)
	s.forget(l, ks, p.rule, now, alerting.ReasonEvicted, evictedKeys, grounds{})
	ks.table.settle(ks)
}

// leave takes rules that keep nothing of a key any more out of their orders.
func (t *table) leave(ks *keyState) {
	if !t.limited {
		return
	}
	for st := range ks.states() {
		if p := st.place(); p != nil && st.empty() {
			t.limits[st.rule()].order(p).remove(p)
			st.extra.place = nil
		}
	}
}

// restorePlace gives a key back its place among those of a rule, which are
// sorted when all are there.
func (t *table) restorePlace(ks *keyState, rule int) {
	limit, st := t.limits[rule], ks.at(rule)
	if limit == nil || t.rules[rule].listed[ks.key] {
		if st.extra != nil {
			st.extra.place = nil
		}
		return
	}
	p := st.place()
	if p == nil { // it had no limit before
		p = &keyPlace{at: event.MinTime}
		st.more().place = p
	}
	p.keys, p.rule = ks, rule
	o := limit.order(p)
	if p.before = o.last; o.last == nil {
		o.first = p
	} else {
		o.last.after = p
	}
	o.last = p
	o.n++
	o.restored = true
}

// sortPlaces ends a restore.
func (e *Engine) sortPlaces() {
	for _, s := range e.shards {
		for _, l := range s.lanes {
			for _, t := range l.tables {
				for _, limit := range t.limits {
					if limit == nil {
						continue
					}
					for i := range limit.groups {
						if o := &limit.groups[i]; o.restored {
							o.sort()
						}
					}
				}
			}
		}
	}
}
