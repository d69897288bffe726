package detectors

import (
	"math"
	"time"

	"github.com/cepd/cepd/event"
)

var profileDoc = Doc{
	Name: "profile", Title: "Seasonal profile: time of day and of week", Since: "0.1",
	Text: `Learns what is usual at each time of day, and, once it has seen two weeks, at each time
of the week, by the calendar of the time zone given: a day on which the clocks change is a day.
The level of the last hours corrects it. Choose it for people's rhythms: traffic, sales, load,
energy. It needs two days before it judges.`,
	Params: []Param{
		{Name: "slots", Text: "slots in a day", Default: 96, Min: 4, Max: 288, Kind: Integer},
		{Name: "alpha", Text: "weight of the newest day in a slot", Default: 0.2, Min: 0.01, Max: 1},
		{Name: "level", Text: "weight of the newest value in the level; 0: the level is fixed", Default: 0.02, Min: 0, Max: 1},
		thresholdParam,
	},
}

// profile judges by the distance from what is usual at this time.
type profile struct {
	loc          *time.Location
	slots        int
	alpha, level float64
	day          []profileSlot // of a day
	week         []profileSlot // hours of a week
	n            int
	from         event.Time
	begun        bool
	offset       float64 // how the last values lay from the profile
	spread       ewmean  // of the residuals: their mean square
}

// profileSlot is what was usual in a slot. The values of one visit to the slot
// count together, as one.
type profileSlot struct {
	n     float64 // visits that are over, up to some
	mean  float64
	sum   float64 // of the visit that is on
	count float64
	visit int64 // which day it is
}

// get is the mean of the visits that are over, and whether there is any.
func (s *profileSlot) get(visit int64) (mean, n float64) {
	mean, n = s.mean, s.n
	if s.count > 0 && s.visit != visit {
		n++
		mean += (s.sum/s.count - mean) / n
	}
	return mean, n
}

func (s *profileSlot) add(x float64, visit int64, alpha float64) {
	if s.count > 0 && s.visit != visit {
		s.mean += (s.sum/s.count - s.mean) * max(alpha, 1/(s.n+1))
		s.n++
		s.sum, s.count = 0, 0
	}
	s.visit = visit
	s.sum += x
	s.count++
}

const hoursOfWeek = 7 * 24

func newProfile(s settings) model {
	return &profile{loc: s.Location, slots: s.count("slots"), alpha: s.num("alpha"), level: s.num("level"),
		day: make([]profileSlot, s.count("slots")), week: make([]profileSlot, hoursOfWeek)}
}

// place is where a time lies on the calendar: its slot of the day, its hour of the
// week, and the number of its day.
func (m *profile) place(t event.Time) (slot, hour int, day int64) {
	at := t.Go().In(m.loc)
	h, minute, sec := at.Clock()
	slot = (h*3600 + minute*60 + sec) * m.slots / 86400
	_, offset := at.Zone()
	day = (at.Unix() + int64(offset)) / 86400
	return slot, int(at.Weekday())*24 + h, day
}

// expect is what is usual at a place; false where nothing is known.
func (m *profile) expect(slot, hour int, day int64) (float64, bool) {
	usual, n := m.day[slot].get(day)
	if n == 0 {
		return 0, false
	}
	if mean, weeks := m.week[hour].get(day); weeks >= 2 {
		// How this hour of the week differs from the same hour of all days.
		first := hour % 24 * m.slots / 24
		last := max((hour%24+1)*m.slots/24, first+1)
		var sum, count float64
		for i := first; i < min(last, m.slots); i++ {
			if v, k := m.day[i].get(day); k > 0 {
				sum, count = sum+v, count+1
			}
		}
		if count > 0 {
			usual += (mean - sum/count) * weeks / (weeks + 1)
		}
	}
	return usual + m.offset, true
}

func (m *profile) judge(in *input, o *opinion) {
	slot, hour, day := m.place(in.t)
	if m.begun {
		o.ready = in.t.Sub(m.from).Hours() / 48
	} else {
		o.ready = 0
	}
	usual, ok := m.expect(slot, hour, day)
	if !ok || m.spread.n == 0 {
		return
	}
	o.residual(in.x[0], usual, max(math.Sqrt(m.spread.mean), in.quantum[0]/2))
}

func (m *profile) update(in *input, learn bool) {
	if !m.begun {
		m.begun, m.from = true, in.t
	}
	if !learn {
		return
	}
	x := in.x[0]
	slot, hour, day := m.place(in.t)
	if usual, ok := m.expect(slot, hour, day); ok {
		d := x - usual
		m.spread.add(d*d, max(errorAlpha, 1/float64(m.spread.n+1)))
		m.offset += m.level * d
	}
	m.day[slot].add(x, day, m.alpha)
	m.week[hour].add(x, day, m.alpha)
}

func (m *profile) state(c *codec) {
	for _, slots := range [][]profileSlot{m.day, m.week} {
		for i := range slots {
			s := &slots[i]
			c.floats(&s.n, &s.mean, &s.sum, &s.count)
			v := uint64(s.visit)
			c.u64(&v)
			s.visit = int64(v)
		}
	}
	c.int(&m.n)
	c.time(&m.from)
	c.bool(&m.begun)
	c.f64(&m.offset)
	m.spread.state(c)
}

func (m *profile) size() int { return 120 + 40*(len(m.day)+len(m.week)) }
