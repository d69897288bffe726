package detectors

import (
	"math"

	"github.com/cepd/cepd/event"
)

var autoDoc = Doc{
	Name: "auto", Title: "The ensemble that needs no tuning", Since: "0.1", Multivariate: true,
	Text: `Eight members look at the series, each at its own grain: the residual of a running mean, and
the jump from one value to the next, at full resolution and after some thirty values; the novelty of
values; the novelty of shapes, short and long; the surprise in context; the time of day, where days
explain the series; and a value that does not move any more. Each is calibrated by its own history;
what they say is added up. The verdict asks for more while little is known, and for more the finer
the step is, so that false alarms per day stay rare. Several channels are judged together, by the
distance from how they usually go together, and each by its own residual. It has no parameters.`,
}

var mrnDoc = Doc{
	Name: "mrn", Title: "Multi-resolution novelty", Since: "0.1",
	Text: `The four novelty members of auto alone, at the grains of 3, 6, 12 and 12 values whatever the step is,
and with one threshold. It is what auto grew out of, and is kept to compare with.`,
	Params: []Param{
		{Name: "limit", Text: "sum of the members' orders of magnitude for an anomaly", Default: 4.75, Min: 1, Max: 48},
	},
}

// The constants of the ensemble. The grains are what a member looks at: so many
// values, but not more than so much time; a grain is never less than one value.
// Two hours of five-minute values make a shape of eight; of hourly values, where
// there are fewer, a shape is eight of them.
var grains4 = [4]struct {
	values int
	most   event.Duration
}{
	{3, 2700e9}, {6, 3600e9}, {12, 7200e9}, {12, 7200e9},
}

const (
	autoMemory    = 1300  // values that a novelty member remembers, so that all fit into 64 KiB
	autoAlpha     = 0.05  // of the running mean: some twenty values
	autoHold      = 4     // values that a surprise stands for: members speak at different times
	autoMost      = 12    // orders of magnitude that one member can add
	autoLimit     = 4.75  // of the sum
	autoYoung     = 2     // added to the limit at the start,
	autoGrown     = 400   // and taken off evenly until so many values
	autoDiscount  = 5     // taken off the residual, which sees much that has been before, once novelty judges,
	autoKnown     = 800   // more and more until so many values: novelty needs hundreds to be sure
	autoWarm      = 36    // raw scores before a novelty member's tail is asked
	autoThreshold = 0.999 // of the score; the verdict is the sum's
)

// The members: the voices, and those that auto has beside them.
const (
	memberResidual = 4 + iota
	memberDaily
	memberStill
	memberJump
	members
)

// ensemble is the four novelty members and the sum of what all say.
type ensemble struct {
	voices  [4]*voice
	stretch bool // grains follow the step; else they are values
	step    event.Duration
	others  *others // nil in mrn
	n       int
	held    [members][autoHold]float64 // the last surprises of each member
	reasons [members]Reason
	said    [members]float64 // what each adds to the sum
	sum     float64
	all     tail // of sums
	cause   int  // the member that says most
}

// others are the members of auto that are no voices.
type others struct {
	resid residual
	jump  residual // of the changes from value to value
	last  float64
	begun bool // there is a last value
	daily daily
	still stuck
}

// residualTop and residualShare are from how many of the largest distances the
// residual takes the tail, while they are few: one in eight, up to twenty.
// Distances from a mean fall off smoothly from there on, unlike those to what was
// seen, so that a young series need not make do with five.
const (
	residualTop   = 20
	residualShare = 8
)

// residual judges by the distance from a running mean, in deviations.
type residual struct {
	w    ewmean
	tail tail
	raw  float64
	// far is the largest of the last distances, with its sign; it fades. Members
	// speak up to some dozens of values after what they saw: the side that it was on
	// is not that of the present value.
	far float64
}

// late reports whether what is being judged is an earlier value.
func (r *residual) late() bool { return r.raw < math.Abs(r.far)/2 }

// side is the side of what is being judged.
func (r *residual) side(x float64) Direction {
	d := x - r.w.mean
	if r.late() {
		d = r.far
	}
	if d < 0 {
		return Down
	}
	return Up
}

// farFades is how much of far is left after a value: a tenth after a stretch of
// the shapes.
const farFades = 0.95

func newEnsemble(warm int) *ensemble {
	m := &ensemble{}
	m.voices = [4]*voice{
		valueVoice(3, autoMemory),
		shapeVoice(memberNames[1], 6, true, 8, 1, autoMemory),
		shapeVoice(memberNames[2], 12, false, 8, 5, autoMemory),
		contextVoice(12),
	}
	if warm > 0 {
		for _, v := range m.voices {
			v.warm = warm
		}
	}
	return m
}

