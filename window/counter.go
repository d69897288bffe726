package window

import (
	"github.com/cepd/cepd/event"
)

// rate holds the first and last value of a counter and how much it grew in
// between. A value smaller than the one before it means that the counter began
// anew at 0, as in PromQL. Unlike PromQL's, the rate is over the time from the
// first value to the last: nothing is extrapolated to the bounds of the window.
//
// A late value that lies between two others is left out. It changes nothing if
// the counter only grew between the two.
type rate struct {
	some        bool
	bad         Reason
	from, to    event.Time
	first, last float64
	grown       decimal
}

// growth returns how much a counter grew that showed x and then y.
func growth(x, y float64) float64 {
	if y < x {
		return y
	}
	return y - x
}

func (c *rate) add(t event.Time, x event.Value) {
	f, ok := x.Number()
	if !ok {
		c.bad = ReasonType
		return
	}
	switch {
	case !c.some:
		c.some, c.from, c.to, c.first, c.last = true, t, t, f, f
	case t >= c.to:
		c.grow(growth(c.last, f))
		c.to, c.last = t, f
	case t < c.from:
		c.grow(growth(f, c.first))
		c.from, c.first = t, f
	}
}

func (c *rate) grow(by float64) {
	c.grown.add(by)
	if _, r := finite(c.grown.value()); r != 0 {
		c.grown = decimal{}
		c.bad = max(c.bad, r)
	}
}

func (c *rate) merge(o partial) {
	p := o.(*rate)
	if p.bad == ReasonType || c.bad == 0 {
		c.bad = p.bad
	}
	switch {
	case !p.some:
		return
	case !c.some:
		bad := c.bad
		*c = *p
		c.bad = bad
		return
	case p.from >= c.to:
		c.grow(growth(c.last, p.first))
		c.to, c.last = p.to, p.last
	default:
		c.grow(growth(p.last, c.first))
		c.from, c.first = p.from, p.first
	}
	c.grown.merge(p.grown)
	c.grow(0)
}

func (c *rate) read(*Aggregate) (event.Value, Reason) {
	switch {
	case c.bad != 0:
		return event.Missing, c.bad
	case !c.some || c.from == c.to:
		return event.Missing, ReasonEmpty
	}
	return finite(c.grown.value() / seconds(c.to.Sub(c.from)))
}

func (c *rate) reset() { *c = rate{} }

func (c *rate) appendBinary(dst []byte) []byte {
	dst = appendBool(append(dst, byte(c.bad)), c.some)
	dst = appendTime(appendTime(dst, c.from), c.to)
	return appendDoubles(dst, c.first, c.last, c.grown.sum, c.grown.lost)
}

func (c *rate) load(r *event.Reader) {
	*c = rate{bad: readReason(r), some: readBool(r), from: event.Time(r.Varint()), to: event.Time(r.Varint()),
		first: readDouble(r), last: readDouble(r), grown: decimal{readDouble(r), readDouble(r)}}
}

// delta holds the first and the last value.
type delta struct {
	first, last edge
	bad         bool
}

func (d *delta) add(t event.Time, x event.Value) {
	if _, ok := x.Number(); !ok {
		d.bad = true
		return
	}
	d.last.last = true
	d.first.add(t, x)
	d.last.add(t, x)
}

func (d *delta) merge(o partial) {
	p := o.(*delta)
	d.bad = d.bad || p.bad
	d.last.last = true
	d.first.merge(&p.first)
	d.last.merge(&p.last)
}

// read returns an integer if both values are integers, signed or not.
func (d *delta) read(*Aggregate) (event.Value, Reason) {
	switch {
	case d.bad:
		return event.Missing, ReasonType
	case d.first.v.IsMissing():
		return event.Missing, ReasonEmpty
	}
	v, w := d.first.v, d.last.v
	if v.Kind() == event.KindDouble || w.Kind() == event.KindDouble {
		x, _ := v.Number()
		y, _ := w.Number()
		return finite(y - x)
	}
	i, j := wholeOf(v), wholeOf(w)
	j.sub(i)
	n, ok := j.int64()
	if !ok {
		return event.Missing, ReasonOverflow
	}
	return event.Int(n), 0
}

func (d *delta) reset() { *d = delta{} }

func (d *delta) appendBinary(dst []byte) []byte {
	return d.last.appendBinary(d.first.appendBinary(appendBool(dst, d.bad)))
}

func (d *delta) load(r *event.Reader) {
	d.bad = readBool(r)
	d.first.load(r)
	d.last.load(r)
	d.last.last = true
	for _, v := range []event.Value{d.first.v, d.last.v} {
		if _, ok := v.Number(); !ok && !v.IsMissing() || v.IsMissing() != d.first.v.IsMissing() {
			d.bad = true
		}
	}
}
