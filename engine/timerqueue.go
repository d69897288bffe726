package engine

import (
	"iter"
	"slices"

	"github.com/cepd/cepd/event"
)

// timerQueue holds timers in the order in which they fire. Most deadlines are a
// fixed time behind events that come in order, and the windows of all keys end
// at once: such timers stand in rows by their time, and those of one time are
// sorted when it comes. The others are in a heap beside them.
type timerQueue struct {
	rows     [2]timerRow // of kinds that end an interval, and of the others
	others   heap[timer]
	earliest event.Time // none is due before it
}

// timerRow is a row of timers of one phase.
type timerRow struct {
	list   []timer
	next   int // the first that is left
	sorted int // it is sorted from next up to here: all timers of one time
}

func newTimerQueue() timerQueue {
	return timerQueue{others: heap[timer]{less: func(a, b *timer) bool { return a.compare(b) < 0 }}, earliest: never}
}

func (q *timerQueue) push(t *timer) {
	q.earliest = min(q.earliest, t.due())
	r := &q.rows[0]
	if t.kind.phase() == phaseSteady {
		r = &q.rows[1]
	}
	if !r.push(t) {
		q.others.push(*t)
	}
}

// push reports whether there is a place for the timer.
func (r *timerRow) push(t *timer) bool {
	n := len(r.list)
	if n > r.next && (t.at < r.list[n-1].at || r.sorted == n && t.at == r.list[n-1].at) {
		return false
	}
	if r.next > 0 && n == cap(r.list) && r.next >= n/2 { // half of it is free
		left := copy(r.list, r.list[r.next:])
		clear(r.list[left:])
		r.list, r.sorted, r.next = r.list[:left], max(r.sorted-r.next, 0), 0
	}
	r.list = append(r.list, *t)
	return true
}

// any returns the first timer, or another of the same time; nil where there is
// none.
func (r *timerRow) any() *timer {
	if r.next == len(r.list) {
		return nil
	}
	return &r.list[r.next]
}

// top returns the first timer, nil where there is none.
func (r *timerRow) top() *timer {
	if r.next < len(r.list) && r.next >= r.sorted {
		inOrder := true
		for r.sorted = r.next + 1; r.sorted < len(r.list) && r.list[r.sorted].at == r.list[r.next].at; r.sorted++ {
			inOrder = inOrder && r.list[r.sorted-1].kind <= r.list[r.sorted].kind
		}
		if !inOrder {
			slices.SortStableFunc(r.list[r.next:r.sorted], func(a, b timer) int { return a.compare(&b) })
		}
	}
	return r.any()
}

// drop removes the timer that any or top has returned.
func (r *timerRow) drop() timer {
	t := r.list[r.next]
	r.list[r.next] = timer{}
	if r.next++; r.next == len(r.list) {
		r.list, r.next, r.sorted = r.list[:0], 0, 0
	}
	return t
}

// soon returns a timer that is due as soon as the first, and where it is; nil
// where there is none.
func (q *timerQueue) soon() (first *timer, row *timerRow) {
	first = q.others.top()
	for i := range q.rows {
		r := &q.rows[i]
		if t := r.any(); t != nil && (first == nil || t.due() < first.due()) {
			first, row = t, r
		}
	}
	return first, row
}

// first returns the first timer, and where it is; nil where there is none.
func (q *timerQueue) first() (first *timer, row *timerRow) {
	first = q.others.top()
	for i := range q.rows {
		r := &q.rows[i]
		if t := r.any(); t == nil || first != nil && t.at > first.at {
			continue
		}
		if t := r.top(); first == nil || t.compare(first) < 0 {
			first, row = t, r
		}
	}
	return first, row
}

// take removes what soon or first has found.
func (q *timerQueue) take(row *timerRow) timer {
	if row == nil {
		return q.others.pop()
	}
	return row.drop()
}

// before reports whether any timer fires before a phase of a time. It is asked for
// each event, of which most come before all timers.
func (q *timerQueue) before(at event.Time, phase uint8) bool {
	return q.earliest <= at && q.soonBefore(at, phase)
}

func (q *timerQueue) soonBefore(at event.Time, phase uint8) bool {
	t, _ := q.soon()
	if t == nil {
		q.earliest = never
		return false
	}
	q.earliest = t.due()
	return t.before(at, phase)
}

// all yields the timers in no order.
func (q *timerQueue) all() iter.Seq[*timer] {
	return func(yield func(*timer) bool) {
		for i := range q.rows {
			r := &q.rows[i]
			for j := r.next; j < len(r.list); j++ {
				if !yield(&r.list[j]) {
					return
				}
			}
		}
		for i := range q.others.items {
			if !yield(&q.others.items[i]) {
				return
			}
		}
	}
}

// retain leaves only the timers that are wanted. What is asked may change them, as
// long as their order stays.
func (q *timerQueue) retain(wanted func(t *timer) bool) {
	for i := range q.rows {
		r := &q.rows[i]
		left, sorted := r.list[:0], 0
		for j := r.next; j < len(r.list); j++ {
			if t := r.list[j]; wanted(&t) {
				if left = append(left, t); j < r.sorted {
					sorted = len(left)
				}
			}
		}
		clear(r.list[len(left):])
		*r = timerRow{list: left, sorted: sorted}
	}
	q.others.retain(wanted)
}
