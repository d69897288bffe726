package detectors

import "math"

var cusumDoc = Doc{
	Name: "cusum", Title: "Cumulative sums (CUSUM)", Since: "0.1",
	Text: `Adds up how far values lie from the mean of the first ones, less a slack, on either side,
and tells when a sum passes a limit: small shifts that last, and no single outlier. After
an alarm it starts afresh. Choose it for the drift of a process that has a set point; its
false alarms are some 465 values apart with the classical numbers, so raise the limit for
long quiet series.`,
	Params: []Param{
		{Name: "warm", Text: "values that the mean and the deviation are taken from", Default: 30, Min: 2, Max: 1e6, Kind: Integer},
		{Name: "slack", Text: "slack in deviations: half of the shift to find", Default: 0.5, Min: 0, Max: 100},
		{Name: "limit", Text: "limit of a sum, in deviations", Default: 5, Min: 0.01, Max: 1e6},
	},
}

var pageHinkleyDoc = Doc{
	Name: "page_hinkley", Title: "Page-Hinkley test", Since: "0.1",
	Text: `Adds up how far values lie over their running mean, less a tolerance, and tells when
the sum passes a limit, which is in units of the series. It sees upward shifts; give
direction: down for the other side. After an alarm it starts afresh.`,
	Params: []Param{
		{Name: "warm", Text: "values before the first verdict", Default: 30, Min: 1, Max: 1e6, Kind: Integer},
		{Name: "tolerance", Text: "what a value may be over the mean", Default: 0.005, Min: 0, Max: 1e12},
		{Name: "limit", Text: "limit of the sum", Default: 50, Min: 1e-12, Max: 1e15},
		{Name: "alpha", Text: "how much of the sum stays from one value to the next", Default: 0.9999, Min: 0, Max: 1},
	},
}

// cusum is the tabular cumulative sum with a reference that is estimated once.
type cusum struct {
	warm         int
	slack, limit float64
	n            int
	mean, m2     float64
	sigma        float64
	up, down     float64
}

func newCUSUM(s settings) model {
	return &cusum{warm: s.count("warm"), slack: s.num("slack"), limit: s.num("limit")}
}

// judge takes the value in: a change detector learns from everything.
func (m *cusum) judge(in *input, o *opinion) {
	x := in.x[0]
	o.verdict, o.ready = no, min(1, float64(m.n+1)/float64(m.warm))
	m.gather(x)
	if m.n < m.warm {
		return
	}
	sigma := max(m.sigma, in.quantum[0]/2)
	d := x - m.mean
	m.up, m.down = max(0, m.up+d-m.slack*sigma), max(0, m.down-d-m.slack*sigma)
	o.expected, o.raw, o.direction = m.mean, m.up/sigma, Up
	if m.down > m.up {
		o.raw, o.direction = m.down/sigma, Down
	}
	o.reason = Reason{Cause: CauseShift, A: x, B: m.mean}
	if o.raw > m.limit {
		o.verdict = yes
		*m = cusum{warm: m.warm, slack: m.slack, limit: m.limit}
	}
}

func (m *cusum) update(*input, bool) {}

// gather takes x into the reference while that is being estimated.
func (m *cusum) gather(x float64) {
	if m.n >= m.warm {
		return
	}
	m.n++
	d := x - m.mean
	m.mean += d / float64(m.n)
	m.m2 += d * (x - m.mean)
	if m.n == m.warm {
		m.sigma = math.Sqrt(m.m2 / float64(m.n-1))
	}
}

func (m *cusum) state(c *codec) {
	c.int(&m.n)
	c.floats(&m.mean, &m.m2, &m.sigma, &m.up, &m.down)
}

func (m *cusum) size() int { return 72 }

// pageHinkley is the Page-Hinkley test with a fading sum, on one side.
type pageHinkley struct {
	warm                    int
	tolerance, limit, alpha float64
	sign                    float64
	n                       int
	mean, sum               float64
}

func newPageHinkley(s settings) model {
	sign := 1.0
	if s.Direction == Down {
		sign = -1
	}
	return &pageHinkley{warm: s.count("warm"), tolerance: s.num("tolerance"), limit: s.num("limit"), alpha: s.num("alpha"), sign: sign}
}

func (m *pageHinkley) judge(in *input, o *opinion) {
	x := in.x[0]
	m.n++
	m.mean += (x - m.mean) / float64(m.n)
	m.sum = max(0, m.alpha*m.sum+m.sign*(x-m.mean)-m.tolerance)
	o.verdict, o.ready = no, min(1, float64(m.n+1)/float64(m.warm))
	o.expected, o.raw, o.direction = m.mean, m.sum/m.limit, Direction(m.sign)
	o.reason = Reason{Cause: CauseShift, A: x, B: m.mean}
	if m.n+1 >= m.warm && m.sum >= m.limit {
		o.verdict = yes
		m.n, m.mean, m.sum = 0, 0, 0
	}
}

func (m *pageHinkley) update(*input, bool) {}

func (m *pageHinkley) state(c *codec) {
	c.int(&m.n)
	c.floats(&m.mean, &m.sum)
}

func (m *pageHinkley) size() int { return 64 }
