package detectors

import "math"

var medianDoc = Doc{
	Name: "median", Title: "Rolling median and median absolute deviation", Since: "0.1",
	Text: `Takes the median of the last values for what is expected, and the median of the
deviations from it for their spread. Up to half of the values may be wild without moving
either. Choose it for noisy series with outliers that must not widen the band.`,
	Params: []Param{
		{Name: "window", Text: "how many of the last values count", Default: 500, Min: 5, Max: 2000, Kind: Integer},
		thresholdParam,
	},
}

var quantileDoc = Doc{
	Name: "quantile", Title: "Rolling quantile band", Since: "0.1",
	Text: `Takes two quantiles of the last values for the usual band, and measures how far outside of
it a value lies, in widths of the band. Choose it for lopsided series, such as latencies or
counts, where up and down differ.`,
	Params: []Param{
		{Name: "window", Text: "how many of the last values count", Default: 500, Min: 20, Max: 2000, Kind: Integer},
		{Name: "low", Text: "lower quantile", Default: 0.05, Min: 0, Max: 0.5},
		{Name: "high", Text: "upper quantile", Default: 0.95, Min: 0.5, Max: 1},
		thresholdParam,
	},
}

// median judges by the distance from the rolling median, in scaled MADs.
type median struct{ w sorted[float64] }

func newMedian(s settings) model { return &median{newSorted[float64](s.count("window"))} }

// leastSpread is the share of the distance between the tenth and the ninetieth
// percentile that a median deviation does not go below: more than half of the
// values may be equal, and the others still not surprising.
const leastSpread = 0.05

func (m *median) judge(in *input, o *opinion) {
	n := len(m.w.v)
	o.ready = float64(n) / float64(min(residualReady, m.w.size))
	if n == 0 {
		return
	}
	center := quantileOf(m.w.v, 0.5)
	spread := leastSpread * (quantileOf(m.w.v, 0.9) - quantileOf(m.w.v, 0.1))
	o.residual(in.x[0], center, max(madOf(m.w.v, center), spread, in.quantum[0]/2))
}

func (m *median) update(in *input, learn bool) {
	if learn {
		m.w.add(in.x[0])
	}
}

func (m *median) state(c *codec) { m.w.state(c) }

func (m *median) size() int { return 16 * m.w.size }

// quantile judges by the distance from a band between two quantiles.
type quantile struct {
	low, high float64
	w         sorted[float64]
}

func newQuantile(s settings) model {
	return &quantile{low: s.num("low"), high: s.num("high"), w: newSorted[float64](s.count("window"))}
}

func (m *quantile) judge(in *input, o *opinion) {
	n := len(m.w.v)
	o.ready = float64(n) / float64(min(residualReady, m.w.size))
	if n == 0 {
		return
	}
	x, lo, hi := in.x[0], quantileOf(m.w.v, m.low), quantileOf(m.w.v, m.high)
	o.expected, o.lower, o.upper = quantileOf(m.w.v, 0.5), lo, hi
	width := max(hi-lo, in.quantum[0])
	switch {
	case x > hi:
		o.raw, o.direction = (x-hi)/width, Up
	case x < lo:
		o.raw, o.direction = (lo-x)/width, Down
	default: // inside, the rank still counts: scores have to be continuous
		o.raw = 0
		if math.Abs(x-o.expected) > 0 {
			o.raw = 1e-3 * math.Abs(x-o.expected) / width
		}
	}
	o.reason = Reason{Cause: CauseDeviation, A: x, B: o.expected}
}

func (m *quantile) update(in *input, learn bool) {
	if learn {
		m.w.add(in.x[0])
	}
}

func (m *quantile) state(c *codec) { m.w.state(c) }

func (m *quantile) size() int { return 16 * m.w.size }
