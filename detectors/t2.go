package detectors

import "math"

var t2Doc = Doc{
	Name: "t2", Title: "Hotelling's T2 and Q: several channels together", Since: "0.1", Multivariate: true,
	Text: `Follows the means and the covariance of all channels, and measures how far a value is from
them along the directions in which the channels usually vary (T2) and across those (Q). Finds
channels that stop to go together while each alone looks usual. A floor under every variance keeps
directions that never moved from dominating. Choose it for machines with up to some dozens of channels.`,
	Params: []Param{
		{Name: "memory", Text: "values after which an old one counts a third", Default: 1000, Min: 20, Max: 1e6, Kind: Integer},
		{Name: "floor", Text: "share of the mean variance that no direction goes below", Default: 0.01, Min: 1e-6, Max: 1},
		thresholdParam,
	},
}

// t2 judges by the Mahalanobis distance from the running mean, under a running
// covariance of the standardized channels with a ridge under its diagonal: the
// ridge is the variance floor, which makes the distance T2 along the strong
// directions and Q, scaled by the floor, along the weak ones.
type t2 struct {
	k             int
	memory, floor float64
	n             int
	mean, sd2     []float64 // of each channel
	cov           []float64 // k*k, of the standardized channels; the lower triangle
	chol          []float64 // of cov + floor, refreshed from time to time
	fresh         int       // values until the next refresh
	z, y          []float64 // scratch
}

func newT2(s settings) model {
	k := s.Channels
	return &t2{k: k, memory: s.num("memory"), floor: s.num("floor"), mean: make([]float64, k), sd2: make([]float64, k),
		cov: make([]float64, k*k), chol: make([]float64, k*k), z: make([]float64, k), y: make([]float64, k)}
}

// wants is how many values come before the first judgment. A covariance from a few
// values for each channel finds the next value far away, and distances that large
// would make the tail blind for long.
func (m *t2) wants() int { return max(residualReady, 10*m.k) }

// standardize fills z.
func (m *t2) standardize(in *input) {
	for i, x := range in.x {
		q := in.quantum[i] / 2
		m.z[i] = (x - m.mean[i]) / math.Sqrt(max(m.sd2[i], q*q))
	}
}

func (m *t2) judge(in *input, o *opinion) {
	// The first half is the covariance, the second the distances from it.
	o.ready = min(float64(m.n)/float64(m.wants()), 0.999) / 2
	if m.n < m.wants() || m.chol[0] == 0 {
		return
	}
	o.ready = min(0.5+float64(m.n-m.wants())/(2*residualReady), 1)
	m.standardize(in)
	o.raw, o.channel = m.distance(m.z)
	o.expected = m.mean[o.channel]
	o.direction = Up
	if m.z[o.channel] < 0 {
		o.direction = Down
	}
	o.reason = Reason{Cause: CauseRelation, A: o.raw}
}

// distance is how far z, in deviations, is from how the channels usually go
// together, and the channel that has the greatest share in it.
func (m *t2) distance(z []float64) (d float64, channel int) {
	// Forward substitution: y = L^-1 z, and |y|^2 is the square of the distance.
	var sum, most float64
	for i := range m.k {
		s := z[i]
		row := m.chol[i*m.k : i*m.k+i]
		for j, l := range row {
			s -= l * m.y[j]
		}
		m.y[i] = s / m.chol[i*m.k+i]
		sum += m.y[i] * m.y[i]
	}
	// The share of a channel is z times the gradient of the distance.
	for i := m.k - 1; i >= 0; i-- {
		s := m.y[i]
		for j := i + 1; j < m.k; j++ {
			s -= m.chol[j*m.k+i] * m.y[j]
		}
		m.y[i] = s / m.chol[i*m.k+i]
		if share := math.Abs(z[i] * m.y[i]); share > most {
			most, channel = share, i
		}
	}
	return math.Sqrt(sum), channel
}

// t2Refresh is how many values share one factorization, as a multiple of the
// channels: it costs k^3/6, so that k steps make it k^2.
const t2Refresh = 2

func (m *t2) update(in *input, learn bool) {
	if !learn {
		return
	}
	m.n++
	a := max(1/m.memory, 1/float64(m.n))
	if m.n > 2 {
		m.standardize(in)
		for i := range m.k {
			row := m.cov[i*m.k : i*m.k+i+1]
			// A wild value may not take over the covariance.
			zi := min(max(m.z[i], -8), 8)
			for j := range row {
				zj := min(max(m.z[j], -8), 8)
				row[j] += a * (zi*zj - row[j])
			}
		}
	}
	for i, x := range in.x {
		d := x - m.mean[i]
		m.mean[i] += a * d
		m.sd2[i] = (1 - a) * (m.sd2[i] + a*d*d)
	}
	if m.fresh--; m.fresh < 0 && m.n >= m.wants()-1 {
		m.factor()
		m.fresh = t2Refresh * m.k
	}
}

// factor is the Cholesky decomposition of the covariance with the floor added.
func (m *t2) factor() {
	k := m.k
	var trace float64
	for i := range k {
		trace += m.cov[i*k+i]
	}
	floor := m.floor*trace/float64(k) + 1e-9
	for i := range k {
		for j := range i + 1 {
			s := m.cov[i*k+j]
			if i == j {
				s += floor
			}
			for p := range j {
				s -= m.chol[i*k+p] * m.chol[j*k+p]
			}
			if i == j {
				m.chol[i*k+i] = math.Sqrt(max(s, floor))
			} else {
				m.chol[i*k+j] = s / m.chol[j*k+j]
			}
		}
	}
}

func (m *t2) state(c *codec) {
	c.int(&m.n)
	c.int(&m.fresh)
	c.array(m.mean)
	c.array(m.sd2)
	c.array(m.cov)
	c.array(m.chol)
}

func (m *t2) size() int { return 160 + 16*m.k*m.k + 32*m.k }
