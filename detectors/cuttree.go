package detectors

// A cutTree is a random cut tree over a sample of points: Guha, Mishra, Roy and
// Schrijvers, "Robust Random Cut Forest Based Anomaly Detection on Streams" (ICML
// 2016). Every node cuts its box, the smallest around its points, in a dimension
// chosen by its length and at a place chosen evenly, until each point is alone:
//
//	+------------|-----+            cut 1
//	| .  .       |     |           /     \
//	|   .        |   . |        cut 2     .   <- alone after one cut:
//	|------------|     |        /   \            taking it out moves many
//	|  . .       |     |      ...   ...
//	+------------|-----+
//
// A point can be added and taken out such that the tree is as likely as if it had
// been made of the remaining points at once.
type cutTree struct {
	dim, most int
	root      uint16
	at        []uint16 // leaf of each point of the sample, in no order
	// Leaves, by number.
	points []float32 // dim of each
	copies []uint16  // equal points share a leaf
	over   []uint16  // the node above; noRef of the root
	// Nodes, by number.
	nodes []cutNode
	boxes []float32 // the least of each dimension, and the greatest
	// Numbers that are free, the last one first.
	freeLeaves, freeNodes []uint16
}

// cutNode is a box that is cut.
type cutNode struct {
	length      float64 // of all dimensions of the box together
	cut         float32 // a point that is not over it goes left
	dim         uint16
	left, right uint16
	up          uint16
	size        uint16 // points below
}

// A ref is the number of a node, or that of a leaf with leafBit.
const (
	leafBit = 0x8000
	noRef   = 0xffff
)

func newCutTree(dim, most int) cutTree {
	u := func(n int) []uint16 { return make([]uint16, n) }
	t := cutTree{dim: dim, most: most, root: noRef, at: make([]uint16, 0, most),
		points: make([]float32, most*dim), copies: u(most), over: u(most),
		nodes: make([]cutNode, most), boxes: make([]float32, 2*most*dim),
		freeLeaves: make([]uint16, 0, most), freeNodes: make([]uint16, 0, most)}
	for i := most - 1; i >= 0; i-- {
		t.freeLeaves = append(t.freeLeaves, uint16(i))
		t.freeNodes = append(t.freeNodes, uint16(i))
	}
	return t
}

func (t *cutTree) point(leaf uint16) []float32 {
	return t.points[int(leaf)*t.dim : (int(leaf)+1)*t.dim]
}

// box returns the least and the greatest of each dimension.
func (t *cutTree) box(ref uint16) (lo, hi []float32) {
	if ref&leafBit != 0 {
		p := t.point(ref &^ leafBit)
		return p, p
	}
	at := 2 * int(ref) * t.dim
	return t.boxes[at : at+t.dim], t.boxes[at+t.dim : at+2*t.dim]
}

func (t *cutTree) count(ref uint16) int {
	if ref&leafBit != 0 {
		return int(t.copies[ref&^leafBit])
	}
	return int(t.nodes[ref].size)
}

// next is the side of a node that p is on, and the other one.
func (t *cutTree) next(node uint16, p []float32) (mine, other uint16) {
	n := &t.nodes[node]
	if p[n.dim] <= n.cut {
		return n.left, n.right
	}
	return n.right, n.left
}

// draw draws a cut of the box of ref, widened to hold p, and reports whether it
// parts p from all that is below. total is by how much the box is widened; 0 where
// p is the point of the leaf, or within the box.
func (t *cutTree) draw(ref uint16, p []float32, chance *random) (dim int, cut float32, parts bool, total float64) {
	lo, hi := t.box(ref)
	lo, hi = lo[:len(p)], hi[:len(p)]
	var outside float32
	for i, x := range p {
		if d := lo[i] - x; d > 0 {
			outside += d
		} else if d := x - hi[i]; d > 0 {
			outside += d
		}
	}
	if total = float64(outside); total == 0 {
		return 0, 0, false, 0
	}
	length := 0.0
	if ref&leafBit == 0 {
		length = t.nodes[ref].length
	}
	// The cut falls evenly on all the lengths; those of the box itself come first,
	// and are cut as the tree has them cut already.
	r := chance.float()*(length+total) - length
	if r < 0 {
		return 0, 0, false, total
	}
	for i, x := range p {
		from, to := hi[i], x
		if x < lo[i] {
			from, to = x, lo[i]
		}
		wide := float64(to) - float64(from)
		if !(wide > 0) {
			continue
		}
		dim, parts = i, true
		if r < wide {
			cut = float32(float64(from) + r)
			if !(cut >= from && cut < to) { // rounded past the end
				cut = from
			}
			return dim, cut, true, total
		}
		r -= wide
		cut = from
	}
	return dim, cut, parts, total // r was rounded past the last length
}

