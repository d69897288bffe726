package detectors

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/cepd/cepd/event"
)

// slowTree is a random cut tree as the paper draws it: pointers, no counts, no
// boxes; everything is worked out anew from the points below.
type slowTree struct {
	points      [][]float32 // of a leaf: equal ones
	dim         int
	cut         float32
	left, right *slowTree
}

// slowOf copies a tree.
func slowOf(t *cutTree, ref uint16) *slowTree {
	if ref == noRef {
		return nil
	}
	if ref&leafBit != 0 {
		s := &slowTree{}
		for range t.copies[ref&^leafBit] {
			s.points = append(s.points, slices.Clone(t.point(ref&^leafBit)))
		}
		return s
	}
	n := t.nodes[ref]
	return &slowTree{dim: int(n.dim), cut: n.cut, left: slowOf(t, n.left), right: slowOf(t, n.right)}
}

func (s *slowTree) all() [][]float32 {
	if s.left == nil {
		return s.points
	}
	return append(slices.Clone(s.left.all()), s.right.all()...)
}

func (s *slowTree) box(dim int) (lo, hi []float32) {
	all := s.all()
	lo, hi = slices.Clone(all[0][:dim]), slices.Clone(all[0][:dim])
	for _, p := range all {
		for i := range dim {
			lo[i], hi[i] = min(lo[i], p[i]), max(hi[i], p[i])
		}
	}
	return lo, hi
}

// displacement is that of a point which the tree holds, by its definition: the
// most, over all groups that hold it and have a sibling, of how many points move
// up for each one of the group.
func (s *slowTree) displacement(p []float32) float64 {
	if s.left == nil {
		return 0
	}
	mine, other := s.left, s.right
	if p[s.dim] > s.cut {
		mine, other = other, mine
	}
	return max(float64(len(other.all()))/float64(len(mine.all())), mine.displacement(p))
}

// checkTree holds a tree to what it must be.
func checkTree(t *testing.T, tree *cutTree) {
	t.Helper()
	if tree.root == noRef {
		if len(tree.at) != 0 {
			t.Fatal("points, and no root")
		}
		return
	}
	total := 0
	var check func(ref, above uint16) *slowTree
	check = func(ref, above uint16) *slowTree {
		s := slowOf(tree, ref)
		all := s.all()
		if tree.count(ref) != len(all) {
			t.Fatalf("count %d, want %d", tree.count(ref), len(all))
		}
		lo, hi := s.box(tree.dim)
		l, h := tree.box(ref)
		if !slices.Equal(lo, l) || !slices.Equal(hi, h) {
			t.Fatalf("box %v %v, want %v %v", l, h, lo, hi)
		}
		if ref&leafBit != 0 {
			total += len(all)
			if tree.over[ref&^leafBit] != above {
				t.Fatal("a leaf does not know its node")
			}
			return s
		}
		n := tree.nodes[ref]
		if n.up != above {
			t.Fatal("a node does not know the one above")
		}
		for _, p := range check(n.left, ref).all() {
			if p[n.dim] > n.cut {
				t.Fatal("a point is on the wrong side")
			}
		}
		for _, p := range check(n.right, ref).all() {
			if p[n.dim] <= n.cut {
				t.Fatal("a point is on the wrong side")
			}
		}
		return s
	}
	check(tree.root, noRef)
	if total != len(tree.at) {
		t.Fatalf("%d points in the tree, %d in the sample", total, len(tree.at))
	}
}

func somePoint(chance *random, dim int, coarse bool) []float32 {
	p := make([]float32, dim)
	for i := range p {
		p[i] = float32(chance.float())
		if coarse { // equal points, and equal numbers
			p[i] = float32(math.Round(float64(3 * p[i])))
		}
	}
	return p
}

// TestCutTree samples random points, and holds the tree to its definition after
// each, as well as the displacement of another point to what it is after a real
// insertion.
func TestCutTree(t *testing.T) {
	for seed := range random(30) {
		chance := seed
		dim := 1 + int(chance.next()%4)
		tree := newCutTree(dim, 12)
		for range 150 {
			coarse := chance.next()%2 == 0
			tree.sample(somePoint(&chance, dim, coarse), 20, &chance)
			checkTree(t, &tree)
			p := somePoint(&chance, dim, coarse)
			p[0] *= 1.5
			same, blame := chance, make([]float64, dim)
			got := tree.displaced(p, &same, blame)
			if want := insertedDisplacement(&tree, p, chance); got != want {
				t.Fatalf("displacement %v, want %v", got, want)
			}
			var sum float64
			for _, b := range blame {
				sum += b
			}
			if math.Abs(sum-got) > 1e-9*(1+got) {
				t.Fatalf("the blame adds up to %v, want %v", sum, got)
			}
		}
	}
}

