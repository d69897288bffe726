package faults

import (
	"fmt"
	"math"

	"github.com/cepd/cepd/event"
)

// Shape is what a series looks like without faults.
type Shape int

// The shapes.
const (
	Noise   Shape = iota // a level with noise
	Season               // a daily, or for fine steps a shorter, season with noise
	Machine              // on and off, in cycles of varying length
	Bursts               // a quiet floor with bursts of all sizes
	Wander               // an autoregressive level
	Growth               // a season on a trend
	Counts               // small whole numbers, busier by day
	shapes
)

var shapeNames = [shapes]string{"noise", "season", "machine", "bursts", "wander", "growth", "counts"}

// String returns the name of the shape.
func (s Shape) String() string { return shapeNames[s] }

// Fault is what goes wrong.
type Fault int

// The faults.
const (
	Spike      Fault = iota // one to three values far away
	Drift                   // a ramp away, and back at once
	Stuck                   // the value does not move
	Noisy                   // several times the noise
	Shift                   // another level for a while
	LostSeason              // the season is gone for a while
	Leak                    // a slow fall over a long time
	faultKinds
)

var faultNames = [faultKinds]string{"spike", "drift", "stuck", "noise", "level shift", "lost season", "slow leak"}

// String returns the name of the fault.
func (f Fault) String() string { return faultNames[f] }

// Label is a fault in a series, from the row First to the row Last.
type Label struct {
	Fault       Fault
	First, Last int
}

// Series is a series with its faults.
type Series struct {
	Name   string
	Step   event.Duration
	Times  []event.Time
	Values []float64
	Labels []Label
}

// rand is splitmix64: chance that a seed repeats.
type rand uint64

func (r *rand) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *rand) float() float64 { return float64(r.next()>>11) / (1 << 53) }

func (r *rand) between(lo, hi float64) float64 { return lo + (hi-lo)*r.float() }

func (r *rand) intn(n int) int { return int(r.next() % uint64(n)) }

func (r *rand) normal() float64 {
	return math.Sqrt(-2*math.Log(1-r.float())) * math.Cos(2*math.Pi*r.float())
}

// steps are the steps of series, and how many values a series of each has.
var steps = []struct {
	step event.Duration
	n    int
}{
	{1e9, 6000}, {10e9, 6000}, {60e9, 10080}, {300e9, 4032}, {900e9, 2880}, {3600e9, 1440}, {3600e9, 500},
}

// maker builds one series.
type maker struct {
	rand
	Series
	n       int
	calm    int       // rows before the first fault
	period  float64   // of the season, in values
	season  []float64 // what the season adds
	spread  float64   // size of the noise
	swing   float64   // size of the season or of the bursts
	quantum float64   // resolution; 0 is fine
}

// Make returns the series of a seed. Each seed has its own step, shape and faults;
// one in five has none.
func Make(seed uint64) Series { return build(seed, false) }

// shortRows is how many values a short series has, and shortCalm how many come
// before its first fault.
const (
	shortRows = 700
	shortCalm = 60
)

// Short returns a series of a few hundred values, whose faults may come after the
// first sixty.
func Short(seed uint64) Series { return build(seed, true) }

func build(seed uint64, short bool) Series {
	m := maker{rand: rand(seed * 0x632be59bd9b4e019)}
	m.next()
	at := steps[m.intn(len(steps))]
	shape := Shape(m.intn(int(shapes)))
	m.Step, m.n = at.step, at.n
	m.calm = m.n / 3
	if short {
		m.n, m.calm = shortRows, shortCalm
	}
	m.Name = fmt.Sprintf("%04d %s %s", seed, shape, event.FormatDuration(at.step))
	const start = event.Time(1_700_006_400e9) // a midnight
	for i := range m.n {
		m.Times = append(m.Times, start+event.Time(i)*event.Time(at.step))
	}
	m.base(shape)
	if m.intn(5) > 0 {
		m.spoil(1 + m.intn(3))
	}
	if m.quantum > 0 {
		for i, v := range m.Values {
			m.Values[i] = math.Round(v/m.quantum) * m.quantum
		}
	}
	return m.Series
}

