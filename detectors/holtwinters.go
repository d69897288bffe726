package detectors

import (
	"math"

	"github.com/cepd/cepd/event"
)

var smoothingParams = []Param{
	{Name: "alpha", Text: "weight of the newest value in the level", Default: 0.1, Min: 1e-6, Max: 1},
	{Name: "beta", Text: "weight of the newest change in the trend", Default: 0.01, Min: 0, Max: 1},
	{Name: "gamma", Text: "weight of the newest value in its place in the season", Default: 0.1, Min: 0, Max: 1},
	{Name: "period", Text: "values in a season; left out: the season divided by the step", Default: 0, Min: 0, Max: maxPeriod, Kind: Integer},
	thresholdParam,
}

var sesDoc = Doc{
	Name: "ses", Title: "Simple exponential smoothing", Since: "0.1",
	Text: `Expects the next value to be the smoothed level, and weighs the error by its usual size.
Choose it for series that wander with neither trend nor season.`,
	Params: []Param{smoothingParams[0], thresholdParam},
}

var holtDoc = Doc{
	Name: "holt", Title: "Holt: level and trend", Since: "0.1",
	Text: `Expects the level to go on with its trend. Choose it for tanks, disks and counters that
fill at a steady pace.`,
	Params: []Param{smoothingParams[0], smoothingParams[1], thresholdParam},
}

var holtWintersDoc = Doc{
	Name: "holt_winters", Title: "Holt-Winters: level, trend and additive season", Since: "0.1",
	Text: `Expects level plus trend plus what this place in the season usually adds. It needs two
seasons before it judges. Choose it for a strong season with the same swing at every level.`,
	Params: smoothingParams,
}

var holtWintersMultDoc = Doc{
	Name: "holt_winters_multiplicative", Title: "Holt-Winters: level, trend and multiplicative season", Since: "0.1",
	Text: `As holt_winters, where the swing of the season grows with the level. The values should
be over 0.`,
	Params: smoothingParams,
}

// maxPeriod bounds a season in values; a day of minutes. A longer season leaves
// only level and trend.
const maxPeriod = 1440

// seasonality is which parts a smoother has.
type seasonality uint8

const (
	levelOnly seasonality = iota
	withTrend
	additive
	multiplicative
)

// smoother is the Holt-Winters recursion, with the same start as HoltWinters in
// R, so that both agree to the last digits:
//
//	expected = (l + b) + s            or   (l + b) * s
//	l' = alpha (x - s) + (1-alpha)(l + b)      x / s
//	b' = beta (l' - l) + (1-beta) b
//	s' = gamma (x - l') + (1-gamma) s          x / l'
type smoother struct {
	kind               seasonality
	alpha, beta, gamma float64
	period             int
	started            bool
	level, trend       float64
	season             []float64
	at                 int // place in the season of the next value
	first              []float64
}

// wants is how many values the start takes.
func (h *smoother) wants() int {
	switch h.kind {
	case levelOnly:
		return 1
	case withTrend:
		return 2
	}
	return 2 * h.period
}

// expect is the forecast for the next value; NaN before the start.
func (h *smoother) expect() float64 {
	if !h.started {
		return math.NaN()
	}
	base := h.level + h.trend
	switch h.kind {
	case additive:
		return base + h.season[h.at]
	case multiplicative:
		return base * h.season[h.at]
	}
	return base
}

func (h *smoother) add(x float64) {
	if !h.started {
		h.gather(x)
		return
	}
	h.smooth(x)
}

func (h *smoother) smooth(x float64) {
	base, before := h.level+h.trend, h.level
	s := 0.0
	if h.kind >= additive {
		s = h.season[h.at]
	}
	flat := x - s
	if h.kind == multiplicative {
		flat = ratio(x, s)
	}
	h.level = h.alpha*flat + (1-h.alpha)*base
	if h.kind == levelOnly {
		return
	}
	h.trend = h.beta*(h.level-before) + (1-h.beta)*h.trend
	switch h.kind {
	case additive:
		h.season[h.at] = h.gamma*(x-h.level) + (1-h.gamma)*s
	case multiplicative:
		h.season[h.at] = h.gamma*ratio(x, h.level) + (1-h.gamma)*s
	}
	if h.kind >= additive {
		h.at = (h.at + 1) % h.period
	}
}

// ratio is x/y, or 1 where that says nothing.
func ratio(x, y float64) float64 {
	if r := x / y; r-r == 0 {
		return r
	}
	return 1
}

// skip moves on past a value that is not learned from: the trend and the season
// go on.
func (h *smoother) skip(n int) {
	if !h.started {
		return
	}
	h.level += float64(n) * h.trend
	if h.kind >= additive {
		h.at = (h.at + n) % h.period
	}
}

// gather collects the values of the start, and starts: SES at the first value,
// Holt at the second with the first difference, the seasonal kinds by taking the
// first two seasons apart.
func (h *smoother) gather(x float64) {
	h.first = append(h.first, x)
	if len(h.first) < h.wants() {
		return
	}
	h.started = true
	switch h.kind {
	case levelOnly:
		h.level = x
	case withTrend:
		h.level, h.trend = x, x-h.first[0]
	default:
		h.decompose()
	}
	if h.kind >= additive { // the forecasts of R begin with the second season
		for _, y := range h.first[h.period:] {
			h.smooth(y)
		}
	}
	h.first = nil
}

