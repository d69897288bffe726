package engine

// heap is a binary heap: the least item first. It is container/heap without an
// allocation for each item.
type heap[T any] struct {
	items []T
	less  func(a, b *T) bool
}

// top returns the least item, nil where there is none.
func (h *heap[T]) top() *T {
	if len(h.items) == 0 {
		return nil
	}
	return &h.items[0]
}

func (h *heap[T]) push(x T) {
	h.items = append(h.items, x)
	for i := len(h.items) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.less(&h.items[i], &h.items[up]) {
			return
		}
		h.items[i], h.items[up] = h.items[up], h.items[i]
		i = up
	}
}

// pop removes and returns the least item of a heap that is not empty.
func (h *heap[T]) pop() T {
	var zero T
	x, last := h.items[0], len(h.items)-1
	h.items[0], h.items[last] = h.items[last], zero
	h.items = h.items[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			return x
		}
		if r := down + 1; r < last && h.less(&h.items[r], &h.items[down]) {
			down = r
		}
		if !h.less(&h.items[down], &h.items[i]) {
			return x
		}
		h.items[i], h.items[down] = h.items[down], h.items[i]
		i = down
	}
}

// retain leaves only the items that are wanted. What is asked may change them, as
// long as their order stays.
func (h *heap[T]) retain(wanted func(x *T) bool) {
	all := h.items
	h.items = all[:0]
	for i := range all {
		if wanted(&all[i]) {
			h.push(all[i])
		}
	}
	clear(all[len(h.items):])
}