// insertedDisplacement inserts p into a copy of the tree with the same chance, and
// looks.
func insertedDisplacement(tree *cutTree, p []float32, chance random) float64 {
	c := codec{}
	tree.state(&c)
	larger := newCutTree(tree.dim, tree.most)
	larger.state(&codec{src: string(c.dst), reading: true})
	larger.most++ // room for one more
	last := uint16(tree.most)
	larger.freeLeaves, larger.freeNodes = append(larger.freeLeaves, last), append(larger.freeNodes, last)
	larger.points = append(larger.points, make([]float32, tree.dim)...)
	larger.copies, larger.over = append(larger.copies, 0), append(larger.over, 0)
	larger.nodes = append(larger.nodes, cutNode{})
	larger.boxes = append(larger.boxes, make([]float32, 2*tree.dim)...)
	larger.insert(p, &chance)
	return slowOf(&larger, larger.root).displacement(p)
}

// TestCutTreeChance: a tree is as likely after insertions and removals as one made
// of the same points at once. Of 0, 1 and 10 the first cut falls between 1 and 10
// nine times in ten.
func TestCutTreeChance(t *testing.T) {
	orders := [][]float32{{0, 1, 10}, {10, 0, 1}, {1, 10, 0}}
	const n = 20000
	for _, order := range orders {
		apart := 0
		for seed := range random(n) {
			chance := seed * 977
			tree := newCutTree(1, 4)
			far := tree.insert([]float32{30}, &chance)
			for _, x := range order {
				tree.insert([]float32{x}, &chance)
			}
			tree.remove(far)
			if cut := tree.nodes[tree.root].cut; cut >= 1 {
				apart++
			}
		}
		if share := float64(apart) / n; math.Abs(share-0.9) > 0.01 {
			t.Errorf("%v: the first cut parts 10 from the others in %.3f of the trees, want 0.9", order, share)
		}
	}
}

// TestForestFindsTheOdd: two channels stop to go together; one of them is to blame,
// and not the third. The same seed says the same.
func TestForestFindsTheOdd(t *testing.T) {
	run := func(seed uint64) (scores []float64, channel int) {
		d, err := New("random_cut_forest", Config{Channels: 3, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		chance := random(1)
		for i := range 975 {
			a := 10 * math.Sin(float64(i)/15)
			x := []float64{a, 1000 * a, chance.float()}
			if i >= 965 {
				x[1] = -x[1]
			}
			s := d.Step(event.Time(i)*minute, x)
			if i == 970 {
				channel = s.Channel
			}
			scores = append(scores, s.Score)
		}
		return scores, channel
	}
	scores, channel := run(1)
	if most := slices.Max(scores[900:965]); slices.Max(scores[965:]) <= most || channel == 2 {
		t.Errorf("channel %d to blame, scores %v after at most %v", channel, scores[965:], most)
	}
	again, _ := run(1)
	other, _ := run(2)
	if !slices.Equal(scores, again) || slices.Equal(scores, other) {
		t.Error("a seed does not decide what the forest says")
	}
}

// TestForestStateIsJudged: damaged bytes are refused, or read as another tree, but
// never break one.
func TestForestStateIsJudged(t *testing.T) {
	chance := random(3)
	tree := newCutTree(2, 8)
	for range 40 {
		tree.sample(somePoint(&chance, 2, true), 10, &chance)
	}
	c := codec{}
	tree.state(&c)
	for i := range c.dst {
		for _, bit := range []byte{1, 0x80} {
			damaged := slices.Clone(c.dst)
			damaged[i] ^= bit
			read := newCutTree(2, 8)
			r := codec{src: string(damaged), reading: true}
			read.state(&r)
			if !r.bad {
				same := codec{}
				read.state(&same)
				if !bytes.Equal(same.dst, damaged) {
					t.Fatalf("byte %d: what was read is not written again", i)
				}
			}
			for range 30 {
				read.sample(somePoint(&chance, 2, true), 10, &chance)
				read.displaced(somePoint(&chance, 2, false), &chance, make([]float64, 2))
			}
		}
	}
}
