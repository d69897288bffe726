package engine

import (
	"cmp"
	"slices"

	"github.com/cepd/cepd/alerting"
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
	words       [2]uint64 // its position's sequence, and its time so that it is in order
	list, index int32
}

// orderEmitted returns what was emitted in one order: a batch that ends the
// windows of many keys has an event of each. What is large is moved once, when its
// place is known.
func (e *Engine) orderEmitted() []alerting.Derived {
	out := e.onlyEmitted()
	if out == nil {
		out = e.placeEmitted()
	}
	last := e.emitted[len(e.emitted)-len(e.shards):]
	for i, s := range e.shards { // they use their memory again
		s.out.emitted = emptied(last[i])
	}
	clear(e.emitted)
	e.emitted = e.emitted[:0]
	return out
}

// onlyEmitted returns what was emitted where that is one list, and in order, nil
// where it is not.
func (e *Engine) onlyEmitted() []alerting.Derived {
	var only []alerting.Derived
	for _, list := range e.emitted {
		if len(list) > 0 {
			if only != nil {
				return nil
			}
			only = list
		}
	}
	for i := 1; i < len(only); i++ {
		if compareEmitted(&only[i-1], &only[i]) > 0 {
			return nil
		}
	}
	return slices.Clone(only)
}

// compareEmitted is the order of emitted events.
func compareEmitted(a, b *alerting.Derived) int {
	if a.Time != b.Time {
		return cmp.Compare(a.Time, b.Time)
	}
	if c := a.Position.Compare(b.Position); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
}

// placeEmitted puts what was emitted in its place.
func (e *Engine) placeEmitted() []alerting.Derived {
	for i, list := range e.emitted {
		for j := range list {
			d := &list[j]
			e.order = append(e.order, emittedPlace{[...]uint64{d.Position.Seq, uint64(d.Time) ^ 1<<63}, int32(i), int32(j)})
		}
	}
	e.sortEmitted()
	var out []alerting.Derived
	if len(e.order) > 0 {
		out = make([]alerting.Derived, len(e.order))
	}
	for i, p := range e.order {
		out[i] = e.emitted[p.list][p.index]
	}
	e.order = emptied(e.order)
	return out
}

// sortEmitted sorts the places of what was emitted: by time and position, and
// where these are the same, by rule and key.
func (e *Engine) sortEmitted() {
	compare := func(a, b emittedPlace) int {
		if a.words[1] != b.words[1] {
			return cmp.Compare(a.words[1], b.words[1])
		}
		if a.words[0] != b.words[0] {
			return cmp.Compare(a.words[0], b.words[0])
		}
		return cmp.Or(compareEmitted(&e.emitted[a.list][a.index], &e.emitted[b.list][b.index]), cmp.Compare(a.list, b.list), cmp.Compare(a.index, b.index))
	}
	if slices.IsSortedFunc(e.order, compare) {
		return
	}
	if len(e.order) < manyEmitted {
		slices.SortFunc(e.order, compare)
		return
	}
	e.order, e.room = sortPlaces(e.order, e.room)
	for from := 0; from < len(e.order); {
		to := from + 1
		for to < len(e.order) && e.order[from].words == e.order[to].words {
			to++
		}
		slices.SortFunc(e.order[from:to], compare)
		from = to
	}
	e.room = emptied(e.room)
}

// manyEmitted is from how many on it pays to count.
const manyEmitted = 256

// sortPlaces sorts places by their words, in room as large. It counts byte
// by byte, the least first (radix sort), and passes over the bytes in which all
// are alike: of places in the log that are near each other these are most.
func sortPlaces(list, room []emittedPlace) (sorted, rest []emittedPlace) {
	room = slices.Grow(room[:0], len(list))[:len(list)]
	var apart [2]uint64 // bits in which some differ from the first
	for i := range list {
		for word := range apart {
			apart[word] |= list[i].words[word] ^ list[0].words[word]
		}
	}
	for word, bits := range apart {
		for shift := 0; shift < 64; shift += 8 {
			if byte(bits>>shift) == 0 {
				continue
			}
			var from [256]int
			for i := range list {
				from[byte(list[i].words[word]>>shift)]++
			}
			sum := 0
			for i, n := range from {
				from[i] = sum
				sum += n
			}
			for i := range list {
				at := &from[byte(list[i].words[word]>>shift)]
				room[*at] = list[i]
				*at++
			}
			list, room = room, list
		}
	}
	return list, room
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
