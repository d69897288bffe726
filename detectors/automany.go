package detectors

import "math"

// autoMany is auto for several channels. Its members look at how the channels go
// together, now and on the average of the last values, and at each channel alone.
// The average is one of vectors, as in the multivariate EWMA chart of Lowry et al.
// (Technometrics, 1992): what one value does by chance fades in it, and what stays
// adds up.
type autoMany struct {
	together t2
	channels []ewmean  // of each channel
	smooth   []float64 // average of the channels in deviations
	raw      [3]float64
	worstOf  [3]float64 // what was left out of the tails, of the anomaly that is on
	tails    [3]tail
	n        int
	held     [3][autoHold]float64
	said     [3]float64
	reasons  [3]Reason
	blamed   [3]int  // channel of a member's reason
	below    [3]bool // it lay below what was expected
	sum      float64
	all      tail
}

const (
	manyLimit = 8.0 // of the sum of three members that speak at every value
	manyAlpha = 0.1 // of the average: some ten values
	// manyYoung is from where on half of the past distances are forgotten whenever
	// the past has doubled: the channels go on to show how they go together, such as
	// by day, and the first distances were larger than any will be.
	manyYoung = 128
)

func newAutoMany(s settings) model {
	s.doc = &t2Doc
	return &autoMany{together: *newT2(s).(*t2), channels: make([]ewmean, s.Channels), smooth: make([]float64, s.Channels)}
}

var manyNames = [3]string{"together", "together for a while", "single channel"}

func (m *autoMany) judge(in *input, o *opinion) {
	var joint opinion
	m.together.judge(in, &joint)
	worst, z := m.worst(in)
	blame := [3]int{worst, worst, worst}
	m.raw = [3]float64{0, 0, z}
	if joint.raw > 0 {
		for i, v := range m.together.z {
			m.smooth[i] += manyAlpha * (v - m.smooth[i])
		}
		m.raw[0], blame[0] = joint.raw, joint.channel
		m.raw[1], blame[1] = m.together.distance(m.smooth)
	}
	reasons := [3]Reason{joint.reason, {Cause: CauseRelation, A: m.raw[1]},
		{Cause: CauseDeviation, A: in.x[worst], B: m.channels[worst].mean}}
	at := m.n % autoHold
	m.sum = 0
	best := 0
	for i := range m.raw {
		s := 0.0
		if m.tails[i].n >= residualReady {
			s = m.tails[i].score(m.raw[i])
		}
		m.held[i][at] = s
		most := 0.0
		for _, h := range m.held[i] {
			most = max(most, h)
		}
		if s > 0 && s >= most {
			m.reasons[i], m.blamed[i] = reasons[i], blame[i]
			m.below[i] = in.x[blame[i]] < m.channels[blame[i]].mean
			if m.reasons[i].Cause != CauseNone {
				m.reasons[i].Member = manyNames[i]
			}
		}
		m.said[i] = min(most, autoMost)
		m.sum += m.said[i]
		if m.said[i] > m.said[best] {
			best = i
		}
	}
	m.decide(in, o, best)
}

// worst is the channel farthest from its own mean, and how far.
func (m *autoMany) worst(in *input) (channel int, z float64) {
	for i := range m.channels {
		w := &m.channels[i]
		if w.n < 2 {
			continue
		}
		d := math.Abs(in.x[i]-w.mean) / max(math.Sqrt(w.var_), in.quantum[i]/2)
		if d > z {
			channel, z = i, d
		}
	}
	return channel, z
}

func (m *autoMany) decide(in *input, o *opinion, best int) {
	limit := manyLimit - autoLimit + limitOf(m.n, in.step, voicesIn(m.sum, m.said[best]))
	o.orders, o.verdict = true, no
	o.raw = min(m.all.score(m.sum), autoSure-1e-3)
	if m.sum >= limit {
		o.verdict = yes
		o.raw = autoSure * m.sum / limit
	}
	o.ready = float64(m.n) / float64(m.together.wants()+residualReady)
	o.channel, o.reason = m.blamed[best], m.reasons[best]
	o.expected, o.direction = m.channels[o.channel].mean, Up
	if m.below[best] {
		o.direction = Down
	}
}

func (m *autoMany) update(in *input, learn bool) {
	m.n++
	if in.frozen {
		return
	}
	m.all.add(m.sum)
	if !learn {
		// An anomaly that lasts would make the next one look usual. It counts once, as
		// what it was at worst: what comes again and again is known at last.
		for i := range m.raw {
			m.worstOf[i] = max(m.worstOf[i], m.raw[i])
		}
		return
	}
	for i := range m.tails {
		if m.worstOf[i] > 0 {
			m.tails[i].add(m.worstOf[i])
			m.worstOf[i] = 0
		}
		if m.raw[i] > 0 && m.n >= residualReady/2 {
			m.tails[i].add(m.raw[i])
		}
	}
	if m.n >= manyYoung && m.n&(m.n-1) == 0 {
		m.tails[0].fade()
		m.tails[1].fade()
	}
	for i, x := range in.x {
		w := &m.channels[i]
		w.add(x, max(autoAlpha, 1/float64(w.n+1)))
	}
	m.together.update(in, true)
}

// parts appends what each member adds at present.
func (m *autoMany) parts(dst []Part) []Part {
	for i, s := range m.said {
		dst = append(dst, Part{manyNames[i], toScore(s), m.reasons[i]})
	}
	return dst
}

func (m *autoMany) state(c *codec) {
	m.together.state(c)
	for i := range m.channels {
		m.channels[i].state(c)
	}
	c.array(m.smooth)
	c.array(m.raw[:])
	c.array(m.worstOf[:])
	c.int(&m.n)
	for i := range m.held {
		m.tails[i].state(c)
		c.array(m.held[i][:])
		m.reasons[i].state(c, manyNames[i])
		c.index(&m.blamed[i], len(m.channels))
		c.bool(&m.below[i])
	}
	c.array(m.said[:])
	c.f64(&m.sum)
	m.all.state(c)
}

func (m *autoMany) size() int {
	return 500 + m.all.size() + 3*m.tails[0].size() + 32*len(m.channels) + m.together.size()
}
