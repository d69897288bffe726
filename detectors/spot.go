package detectors

import (
	"math"
	"slices"
)

var spotDoc = Doc{
	Name: "spot", Title: "Streaming peaks over threshold (SPOT)", Since: "0.1",
	Text: `Fits a generalized Pareto distribution to the peaks over a high quantile, and puts the limit
where a value would come with probability q: extreme values without an assumption about the
bulk. With a depth, the mean of so many last values is taken off first (DSPOT), for series that
drift. Choose it where a false alarm rate has to be stated in advance.`,
	Params: []Param{
		{Name: "q", Text: "probability of a value over the limit", Default: 1e-4, Min: 1e-12, Max: 0.01},
		{Name: "init", Text: "values that the first fit is made of", Default: 1000, Min: 100, Max: 20000, Kind: Integer},
		{Name: "depth", Text: "values in the mean that is taken off; 0: none", Default: 0, Min: 0, Max: 2000, Kind: Integer},
		{Name: "level", Text: "quantile that peaks are over", Default: 0.98, Min: 0.5, Max: 0.999},
	},
}

// spot is the algorithm of Siffer, Fouque, Termier and Largouet, "Anomaly
// Detection in Streams with Extreme Value Theory" (KDD 2017), on one or both
// sides.
type spot struct {
	q, level    float64
	init, depth int
	useUp, down bool
	first       []float64 // values of the start, less their drift
	n           int       // values that count, since the end of the start
	started     bool
	sides       [2]spotSide // up, down
	mid         float64     // median of the start
	body        tail        // of the distances from mid: the score below the thresholds
	recent      []float64   // the last depth values
	next        int
	sum         float64
}

// spotSide is one tail; the lower one is turned over.
type spotSide struct {
	t, z         float64
	gamma, sigma float64
	peaks        []float64 // excesses over t
	nt           int       // peaks ever
	at           int       // the oldest, once peaks is full
	due          int       // peaks at which to fit again
}

// spotPeaks bounds the peaks that a fit is made of; the newest count.
const spotPeaks = 512

func newSPOT(s settings) model {
	m := &spot{q: s.num("q"), level: s.num("level"), init: s.count("init"), depth: s.count("depth")}
	m.useUp, m.down = s.Direction != Down, s.Direction != Up
	return m
}

// drift is the mean of the last depth values.
func (m *spot) drift() float64 {
	if m.depth == 0 {
		return 0
	}
	return m.sum / float64(m.depth)
}

func (m *spot) judge(in *input, o *opinion) {
	o.verdict, o.orders = no, true
	if !m.started {
		o.ready = float64(len(m.first)+len(m.recent)) / float64(m.init+m.depth+1)
		return
	}
	mean := m.drift()
	x := in.x[0] - mean
	if m.depth > 0 {
		o.expected = mean
	}
	o.raw = min(m.body.score(m.away(x)), -math.Log10(1-m.level))
	if m.useUp {
		m.side(0, x, mean, Up, o)
		o.upper = mean + m.sides[0].z
	}
	if m.down {
		m.side(1, -x, -mean, Down, o)
		o.lower = mean - m.sides[1].z
	}
}

// away is how far x lies from the middle, on the sides that count.
func (m *spot) away(x float64) float64 {
	d := x - m.mid
	if !m.useUp {
		d = min(d, 0)
	} else if !m.down {
		d = max(d, 0)
	}
	return math.Abs(d)
}

// side judges the excess of x on one side.
func (m *spot) side(i int, x, mean float64, dir Direction, o *opinion) {
	s := &m.sides[i]
	if orders := s.orders(x, m.total()); orders > o.raw {
		o.raw, o.direction = orders, dir
		limit := s.z + mean
		if dir == Down {
			limit = -limit
		}
		o.reason = Reason{Cause: CauseTail, A: x + mean, B: limit}
		if dir == Down {
			o.reason.A = -o.reason.A
		}
	}
	if x > s.z {
		o.verdict = yes
	}
}

func (m *spot) total() float64 { return float64(m.n) }

// orders is -log10 of the probability of x or more.
func (s *spotSide) orders(x, n float64) float64 {
	p := max(float64(s.nt), 0.5) / n
	y := x - s.t
	if y <= 0 {
		return 0
	}
	base := -math.Log10(p)
	if math.Abs(s.gamma) < 1e-9 {
		return min(tailCap, base+y/(s.sigma*math.Ln10))
	}
	arg := 1 + s.gamma*y/s.sigma
	if arg <= 0 { // past the end that the fit says there is
		return tailCap
	}
	return min(tailCap, base+math.Log10(arg)/s.gamma)
}