// base makes the series without faults.
func (m *maker) base(shape Shape) {
	level := m.between(1, 6)
	scale := math.Pow(10, m.between(-1, 4))
	m.period = math.Max(12, float64(24*3600*event.Time(1e9))/float64(m.Step))
	if m.Step < 300e9 { // a machine's cycle in place of a day
		m.period = math.Round(m.between(100, 900))
	}
	m.spread, m.swing = m.between(0.02, 0.15), m.between(0.5, 1.5)
	m.season = make([]float64, m.n)
	m.Values = make([]float64, m.n)
	phase, second := m.between(0, 2*math.Pi), m.between(0, 0.5)
	ar, on, until := 0.0, 0.0, 0
	for i := range m.Values {
		a := 2*math.Pi*float64(i)/m.period + phase
		wave := math.Sin(a) + second*math.Sin(2*a+phase)
		noise := m.spread * m.normal()
		v := level + noise
		switch shape {
		case Season:
			m.season[i] = m.swing * wave
		case Machine:
			if i >= until {
				on = 1 - on
				until = i + int(m.period*m.between(0.2, 0.8))
			}
			m.season[i] = m.swing * 2 * on
		case Bursts:
			if m.float() < 0.03 {
				v += m.swing * -math.Log(1-m.float())
			}
		case Wander:
			ar = 0.98*ar + 0.3*m.spread*m.normal()
			v += ar
		case Growth:
			m.season[i] = m.swing * wave
			v += 2 * float64(i) / float64(m.n)
		case Counts:
			m.season[i] = 2 * (1 + wave)
			v = level + m.normal()*math.Sqrt(level+m.season[i])
		}
		m.Values[i] = (v + m.season[i]) * scale
		m.season[i] *= scale
	}
	m.spread *= scale
	m.swing *= scale
	switch {
	case shape == Counts:
		m.quantum = scale
		m.spread = math.Sqrt(level) * scale
	case m.intn(3) == 0:
		m.quantum = math.Pow(10, math.Floor(math.Log10(m.spread)))
	}
	if shape == Bursts {
		m.spread = m.swing
	}
}

// spoil puts n faults in, with room between.
func (m *maker) spoil(n int) {
	room := (m.n - m.calm) / n
	for k := range n {
		first := m.calm + k*room + m.intn(max(room/2, 1))
		m.put(Fault(m.intn(int(faultKinds))), first, room/3)
	}
}

// put puts one fault in from a row on, at most most rows long.
func (m *maker) put(f Fault, first, most int) {
	sign := 1.0
	if m.intn(2) == 0 {
		sign = -1
	}
	size := sign * m.between(6, 15) * m.spread
	length := min(most, 20+m.intn(max(int(m.period)/2, 40)))
	if f == LostSeason && m.season[first] == 0 && m.season[min(first+length/2, m.n-1)] == 0 {
		f = Shift
	}
	switch f {
	case Spike:
		length = 1 + m.intn(3)
		m.change(first, length, func(_ float64, v, _ float64) float64 { return v + 1.5*size })
	case Drift:
		m.change(first, length, func(x, v, _ float64) float64 { return v + 1.5*size*x })
	case Stuck:
		held := m.Values[first]
		length = min(most, max(length, int(m.period)/2))
		m.change(first, length, func(_, _, _ float64) float64 { return held })
	case Noisy:
		m.change(first, length, func(_ float64, v, _ float64) float64 { return v + 4*m.spread*m.normal() })
	case Shift:
		m.change(first, length, func(_ float64, v, _ float64) float64 { return v + size })
	case LostSeason:
		length = min(most, int(m.period))
		m.change(first, length, func(_ float64, v, s float64) float64 { return v - s })
	case Leak:
		length = min(most, 4*length)
		m.change(first, length, func(x, v, _ float64) float64 { return v - math.Abs(size)*x })
	}
	m.Labels = append(m.Labels, Label{f, first, min(first+length, m.n) - 1})
}

// change applies f to rows; it is given the share of the fault that is over, the
// value, and what the season adds.
func (m *maker) change(first, length int, f func(x, v, season float64) float64) {
	for i := first; i < min(first+length, m.n); i++ {
		m.Values[i] = f(float64(i-first+1)/float64(length), m.Values[i], m.season[i])
	}
}
