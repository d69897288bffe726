package engine

import "iter"

// queue holds items back in the order of judgment. Most come in order, and stand
// in a row; those that come behind an item which is to be judged later wait in a
// heap beside it.
type queue struct {
	row    []item
	next   int // of the row, the first that is left
	behind heap[item]
}

func newQueue() queue {
	return queue{behind: heap[item]{less: func(a, b *item) bool { return a.compare(b) < 0 }}}
}

func (q *queue) len() int { return len(q.row) - q.next + len(q.behind.items) }

// fromRow reports whether the first item is in the row, where there is any.
func (q *queue) fromRow() bool {
	b := q.behind.top()
	return b == nil || q.next < len(q.row) && q.row[q.next].compare(b) < 0
}

// top returns the item that is judged first, nil where there is none.
func (q *queue) top() *item {
	if q.fromRow() {
		if q.next == len(q.row) {
			return nil
		}
		return &q.row[q.next]
	}
	return q.behind.top()
}

func (q *queue) push(it *item) {
	if n := len(q.row); n > q.next && it.compare(&q.row[n-1]) < 0 {
		q.behind.push(*it)
		return
	}
	if q.next > 0 && len(q.row) == cap(q.row) && q.next >= len(q.row)/2 { // half of it is free
		n := copy(q.row, q.row[q.next:])
		clear(q.row[n:])
		q.row, q.next = q.row[:n], 0
	}
	q.row = append(q.row, *it)
}

// pop removes and returns the first item of a queue that is not empty.
func (q *queue) pop() item {
	it := *q.top()
	q.drop()
	return it
}

// drop removes the first item of a queue that is not empty.
func (q *queue) drop() {
	if !q.fromRow() {
		q.behind.pop()
		return
	}
	q.row[q.next] = item{}
	if q.next++; q.next == len(q.row) {
		q.row, q.next = q.row[:0], 0
	}
}

// all yields the items in no order.
func (q *queue) all() iter.Seq[*item] {
	return func(yield func(*item) bool) {
		for i := q.next; i < len(q.row); i++ {
			if !yield(&q.row[i]) {
				return
			}
		}
		for i := range q.behind.items {
			if !yield(&q.behind.items[i]) {
				return
			}
		}
	}
}
