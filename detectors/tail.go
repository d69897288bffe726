package detectors

import (
	"math"
	"slices"
)

// A tail turns raw surprises, on whatever scale a method has, into orders of
// magnitude of probability: -log10 of the share of the past that was as
// surprising. It remembers some 3,000 to 6,000 raw scores in 1.5 KiB.
//
//	  body: counts per bucket               tail: the largest, exactly
//	|####|######|####|###|##|#|#|           | | |  |   |      |          |
//	0 ---- eight buckets per octave ------> u                          top[0]
//	                                        '- beta, the mean excess over u
//
// Up to u, the 98 % quantile, the answer is the empirical one. Past it the k values
// over u are taken for exponential. Their mean excess beta is itself an estimate
// from few values, so that the chance of an excess e is (1 + e/(k beta))^-k: nearly
// exponential for many, careful for few. It goes on growing where no value has
// ever been.
//
// When 6,000 have been counted, all counts are halved: the past fades.
type tail struct {
	n     int
	zero  int // how many were 0
	base  int // bucket number of hist[0]; set by the first raw score over 0
	based bool
	hist  [tailBuckets]uint16
	block [tailBuckets / tailBlock]uint16
	top   []float32 // the largest, falling
	last  float64   // what the last score was
}

const (
	tailBuckets = 512 // 64 octaves of 8 buckets
	tailBlock   = 16
	tailBelow   = 320 // buckets below the first score: 40 octaves down, 24 up
	tailTop     = 128 // holds the 2 % that tailMax allows
	tailMax     = 6000
	tailShare   = 0.02
	tailLeast   = 5  // values that the mean excess is taken from, at least
	tailCap     = 40 // orders of magnitude
)

// bucketOf numbers the bucket of a positive x: its octave and the first three
// bits after the leading one, which sit next to each other in its bits.
func bucketOf(x float64) int { return int(math.Float64bits(x) >> 49) }

// bucketLow is the least number of a bucket.
func bucketLow(b int) float64 { return math.Float64frombits(uint64(b) << 49) }

func (t *tail) index(x float64) int {
	return min(max(bucketOf(x)-t.base, 0), tailBuckets-1)
}

// k is how many of the largest the excess is measured on.
func (t *tail) k() int {
	k := max(tailLeast, int(tailShare*float64(t.n)))
	if m := len(t.top) - 1; k > m && m >= tailLeast { // after a fade the list fills up again slowly
		k = m
	}
	return k
}

// score says how surprising s is, in orders of magnitude, before it is added.
// Until some have been seen there is no answer, 0.
func (t *tail) score(s float64) float64 { return t.scoreAt(s, t.k()) }

// scoreAt is score, with the excess measured on the k largest.
func (t *tail) scoreAt(s float64, k int) float64 {
	if t.n <= k || len(t.top) <= k {
		return 0
	}
	u := float64(t.top[k])
	if s <= u {
		return math.Log10(float64(t.n+1) / (t.atLeast(s) + 1))
	}
	e := (s - u) / t.excess(k)
	return min(tailCap, math.Log10(float64(t.n)/float64(k))+float64(k)*math.Log1p(e/float64(k))/math.Ln10)
}

// excess is the mean excess of the k largest over the next one.
func (t *tail) excess(k int) float64 {
	u := float64(t.top[k])
	var sum float64
	for _, w := range t.top[:k] {
		sum += float64(w) - u
	}
	if sum <= 0 {
		return max(1e-9, 1e-3*math.Abs(u))
	}
	return sum / float64(k)
}

// inverse is the raw score that has so many orders of magnitude; +Inf while there
// is none.
func (t *tail) inverse(orders float64) float64 {
	k := t.k()
	if t.n <= k || len(t.top) <= k {
		return math.Inf(1)
	}
	base := math.Log10(float64(t.n) / float64(k))
	if orders <= base {
		return float64(t.top[k])
	}
	n := float64(k)
	return float64(t.top[k]) + t.excess(k)*n*math.Expm1((orders-base)*math.Ln10/n)
}

// usual is the score that one in about fifty is over; 0 while there is none.
func (t *tail) usual() float64 {
	if k := t.k(); len(t.top) > k {
		return float64(t.top[k])
	}
	return 0
}

// atLeast counts the values of at least s.
func (t *tail) atLeast(s float64) float64 {
	if s <= 0 {
		return float64(t.n)
	}
	if m := len(t.top); m > 0 && s >= float64(t.top[m-1]) {
		i, _ := slices.BinarySearchFunc(t.top, s, func(w float32, s float64) int {
			if float64(w) >= s {
				return -1
			}
			return 1
		})
		if i < m || m == t.n {
			return float64(i)
		}
	}
	if !t.based {
		return 0
	}
	i := t.index(s)
	count := 0
	for b := i/tailBlock + 1; b < len(t.block); b++ {
		count += int(t.block[b])
	}
	for j := i + 1; j < (i/tailBlock+1)*tailBlock; j++ {
		count += int(t.hist[j])
	}
	lo := bucketLow(i + t.base)
	share := min(max((s-lo)/(bucketLow(i+t.base+1)-lo), 0), 1)
	return float64(count) + (1-share)*float64(t.hist[i])
}

// add remembers s.
func (t *tail) add(s float64) {
	if t.n >= tailMax {
		t.fade()
	}
	if m := len(t.top); m == t.n && m < tailTop || m > 0 && s > float64(t.top[m-1]) {
		t.keep(s)
	}
	t.n++
	if !(s > 0) {
		t.zero++
		return
	}
	if !t.based {
		t.base, t.based = bucketOf(s)-tailBelow, true
	}
	i := t.index(s)
	t.hist[i]++
	t.block[i/tailBlock]++
}

// keep puts s among the largest.
func (t *tail) keep(raw float64) {
	s := float32(min(raw, math.MaxFloat32))
	if t.top == nil {
		t.top = make([]float32, 0, tailTop)
	}
	if len(t.top) < tailTop {
		t.top = append(t.top, 0)
	}
	i := len(t.top) - 1
	for ; i > 0 && t.top[i-1] < s; i-- {
		t.top[i] = t.top[i-1]
	}
	t.top[i] = s
}

// fade halves everything: every second of the largest goes.
func (t *tail) fade() {
	t.zero /= 2
	t.n = t.zero
	clear(t.block[:])
	for i := range t.hist {
		t.hist[i] = (t.hist[i] + uint16(i&1)) / 2
		t.block[i/tailBlock] += t.hist[i]
		t.n += int(t.hist[i])
	}
	for i := 0; 2*i < len(t.top); i++ {
		t.top[i] = t.top[2*i]
	}
	t.top = t.top[:(len(t.top)+1)/2]
}

func (t *tail) state(c *codec) {
	c.int(&t.n)
	c.int(&t.zero)
	c.int(&t.base)
	c.bool(&t.based)
	c.u16s(t.hist[:])
	c.u16s(t.block[:])
	if t.top == nil {
		t.top = make([]float32, 0, tailTop)
	}
	c.list32(&t.top, tailTop)
	c.f64(&t.last)
}

// size is the memory taken.
func (t *tail) size() int { return 80 + 2*tailBuckets + 2*tailBuckets/tailBlock + 4*cap(t.top) }

// toScore turns orders of magnitude into 1-p. Above eight they are pressed
// together, so that the order of even the most surprising survives in a float64.
func toScore(orders float64) float64 {
	if !(orders > 0) {
		return 0
	}
	if orders > 8 {
		orders = 8 + 6.5*(1-math.Exp(-(orders-8)/13))
	}
	return -math.Expm1(-orders * math.Ln10)
}