// update learns from what is not over a limit, as the authors do.
func (m *spot) update(in *input, learn bool) {
	x := in.x[0]
	if !m.started {
		m.gather(x)
		return
	}
	y := x - m.drift()
	if m.useUp && y > m.sides[0].z || m.down && -y > m.sides[1].z || !learn {
		return
	}
	m.n++
	m.body.add(m.away(y))
	switch {
	case m.useUp && y > m.sides[0].t:
		m.sides[0].peak(y, m.q, m.total())
	case m.down && -y > m.sides[1].t:
		m.sides[1].peak(-y, m.q, m.total())
	}
	m.remember(x)
}

func (m *spot) remember(x float64) {
	if m.depth == 0 {
		return
	}
	if len(m.recent) < m.depth {
		m.recent = append(m.recent, x)
		m.sum += x
		return
	}
	m.sum += x - m.recent[m.next]
	m.recent[m.next] = x
	if m.next++; m.next == m.depth {
		m.next = 0
		m.sum = 0
		for _, v := range m.recent { // rounding errors must not pile up
			m.sum += v
		}
	}
}

// gather collects the values of the start.
func (m *spot) gather(x float64) {
	if m.depth > 0 && len(m.recent) < m.depth {
		m.remember(x)
		return
	}
	m.first = append(m.first, x-m.drift())
	m.remember(x)
	if len(m.first) < m.init {
		return
	}
	sorted := slices.Clone(m.first)
	slices.Sort(sorted)
	m.mid = quantileOf(sorted, 0.5)
	for _, v := range m.first {
		m.body.add(m.away(v))
	}
	if m.useUp {
		m.sides[0].start(m.first, int(m.level*float64(m.init)), m.q)
	}
	if m.down {
		for i := range m.first {
			m.first[i] = -m.first[i]
		}
		m.sides[1].start(m.first, m.init-1-int((1-m.level)*float64(m.init)), m.q)
	}
	m.n, m.started, m.first = m.init, true, nil
}

// start sets the threshold that peaks are over, the value of a rank, and fits.
func (s *spotSide) start(values []float64, rank int, q float64) {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	s.t = sorted[rank]
	s.peaks = make([]float64, 0, spotPeaks)
	for _, v := range values {
		if v > s.t {
			s.keep(v - s.t)
		}
	}
	s.fit(q, float64(len(values)))
}

func (s *spotSide) keep(y float64) {
	s.nt++
	if len(s.peaks) < spotPeaks {
		s.peaks = append(s.peaks, y)
		return
	}
	s.peaks[s.at] = y
	s.at = (s.at + 1) % spotPeaks
}

// peak adds a peak, and fits again once there are two percent more: one peak
// more among many hardly moves the fit, which is the dear part.
func (s *spotSide) peak(x, q, n float64) {
	s.keep(x - s.t)
	if s.nt >= s.due {
		s.fit(q, n)
	}
}

// fit sets the limit so that a value passes it with probability q.
func (s *spotSide) fit(q, n float64) {
	s.due = s.nt + 1 + s.nt/50
	if s.nt == 0 { // a constant start: whatever is over it is past the limit
		s.z, s.sigma = s.t, 1
		return
	}
	s.gamma, s.sigma = fitPareto(s.peaks)
	r := n * q / float64(s.nt)
	if s.gamma != 0 {
		s.z = s.t + s.sigma/s.gamma*(math.Pow(r, -s.gamma)-1)
	} else {
		s.z = s.t - s.sigma*math.Log(r)
	}
}

func (m *spot) state(c *codec) {
	c.list(&m.first, 20000)
	c.f64(&m.mid)
	m.body.state(c)
	c.int(&m.n)
	c.bool(&m.started)
	for i := range m.sides {
		s := &m.sides[i]
		c.floats(&s.t, &s.z, &s.gamma, &s.sigma)
		c.list(&s.peaks, spotPeaks)
		c.int(&s.nt)
		c.index(&s.at, spotPeaks)
		c.int(&s.due)
	}
	c.list(&m.recent, max(m.depth, 1))
	c.index(&m.next, max(m.depth, 1))
	c.f64(&m.sum)
}

func (m *spot) size() int {
	return 320 + m.body.size() + 8*(cap(m.first)+cap(m.recent)+cap(m.sides[0].peaks)+cap(m.sides[1].peaks))
}
