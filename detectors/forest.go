package detectors

import "math"

var forestDoc = Doc{
	Name: "random_cut_forest", Title: "Robust random cut forest", Since: "0.1", Multivariate: true,
	Text: `Keeps samples of the past in trees that cut their box at random, and is surprised by a value that
few cuts part from all others: taking it out would move many. Works on several channels and on
stretches of one, and says which channel is to blame. Choose it for several channels in clumps of odd
form, where distances from a mean say nothing; it needs much memory and time.`,
	Params: []Param{
		{Name: "trees", Text: "trees", Default: 40, Min: 1, Max: 200, Kind: Integer},
		{Name: "sample", Text: "values in the sample of a tree", Default: 128, Min: 8, Max: 1024, Kind: Integer},
		{Name: "memory", Text: "how many values one stays in a sample, on the average", Default: 1500, Min: 8, Max: 1e6, Kind: Integer},
		{Name: "stretch", Text: "last values of each channel that count together", Default: 4, Min: 1, Max: 16, Kind: Integer},
		thresholdParam,
	},
}

// forest judges by the mean displacement over all trees, each with a sample of its
// own.
type forest struct {
	k, stretch, memory int
	trees              []cutTree
	chance             random
	n                  int
	channels           []ewmean // for the scale of each channel, and the side of a value
	past               []float64
	point              []float32 // scratch
	blame              []float64 // scratch: by dimension
}

func newForest(s settings) model {
	m := &forest{k: s.Channels, stretch: s.count("stretch"), chance: random(s.Seed), channels: make([]ewmean, s.Channels)}
	dim := m.k * m.stretch
	sample := s.count("sample")
	m.memory = max(s.count("memory"), sample)
	m.past, m.point, m.blame = make([]float64, dim), make([]float32, dim), make([]float64, dim)
	for range s.count("trees") {
		m.trees = append(m.trees, newCutTree(dim, sample))
	}
	return m
}

// wants is how many values come before the first judgment.
func (m *forest) wants() int { return m.stretch + 2*residualReady }

// locate fills point with the newest stretch, newest values first. Several channels
// are measured in their deviations, for cuts fall by length.
func (m *forest) locate(in *input) {
	for i := range m.point {
		c := i % m.k
		v := in.x[c]
		if i >= m.k {
			v = m.past[i-m.k]
		}
		w := &m.channels[c]
		if m.k > 1 {
			v /= max(math.Sqrt(w.var_), in.quantum[c]/2)
		}
		m.point[i] = float32(min(max(v, -math.MaxFloat32), math.MaxFloat32))
	}
}

func (m *forest) judge(in *input, o *opinion) {
	o.ready = float64(m.n) / float64(m.wants())
	if m.n < m.stretch {
		return
	}
	m.locate(in)
	chance := m.chance // judging is no part of the state
	clear(m.blame)
	for i := range m.trees {
		o.raw += m.trees[i].displaced(m.point, &chance, m.blame)
	}
	o.raw /= float64(len(m.trees))
	var most, all float64
	for c := range m.k {
		var sum float64
		for i := c; i < len(m.blame); i += m.k {
			sum += m.blame[i]
		}
		if all += sum; sum > most {
			most, o.channel = sum, c
		}
	}
	o.direction = Up
	if in.x[o.channel] < m.channels[o.channel].mean {
		o.direction = Down
	}
	o.reason = Reason{Cause: CauseDisplaced, A: o.raw}
	if all > 0 {
		o.reason.B = 100 * most / all
	}
}

// forestAlpha is the weight of the newest value in the scale of a channel.
const forestAlpha = 0.002

func (m *forest) update(in *input, learn bool) {
	if learn {
		for c, x := range in.x {
			w := &m.channels[c]
			w.add(x, max(forestAlpha, 1/float64(w.n+1)))
		}
		// The first values have no scale yet.
		if m.n >= m.stretch && (m.k == 1 || m.n >= residualReady) {
			m.locate(in)
			for i := range m.trees {
				m.trees[i].sample(m.point, m.memory, &m.chance)
			}
		}
	}
	copy(m.past[m.k:], m.past)
	copy(m.past, in.x)
	m.n++
}

func (m *forest) state(c *codec) {
	u := uint64(m.chance)
	c.u64(&u)
	m.chance = random(u)
	c.int(&m.n)
	for i := range m.channels {
		m.channels[i].state(c)
	}
	c.array(m.past)
	for i := range m.trees {
		m.trees[i].state(c)
	}
}

func (m *forest) size() int {
	n := 200 + 24*m.k + 20*len(m.point)
	for i := range m.trees {
		n += m.trees[i].bytes()
	}
	return n
}
