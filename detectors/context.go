package detectors

import "math"

// contexts learns which level of a series follows which, and says how unlikely the
// next one is: prediction by partial matching over the levels before.
//
// The range of values seen is cut into bins, with three spare ones on either side
// for values past it. Each order j keeps, for every j bins before, how often each
// bin came next; the estimate of an order is mixed with that of the one below:
//
//	p0 = 1/(bins+6)      pj = (count + p(j-1)) / (total + 1)
//
// Orders 0 to 2 are plain tables. Of order 3 only the contexts that occur are kept,
// in a table of 512 rows; when a row is wanted and there is none left near its
// place, the one seen least goes.
type contexts struct {
	bins   int
	lo, hi float64
	begun  bool
	before [3]uint8 // bins, the newest first
	n      int
	order0 contextRow
	order1 [contextBins]contextRow
	order2 [contextBins * contextBins]contextRow
	order3 [contextTable]contextRow
	keys   [contextTable]uint16 // of order3: context number + 1
}

const (
	contextBins  = 12 // bins 0 to 11 of a default of five bins with 3 spare below and 4 above
	contextTable = 512
	contextProbe = 8
)

// contextRow counts what came next.
type contextRow struct {
	n uint16
	c [contextBins]uint8
}

// add counts bin. A full row is halved: old habits fade.
func (r *contextRow) add(bin int) {
	if r.c[bin] == math.MaxUint8 {
		r.n = 0
		for i := range r.c {
			r.c[i] /= 2
			r.n += uint16(r.c[i])
		}
	}
	r.c[bin]++
	r.n++
}

// bin numbers x, 0 to contextBins-1, by the range seen before it.
func (m *contexts) bin(x float64) int {
	b := 0.0
	switch {
	case !m.begun:
	case m.hi > m.lo:
		b = math.Floor((x - m.lo) / ((m.hi - m.lo) / float64(m.bins)))
	case x != m.lo:
		b = float64(m.bins)
	}
	return int(min(max(b, -3), float64(m.bins+3))) + 3
}

// depth is how many orders over 0 there is a past for.
func (m *contexts) depth() int { return min(m.n, len(m.before)) }

func (m *contexts) key2() int { return int(m.before[0])*contextBins + int(m.before[1]) }

func (m *contexts) key3() uint16 {
	return uint16(m.key2()*contextBins + int(m.before[2]) + 1)
}

// find looks the row of the present context of order 3 up; -1 if there is none.
func (m *contexts) find(key uint16) int {
	at := int(uint32(key)*2654435761>>23) % contextTable
	for i := range contextProbe {
		if p := (at + i) % contextTable; m.keys[p] == key {
			return p
		}
	}
	return -1
}

// claim makes a row for a context.
func (m *contexts) claim(key uint16) int {
	at := int(uint32(key)*2654435761>>23) % contextTable
	least := at
	for i := range contextProbe {
		p := (at + i) % contextTable
		if m.keys[p] == 0 {
			least = p
			break
		}
		if m.order3[p].n < m.order3[least].n {
			least = p
		}
	}
	m.keys[least], m.order3[least] = key, contextRow{}
	return least
}

// surprise is -log2 of the probability of x.
func (m *contexts) surprise(x float64) float64 {
	bin := m.bin(x)
	p := 1 / float64(m.bins+6)
	mix := func(r *contextRow) { p = (float64(r.c[bin]) + p) / float64(r.n+1) }
	mix(&m.order0)
	if m.depth() > 0 {
		mix(&m.order1[m.before[0]])
	}
	if m.depth() > 1 {
		mix(&m.order2[m.key2()])
	}
	if m.depth() > 2 {
		if i := m.find(m.key3()); i >= 0 {
			mix(&m.order3[i])
		}
	}
	return -math.Log2(p)
}

// add counts x.
func (m *contexts) add(x float64) {
	bin := m.bin(x)
	if !m.begun {
		m.lo, m.hi, m.begun = x, x, true
	}
	m.lo, m.hi = min(m.lo, x), max(m.hi, x)
	m.order0.add(bin)
	if m.depth() > 0 {
		m.order1[m.before[0]].add(bin)
	}
	if m.depth() > 1 {
		m.order2[m.key2()].add(bin)
	}
	if m.depth() > 2 {
		key := m.key3()
		i := m.find(key)
		if i < 0 {
			i = m.claim(key)
		}
		m.order3[i].add(bin)
	}
	m.before = [3]uint8{uint8(bin), m.before[0], m.before[1]}
	m.n++
}

func (m *contexts) state(c *codec) {
	c.floats(&m.lo, &m.hi)
	c.bool(&m.begun)
	c.int(&m.n)
	for i := range m.before {
		c.byte(&m.before[i])
		m.before[i] = min(m.before[i], contextBins-1)
	}
	m.order0.state(c)
	for i := range m.order1 {
		m.order1[i].state(c)
	}
	for i := range m.order2 {
		m.order2[i].state(c)
	}
	for i := range m.order3 {
		m.order3[i].state(c)
	}
	c.u16s(m.keys[:])
}

func (r *contextRow) state(c *codec) {
	for i := range r.c {
		c.byte(&r.c[i])
	}
	if c.reading { // the total follows
		r.n = 0
		for _, n := range r.c {
			r.n += uint16(n)
		}
	}
}

const contextsSize = 64 + 14*(1+contextBins+contextBins*contextBins+contextTable) + 2*contextTable
