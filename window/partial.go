package window

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/cepd/cepd/event"
)

// A partial is what one aggregate remembers of some events. It is made by the
// table of kinds, and its methods are given partials of its own kind only.
type partial interface {
	// add folds a value that is neither missing nor null, NaN or infinite.
	add(t event.Time, x event.Value)
	// merge folds what o knows. The events of one of the two lie all before,
	// or all after, those of the other.
	merge(o partial)
	// read returns the aggregate.
	read(a *Aggregate) (event.Value, Reason)
	reset()
	appendBinary(dst []byte) []byte
	load(r *event.Reader)
}

// union merges b into a, both sorted and without repetition, and uses a's
// memory. Of two equal elements it keeps a's, joined with b's.
func union[T any](a, b []T, compare func(x, y *T) int, join func(x, y *T)) []T {
	fresh, i := 0, 0
	for j := range b {
		for i < len(a) && compare(&a[i], &b[j]) < 0 {
			i++
		}
		if i == len(a) || compare(&a[i], &b[j]) != 0 {
			fresh++
		}
	}
	i = len(a) - 1
	a = slices.Grow(a, fresh)[:len(a)+fresh]
	k := len(a) - 1
	for j := len(b) - 1; j >= 0; k-- {
		c := -1
		if i >= 0 {
			c = compare(&a[i], &b[j])
		}
		if c < 0 {
			a[k] = b[j]
			j--
			continue
		}
		a[k] = a[i]
		i--
		if c == 0 {
			join(&a[k], &b[j])
			j--
		}
	}
	return a
}

// count counts values other than false.
type count struct{ n int64 }

func (c *count) add(_ event.Time, x event.Value) {
	if x.Kind() != event.KindBool || x.AsBool() {
		c.n++
	}
}

func (c *count) merge(o partial)                       { c.n += o.(*count).n }
func (c *count) read(*Aggregate) (event.Value, Reason) { return event.Int(c.n), 0 }
func (c *count) reset()                                { c.n = 0 }
func (c *count) appendBinary(dst []byte) []byte        { return binary.AppendVarint(dst, c.n) }
func (c *count) load(r *event.Reader)                  { c.n = r.Varint() }

// decimal is a sum of doubles with what rounding lost of it (A. Neumaier,
// "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen",
// ZAMM 54, 1974). The order of addition hardly matters then, so a window merged
// from panes has the sum of one that is not.
type decimal struct{ sum, lost float64 }

func (d *decimal) add(x float64) {
	t := d.sum + x
	if math.Abs(d.sum) >= math.Abs(x) {
		d.lost += (d.sum - t) + x
	} else {
		d.lost += (x - t) + d.sum
	}
	d.sum = t
}

func (d *decimal) merge(o decimal) {
	d.add(o.sum)
	d.lost += o.lost
}

func (d decimal) value() float64 { return d.sum + d.lost }

// integer is a sum of integers in 128 bits, which no number of events fills.
type integer struct {
	hi int64
	lo uint64
}

func (i *integer) add(hi int64, lo uint64) {
	var carry uint64
	i.lo, carry = bits.Add64(i.lo, lo, 0)
	i.hi += hi + int64(carry)
}

func (i *integer) sub(j integer) {
	var borrow uint64
	i.lo, borrow = bits.Sub64(i.lo, j.lo, 0)
	i.hi -= j.hi + int64(borrow)
}

// int64 returns i if it fits.
func (i integer) int64() (int64, bool) { return int64(i.lo), i.hi == int64(i.lo)>>63 }

func (i integer) float() float64 {
	if n, ok := i.int64(); ok {
		return float64(n)
	}
	if i.hi < 0 {
		lo, borrow := bits.Sub64(0, i.lo, 0)
		return -integer{-i.hi - int64(borrow), lo}.float()
	}
	return float64(float64(i.hi)*(1<<64)) + float64(i.lo)
}

// Kinds of values that a total has seen.
const (
	seenInt = 1 << iota
	seenUint
	seenDouble
	seenDuration
	seenOther
	seenInfinity // the sum of doubles left their range
)

// total is what sum and avg remember.
type total struct {
	whole integer
	frac  decimal
	n     int64
	seen  uint8
}

