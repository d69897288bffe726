package detectors

var knnDoc = Doc{
	Name: "knn", Title: "Conformal nearest neighbours", Since: "0.1",
	Text: `Measures how far the last stretch of values is from its nearest neighbours in a training
set, and ranks that among the same distances of a calibration set: a p-value that is valid
whatever the distribution is, if the past is exchangeable. Choose it where the stated false alarm rate
must hold.`,
	Params: []Param{
		{Name: "length", Text: "values in a stretch", Default: 12, Min: 1, Max: 64, Kind: Integer},
		{Name: "neighbours", Text: "nearest stretches that count", Default: 5, Min: 1, Max: maxNearest, Kind: Integer},
		{Name: "training", Text: "values that neighbours are looked for in", Default: 600, Min: 50, Max: 4000, Kind: Integer},
		thresholdParam,
	},
}

// knn is the inductive conformal detector of Burnaev and Ishimtsev ("Conformalized
// density- and distance-based anomaly detection in time-series data", 2016): a
// value's surprise is the mean distance of its stretch to the nearest ones of the
// past, ranked among the surprises of the past.
type knn struct {
	q    int
	lib  library
	cal  tail
	raw  float64
	have bool
}

func newKNN(s settings) model {
	return &knn{q: s.count("neighbours"), lib: newLibrary(s.count("length"), s.count("training"))}
}

func (m *knn) judge(in *input, o *opinion) {
	o.orders, m.have = true, m.lib.count() >= m.q+residualReady
	o.ready = (float64(m.lib.count()) + float64(m.cal.n)) / float64(m.q+2*residualReady)
	if !m.have {
		return
	}
	m.raw = m.lib.nearest(in.x[0], m.q)
	o.raw = m.cal.score(m.raw)
	o.reason = Reason{Cause: CauseShape, A: m.raw, B: m.cal.usual()}
}

func (m *knn) update(in *input, _ bool) {
	if m.have && !in.frozen {
		m.cal.add(m.raw)
	}
	m.lib.add(in.x[0])
}

func (m *knn) state(c *codec) {
	c.f64(&m.raw)
	c.bool(&m.have)
	m.cal.state(c)
	m.lib.state(c)
}

func (m *knn) size() int { return 40 + m.lib.bytes() + m.cal.size() }
