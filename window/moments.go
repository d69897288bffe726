package window

import (
	"encoding/binary"
	"math"

	"github.com/cepd/cepd/event"
)

// moments holds the number of values, their mean, and the sum of the squares of
// their differences from it (Welford 1962), merged as in T. F. Chan, G. H.
// Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for
// computing sample variances" (1979). Products are rounded before they are
// added, so that the bits are the same on every machine.
type moments struct {
	n        int64
	mean, m2 float64
	bad      Reason
}

func (m *moments) add(_ event.Time, x event.Value) {
	f, ok := x.Number()
	if !ok {
		m.fail(ReasonType)
	}
	if m.bad != 0 {
		return
	}
	m.n++
	d := f - m.mean
	m.mean += d / float64(m.n)
	m.m2 += float64(d * (f - m.mean))
	m.bound()
}

func (m *moments) merge(o partial) {
	p := o.(*moments)
	if p.bad != 0 {
		m.fail(p.bad)
	}
	if p.n == 0 || m.bad != 0 {
		return
	}
	n := float64(m.n + p.n)
	d := p.mean - m.mean
	m.mean += float64(d * (float64(p.n) / n))
	m.m2 += p.m2 + float64(float64(d*d)*(float64(m.n)*(float64(p.n)/n)))
	m.n += p.n
	m.bound()
}

// fail makes the aggregate an error for good. A wrong type outweighs overflow,
// so that the order of mistakes does not matter.
func (m *moments) fail(r Reason) {
	if m.bad != ReasonType {
		*m = moments{bad: r}
	}
}

func (m *moments) bound() {
	if math.IsInf(m.m2, 0) || math.IsNaN(m.m2) || math.IsInf(m.mean, 0) || math.IsNaN(m.mean) {
		m.fail(ReasonOverflow)
	}
}

func (m *moments) read(a *Aggregate) (event.Value, Reason) {
	switch {
	case m.bad != 0:
		return event.Missing, m.bad
	case m.n == 0:
		return event.Missing, ReasonEmpty
	}
	v := m.m2 / float64(m.n)
	if a.Kind == Stddev {
		v = math.Sqrt(v)
	}
	return finite(v)
}

func (m *moments) reset() { *m = moments{} }

func (m *moments) appendBinary(dst []byte) []byte {
	return appendDoubles(binary.AppendUvarint(append(dst, byte(m.bad)), uint64(m.n)), m.mean, m.m2)
}

func (m *moments) load(r *event.Reader) {
	*m = moments{bad: readReason(r), n: readCount(r), mean: readDouble(r), m2: readDouble(r)}
}

// slope holds what the least-squares line needs: means of time and value, and
// the sums of products of differences from them. Time is in seconds since the
// first event that was folded, so that no precision is lost to the epoch.
type slope struct {
	n          int64
	origin     event.Time
	meanT      float64
	meanX      float64
	sumTT, sTX float64
	bad        Reason
}

func seconds(d event.Duration) float64 { return float64(d) / 1e9 }

func (s *slope) add(t event.Time, x event.Value) {
	f, ok := x.Number()
	if !ok {
		s.fail(ReasonType)
	}
	if s.bad != 0 {
		return
	}
	if s.n == 0 {
		s.origin = t
	}
	s.n++
	sec := seconds(t.Sub(s.origin))
	dt := sec - s.meanT
	s.meanT += dt / float64(s.n)
	s.meanX += (f - s.meanX) / float64(s.n)
	s.sumTT += float64(dt * (sec - s.meanT))
	s.sTX += float64(dt * (f - s.meanX))
	s.bound()
}

func (s *slope) merge(o partial) {
	p := o.(*slope)
	if p.bad != 0 {
		s.fail(p.bad)
	}
	if p.n == 0 || s.bad != 0 {
		return
	}
	if s.n == 0 {
		*s = *p
		return
	}
	n := float64(s.n + p.n)
	share := float64(p.n) / n
	dt := p.meanT + seconds(p.origin.Sub(s.origin)) - s.meanT
	dx := p.meanX - s.meanX
	s.meanT += float64(dt * share)
	s.meanX += float64(dx * share)
	s.sumTT += p.sumTT + float64(float64(dt*dt)*(float64(s.n)*share))
	s.sTX += p.sTX + float64(float64(dt*dx)*(float64(s.n)*share))
	s.n += p.n
	s.bound()
}

func (s *slope) fail(r Reason) {
	if s.bad != ReasonType {
		*s = slope{bad: r}
	}
}

func (s *slope) bound() {
	if f := s.meanX + s.sTX; math.IsInf(f, 0) || math.IsNaN(f) {
		s.fail(ReasonOverflow)
	}
}

func (s *slope) read(*Aggregate) (event.Value, Reason) {
	switch {
	case s.bad != 0:
		return event.Missing, s.bad
	case s.n < 2 || s.sumTT <= 0:
		return event.Missing, ReasonEmpty
	}
	return finite(s.sTX / s.sumTT)
}

func (s *slope) reset() { *s = slope{} }

func (s *slope) appendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, byte(s.bad)), uint64(s.n))
	return appendDoubles(appendTime(dst, s.origin), s.meanT, s.meanX, s.sumTT, s.sTX)
}

func (s *slope) load(r *event.Reader) {
	*s = slope{bad: readReason(r), n: readCount(r), origin: event.Time(r.Varint()),
		meanT: readDouble(r), meanX: readDouble(r), sumTT: readDouble(r), sTX: readDouble(r)}
}
