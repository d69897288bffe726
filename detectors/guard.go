package detectors

import (
	"math"

	"github.com/cepd/cepd/event"
)

// input is an observation on its way to a model, with what the guard knows of the
// series.
type input struct {
	t       event.Time
	dt      event.Duration // since the observation before, never negative
	elapsed event.Duration // since the first one, never falling
	step    event.Duration // usual; 0 until it is known
	gap     bool           // a hole lies before it
	x       []float64      // finite
	quantum []float64      // resolution of each channel
	n       int            // observations before this one
	frozen  bool           // learning is over for good
}

// opinion is what a model says of an observation.
type opinion struct {
	raw                    float64 // surprise, on any scale; 0 is none
	orders                 bool    // raw is in orders of magnitude already
	verdict                verdict
	expected, lower, upper float64
	scale                  float64 // of the distance from expected that raw counts in; 0: none
	direction              Direction
	late                   bool // it is about an earlier value
	channel                int
	ready                  float64 // progress of the warm-up
	reason                 Reason
}

// verdict is who decides what is an anomaly.
type verdict uint8

const (
	byScore verdict = iota // the threshold on the calibrated score
	yes                    // the model, and it is one
	no                     // the model, and it is none
)

// model is the heart of a detector: it judges finite numbers. All that detectors
// have in common is in guard.
type model interface {
	// judge says what to make of an observation. A model that is told when not to
	// learn changes nothing but scratch here.
	judge(in *input, o *opinion)
	// update moves on past the observation, and learns from it if learn is set.
	update(in *input, learn bool)
	// state visits the fields.
	state(c *codec)
	// size is the memory taken, in bytes.
	size() int
}

// breaker is a model with a recent past to forget after a hole; see [GapBreak].
type breaker interface{ breakOff() }

// guard makes a detector of a model. In this order, an observation is checked
// (NaN), timed, judged, filtered (direction, least deviation, resolution),
// calibrated, and decided on (threshold, quiet, escalation); then the model
// learns from it, or not.
type guard struct {
	cfg       Config
	threshold float64 // in orders of magnitude
	m         model
	in        input
	o         opinion // scratch, here so that it need not be allocated
	clock     clock
	grains    []grain
	held      []float64 // the last finite value of each channel
	heldSet   []bool
	cal       tail
	average   []float64 // slow, of each channel: what to compare with where nothing is expected
	alarm     alarm
	calm      calm
	hold      bool // whoever watches takes the present for an anomaly
}

// alarm is the state of the verdict.
type alarm struct {
	rung  bool
	at    event.Duration // elapsed time of the last alarm
	last  event.Duration // elapsed time of the last observation over the threshold
	level float64        // orders of magnitude of the last alarm
	// The anomaly that was told goes on: how far from what was usual it began, on
	// which channel, and how many observations ago.
	on      bool
	usual   float64
	away    float64
	channel int
	n       int
}

// calm is the state of learning.
type calm struct {
	skipped int // observations left out in the present stretch
	since   event.Duration
	learned int
}

func newGuard(cfg Config, threshold float64, m model) *guard {
	k := cfg.Channels
	g := &guard{cfg: cfg, threshold: threshold, m: m, grains: make([]grain, k), held: make([]float64, k),
		heldSet: make([]bool, k), average: make([]float64, k)}
	g.in.x, g.in.quantum = make([]float64, k), make([]float64, k)
	return g
}

// none is the score that says nothing.
func none(reason Reason) Score {
	nan := math.NaN()
	return Score{Value: nan, Expected: nan, Lower: nan, Upper: nan, Reason: reason}
}

// Step judges x and learns from it.
func (g *guard) Step(t event.Time, x []float64) Score {
	if !g.take(x) {
		s := none(Reason{Cause: CauseNotNumber})
		s.Warmup = g.progress(1)
		return s
	}
	g.in.t, g.in.n = t, g.clock.n
	g.in.dt = g.clock.tick(t)
	g.in.elapsed, g.in.step = g.clock.elapsed, g.clock.step
	g.in.gap = g.isGap()
	if b, ok := g.m.(breaker); ok && g.in.gap && g.cfg.Gap == GapBreak {
		b.breakOff()
	}
	nan := math.NaN()
	o := &g.o
	*o = opinion{expected: nan, lower: nan, upper: nan, ready: 1}
	g.m.judge(&g.in, o)
	g.filter(o)
	s := g.calibrate(o)
	g.band(o)
	over := g.over(s, o)
	if over && o.verdict == yes {
		// What a limit says is an anomaly is not usual, however often it happens;
		// what happens less often still scores more.
		s = max(s, g.threshold+s/100)
	}
	score := Score{Judged: true, Score: toScore(s), Over: over, Anomaly: over && g.rings(s, o.late), Value: g.in.x[o.channel],
		Expected: o.expected, Lower: o.lower, Upper: o.upper, Direction: o.direction, Channel: o.channel,
		Warmup: g.progress(o.ready), Reason: o.reason}
	score.Lasts = g.lasts(o, score.Anomaly, over)
	g.learn(o, over)
	return score
}

