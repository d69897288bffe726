package detectors

import "math"

// A sampler makes one value of k consecutive ones: their mean, or the most
// extreme of them, so that a single odd value survives.
type sampler struct {
	extreme bool
	k       int
	n       int
	sum     float64
	lo, hi  float64
	center  float64 // what extremes are measured from
	begun   bool
}

// peek says what the value would be if x completes it, and whether it does.
func (d *sampler) peek(x float64) (float64, bool) {
	if d.n+1 < d.k {
		return 0, false
	}
	if d.k == 1 {
		return x, true
	}
	mean := (d.sum + x) / float64(d.k)
	if !d.extreme {
		return mean, true
	}
	lo, hi := x, x
	if d.n > 0 {
		lo, hi = min(d.lo, x), max(d.hi, x)
	}
	c := d.next(mean)
	if math.Abs(hi-c) >= math.Abs(lo-c) {
		return hi, true
	}
	return lo, true
}

// next is the center with the mean of one more value.
func (d *sampler) next(mean float64) float64 {
	if !d.begun {
		return mean
	}
	return (d.center + mean) / 2
}

// add takes x in.
func (d *sampler) add(x float64) {
	if d.n == 0 {
		d.sum, d.lo, d.hi = 0, x, x
	}
	d.n++
	d.sum += x
	d.lo, d.hi = min(d.lo, x), max(d.hi, x)
	if d.n >= d.k {
		d.center, d.begun = d.next(d.sum/float64(d.n)), true
		d.n = 0
	}
}

func (d *sampler) state(c *codec) {
	c.int(&d.k)
	c.int(&d.n)
	c.floats(&d.sum, &d.lo, &d.hi, &d.center)
	c.bool(&d.begun)
}

var noveltyDoc = Doc{
	Name: "novelty", Title: "Value novelty", Since: "0.1",
	Text: `Asks whether a value like this was ever seen: the distance to the nearest earlier value,
weighed by how large such distances usually are. No model of the series is needed. The strongest
of the simple detectors on real series; choose it where auto is too dear.`,
	Params: []Param{
		{Name: "every", Text: "values of which the most extreme one is judged", Default: 3, Min: 1, Max: 1000, Kind: Integer},
		{Name: "memory", Text: "how many of those are remembered", Default: 3000, Min: 50, Max: 20000, Kind: Integer},
		thresholdParam,
	},
}

var matrixProfileDoc = Doc{
	Name: "matrix_profile", Title: "Left matrix profile", Since: "0.1",
	Text: `Asks whether a stretch of values like the last one was ever seen: the distance to the nearest
earlier stretch of the same length. Finds odd shapes whose single values are all usual.`,
	Params: []Param{
		{Name: "every", Text: "values that are averaged to one", Default: 3, Min: 1, Max: 1000, Kind: Integer},
		{Name: "length", Text: "averages in a stretch", Default: 8, Min: 2, Max: 64, Kind: Integer},
		{Name: "memory", Text: "averages remembered", Default: 2000, Min: 100, Max: 8000, Kind: Integer},
		thresholdParam,
	},
}

var contextDoc = Doc{
	Name: "context", Title: "Context surprise (PPM)", Since: "0.1",
	Text: `Learns which level of a series follows which, and is surprised by what hardly ever came after
the last three levels. Finds usual values at an unusual moment. Very cheap.`,
	Params: []Param{
		{Name: "every", Text: "values that are averaged to one", Default: 12, Min: 1, Max: 1000, Kind: Integer},
		thresholdParam,
	},
}

// A voice is one member of an ensemble: it judges one value in every k, by a
// library of stretches, by single values, or by contexts.
type voice struct {
	name     string
	sampler  sampler
	values   *sorted[float32]
	offset   float64 // taken off values, so that 32 bits are enough
	seen     int
	lib      *library
	q        int
	ctx      *contexts
	warm     int // raw scores before the tail is asked
	tail     tail
	raw      float64 // of the last value judged
	judged   bool    // this row completed a value
	sample   float64
	surprise float64 // orders of magnitude, of this row
	reason   Reason
}

// judge says how surprising the row x is, in orders of magnitude; 0 on the rows
// that complete no value.
func (v *voice) judge(x float64) float64 {
	v.sample, v.judged = v.sampler.peek(x)
	v.surprise, v.reason = 0, Reason{}
	if !v.judged {
		return 0
	}
	v.raw = v.measure(v.sample)
	if v.tail.n >= v.warm && v.raw >= 0 {
		v.surprise = v.tail.score(v.raw)
	}
	return v.surprise
}