func (s *total) add(_ event.Time, x event.Value) {
	if x.Is(event.KindDouble) {
		s.addDouble(x.AsDouble())
		return
	}
	s.n++
	switch x.Kind() {
	case event.KindInt:
		s.seen |= seenInt
		s.whole.add(x.AsInt()>>63, uint64(x.AsInt()))
	case event.KindUint:
		s.seen |= seenUint
		s.whole.add(0, x.AsUint())
	case event.KindDuration:
		s.seen |= seenDuration
		s.whole.add(int64(x.AsDuration())>>63, uint64(x.AsDuration()))
	default:
		s.seen |= seenOther
	}
}

// addDouble is add for a double.
func (s *total) addDouble(x float64) {
	s.n++
	s.seen |= seenDouble
	// What rounding loses, without asking which of the two is larger, as
	// [decimal.add] does: no processor foresees the answer (D. Knuth, "The Art of
	// Computer Programming", volume 2, 4.2.2, theorem B).
	sum, lost := s.frac.sum, s.frac.lost
	t := sum + x
	of := t - sum
	lost += (sum - (t - of)) + (x - of)
	if f := t + lost; f-f == 0 {
		s.frac = decimal{t, lost}
		return
	}
	s.frac.add(x)
	s.bound()
}

// bound keeps infinities out of the state.
func (s *total) bound() {
	if f := s.frac.value(); f-f != 0 { // infinite or NaN
		s.seen |= seenInfinity
		s.frac = decimal{}
	}
}

func (s *total) mergeTotal(o *total) {
	s.whole.add(o.whole.hi, o.whole.lo)
	s.frac.merge(o.frac)
	s.n += o.n
	s.seen |= o.seen
	s.bound()
}

// number returns the sum as a decimal.
func (s *total) number() float64 {
	if s.seen&seenDouble == 0 {
		return s.whole.float()
	}
	d := s.frac
	d.add(s.whole.float())
	return d.value()
}

func (s *total) reason() Reason {
	switch {
	case s.n == 0:
		return ReasonEmpty
	case s.seen&seenOther != 0, s.seen&seenDuration != 0 && s.seen != seenDuration:
		return ReasonType
	case s.seen&seenInfinity != 0:
		return ReasonOverflow
	}
	return 0
}

func (s *total) reset() { *s = total{} }

func (s *total) appendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, s.seen), uint64(s.n))
	dst = binary.AppendUvarint(binary.AppendVarint(dst, s.whole.hi), s.whole.lo)
	return appendDoubles(dst, s.frac.sum, s.frac.lost)
}

func (s *total) load(r *event.Reader) {
	s.seen = r.Byte()
	s.n = readCount(r)
	s.whole = integer{r.Varint(), r.Uvarint()}
	s.frac = decimal{readDouble(r), readDouble(r)}
}

type sum struct{ total }

func (s *sum) merge(o partial) { s.mergeTotal(&o.(*sum).total) }

// read returns a sum of integers as an integer, if possible, of unsigned ones
// alone as an unsigned one, and with a decimal among them a decimal.
func (s *sum) read(*Aggregate) (event.Value, Reason) {
	if r := s.reason(); r != 0 {
		return event.Missing, r
	}
	if s.seen&seenDouble != 0 {
		f := s.number()
		if math.IsInf(f, 0) {
			return event.Missing, ReasonOverflow
		}
		return event.Double(f), 0
	}
	if s.seen == seenUint {
		if s.whole.hi != 0 {
			return event.Missing, ReasonOverflow
		}
		return event.Uint(s.whole.lo), 0
	}
	i, ok := s.whole.int64()
	switch {
	case !ok:
		return event.Missing, ReasonOverflow
	case s.seen == seenDuration:
		return event.DurationOf(event.Duration(i)), 0
	}
	return event.Int(i), 0
}

type avg struct{ total }

func (s *avg) merge(o partial) { s.mergeTotal(&o.(*avg).total) }

func (s *avg) read(*Aggregate) (event.Value, Reason) {
	if r := s.reason(); r != 0 {
		return event.Missing, r
	}
	if s.seen == seenDuration {
		return event.Missing, ReasonType
	}
	return finite(s.number() / float64(s.n))
}

// finite returns f as a value, if it is one.
func finite(f float64) (event.Value, Reason) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return event.Missing, ReasonOverflow
	}
	return event.Double(f), 0
}

func appendDoubles(dst []byte, fs ...float64) []byte {
	for _, f := range fs {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
	}
	return dst
}
