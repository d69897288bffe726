package detectors

import (
	"math"

	"github.com/cepd/cepd/event"
)

var rangeDoc = Doc{
	Name: "range", Title: "Range", Since: "0.1",
	Text: `Tells when a value leaves a range: the one given by low and high, or, where neither is given, the
one of all values seen so far, by more than a share of its width. Choose it for limits that a
data sheet states.`,
	Params: []Param{
		{Name: "low", Text: "least value allowed", Default: math.Inf(-1), Min: math.Inf(-1), Max: math.Inf(1)},
		{Name: "high", Text: "greatest value allowed", Default: math.Inf(1), Min: math.Inf(-1), Max: math.Inf(1)},
		{Name: "margin", Text: "share of the learned range that a value may be outside of it", Default: 0.005, Min: 0, Max: 1e6},
	},
}

var rateDoc = Doc{
	Name: "rate", Title: "Rate of change", Since: "0.1",
	Text: `Judges the change per second since the last value: against a limit, where one is given,
else against the changes of the past. Choose it for quantities that physics keeps from
jumping, such as temperatures and levels.`,
	Params: []Param{
		{Name: "limit", Text: "greatest change per second; left out: learned", Default: 0, Min: 0, Max: math.Inf(1)},
		thresholdParam,
	},
}

var stuckDoc = Doc{
	Name: "stuck", Title: "Stuck value", Since: "0.1",
	Text: `Tells when a value has not changed for longer than a time, or, where no time is given, for
several times longer than it ever was still before. A series that often stands still teaches
it so. Choose it beside any other detector: a dead sensor looks calm.`,
	Params: []Param{
		{Name: "after", Text: "how long without a change is too long; left out: learned", Default: 0, Min: 0, Max: 1e9, Kind: Duration},
		{Name: "tolerance", Text: "what counts as no change", Default: 0, Min: 0, Max: math.Inf(1)},
		{Name: "times", Text: "how many times longer than ever before is too long, and how many steps at least are 10 times that", Default: 3, Min: 1, Max: 1e6},
	},
}

var missingDoc = Doc{
	Name: "missing", Title: "Missing data", Since: "0.1",
	Text: `Judges the time since the last value against a limit or against the gaps of the past. It speaks
when the next value comes; to hear of silence while it lasts, use an absent rule.`,
	Params: []Param{
		{Name: "after", Text: "how long a gap is too long; left out: learned", Default: 0, Min: 0, Max: 1e9, Kind: Duration},
		thresholdParam,
	},
}

// limits judges by a range that was given or seen.
type limits struct {
	low, high, margin float64
	fixed             bool
	n                 int
	min, max          float64
}

func newRange(s settings) model {
	return &limits{low: s.num("low"), high: s.num("high"), margin: s.num("margin"), fixed: s.given("low") || s.given("high")}
}

func (m *limits) judge(in *input, o *opinion) {
	x := in.x[0]
	lo, hi, width := m.low, m.high, m.high-m.low
	o.verdict = no
	if !m.fixed {
		if o.ready = float64(m.n) / residualReady; m.n == 0 {
			return
		}
		width = max(m.max-m.min, in.quantum[0])
		slack := max(m.margin*width, 1.5*in.quantum[0])
		lo, hi = m.min-slack, m.max+slack
	}
	if math.IsInf(width, 0) {
		width = max(math.Abs(max(lo, -math.MaxFloat64)), math.Abs(min(hi, math.MaxFloat64)), in.quantum[0])
		if width >= math.MaxFloat64 {
			width = max(min(math.Abs(lo), math.Abs(hi)), in.quantum[0])
		}
	}
	o.lower, o.upper = lo, hi
	switch {
	case x > hi:
		o.verdict, o.raw, o.direction = yes, (x-hi)/width, Up
		o.reason = Reason{Cause: CauseRange, A: x, B: hi}
	case x < lo:
		o.verdict, o.raw, o.direction = yes, (lo-x)/width, Down
		o.reason = Reason{Cause: CauseRange, A: x, B: lo}
	}
}

func (m *limits) update(in *input, learn bool) {
	x := in.x[0]
	if !learn || m.fixed {
		return
	}
	if m.n == 0 {
		m.min, m.max = x, x
	}
	m.min, m.max = min(m.min, x), max(m.max, x)
	m.n++
}

func (m *limits) state(c *codec) {
	c.int(&m.n)
	c.floats(&m.min, &m.max)
}

func (m *limits) size() int { return 56 }

// rate judges by the change per second.
type rate struct {
	limit float64
	n     int
	last  float64
	usual float64 // mean size of a rate
}

