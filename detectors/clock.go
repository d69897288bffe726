package detectors

import (
	"math"
	"slices"

	"github.com/cepd/cepd/event"
)

// A clock follows the event time of a series. It counts elapsed time that never
// runs backwards, and learns the usual step between two observations.
type clock struct {
	n       int
	last    event.Time
	elapsed event.Duration
	step    event.Duration // the usual step; 0 until it is known
	recent  [9]event.Duration
	filled  int
}

// tick takes the time of an observation and returns the time since the last one.
// A time before the last one means that a clock was set: one step has passed.
func (c *clock) tick(t event.Time) event.Duration {
	c.n++
	if c.n == 1 {
		c.last = t
		return 0
	}
	dt := t.Sub(c.last)
	c.last = t
	if dt < 0 {
		dt = c.step
	} else if dt > 0 {
		c.learn(dt)
	}
	if c.elapsed > math.MaxInt64-dt {
		c.elapsed = 0
	}
	c.elapsed += dt
	return dt
}

// learn takes the median of each nine steps, so that holes do not count. The
// first guess comes after three.
func (c *clock) learn(dt event.Duration) {
	c.recent[c.filled] = dt
	c.filled++
	if c.step == 0 && c.filled == 3 {
		c.step = median3(c.recent[0], c.recent[1], c.recent[2])
	}
	if c.filled < len(c.recent) {
		return
	}
	c.filled = 0
	sorted := c.recent
	slices.Sort(sorted[:])
	c.step = sorted[len(sorted)/2]
}

func median3(a, b, c event.Duration) event.Duration {
	return max(min(a, b), min(max(a, b), c))
}

func (c *clock) state(k *codec) {
	k.int(&c.n)
	k.time(&c.last)
	k.dur(&c.elapsed)
	k.dur(&c.step)
	for i := range c.recent {
		k.dur(&c.recent[i])
	}
	k.index(&c.filled, len(c.recent))
}

// A grain is the resolution of the values of one channel, learned from their
// decimals: a sensor that says 21.5 knows tenths. A difference of one unit of the
// last place means nothing, above all after a long constant history.
type grain struct {
	decimals uint8
	level    float64 // the last value that stood still for a while
	value    float64
	same     int
	away     int // values since the level was last there
	seen     bool
	// The range of the present block of values, and of the one before.
	lo, hi, wasLo, wasHi float64
	n                    int
}

// flatBlock is how many values make a block: a series that kept within a unit for one
// to two blocks is a constant one.
const flatBlock = 1000

// flat reports whether the last blocks, with x, stayed within one unit on either
// side of a value.
func (g *grain) flat(x, quantum float64) bool {
	lo, hi := min(x, g.lo), max(x, g.hi)
	if g.n == 0 {
		lo, hi = x, x
	}
	if g.n > flatBlock {
		lo, hi = min(lo, g.wasLo), max(hi, g.wasHi)
	}
	return hi-lo <= 2.2*quantum
}

// maxDecimals is where values stop to look decimal; what remains is the
// resolution of a 32-bit number, in which most sensors compute.
const maxDecimals = 10

// stillAfter is how many equal values make a level.
const stillAfter = 10

var powersOfTen = [maxDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}

// see notes x and returns its resolution.
func (g *grain) see(x float64) float64 {
	for g.decimals < maxDecimals {
		y := x * powersOfTen[g.decimals]
		if math.Abs(y-math.Round(y)) <= max(1e-6, 1e-12*math.Abs(y)) {
			break
		}
		g.decimals++
	}
	return max(1/powersOfTen[g.decimals], 1.2e-7*math.Abs(x))
}

// still reports whether x is one unit off a level that was constant until just now.
func (g *grain) still(x, quantum float64) bool {
	return g.seen && g.away < stillAfter && x != g.level && math.Abs(x-g.level) <= 1.5*quantum
}

// follow keeps the level up to date; x has been judged.
func (g *grain) follow(x float64) {
	if g.n%flatBlock == 0 {
		g.wasLo, g.wasHi = g.lo, g.hi
		g.lo, g.hi = x, x
	}
	g.n++
	g.lo, g.hi = min(g.lo, x), max(g.hi, x)
	if x != g.value {
		g.value, g.same = x, 0
	}
	g.same++
	if g.same >= stillAfter {
		g.level, g.seen = x, true
	}
	if g.away++; x == g.level {
		g.away = 0
	}
}

func (g *grain) state(c *codec) {
	c.byte(&g.decimals)
	g.decimals = min(g.decimals, maxDecimals)
	c.f64(&g.level)
	c.f64(&g.value)
	c.int(&g.same)
	c.int(&g.away)
	c.bool(&g.seen)
	c.floats(&g.lo, &g.hi, &g.wasLo, &g.wasHi)
	c.int(&g.n)
}
