package engine

import (
	"iter"
	"slices"
)

// timerQueue holds timers in the order in which they fire. Most deadlines are a
// fixed time behind events that come in order, and the windows of all keys end
// at once: such timers stand in a row by their time, and those of one time are
// sorted when it comes. The others are in a heap beside it.
type timerQueue struct {
	row    []timer
	next   int // of the row, the first that is left
	sorted int // the row is sorted from next up to here: all timers of one time
	others heap[timer]
}

func newTimerQueue() timerQueue {
	return timerQueue{others: heap[timer]{less: func(a, b *timer) bool { return a.compare(b) < 0 }}}
}

func (q *timerQueue) push(t *timer) {
	n := len(q.row)
	if n > q.next && (t.at < q.row[n-1].at || q.sorted == n && t.at == q.row[n-1].at) {
		q.others.push(*t)
		return
	}
	if q.next > 0 && n == cap(q.row) && q.next >= n/2 { // half of it is free
		left := copy(q.row, q.row[q.next:])
		clear(q.row[left:])
		q.row, q.sorted, q.next = q.row[:left], q.sorted-q.next, 0
	}
	q.row = append(q.row, *t)
}

// head returns the first timer of the row, nil where that is empty.
func (q *timerQueue) head() *timer {
	if q.next == len(q.row) {
		return nil
	}
	if q.next >= q.sorted {
		for q.sorted = q.next + 1; q.sorted < len(q.row) && q.row[q.sorted].at == q.row[q.next].at; {
			q.sorted++
		}
		slices.SortFunc(q.row[q.next:q.sorted], func(a, b timer) int { return a.compare(&b) })
	}
	return &q.row[q.next]
}

// top returns the timer that fires first, nil where there is none.
func (q *timerQueue) top() *timer {
	t, _ := q.first()
	return t
}

// first returns the first timer, and whether it is in the row.
func (q *timerQueue) first() (t *timer, inRow bool) {
	a, b := q.head(), q.others.top()
	if a == nil || b != nil && b.compare(a) < 0 {
		return b, false
	}
	return a, true
}

// pop removes and returns the first timer of a queue that is not empty.
func (q *timerQueue) pop() timer {
	t, inRow := q.first()
	if !inRow {
		return q.others.pop()
	}
	out := *t
	*t = timer{}
	if q.next++; q.next == len(q.row) {
		q.row, q.next, q.sorted = q.row[:0], 0, 0
	}
	return out
}

// all yields the timers in no order.
func (q *timerQueue) all() iter.Seq[*timer] {
	return func(yield func(*timer) bool) {
		for i := q.next; i < len(q.row); i++ {
			if !yield(&q.row[i]) {
				return
			}
		}
		for i := range q.others.items {
			if !yield(&q.others.items[i]) {
				return
			}
		}
	}
}