// insert adds a point and returns its leaf.
func (t *cutTree) insert(p []float32, chance *random) uint16 {
	if t.root == noRef {
		leaf := t.newLeaf(p, noRef)
		t.root = leaf | leafBit
		return leaf
	}
	ref, above := t.root, uint16(noRef)
	for {
		dim, cut, parts, total := t.draw(ref, p, chance)
		switch {
		case parts:
			return t.part(ref, above, p, dim, cut)
		case ref&leafBit != 0 && total == 0:
			t.copies[ref&^leafBit]++
			return ref &^ leafBit
		}
		t.nodes[ref].size++
		t.widen(ref, p)
		above = ref
		ref, _ = t.next(ref, p)
	}
}

// part puts a node above ref, with p on its other side.
func (t *cutTree) part(ref, above uint16, p []float32, dim int, cut float32) uint16 {
	last := len(t.freeNodes) - 1
	node := t.freeNodes[last]
	t.freeNodes = t.freeNodes[:last]
	leaf := t.newLeaf(p, node)
	n := &t.nodes[node]
	*n = cutNode{cut: cut, dim: uint16(dim), left: ref, right: leaf | leafBit, up: above, size: uint16(t.count(ref) + 1)}
	if p[dim] <= cut {
		n.left, n.right = n.right, n.left
	}
	lo, hi := t.box(node)
	l, h := t.box(ref)
	copy(lo, l)
	copy(hi, h)
	t.widen(node, p)
	t.replace(above, ref, node)
	t.setUp(ref, node)
	return leaf
}

func (t *cutTree) newLeaf(p []float32, above uint16) uint16 {
	n := len(t.freeLeaves) - 1
	leaf := t.freeLeaves[n]
	t.freeLeaves = t.freeLeaves[:n]
	copy(t.point(leaf), p)
	t.copies[leaf], t.over[leaf] = 1, above
	return leaf
}

// replace puts a new ref in the place of an old one under a node.
func (t *cutTree) replace(above, old, new uint16) {
	switch {
	case above == noRef:
		t.root = new
	case t.nodes[above].left == old:
		t.nodes[above].left = new
	default:
		t.nodes[above].right = new
	}
}

func (t *cutTree) setUp(ref, above uint16) {
	if ref&leafBit != 0 {
		t.over[ref&^leafBit] = above
	} else {
		t.nodes[ref].up = above
	}
}

func (t *cutTree) widen(node uint16, p []float32) {
	lo, hi := t.box(node)
	for i, x := range p {
		lo[i], hi[i] = min(lo[i], x), max(hi[i], x)
	}
	t.measure(node)
}

// measure adds up the lengths of the box of a node.
func (t *cutTree) measure(node uint16) {
	lo, hi := t.box(node)
	var sum float64
	for i := range lo {
		sum += float64(hi[i]) - float64(lo[i])
	}
	t.nodes[node].length = sum
}

// remove takes one point of a leaf out: with the last one the leaf goes, and its
// sibling takes the place of the node above.
func (t *cutTree) remove(leaf uint16) {
	node := t.over[leaf]
	if t.copies[leaf]--; t.copies[leaf] > 0 {
		for ; node != noRef; node = t.nodes[node].up {
			t.nodes[node].size--
		}
		return
	}
	t.freeLeaves = append(t.freeLeaves, leaf)
	if node == noRef {
		t.root = noRef
		return
	}
	sibling := t.nodes[node].left
	if sibling == leaf|leafBit {
		sibling = t.nodes[node].right
	}
	above := t.nodes[node].up
	t.replace(above, node, sibling)
	t.setUp(sibling, above)
	t.freeNodes = append(t.freeNodes, node)
	for ; above != noRef; above = t.nodes[above].up {
		t.nodes[above].size--
		t.shrink(above)
	}
}

// shrink makes the box of a node that of its sons.
func (t *cutTree) shrink(node uint16) {
	lo, hi := t.box(node)
	l0, h0 := t.box(t.nodes[node].left)
	l1, h1 := t.box(t.nodes[node].right)
	for i := range lo {
		lo[i], hi[i] = min(l0[i], l1[i]), max(h0[i], h1[i])
	}
	t.measure(node)
}

