package detectors

import "math"

var dspotDoc = Doc{
	Name: "dspot", Title: "Drifting peaks over threshold, by moments", Since: "0.1",
	Text: `Takes the mean of the last values off, and judges what is left by a generalized Pareto
distribution fitted to the largest two percent on either side. As spot with a depth, but it
judges after some dozens of values, never stops to adapt, and gives a score. Choose it for
wandering series with heavy tails.`,
	Params: []Param{
		{Name: "depth", Text: "values in the mean that is taken off", Default: 100, Min: 2, Max: 2000, Kind: Integer},
		thresholdParam,
	},
}

// dspot judges the distance from the mean of the last values by the two tails of
// such distances.
type dspot struct {
	depth  int
	ring   []float64
	next   int
	sum    float64
	up, dn tail
}

func newDSPOT(s settings) model {
	d := s.count("depth")
	return &dspot{depth: d, ring: make([]float64, 0, d)}
}

// pareto is the surprise of s, as score, with the excess over u taken for a
// generalized Pareto distribution whose shape comes from the moments of the k
// largest.
func (t *tail) pareto(s float64) float64 {
	k := t.k()
	if t.n <= k || len(t.top) <= k {
		return 0
	}
	u := float64(t.top[k])
	if s <= u {
		return t.score(s)
	}
	mean := t.excess(k)
	var variance float64
	for _, w := range t.top[:k] {
		d := float64(w) - u - mean
		variance += d * d
	}
	variance /= float64(k)
	xi := 0.0
	if variance > 0 {
		xi = min(max(0.5*(1-mean*mean/variance), -0.45), 0.5)
	}
	sigma := mean * (1 - xi)
	arg := 1 + xi*(s-u)/sigma
	base := math.Log10(float64(t.n) / float64(k))
	switch {
	case arg <= 0:
		return tailCap
	case math.Abs(xi) < 1e-6:
		return min(tailCap, base+(s-u)/(sigma*math.Ln10))
	}
	return min(tailCap, base+math.Log10(arg)/xi)
}

func (m *dspot) judge(in *input, o *opinion) {
	o.orders = true
	n := len(m.ring)
	o.ready = float64(m.up.n) / residualReady
	if n == 0 {
		return
	}
	mean := m.sum / float64(n)
	d := in.x[0] - mean
	o.expected, o.direction = mean, Up
	t := &m.up
	if d < 0 {
		t, d, o.direction = &m.dn, -d, Down
	}
	o.raw = max(0, t.pareto(d)-math.Log10(2)) // there are two sides to be surprised on
	o.reason = Reason{Cause: CauseDeviation, A: in.x[0], B: mean}
}

// leastDepth is how many values the mean wants before distances from it count.
const leastDepth = 10

func (m *dspot) update(in *input, _ bool) {
	x := in.x[0]
	if n := len(m.ring); !in.frozen && n >= min(leastDepth, m.depth) {
		d := x - m.sum/float64(n)
		m.up.add(max(d, 0))
		m.dn.add(max(-d, 0))
	}
	if len(m.ring) < m.depth {
		m.ring = append(m.ring, x)
		m.sum += x
		return
	}
	m.sum += x - m.ring[m.next]
	m.ring[m.next] = x
	if m.next++; m.next == m.depth {
		m.next, m.sum = 0, 0
		for _, v := range m.ring { // rounding errors must not pile up
			m.sum += v
		}
	}
}

func (m *dspot) state(c *codec) {
	c.list(&m.ring, m.depth)
	c.index(&m.next, m.depth)
	c.f64(&m.sum)
	m.up.state(c)
	m.dn.state(c)
}

func (m *dspot) size() int { return 80 + 8*m.depth + m.up.size() + m.dn.size() }

func (m *dspot) breakOff() { m.ring, m.next, m.sum = m.ring[:0], 0, 0 }