func newAuto(s settings) model {
	if s.Channels > 1 {
		return newAutoMany(s)
	}
	m := newEnsemble(autoWarm)
	m.stretch, m.others = true, &others{daily: daily{period: day}}
	if len(s.Season) > 0 {
		m.others.daily.period = min(s.Season[0], dailyMost)
	}
	s.doc = &stuckDoc
	m.others.still = *newStuck(s).(*stuck)
	return m
}

// mrn is the ensemble without the residual, with rows for a grain and one limit.
type mrn struct {
	ensemble
	limit float64
}

func newMRN(s settings) model { return &mrn{*newEnsemble(0), s.num("limit")} }

// settle sets the grains once the step is known, and again when it has changed to
// less than half or more than twice.
func (m *ensemble) settle(step event.Duration) {
	if !m.stretch || step == 0 || m.step > 0 && step < 2*m.step && m.step < 2*step {
		return
	}
	m.step = step
	for i, v := range m.voices {
		v.sampler.k = grain4(i, step)
	}
}

// grain4 is the grain of a member in values.
func grain4(i int, step event.Duration) int {
	g := grains4[i]
	return max(1, min(g.values, int((g.most+step/2)/step)))
}

// listen asks every member, and adds up what they have said of the last values.
func (m *ensemble) listen(in *input) {
	m.settle(in.step)
	x := in.x[0]
	at := m.n % autoHold
	m.sum, m.cause = 0, 0
	for i, v := range m.voices {
		s := 0.0
		if !m.stretch || m.step > 0 {
			s = v.judge(x)
		}
		m.take(i, at, s, v.reason)
	}
	if m.others != nil {
		m.listenOthers(in, at)
	}
}

// listenOthers asks the members beside the voices. A value that stands still for
// longer than it ever did is an anomaly by itself.
func (m *ensemble) listenOthers(in *input, at int) {
	o, x := m.others, in.x[0]
	discount := 0.0
	if m.voices[0].ready() >= 1 {
		discount = autoDiscount * min(1, float64(m.n)/autoKnown)
	}
	s := max(0, o.resid.judge(x, in.quantum[0])-discount)
	m.take(memberResidual, at, s, Reason{Cause: CauseDeviation, A: x, B: o.resid.w.mean, Member: memberNames[memberResidual]})
	s = 0
	if o.begun {
		s = max(0, o.jump.judge(x-o.last, in.quantum[0])-discount)
	}
	m.take(memberJump, at, s, Reason{Cause: CauseDeviation, A: x, B: o.last + o.jump.w.mean, Member: memberNames[memberJump]})
	m.sum -= min(m.said[memberResidual], m.said[memberJump]) // two ways to see one thing
	s = o.daily.judge(in.t)
	m.take(memberDaily, at, s, o.daily.reason)
	var still opinion
	o.still.judge(in, &still)
	s = 0
	if still.verdict == yes {
		s = autoMost
	}
	still.reason.Member = memberNames[memberStill]
	m.take(memberStill, at, s, still.reason)
}

// take holds what a member says, and adds what it holds to the sum.
func (m *ensemble) take(i, at int, s float64, reason Reason) {
	m.held[i][at] = s
	if s == 0 && m.said[i] == 0 {
		return // as most are, most of the time
	}
	most := 0.0
	for _, h := range m.held[i] {
		most = max(most, h)
	}
	if s > 0 && s >= most {
		m.reasons[i] = reason
	}
	m.said[i] = min(most, autoMost)
	m.sum += m.said[i]
	if m.said[i] > m.said[m.cause] {
		m.cause = i
	}
}

func (r *residual) judge(x, quantum float64) float64 {
	r.raw = 0
	if r.w.n < 2 {
		return 0
	}
	r.raw = math.Abs(x-r.w.mean) / max(math.Sqrt(r.w.var_), quantum/2)
	if r.w.n < residualReady {
		return 0
	}
	return r.tail.scoreAt(r.raw, max(r.tail.k(), min(residualTop, r.tail.n/residualShare)))
}

// update follows the series in any case: the residual sees the start of a change,
// and novelty the rest. What is frozen is how far values usually lie from the mean.
func (r *residual) update(x float64, frozen bool) {
	if r.far *= farFades; r.raw > math.Abs(r.far) {
		r.far = math.Copysign(r.raw, x-r.w.mean)
	}
	if r.w.n >= residualReady/2 && !frozen { // the first ones are enormous
		r.tail.add(r.raw)
	}
	r.w.add(x, max(autoAlpha, 1/float64(r.w.n+1)))
}