// take copies x. A channel that is not a number keeps its last value; if all are
// not, there is nothing to judge.
func (g *guard) take(x []float64) bool {
	finite := false
	for i := range g.in.x {
		v := math.NaN()
		if i < len(x) {
			v = x[i]
		}
		if v-v == 0 { // neither NaN nor infinite
			g.held[i], g.heldSet[i], finite = v, true, true
		}
		g.in.x[i] = g.held[i]
	}
	if !finite {
		return false
	}
	for i, v := range g.in.x {
		g.in.quantum[i] = g.grains[i].see(v)
		if g.clock.n == 0 {
			g.average[i] = v
		}
	}
	return true
}

// gapSteps is how many usual steps make a hole, where nothing was said.
const gapSteps = 10

func (g *guard) isGap() bool {
	if g.cfg.GapAfter > 0 {
		return g.in.dt > g.cfg.GapAfter
	}
	return g.in.step > 0 && g.in.dt > gapSteps*g.in.step
}

// filter takes the surprise out of what the user does not care for, and out of
// what is within the resolution of a value that stood still.
func (g *guard) filter(o *opinion) {
	x, quantum := g.in.x[o.channel], g.in.quantum[o.channel]
	drop := g.cfg.Direction != Both && o.direction != Both && o.direction != g.cfg.Direction
	grain := &g.grains[o.channel]
	if (grain.still(x, quantum) || grain.flat(x, quantum)) && o.reason.Cause < CauseRange {
		drop = drop || g.cfg.Channels == 1
	}
	if g.cfg.MinAbs > 0 || g.cfg.MinRel > 0 {
		usual := o.expected
		if math.IsNaN(usual) {
			usual = g.average[o.channel]
		}
		away := math.Abs(x - usual)
		drop = drop || away < g.cfg.MinAbs || away < g.cfg.MinRel*math.Abs(usual)
	}
	if drop {
		o.raw, o.reason = 0, Reason{}
		if o.verdict == yes {
			o.verdict = no
		}
	}
	if g.in.gap && g.cfg.Gap == GapAlarm {
		o.verdict = yes
		o.reason = Reason{Cause: CauseGap, A: g.in.dt.Seconds(), B: g.in.step.Seconds()}
	}
}

func (g *guard) calibrate(o *opinion) float64 {
	if o.orders {
		return o.raw
	}
	return g.cal.score(o.raw)
}

// band says where the verdict would change, for a model that measures distances
// from an expected value.
func (g *guard) band(o *opinion) {
	if o.scale > 0 && math.IsNaN(o.lower) && math.IsNaN(o.upper) {
		reach := o.scale * g.cal.inverse(g.threshold)
		if reach-reach == 0 {
			o.lower, o.upper = o.expected-reach, o.expected+reach
		}
	}
}

// progress is how far the warm-up is.
func (g *guard) progress(ready float64) float64 {
	if g.cfg.Warmup > 0 {
		ready = min(ready, float64(g.clock.elapsed)/float64(g.cfg.Warmup))
	}
	return min(max(ready, 0), 1)
}

// over decides whether the observation is over the threshold.
func (g *guard) over(s float64, o *opinion) bool {
	if p := g.progress(o.ready); p < 1 {
		o.reason = Reason{Cause: CauseWarmup, A: p}
		return false
	}
	switch o.verdict {
	case yes:
		return true
	case no:
		return false
	}
	return s >= g.threshold
}

// quietSteps and quietMost are the quiet after an alarm, where nothing was said.
// A hundred steps are a stretch that a person takes for one event; eight hours
// are a shift.
const (
	quietSteps = 100
	quietMost  = 48 * 3600 * 1e9
)

func (g *guard) quiet() event.Duration {
	if g.cfg.Quiet != 0 {
		return g.cfg.Quiet
	}
	return min(quietSteps*g.in.step, quietMost)
}

// rings decides whether an observation over the threshold raises an alarm.
// What goes on without a pause of a quarter of the quiet is one event, however long
// it lasts. An observation that is twice as surprising breaks the quiet; that what was
// told is seen by more and more members does not.
func (g *guard) rings(s float64, late bool) bool {
	a, quiet := &g.alarm, g.quiet()
	going := a.rung && (g.in.elapsed-a.at < quiet || g.in.elapsed-a.last < quiet/4)
	a.last = g.in.elapsed
	if going && !(s > g.cfg.Escalate*a.level) {
		return false
	}
	if going && late {
		a.level = s
		return false
	}
	a.rung, a.at, a.level = true, g.in.elapsed, max(s, g.threshold)
	return true
}

