package detectors

import "math"

var adwinDoc = Doc{
	Name: "adwin", Title: "Adaptive window (ADWIN)", Since: "0.1",
	Text: `Keeps the longest window of past values whose two ends still agree on the mean, and tells
when it has to cut it: the mean has changed. Then it starts afresh. The chance of a false alarm at one look is at most
delta. Choose it to learn that a process has changed for good.`,
	Params: []Param{
		{Name: "delta", Text: "chance of a false alarm", Default: 0.002, Min: 1e-15, Max: 1},
	},
}

// adwin is the adaptive windowing of Bifet and Gavalda, "Learning from
// Time-Changing Data with Adaptive Windowing" (SIAM, 2007). The window is an
// exponential histogram: row r has at most five buckets of 2^r values each, so
// that a window of 2^40 takes 200 of them.
//
//	row 2: [4][4]   row 1: [2][2][2]   row 0: [1][1][1][1]    newest
//	 oldest
type adwin struct {
	delta           float64
	rows            []adwinRow // by size; the oldest values are in the last
	total, variance float64    // variance is a sum of squares
	width           float64
	tick            int
	cut             bool // the last value made a cut: the next one begins anew
}

const (
	adwinBuckets = 5  // of a row
	adwinRows    = 40 // the oldest values go when the window would be longer than 2^40
	adwinClock   = 32 // values between two looks: looking is the dear part
	adwinGrace   = 10
	adwinLeast   = 5 // values on either side of a cut
)

type adwinRow struct {
	n     int
	total [adwinBuckets + 1]float64
	ss    [adwinBuckets + 1]float64
}

func (r *adwinRow) push(total, ss float64) {
	r.total[r.n], r.ss[r.n] = total, ss
	r.n++
}

// drop takes out the k oldest buckets.
func (r *adwinRow) drop(k int) {
	copy(r.total[:], r.total[k:r.n])
	copy(r.ss[:], r.ss[k:r.n])
	r.n -= k
}

func newADWIN(s settings) model {
	return &adwin{delta: s.num("delta"), rows: make([]adwinRow, 1, adwinRows)}
}

// apart is the sum of squares that two groups have more together than each.
func apart(n1, mu1, n2, mu2 float64) float64 {
	d := mu1 - mu2
	return n1 * n2 * d * d / (n1 + n2)
}

func (m *adwin) insert(x float64) {
	m.rows[0].push(x, 0)
	m.width++
	if m.width > 1 {
		mean := m.total / (m.width - 1)
		m.variance += (m.width - 1) * (x - mean) * (x - mean) / m.width
	}
	m.total += x
	for i := 0; m.rows[i].n > adwinBuckets; i++ {
		if i+1 == len(m.rows) {
			m.rows = append(m.rows, adwinRow{})
		}
		r, size := &m.rows[i], math.Ldexp(1, i)
		ss := r.ss[0] + r.ss[1] + apart(size, r.total[0]/size, size, r.total[1]/size)
		m.rows[i+1].push(r.total[0]+r.total[1], ss)
		r.drop(2)
	}
	for len(m.rows) == adwinRows {
		m.removeOldest()
	}
}

// removeOldest forgets the oldest bucket and returns how many values it had.
func (m *adwin) removeOldest() float64 {
	i := len(m.rows) - 1
	r, n := &m.rows[i], math.Ldexp(1, i)
	mu := r.total[0] / n
	m.width -= n
	m.total -= r.total[0]
	m.variance -= r.ss[0] + apart(n, mu, m.width, m.total/m.width)
	r.drop(1)
	if r.n == 0 {
		m.rows = m.rows[:i]
	}
	return n
}

// add takes x in and reports whether the window was cut.
func (m *adwin) add(x float64) bool {
	m.insert(x)
	m.tick++
	cut := false
	if m.tick%adwinClock == 0 && m.width > adwinGrace {
		for m.disagree() {
			cut = true
			m.removeOldest()
		}
	}
	return cut
}

// disagree looks for a place where the older and the newer part have means that
// differ by more than chance allows.
func (m *adwin) disagree() bool {
	var n0, u0 float64
	n1, u1 := m.width, m.total
	spread := m.variance / m.width
	confidence := math.Log(2 * math.Log(m.width) / m.delta)
	for i := len(m.rows) - 1; i >= 0; i-- {
		r, size := &m.rows[i], math.Ldexp(1, i)
		for k := range r.n - 1 {
			n0, u0 = n0+size, u0+r.total[k]
			n1, u1 = n1-size, u1-r.total[k]
			if n0 < adwinLeast || n1 < adwinLeast {
				continue
			}
			harmonic := 1/(n0-adwinLeast+1) + 1/(n1-adwinLeast+1)
			epsilon := math.Sqrt(2*harmonic*spread*confidence) + 2.0/3*confidence*harmonic
			if math.Abs(u0/n0-u1/n1) > epsilon {
				return true
			}
		}
	}
	return false
}

// judge takes the value in: a change detector learns from everything.
func (m *adwin) judge(in *input, o *opinion) {
	x := in.x[0]
	if m.cut {
		*m = adwin{delta: m.delta, rows: append(m.rows[:0], adwinRow{})}
	}
	o.verdict, o.ready = no, min(1, float64(m.tick+1)/adwinClock)
	var before float64
	if m.width > 0 {
		before = m.total / m.width
		sd := math.Sqrt(max(m.variance, 0) / m.width)
		o.expected, o.raw, o.direction = before, math.Abs(x-before)/max(sd, in.quantum[0]/2), Up
		if x < before {
			o.direction = Down
		}
	}
	if m.cut = m.add(x); m.cut {
		now := m.total / m.width
		o.verdict, o.direction = yes, Up
		if now < before {
			o.direction = Down
		}
		o.reason = Reason{Cause: CauseShift, A: now, B: before}
	}
}

func (m *adwin) update(*input, bool) {}

func (m *adwin) state(c *codec) {
	c.floats(&m.total, &m.variance, &m.width)
	c.int(&m.tick)
	c.bool(&m.cut)
	n := c.count(len(m.rows), adwinRows)
	if c.reading {
		m.rows = append(m.rows[:0], make([]adwinRow, max(n, 1))...)
	}
	for i := range m.rows {
		r := &m.rows[i]
		c.index(&r.n, adwinBuckets+1)
		c.array(r.total[:])
		c.array(r.ss[:])
	}
}

func (m *adwin) size() int { return 80 + 104*cap(m.rows) }