// Five minutes are the step that the limit is for. At a step ten times finer
// there are ten times as many values in a day, and false alarms should be as rare
// per day: every voice in the sum must be ten times as surprised. A thousand
// times is as far as that goes. At a coarser step the grains are single values, so
// that all members speak at each of them, and the sum is larger without a cause:
// autoCoarse is asked for more, at ten times the step or over.
const (
	autoStep   = 300 * event.Duration(1e9)
	autoCoarse = 1.5
	autoFar    = 3
)

// limitOf is what a sum of so many voices must reach after n values of a series
// with that step.
func limitOf(n int, step event.Duration, voices float64) float64 {
	limit := autoLimit + autoYoung*max(0, 1-float64(n)/autoGrown)
	switch {
	case step == 0:
		return limit
	case step < autoStep:
		return limit + voices*min(math.Log10(float64(autoStep)/float64(step)), autoFar)
	}
	return limit + autoCoarse*min(math.Log10(float64(step)/float64(autoStep)), 1)
}

// voicesIn is how many members make up a sum, where those that are as loud as the
// loudest count as one.
func voicesIn(sum, loudest float64) float64 {
	if loudest == 0 {
		return 1
	}
	return sum / loudest
}

func (m *ensemble) judge(in *input, o *opinion) {
	m.listen(in)
	m.decide(o, limitOf(m.n, in.step, voicesIn(m.sum, m.said[m.cause])))
	o.ready = float64(m.n) / residualReady
	if m.others != nil && m.others.resid.w.n > 1 {
		o.expected = m.others.resid.w.mean
		o.lower, o.upper = m.voices[0].band()
		o.direction, o.late = m.others.resid.side(in.x[0]), m.others.resid.late()
	}
}

// autoSure is the order of magnitude that a sum at the limit stands for: on series
// without faults about one value in a thousand comes there.
const autoSure = 3

// decide makes an opinion of the sum. Below the limit the score is the share of
// sums in the past; above it grows with the sum, so that what is over the limit on
// any series is over what is not.
func (m *ensemble) decide(o *opinion, limit float64) {
	o.orders, o.verdict = true, no
	o.raw = min(m.all.score(m.sum), autoSure-1e-3)
	if m.sum >= limit {
		o.verdict = yes
		o.raw = autoSure * m.sum / limit
	}
	o.reason = m.reasons[m.cause]
}

func (m *mrn) judge(in *input, o *opinion) {
	m.listen(in)
	m.decide(o, m.limit)
	o.ready = m.voices[0].ready()
}

func (m *ensemble) update(in *input, learn bool) {
	x := in.x[0]
	for _, v := range m.voices {
		if !m.stretch || m.step > 0 {
			v.update(x, in.frozen)
		}
	}
	if !in.frozen {
		m.all.add(m.sum)
	}
	if m.others != nil {
		m.others.resid.update(x, in.frozen)
		m.others.follow(x, in.frozen)
		m.others.daily.update(in.t, x, in.frozen)
		m.others.still.update(in, learn)
	}
	m.n++
}

// follow lets the jumps follow the series.
func (o *others) follow(x float64, frozen bool) {
	if o.begun {
		o.jump.update(x-o.last, frozen)
	}
	o.last, o.begun = x, true
}

// names of the members, in the order of held.
var memberNames = [members]string{"value novelty", "short shapes", "long shapes", "context", "residual", "time of day", "standstill", "jump"}

// parts appends what each member adds at present.
func (m *ensemble) parts(dst []Part) []Part {
	for i, s := range m.said {
		if i < memberResidual || m.others != nil {
			dst = append(dst, Part{memberNames[i], toScore(s), m.reasons[i]})
		}
	}
	return dst
}

func (m *ensemble) state(c *codec) {
	c.dur(&m.step)
	c.int(&m.n)
	for i := range m.held {
		c.array(m.held[i][:])
		m.reasons[i].state(c, memberNames[i])
	}
	c.array(m.said[:])
	c.f64(&m.sum)
	m.all.state(c)
	for _, v := range m.voices {
		v.state(c)
	}
	if o := m.others; o != nil {
		o.resid.state(c)
		o.jump.state(c)
		c.f64(&o.last)
		c.bool(&o.begun)
		o.daily.state(c)
		o.still.state(c)
	}
}

func (r *residual) state(c *codec) {
	r.w.state(c)
	r.tail.state(c)
	c.floats(&r.raw, &r.far)
}

func (m *ensemble) size() int {
	n := 900 + m.all.size()
	for _, v := range m.voices {
		n += v.size()
	}
	if o := m.others; o != nil {
		n += 128 + o.resid.tail.size() + o.jump.tail.size() + o.daily.size() + o.still.size()
	}
	return n
}

// breakOff forgets what is held, and the recent past of the members.
func (m *ensemble) breakOff() {
	m.held = [members][autoHold]float64{}
	if m.others != nil {
		m.others.begun = false
	}
	for _, v := range m.voices {
		v.breakOff()
	}
}
