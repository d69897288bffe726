package decode

import (
	"math"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/cepd/cepd/event"
)

// number is a number of the payload: its digits without sign and point as an
// integer, and where that point was.
type number struct {
	start, end int
	digits     int // how many; mantissa holds the first maxDigits at most
	exponent   int // of ten
	mantissa   uint64
	negative   bool
	decimal    bool // it has a point or an exponent
}

const (
	// maxDigits always fit into 64 bits.
	maxDigits = 19
	// maxExactDigits always fit into the 53 bits of a float64's mantissa.
	maxExactDigits = 15
)

// number reads the number at p into n.
func (s *scanner) number(p int, n *number) int {
	b := s.b
	*n = number{start: p}
	if b[p] == '-' {
		n.negative = true
		p++
	}
	first := p
	m := uint64(0)
	for p < len(b) && b[p]-'0' <= 9 {
		m = m*10 + uint64(b[p]-'0')
		p++
	}
	n.digits = p - first
	if n.digits == 0 {
		return s.badValue(n.start)
	}
	if n.digits > 1 && b[first] == '0' {
		return s.fail(ReasonSyntax, first, "a number begins with 0")
	}
	if p < len(b) && b[p] == '.' {
		n.decimal = true
		p++
		point := p
		for p < len(b) && b[p]-'0' <= 9 {
			m = m*10 + uint64(b[p]-'0')
			p++
		}
		if p == point {
			return s.unexpected(p, "a digit")
		}
		n.exponent = point - p
		n.digits += p - point
	}
	n.mantissa = m // wrong if there are too many digits, and not used then
	if p < len(b) && b[p]|0x20 == 'e' {
		n.decimal = true
		if p = s.exponent(p+1, n); p < 0 {
			return -1
		}
	}
	n.end = p
	return p
}

// shortNumber reads the number at p into a slot, if it is one without exponent,
// of so few digits that a float64 holds its mantissa, and the slot of a type that
// mostly is for it. It returns where the number ends; 0 for all else, right or
// wrong.
func shortNumber(b []byte, p int, t event.Type, slot *event.Value) int {
	negative := b[p] == '-'
	if negative {
		p++
	}
	mantissa, digits := someDigits(b, p)
	if digits == 0 || digits > 1 && b[p] == '0' {
		return 0
	}
	decimals := 0
	if p += digits; p < len(b) && b[p] == '.' {
		var fraction int64
		if fraction, decimals = someDigits(b, p+1); decimals == 0 || digits+decimals > maxExactDigits {
			return 0
		}
		mantissa = mantissa*tens[decimals] + fraction
		p += 1 + decimals
	}
	if digits > maxExactDigits || p == len(b) || b[p]|0x20 == 'e' {
		return 0
	}
	switch {
	case t == event.TypeDouble || t == event.TypeAny && decimals > 0:
		f := float64(mantissa) / powers[decimals]
		if negative {
			f = -f
		}
		*slot = event.Double(f)
		return p
	case decimals == 0 && (t == event.TypeInt || t == event.TypeAny):
		if negative {
			mantissa = -mantissa
		}
		*slot = event.Int(mantissa)
		return p
	}
	return 0
}

// someDigits returns the number whose digits begin at b[p], and how many they
// are. Of more than maxExactDigits the number is none.
func someDigits(b []byte, p int) (number int64, n int) {
	for p+n+8 <= len(b) && n <= 8 {
		x, stop := digits(word(b, p+n))
		if stop == 0 {
			number = number*1e8 + int64(joinDigits(x))
			n += 8
			continue
		}
		k := bits.TrailingZeros64(stop) >> 3
		return number*tens[k&7] + int64(joinDigits(x<<(64-8*k))), n + k
	}
	for p+n < len(b) && b[p+n]-'0' <= 9 {
		number = number*10 + int64(b[p+n]-'0')
		n++
	}
	return number, n
}

// exponent reads the exponent that begins behind the letter before p.
func (s *scanner) exponent(p int, n *number) int {
	b := s.b
	negative := p < len(b) && b[p] == '-'
	if negative || p < len(b) && b[p] == '+' {
		p++
	}
	e, first := 0, p
	for p < len(b) && b[p]-'0' <= 9 {
		if e < 1<<20 { // more makes no difference
			e = e*10 + int(b[p]-'0')
		}
		p++
	}
	if p == first {
		return s.unexpected(p, "a digit")
	}
	if negative {
		e = -e
	}
	n.exponent += e
	return p
}

// skipNumber checks the number at p.
func (s *scanner) skipNumber(p int) int {
	if end := pastNumber(s.b, p); end > 0 {
		return end
	}
	return s.number(p, &number{})
}

// pastNumber returns where the number at p ends, if it has no exponent; 0 for all
// else, right or wrong.
func pastNumber(b []byte, p int) int {
	if b[p] == '-' {
		p++
	}
	end := pastDigits(b, p)
	if end == p || end > p+1 && b[p] == '0' {
		return 0
	}
	if end < len(b) && b[end] == '.' {
		point := end
		if end = pastDigits(b, point+1); end == point+1 {
			return 0
		}
	}
	if end < len(b) && b[end]|0x20 == 'e' {
		return 0
	}
	return end
}

// pastDigits returns the offset of the first byte from p on that is no digit, or
// the length of b.
func pastDigits(b []byte, p int) int {
	for ; p+8 <= len(b); p += 8 {
		if _, stop := digits(word(b, p)); stop != 0 {
			return p + bits.TrailingZeros64(stop)>>3
		}
	}
	for p < len(b) && b[p]-'0' <= 9 {
		p++
	}
	return p
}

// literalOf returns the number as it is written.
func (s *scanner) literalOf(n *number) string {
	return unsafe.String(unsafe.SliceData(s.b[n.start:n.end]), n.end-n.start)
}

// integer returns the value of a number that is no decimal, and whether 64
// bits hold it.
func (s *scanner) integer(n *number) (event.Value, bool) {
	m := n.mantissa
	if n.digits > maxDigits {
		var err error
		if m, err = strconv.ParseUint(s.literalOf(n), 10, 64); err != nil {
			return event.Missing, false // also a negative one, which is out of range with 20 digits
		}
	}
	switch {
	case n.negative && m <= 1<<63:
		return event.Int(-int64(m)), true
	case n.negative:
		return event.Missing, false
	case m <= math.MaxInt64:
		return event.Int(int64(m)), true
	}
	return event.Uint(m), true
}

// powers of ten that a float64 holds exactly.
var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// tens are powers of ten.
var tens = [...]int64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// double returns the float64 nearest to the number, and whether it is finite.
func (s *scanner) double(n *number) (float64, bool) {
	// Where mantissa and power of ten are both exact, one operation rounds
	// once, so its result is the nearest (Clinger 1990).
	if n.digits <= maxDigits && n.mantissa < 1<<53 && n.exponent >= -22 && n.exponent <= 22 {
		f := float64(n.mantissa)
		if n.exponent < 0 {
			f /= powers[-n.exponent]
		} else {
			f *= powers[n.exponent]
		}
		if n.negative {
			f = -f
		}
		return f, true
	}
	f, err := strconv.ParseFloat(s.literalOf(n), 64)
	return f, err == nil
}

// numberValue returns the value of a number in a dynamic field.
func (s *scanner) numberValue(n *number) (event.Value, bool) {
	if !n.decimal {
		return s.integer(n)
	}
	f, ok := s.double(n)
	return event.Double(f), ok
}
