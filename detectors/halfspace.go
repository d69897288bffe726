package detectors

import "math"

var halfSpaceDoc = Doc{
	Name: "half_space", Title: "Half-space trees", Since: "0.1", Multivariate: true,
	Text: `Cuts the space of the last values at random into boxes, and is surprised by a value in a box
where few of the past were. Works on several channels and on stretches of one. Choose it for
clouds of usual states, such as the operating points of a machine.`,
	Params: []Param{
		{Name: "trees", Text: "trees", Default: 25, Min: 1, Max: 200, Kind: Integer},
		{Name: "height", Text: "cuts from the root of a tree to a box", Default: 8, Min: 1, Max: 12, Kind: Integer},
		{Name: "window", Text: "values after which what was counted becomes what is compared with", Default: 250, Min: 3, Max: 1e6, Kind: Integer},
		{Name: "stretch", Text: "last values of each channel that count together", Default: 4, Min: 1, Max: 16, Kind: Integer},
		thresholdParam,
	},
}

// halfSpace is the algorithm of Tan, Ting and Liu, "Fast Anomaly Detection for
// Streaming Data" (IJCAI 2011). A tree cuts boxes in two at random, without
// looking at the data; its nodes count the values in their box, in a window that
// is filled and in the one before, which is compared with.
//
// The space is a cube in which the range of each channel so far takes the middle
// half, so that values past the range still find room.
type halfSpace struct {
	trees, height, window, stretch int
	nodes                          []halfNode // of all trees; the sons of i are 2i+1 and 2i+2
	lo, hi                         []float64  // ranges of the channels
	past                           []float64  // the last values of the channels, newest first
	point                          []float64  // scratch: the place in the cube
	n                              int
	counted                        int // values in the filling window
	windows                        int // filled ever
}

// halfNode is a box: where it is cut, and how many values were in it.
type halfNode struct {
	at        float32
	dim       uint16
	ref, next uint16
}

func newHalfSpace(s settings) model {
	m := &halfSpace{trees: s.count("trees"), height: s.count("height"), window: s.count("window"), stretch: s.count("stretch")}
	dims := s.Channels * m.stretch
	m.lo, m.hi = make([]float64, s.Channels), make([]float64, s.Channels)
	m.past, m.point = make([]float64, dims), make([]float64, dims)
	m.nodes = make([]halfNode, m.trees*m.perTree())
	chance := random(s.Seed)
	for t := range m.trees {
		lo, hi := make([]float64, dims), make([]float64, dims)
		for i := range hi {
			// Every tree looks at a cube of its own around the middle.
			middle := chance.float()
			reach := 2 * max(middle, 1-middle)
			lo[i], hi[i] = middle-reach, middle+reach
		}
		m.cut(&chance, m.tree(t), 0, lo, hi)
	}
	return m
}

func (m *halfSpace) perTree() int { return 1<<(m.height+1) - 1 }

func (m *halfSpace) tree(t int) []halfNode {
	return m.nodes[t*m.perTree() : (t+1)*m.perTree()]
}

// cut halves the box of node i, and the boxes below.
func (m *halfSpace) cut(chance *random, tree []halfNode, i int, lo, hi []float64) {
	if 2*i+1 >= len(tree) {
		return
	}
	d := int(chance.next() % uint64(len(lo)))
	at := (lo[d] + hi[d]) / 2
	tree[i] = halfNode{at: float32(at), dim: uint16(d)}
	old := hi[d]
	hi[d] = at
	m.cut(chance, tree, 2*i+1, lo, hi)
	hi[d] = old
	old, lo[d] = lo[d], at
	m.cut(chance, tree, 2*i+2, lo, hi)
	lo[d] = old
}

// locate fills point with the place of the newest stretch.
func (m *halfSpace) locate(in *input) {
	k := len(in.x)
	for i := range m.point {
		c := i % k
		v := in.x[c]
		if i >= k {
			v = m.past[i-k]
		}
		width := max(m.hi[c]-m.lo[c], in.quantum[c])
		m.point[i] = min(max(0.25+0.5*(v-m.lo[c])/width, -1), 2)
	}
}

func (m *halfSpace) judge(in *input, o *opinion) {
	o.ready = float64(m.n) / float64(m.window+m.stretch+residualReady)
	if m.n < m.stretch {
		return
	}
	m.locate(in)
	if m.windows == 0 {
		return
	}
	// Where a box holds few, the values below say little: the walk ends.
	few := uint16(m.window / 10)
	var sum float64
	for t := range m.trees {
		tree := m.tree(t)
		for i, depth := 0, 0; ; depth++ {
			n := &tree[i]
			if depth == m.height || n.ref <= few {
				sum += math.Ldexp(float64(n.ref), depth)
				break
			}
			i = 2*i + 1
			if m.point[n.dim] >= float64(n.at) {
				i++
			}
		}
	}
	mass := sum / float64(m.trees) / float64(m.window)
	o.raw = 1 / (mass + 1.0/1024)
	o.reason = Reason{Cause: CauseIsolated}
}

func (m *halfSpace) update(in *input, learn bool) {
	if m.n == 0 {
		copy(m.lo, in.x)
		copy(m.hi, in.x)
	}
	if learn && m.n >= m.stretch {
		m.count()
	}
	if learn {
		for c, v := range in.x {
			m.lo[c], m.hi[c] = min(m.lo[c], v), max(m.hi[c], v)
		}
	}
	copy(m.past[len(in.x):], m.past)
	copy(m.past, in.x)
	m.n++
}

// count counts the point in its boxes, and changes windows when one is full.
func (m *halfSpace) count() {
	for t := range m.trees {
		tree := m.tree(t)
		for i, depth := 0, 0; ; depth++ {
			n := &tree[i]
			if n.next < math.MaxUint16 {
				n.next++
			}
			if depth == m.height {
				break
			}
			i = 2*i + 1
			if m.point[n.dim] >= float64(n.at) {
				i++
			}
		}
	}
	if m.counted++; m.counted < m.window {
		return
	}
	m.counted = 0
	m.windows++
	for i := range m.nodes {
		m.nodes[i].ref, m.nodes[i].next = m.nodes[i].next, 0
	}
}

func (m *halfSpace) state(c *codec) {
	for i := range m.nodes {
		pair := []uint16{m.nodes[i].ref, m.nodes[i].next}
		c.u16s(pair)
		m.nodes[i].ref, m.nodes[i].next = pair[0], pair[1]
	}
	c.array(m.lo)
	c.array(m.hi)
	c.array(m.past)
	c.int(&m.n)
	c.int(&m.counted)
	c.int(&m.windows)
}

func (m *halfSpace) size() int { return 160 + 12*len(m.nodes) + 16*len(m.point) + 16*len(m.lo) }

// random is splitmix64: chance that a seed repeats, and part of no outcome that a
// seed does not decide.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float is uniform in [0, 1).
func (r *random) float() float64 { return float64(r.next()>>11) / (1 << 53) }