// decompose takes two seasons apart: a centered moving average is the trend, to
// which a line is fitted; the mean of what is left is the season.
func (h *smoother) decompose() {
	m := h.period
	x := h.first
	half := m / 2
	// The average is known for the places half .. 2m-half-1.
	sums := make([]float64, m)
	counts := make([]float64, m)
	var n, st, sy, stt, sty float64
	for i := half; i < 2*m-half; i++ {
		y, ok := centered(x, i, m)
		if !ok {
			continue
		}
		n++
		st += n
		sy += y
		stt += n * n
		sty += n * y
		d := x[i] - y
		if h.kind == multiplicative {
			d = ratio(x[i], y)
		}
		sums[i%m] += d
		counts[i%m]++
	}
	h.trend = (n*sty - st*sy) / (n*stt - st*st)
	h.level = (sy - h.trend*st) / n
	h.season = make([]float64, m)
	var mean float64
	for i := range h.season {
		h.season[i] = sums[i] / counts[i]
		mean += h.season[i] / float64(m)
	}
	for i := range h.season {
		if h.kind == multiplicative {
			h.season[i] = ratio(h.season[i], mean)
		} else {
			h.season[i] -= mean
		}
	}
	h.at = 0
}

// centered is the moving average over one season around x[i]; for an even season
// the two ends count half.
func centered(x []float64, i, m int) (float64, bool) {
	half := m / 2
	lo, hi := i-half, i+half
	if lo < 0 || hi >= len(x) {
		return 0, false
	}
	var sum float64
	for _, v := range x[lo : hi+1] {
		sum += v
	}
	if m%2 == 0 {
		sum -= 0.5*x[lo] + 0.5*x[hi]
	}
	return sum / float64(m), true
}

func (h *smoother) state(c *codec) {
	k := uint8(h.kind)
	c.byte(&k)
	h.kind = min(seasonality(k), multiplicative)
	c.int(&h.period)
	c.bool(&h.started)
	c.f64(&h.level)
	c.f64(&h.trend)
	c.list(&h.season, maxPeriod)
	c.list(&h.first, 2*maxPeriod)
	c.index(&h.at, max(len(h.season), 1))
	if c.reading && h.started && h.kind >= additive && (h.period < 2 || len(h.season) != h.period) {
		c.bad, h.kind, h.started = true, levelOnly, false
	}
}

// holtWinters judges by the error of a smoother's forecast.
type holtWinters struct {
	smoother
	asked  seasonality
	length event.Duration // of the season
	known  bool           // the period is
	errs   ewmean         // of the forecast errors; its mean square is the scale
	seen   int
}

func newSmoothing(s settings, kind seasonality) *holtWinters {
	m := &holtWinters{asked: kind, length: 24 * 3600 * 1e9}
	m.kind, m.alpha = kind, s.num("alpha")
	if len(s.Season) > 0 {
		m.length = s.Season[0]
	}
	if kind >= withTrend {
		m.beta = s.num("beta")
	}
	if kind >= additive {
		m.gamma, m.period = s.num("gamma"), s.count("period")
	}
	m.known = kind < additive || m.period > 1
	return m
}

func newSES(s settings) model             { return newSmoothing(s, levelOnly) }
func newHolt(s settings) model            { return newSmoothing(s, withTrend) }
func newHoltWinters(s settings) model     { return newSmoothing(s, additive) }
func newHoltWintersMult(s settings) model { return newSmoothing(s, multiplicative) }

func (m *holtWinters) judge(in *input, o *opinion) {
	need := float64(residualReady)
	if m.known {
		need = max(need, float64(m.wants()))
	}
	o.ready = float64(m.seen) / need
	if !m.started || m.errs.n < 2 {
		return
	}
	o.residual(in.x[0], m.expect(), max(math.Sqrt(m.errs.mean), in.quantum[0]/2))
}

// errorAlpha fades the mean square of the forecast errors: some hundred values.
const errorAlpha = 0.01

func (m *holtWinters) update(in *input, learn bool) {
	m.settle(in)
	if in.gap && in.step > 0 {
		m.skip(min(int(in.dt/in.step)-1, 100*maxPeriod))
	}
	if !m.known {
		return
	}
	m.seen++
	if !learn && m.started {
		m.skip(1)
		return
	}
	if m.started {
		d := in.x[0] - m.expect()
		m.errs.add(d*d, max(errorAlpha, 1/float64(m.errs.n+1)))
	}
	m.add(in.x[0])
}

// settle works out the period once the step is known. A season too long or too
// short for the step leaves level and trend.
func (m *holtWinters) settle(in *input) {
	if m.known || in.step == 0 {
		return
	}
	m.known = true
	m.period = int((m.length + in.step/2) / in.step)
	if m.period < 2 || m.period > maxPeriod {
		m.kind = withTrend
	}
}

func (m *holtWinters) state(c *codec) {
	c.bool(&m.known)
	c.int(&m.seen)
	m.errs.state(c)
	m.smoother.state(c)
}

func (m *holtWinters) size() int { return 160 + 8*cap(m.season) + 8*cap(m.first) }
