package deepsize

import "testing"

type node struct {
	next *node
	text string
	list []int64
	any  any
	m    map[string]int64
}

func TestOf(t *testing.T) {
	const size = 80 // of a node: 8 + 16 + 24 + 16 + 8, in its block
	loop := &node{}
	loop.next = loop
	shared := &node{text: "0123456789abcdef"}
	for _, c := range []struct {
		name   string
		v      any
		shared any
		want   int
	}{
		{"nothing", (*node)(nil), nil, 0},
		{"a struct", &node{}, nil, size},
		{"a text", &node{text: "0123456789abcdef"}, nil, size + 16},
		{"a list with room", &node{list: make([]int64, 1, 4)}, nil, size + 32},
		{"a circle", loop, nil, size},
		{"an interface", &node{any: [4]int64{}}, nil, size + 32},
		{"a pointer in an interface", &node{any: &node{}}, nil, 2 * size},
		{"a map", &node{m: map[string]int64{"": 1}}, nil, size + 48 + 208},
		{"what is shared", &node{next: shared}, shared, size},
		{"what is not", &node{next: shared}, nil, 2*size + 16},
	} {
		if got := Of(c.v, c.shared); got != c.want {
			t.Errorf("%s takes %d bytes, want %d", c.name, got, c.want)
		}
	}
}