func newRate(s settings) model { return &rate{limit: s.num("limit")} }

// of is the rate of change that x makes; values at one time count as a step
// apart.
func (m *rate) of(in *input) float64 {
	dt := in.dt
	if dt <= 0 {
		dt = max(in.step, 1)
	}
	return (in.x[0] - m.last) / dt.Seconds()
}

func (m *rate) judge(in *input, o *opinion) {
	if m.limit == 0 {
		o.ready = float64(m.n) / residualReady
	}
	if m.n == 0 {
		return
	}
	r := m.of(in)
	o.raw, o.direction = math.Abs(r), Up
	if r < 0 {
		o.direction = Down
	}
	o.expected = m.last
	o.reason = Reason{Cause: CauseRate, A: r, B: m.usual}
	if m.limit > 0 {
		o.reason.B, o.verdict = m.limit, no
		if o.raw > m.limit {
			o.verdict = yes
		}
		reach := m.limit * max(in.dt, 1).Seconds()
		o.lower, o.upper = m.last-reach, m.last+reach
	}
}

func (m *rate) update(in *input, learn bool) {
	if learn && m.n > 0 {
		m.usual += (math.Abs(m.of(in)) - m.usual) / float64(min(m.n, 100))
	}
	m.last = in.x[0]
	m.n++
}

func (m *rate) state(c *codec) {
	c.int(&m.n)
	c.floats(&m.last, &m.usual)
}

func (m *rate) size() int { return 40 }

// stuckSteps is the shortest stretch of steps without a change that is ever told,
// in multiples of times.
const stuckSteps = 10

// stuck judges by the time without a change.
type stuck struct {
	after            event.Duration
	tolerance, times float64
	n, changes       int
	level            float64
	since            event.Duration // elapsed time of the last change
	longest          event.Duration // stretch without a change
}

func newStuck(s settings) model {
	return &stuck{after: s.span("after"), tolerance: s.num("tolerance"), times: s.num("times")}
}

// limit is how long is too long; 0 is never.
func (m *stuck) limit(in *input) event.Duration {
	if m.after > 0 {
		return m.after
	}
	// A series that has hardly ever changed is a constant, not a stuck one.
	if m.changes < residualReady {
		return 0
	}
	return event.Duration(m.times * float64(max(m.longest, stuckSteps*in.step)))
}

func (m *stuck) judge(in *input, o *opinion) {
	o.verdict = no
	if m.after == 0 {
		o.ready = float64(m.n) / residualReady
	}
	if m.n == 0 || math.Abs(in.x[0]-m.level) > m.tolerance {
		return
	}
	still := in.elapsed - m.since
	limit := m.limit(in)
	o.raw = still.Seconds()
	o.reason = Reason{Cause: CauseStuck, A: still.Seconds(), B: m.longest.Seconds()}
	if limit > 0 && still > limit {
		o.verdict = yes
	}
}

// update takes a stretch for usual once it is over, unless it was an anomaly.
func (m *stuck) update(in *input, learn bool) {
	if m.n > 0 && math.Abs(in.x[0]-m.level) <= m.tolerance {
		if learn && !in.gap {
			m.n++
		}
		return
	}
	if m.n > 0 {
		m.changes++
		still := in.elapsed - m.since
		if limit := m.limit(in); learn && !in.gap && (limit == 0 || still <= limit) {
			m.longest = max(m.longest, still)
		}
	}
	m.n++
	m.level, m.since = in.x[0], in.elapsed
}

func (m *stuck) state(c *codec) {
	c.int(&m.n)
	c.int(&m.changes)
	c.f64(&m.level)
	c.dur(&m.since)
	c.dur(&m.longest)
}

func (m *stuck) size() int { return 72 }

// missing judges by the time since the last value.
type missing struct {
	after event.Duration
	n     int
}

func newMissing(s settings) model { return &missing{after: s.span("after")} }

func (m *missing) judge(in *input, o *opinion) {
	if m.after == 0 {
		o.ready = float64(m.n) / residualReady
	}
	if m.n == 0 || in.step == 0 {
		return
	}
	o.raw = in.dt.Seconds()
	o.reason = Reason{Cause: CauseGap, A: in.dt.Seconds(), B: in.step.Seconds()}
	if m.after > 0 {
		if o.verdict = no; in.dt > m.after {
			o.verdict = yes
		}
	} else if in.dt <= 2*in.step {
		o.verdict = no
	}
}

func (m *missing) update(*input, bool) { m.n++ }

func (m *missing) state(c *codec) { c.int(&m.n) }

func (m *missing) size() int { return 16 }