// displaced is the collusive displacement of p, as if it were inserted: how many
// points would move up for each one that is taken out, where p may take the
// neighbours along that hide it; the most over all such groups. It is added to
// blame, to the dimensions whose cut tells the group from the others.
func (t *cutTree) displaced(p []float32, chance *random, blame []float64) float64 {
	if t.root == noRef {
		return 0
	}
	most, by, parted := 0.0, uint16(noRef), uint16(noRef)
	// No group below can move more than are there.
	for ref := t.root; float64(t.count(ref)) > most; {
		_, _, parts, total := t.draw(ref, p, chance)
		if parts {
			if n := float64(t.count(ref)); n > most {
				most, parted = n, ref
			}
			break
		}
		if ref&leafBit != 0 && total == 0 {
			break // it has been seen
		}
		mine, other := t.next(ref, p)
		if d := float64(t.count(other)) / float64(t.count(mine)+1); d > most {
			most, by = d, ref
		}
		ref = mine
	}
	switch {
	case parted != noRef:
		t.share(parted, p, most, blame)
	case by != noRef:
		blame[t.nodes[by].dim] += most
	}
	return most
}

// share adds to the blame of each dimension by how far p is outside of a box in it.
func (t *cutTree) share(ref uint16, p []float32, most float64, blame []float64) {
	lo, hi := t.box(ref)
	var total float64
	out := func(i int) float64 {
		return max(float64(lo[i])-float64(p[i]), float64(p[i])-float64(hi[i]), 0)
	}
	for i := range p {
		total += out(i)
	}
	for i := range p {
		blame[i] += most * out(i) / total
	}
}

// sample takes p into the sample: always while there is room, else in the place of
// another point, by chance, so that a point stays for some memory values.
func (t *cutTree) sample(p []float32, memory int, chance *random) {
	if len(t.at) < t.most {
		t.at = append(t.at, t.insert(p, chance))
		return
	}
	if chance.float()*float64(memory) >= float64(t.most) {
		return
	}
	victim := int(chance.next() % uint64(t.most))
	t.remove(t.at[victim])
	t.at[victim] = t.insert(p, chance)
}

// state visits what cannot be worked out.
func (t *cutTree) state(c *codec) {
	visit := func(list *[]uint16) {
		n := c.count(len(*list), t.most)
		if c.reading {
			*list = append((*list)[:0], make([]uint16, n)...)
		}
		c.u16s(*list)
	}
	root := []uint16{t.root}
	c.u16s(root)
	t.root = root[0]
	visit(&t.at)
	visit(&t.freeLeaves)
	visit(&t.freeNodes)
	c.f32s(t.points)
	for i := range t.nodes {
		n := &t.nodes[i]
		cut, refs := []float32{n.cut}, []uint16{n.dim, n.left, n.right}
		c.f32s(cut)
		c.u16s(refs)
		n.cut, n.dim, n.left, n.right = cut[0], refs[0], refs[1], refs[2]
	}
	if c.reading && !c.bad && !t.rebuild() {
		c.bad = true
	}
	if c.reading && c.bad {
		*t = newCutTree(t.dim, t.most)
	}
}

// rebuild works out what follows from a state that was read, and reports whether
// it is a tree.
func (t *cutTree) rebuild() bool {
	clear(t.copies)
	for _, leaf := range t.at {
		if int(leaf) >= t.most {
			return false
		}
		t.copies[leaf]++
	}
	leaves, nodes := 0, 0
	seen := make([]bool, 2*t.most)
	var walk func(ref, above uint16, depth int) bool
	walk = func(ref, above uint16, depth int) bool {
		i := int(ref &^ leafBit)
		if ref == noRef || i >= t.most || depth > t.most {
			return false
		}
		if ref&leafBit != 0 {
			if seen[i] || t.copies[i] == 0 {
				return false
			}
			seen[i] = true
			leaves++
			t.over[i] = above
			return true
		}
		n := &t.nodes[i]
		if seen[t.most+i] || int(n.dim) >= t.dim {
			return false
		}
		seen[t.most+i] = true
		nodes++
		n.up = above
		if !walk(n.left, ref, depth+1) || !walk(n.right, ref, depth+1) {
			return false
		}
		n.size = uint16(t.count(n.left) + t.count(n.right))
		t.shrink(ref)
		return true
	}
	if t.root == noRef {
		if len(t.at) > 0 {
			return false
		}
	} else if !walk(t.root, noRef, 0) {
		return false
	}
	for i, list := range [][]uint16{t.freeLeaves, t.freeNodes} {
		for _, f := range list {
			if int(f) >= t.most || seen[i*t.most+int(f)] {
				return false
			}
			seen[i*t.most+int(f)] = true
		}
	}
	used := 0
	for leaf := range t.copies {
		if t.copies[leaf] > 0 {
			used++
		}
	}
	return used == leaves && leaves+len(t.freeLeaves) == t.most && nodes+len(t.freeNodes) == t.most
}

func (t *cutTree) bytes() int { return 240 + t.most*(12*t.dim+30) }