// measure is the raw surprise of a value; -1 while there is too little to compare
// with. Such rows must not count in the tail: a tail of zeros makes the first
// real distance look endless.
func (v *voice) measure(s float64) float64 {
	switch {
	case v.ctx != nil:
		bits := v.ctx.surprise(s)
		// What is multiplied from four tables is no better known than what was seen.
		v.reason = Reason{Cause: CauseSequence, A: min(math.Exp2(bits), float64(v.ctx.n+1)), Member: v.name}
		return bits
	case v.lib != nil:
		if v.lib.n+1 < 3*v.lib.dim+v.q || v.lib.count() < v.q {
			return -1
		}
		d := v.lib.nearest(s, v.q)
		v.reason = Reason{Cause: CauseShape, A: d, B: v.tail.usual(), Member: v.name}
		return d
	}
	if len(v.values.v) < 4 {
		return -1
	}
	d, near := v.values.nearest(float32(s - v.offset))
	v.reason = Reason{Cause: CauseNovel, A: s, B: float64(near) + v.offset, Member: v.name}
	return float64(d)
}

// update moves on past the row. A memory of what was seen holds whatever was seen,
// anomalies too; only one that is frozen does not.
func (v *voice) update(x float64, frozen bool) {
	judged := v.judged
	v.sampler.add(x)
	if !judged || frozen && v.lib == nil && v.ctx == nil {
		return
	}
	if v.raw >= 0 {
		v.tail.add(v.raw)
	}
	switch {
	case v.ctx != nil:
		v.ctx.add(v.sample)
	case v.lib != nil:
		v.lib.add(v.sample)
	default:
		if v.seen == 0 {
			v.offset = v.sample
		}
		v.seen++
		v.values.add(float32(v.sample - v.offset))
	}
}

// bandShare is the share of the remembered values that lie below the band of what
// is usual, and above it.
const bandShare = 0.005

// band is where nearly all of the remembered values lie; NaN while they are few.
func (v *voice) band() (lower, upper float64) {
	if len(v.values.v) < warmValues {
		return math.NaN(), math.NaN()
	}
	return quantileOf(v.values.v, bandShare) + v.offset, quantileOf(v.values.v, 1-bandShare) + v.offset
}

// ready is the progress of the warm-up.
func (v *voice) ready() float64 { return float64(v.tail.n) / float64(v.warm) }

func (v *voice) state(c *codec) {
	v.sampler.state(c)
	v.tail.state(c)
	c.bool(&v.judged)
	c.floats(&v.offset, &v.raw, &v.sample, &v.surprise)
	c.int(&v.seen)
	switch {
	case v.ctx != nil:
		v.ctx.state(c)
	case v.lib != nil:
		v.lib.state(c)
	default:
		v.values.state(c)
	}
}

func (v *voice) size() int {
	n := 240 + v.tail.size()
	switch {
	case v.ctx != nil:
		return n + contextsSize
	case v.lib != nil:
		return n + v.lib.bytes()
	}
	return n + 8*v.values.size
}

// The warm-ups are in raw scores: fewer say nothing of a tail.
const (
	warmValues = 33
	warmShapes = 20
)

func valueVoice(k, memory int) *voice {
	w := newSorted[float32](memory)
	return &voice{name: "value novelty", sampler: sampler{k: k, extreme: true}, values: &w, warm: warmValues}
}

func shapeVoice(name string, k int, extreme bool, dim, q, memory int) *voice {
	l := newLibrary(dim, memory)
	return &voice{name: name, sampler: sampler{k: k, extreme: extreme}, lib: &l, q: q, warm: warmShapes}
}

func contextVoice(k int) *voice {
	return &voice{name: "context", sampler: sampler{k: k}, ctx: &contexts{bins: 5}, warm: warmShapes}
}

// solo makes a detector of one voice. Its surprise is calibrated already.
type solo struct{ v *voice }

func newNovelty(s settings) model {
	return &solo{v: valueVoice(s.count("every"), s.count("memory"))}
}

func newMatrixProfile(s settings) model {
	return &solo{v: shapeVoice("matrix profile", s.count("every"), false, s.count("length"), 1, s.count("memory"))}
}

func newContext(s settings) model { return &solo{v: contextVoice(s.count("every"))} }

func (m *solo) judge(in *input, o *opinion) {
	o.orders, o.ready = true, m.v.ready()
	o.raw = m.v.judge(in.x[0])
	o.reason = m.v.reason
	if m.v.judged && m.v.reason.Cause == CauseNovel {
		o.direction = Up
		if in.x[0] < m.v.reason.B {
			o.direction = Down
		}
	}
}

func (m *solo) update(in *input, _ bool) { m.v.update(in.x[0], in.frozen) }

func (m *solo) state(c *codec) { m.v.state(c) }

func (m *solo) size() int { return m.v.size() }

// breakOff drops a half-filled sample, and what came before the next level.
func (v *voice) breakOff() {
	v.sampler.n = 0
	if v.ctx != nil {
		v.ctx.n = 0
	}
}

func (m *solo) breakOff() { m.v.breakOff() }
