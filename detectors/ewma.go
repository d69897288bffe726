package detectors

import "math"

var ewmaDoc = Doc{
	Name: "ewma", Title: "Exponentially weighted mean and deviation", Since: "0.1",
	Text: `Follows the mean and the variance with weights that fade, and is surprised by a value
many deviations away. The cheapest detector there is. Choose it for series with neither
season nor trend, or where an operator wants to work the numbers out by hand.`,
	Params: []Param{
		{Name: "alpha", Text: "weight of the newest value in the mean", Default: 0.01, Min: 1e-6, Max: 1},
		thresholdParam,
	},
}

// ewmean is an exponentially weighted mean and variance, started at the first
// value.
type ewmean struct {
	n          int
	mean, var_ float64
}

// add weighs x with alpha. The update of the variance is the algebraic equal of
// mean(x*x) - mean(x)*mean(x) that does not lose digits.
func (w *ewmean) add(x, alpha float64) {
	w.n++
	if w.n == 1 {
		w.mean, w.var_ = x, 0
		return
	}
	d := x - w.mean
	step := alpha * d
	w.mean += step
	w.var_ = (1 - alpha) * (w.var_ + d*step)
}

func (w *ewmean) state(c *codec) {
	c.int(&w.n)
	c.f64(&w.mean)
	c.f64(&w.var_)
}

// residualReady is how many values the residual detectors want before they
// judge.
const residualReady = 30

// ewma judges by the distance from the mean in deviations.
type ewma struct {
	alpha float64
	w     ewmean
}

func newEWMA(s settings) model { return &ewma{alpha: s.num("alpha")} }

func (m *ewma) judge(in *input, o *opinion) {
	o.ready = float64(m.w.n) / residualReady
	if m.w.n == 0 {
		return
	}
	o.residual(in.x[0], m.w.mean, max(math.Sqrt(m.w.var_), in.quantum[0]/2))
}

// residual fills in what a model with an expected value and a scale has to say.
func (o *opinion) residual(x, expected, scale float64) {
	o.expected, o.scale = expected, scale
	d := x - expected
	o.raw = math.Abs(d) / scale
	o.direction = Up
	if d < 0 {
		o.direction = Down
	}
	o.reason = Reason{Cause: CauseDeviation, A: x, B: expected}
}

// update weighs the first values equally, as the plain mean does, so that the
// very first one does not linger.
func (m *ewma) update(in *input, learn bool) {
	if learn {
		m.w.add(in.x[0], max(m.alpha, 1/float64(m.w.n+1)))
	}
}

func (m *ewma) state(c *codec) { m.w.state(c) }

func (m *ewma) size() int { return 40 }
