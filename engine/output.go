package engine

import (
	"cmp"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

// collect puts the output of all shards into one order.
func (e *Engine) collect() {
	e.takeOutput()
	o := &e.out
	// What one key does stays in its order, since a key lives in one shard.
	o.Transitions = ordered(o.Transitions, func(a, b *alerting.Transition) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	})
	o.Matches = ordered(o.Matches, func(a, b *Match) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	})
	o.Emitted = e.orderEmitted()
}

// ordered returns what is in all in order, and what compares equal as it stands.
// It sorts numbers and moves each of the large values once.
func ordered[T any](all []T, compare func(a, b *T) int) []T {
	if len(all) < 2 {
		return all
	}
	order := make([]int32, len(all))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, k int32) int { return cmp.Or(compare(&all[i], &all[k]), cmp.Compare(i, k)) })
	out := make([]T, len(all))
	for i, k := range order {
		out[i] = all[k]
	}
	return out
}

// takeOutput gathers what router and shards have put out.
func (e *Engine) takeOutput() {
	o := &e.out
	e.router.take(&o.Stats)
	o.Rejects = append(o.Rejects, e.router.rejects...)
	e.emitted = append(e.emitted, e.router.emitted)
	e.router.rejects, e.router.emitted = nil, nil
	for _, s := range e.shards {
		s.out.countUp()
		o.Transitions = append(o.Transitions, s.out.transitions...)
		o.Matches = append(o.Matches, s.out.matches...)
		e.emitted = append(e.emitted, s.out.emitted)
		o.Stats.merge(&s.out.stats)
		s.out.transitions, s.out.matches, s.out.emitted = nil, nil, nil
	}
}

// emittedPlace is the place of an emitted event in the order of all, and where it
// is among the lists of those that were taken.
type emittedPlace struct {
	at          event.Time
	pos         event.Position
	list, index int32
}

// orderEmitted returns what was emitted in one order: a batch that ends the
// windows of many keys has an event of each. What is large is moved once, when its
// place is known.
func (e *Engine) orderEmitted() []alerting.Derived {
	for i, list := range e.emitted {
		for j := range list {
			d := &list[j]
			e.order = append(e.order, emittedPlace{d.Time, d.Position, int32(i), int32(j)})
		}
	}
	compare := func(a, b emittedPlace) int {
		if c := cmp.Or(cmp.Compare(a.at, b.at), a.pos.Compare(b.pos)); c != 0 {
			return c
		}
		d, f := &e.emitted[a.list][a.index], &e.emitted[b.list][b.index]
		return cmp.Or(cmp.Compare(d.Rule, f.Rule), cmp.Compare(d.Key, f.Key), cmp.Compare(a.list, b.list), cmp.Compare(a.index, b.index))
	}
	if !slices.IsSortedFunc(e.order, compare) {
		slices.SortFunc(e.order, compare)
	}
	var out []alerting.Derived
	if len(e.order) > 0 {
		out = make([]alerting.Derived, len(e.order))
	}
	for i, p := range e.order {
		out[i] = e.emitted[p.list][p.index]
	}
	e.order = emptied(e.order)
	last := e.emitted[len(e.emitted)-len(e.shards):]
	for i, s := range e.shards { // they use their memory again
		s.out.emitted = emptied(last[i])
	}
	clear(e.emitted)
	e.emitted = e.emitted[:0]
	return out
}

// maxEmittedRoom is for how many emitted events memory is kept to be used again,
// a few megabytes.
const maxEmittedRoom = 1 << 14

// emptied returns an empty list in the same memory, unless that is too large to
// be kept.
func emptied[T any](list []T) []T {
	if cap(list) > maxEmittedRoom {
		return nil
	}
	clear(list)
	return list[:0]
}