// lasts decides whether an anomaly goes on: until the value has come back half of
// the way to what was usual when it began, or it has lasted for so long that it is
// the new normal. Where a limit, a change or a silence was the reason, only being
// over the threshold counts.
func (g *guard) lasts(o *opinion, rings, over bool) bool {
	a := &g.alarm
	if rings && !a.on {
		a.on, a.n, a.channel, a.usual, a.away = true, 0, o.channel, g.average[o.channel], 0
		if c := o.reason.Cause; c < CauseRange && c != CauseRate && c != CauseShift {
			a.away = g.in.x[o.channel] - a.usual
		}
	}
	if !a.on {
		return false
	}
	a.n++
	d := g.in.x[a.channel] - a.usual
	back := d*a.away <= 0 || math.Abs(d) <= math.Abs(a.away)/2
	long := a.n > max(calmLeast, g.clock.n/4) || a.n > calmLeast && g.in.elapsed-a.at > calmMost
	a.on = over || !back && !long
	return a.on
}

// calmLeast and calmMost bound how long a change must last to be the new normal.
const (
	calmLeast = 30
	calmMost  = 7 * 24 * 3600 * 1e9
)

// learn lets the model learn, unless it should not from this one. How rare a surprise
// is, is counted over all the past, anomalies and all: only so does a score mean
// what it says. What is normal is learned from the calm past alone.
func (g *guard) learn(o *opinion, over bool) {
	learn := true
	g.in.frozen = g.cfg.Learn == LearnWarmup && g.progress(o.ready) >= 1
	if g.in.frozen || g.cfg.Learn == LearnCalm && g.holds(over || g.hold) {
		learn = false
	}
	// The first residuals of a model that has seen two values are enormous; they
	// would make the tail blind for long.
	if !o.orders && !g.in.frozen && o.ready >= 0.5 {
		g.cal.add(o.raw)
	}
	g.m.update(&g.in, learn)
	for i, v := range g.in.x {
		g.grains[i].follow(v)
		if learn {
			g.average[i] += (v - g.average[i]) / float64(min(g.clock.n, 100))
		}
	}
}

// Hold implements [Detector].
func (g *guard) Hold(on bool) { g.hold = on }

// Due implements [Detector]: every observation is judged as it comes.
func (g *guard) Due() event.Time { return event.MaxTime }

// Advance implements [Detector].
func (g *guard) Advance(event.Time) Score { return none(Reason{}) }

// holds decides whether to leave out an observation that is over the threshold.
func (g *guard) holds(over bool) bool {
	c := &g.calm
	if !over {
		c.learned++
		if c.skipped > 0 {
			c.skipped--
		} else {
			c.since = g.in.elapsed
		}
		return false
	}
	c.skipped++
	long := c.skipped > max(calmLeast, c.learned/4) || c.skipped > calmLeast && g.in.elapsed-c.since > calmMost
	return !long
}

// Parts appends what the members said, if there are any.
func (g *guard) Parts(dst []Part) []Part {
	if e, ok := g.m.(interface{ parts([]Part) []Part }); ok {
		return e.parts(dst)
	}
	return dst
}

// Size is the memory taken.
func (g *guard) Size() int { return guardSize + g.cal.size() + 112*g.cfg.Channels + g.m.size() }

const guardSize = 640

func (g *guard) state(c *codec) {
	g.clock.state(c)
	for i := range g.grains {
		g.grains[i].state(c)
		c.f64(&g.held[i])
		c.bool(&g.heldSet[i])
		c.f64(&g.average[i])
	}
	g.cal.state(c)
	c.bool(&g.alarm.rung)
	c.dur(&g.alarm.at)
	c.dur(&g.alarm.last)
	c.f64(&g.alarm.level)
	c.bool(&g.alarm.on)
	c.floats(&g.alarm.usual, &g.alarm.away)
	c.index(&g.alarm.channel, g.cfg.Channels)
	c.int(&g.alarm.n)
	c.int(&g.calm.skipped)
	c.dur(&g.calm.since)
	c.int(&g.calm.learned)
	g.m.state(c)
}

// AppendBinary appends the state to dst.
func (g *guard) AppendBinary(dst []byte) []byte { return appendState(dst, g.state) }

// ReadBinary replaces the state.
func (g *guard) ReadBinary(r *event.Reader) error { return readState(r, g.state) }
