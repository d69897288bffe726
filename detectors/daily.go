package detectors

import (
	"math"

	"github.com/cepd/cepd/event"
)

// daily is the member of auto that knows the time of day. It cuts the day, or
// another season, into slots, learns the mean of each from the days before, and
// judges the mean of a slot when the slot is over. It is silent on a series that
// no season explains.
//
//	slot    0    1    2   ...  now
//	mean  | .. | .. | .. |   |  .. | <- of the days before
//	                            \-- how far is the mean of today?
type daily struct {
	period event.Duration
	means  [dailySlots]float32
	days   [dailySlots]uint8 // that a mean is made of; no more than dailyDays
	slot   int
	begun  bool
	from   event.Time // the slot is that of the times from here
	until  event.Time // to here, exclusive
	offset float64
	sum    float64
	n      int
	total  ewmean  // of the means of slots, as they come
	left   float64 // mean square of what the season leaves unexplained
	judged int     // slots with a mean to compare with
	tail   tail
	raw    float64 // of the slot that is over; -1 where it was not judged
	reason Reason
}

const day = 24 * 3600 * event.Duration(1e9)

// dailyMost bounds the season: what is longer is hardly ever seen twice.
const dailyMost = 1000 * day

const (
	dailySlots = 48
	dailyDays  = 4    // weigh like so many days: weeks differ
	dailyLeast = 2    // days before a slot is judged
	dailyShare = 0.5  // of the variance that the season must explain
	dailyAlpha = 0.02 // of the variances: about a day of slots
)

// open begins the slot of a time.
func (m *daily) open(t event.Time) {
	p := int64(m.period)
	at := int64(floorMod(t, event.Time(p)))
	m.slot = int(at * dailySlots / p)
	first := int64(t) - at
	m.from = event.Time(first + (int64(m.slot)*p+dailySlots-1)/dailySlots)
	m.until = event.Time(first + (int64(m.slot+1)*p+dailySlots-1)/dailySlots)
	m.sum, m.n = 0, 0
}

// within reports whether a time is in the slot that is open.
func (m *daily) within(t event.Time) bool { return t >= m.from && t < m.until }

// judge says how surprising the slot before is, if t is the first time after it.
func (m *daily) judge(t event.Time) float64 {
	m.raw = -1
	if m.within(t) || !m.begun || m.n == 0 {
		return 0
	}
	mean := m.sum / float64(m.n)
	explains := m.left < (1-dailyShare)*m.total.var_
	if m.days[m.slot] < dailyLeast || m.judged < dailySlots || !explains {
		return 0
	}
	usual := float64(m.means[m.slot])
	m.raw = math.Abs(mean-usual) / math.Sqrt(m.left)
	m.reason = Reason{Cause: CauseDeviation, A: mean + m.offset, B: usual + m.offset, Member: memberNames[memberDaily]}
	if m.tail.n < autoWarm {
		return 0
	}
	return m.tail.score(m.raw)
}

// update counts x, and closes the slot before if it is over. What is frozen learns
// nothing of it.
func (m *daily) update(t event.Time, x float64, frozen bool) {
	if !m.begun {
		m.begun, m.offset = true, x
	}
	if !m.within(t) {
		if m.n > 0 && !frozen {
			m.close()
		}
		m.open(t)
	}
	m.sum += x - m.offset
	m.n++
}

// close learns from the slot that is over.
func (m *daily) close() {
	mean, s := m.sum/float64(m.n), m.slot
	m.total.add(mean, max(dailyAlpha, 1/float64(m.total.n+1)))
	if m.raw >= 0 {
		m.tail.add(m.raw)
	}
	if m.days[s] > 0 {
		d := mean - float64(m.means[s])
		m.judged++
		m.left += (d*d - m.left) * max(dailyAlpha, 1/float64(m.judged))
	}
	if m.days[s] < dailyDays {
		m.days[s]++
	}
	m.means[s] += float32((mean - float64(m.means[s])) / float64(m.days[s]))
}

func (m *daily) state(c *codec) {
	c.f32s(m.means[:])
	for i := range m.days {
		c.byte(&m.days[i])
	}
	c.index(&m.slot, dailySlots)
	c.time(&m.from)
	c.time(&m.until)
	c.bool(&m.begun)
	c.floats(&m.offset, &m.sum, &m.left, &m.raw)
	c.int(&m.n)
	m.total.state(c)
	c.int(&m.judged)
	m.tail.state(c)
}

func (m *daily) size() int { return 5*dailySlots + 180 + m.tail.size() }
