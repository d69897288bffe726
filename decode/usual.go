package decode

import (
	"math/bits"

	"github.com/cepd/cepd/event"
)

// usual reads members of an object that come as they did in the last messages:
// from p on, which is before the bracket or behind a value, of
// which n is the name. It returns the same of where it cannot go on; odd if that
// is before a value and not behind one.
//
// Most messages are read here from end to end, so this is written for speed: it
// calls nothing that is not inlined, since what is in registers would have to
// leave them, and asks once whether all of what it looks at is there.
func (d *jsonDecoder) usual(b []byte, p int, n *node, slots []event.Value) (next int, last *node, odd bool) {
	if len(b) < 8 || byteAt(b, len(b)-1) != '}' {
		return p, n, false
	}
	for {
		c := n.next
		if c == nil {
			return p, n, false
		}
		at := p + int(c.lead.length) // where the value begins
		if p+int(c.lead.reach) < len(b) {
			if !c.lead.ends(b, p) || c.lead.length > 16 && !c.lead.inside(b, p) {
				return p, n, false
			}
		} else if c.lead.length >= 8 || at >= len(b) || !c.lead.short(lastWord(b, p)) {
			return p, n, false
		}
		n = c
		first := byteAt(b, at)
		switch {
		case first == '"' && n.typ == event.TypeTimestamp:
			if at+33 > len(b) {
				return at, n, true
			}
			t, same := d.times.Minute((*[16]byte)(pointer(b, at+1)))
			clock := uint32(word(b, at+17)) ^ (':' | '0'<<8 | '0'<<16 | '.'<<24)
			if !same || ((clock&0x7f7f7f+0x767a7f)|clock)&0x808080 != 0 {
				return at, n, true
			}
			t += event.Time((clock>>8&0xf)*10+clock>>16&0xf) * 1e9
			p = at + 20
			if clock>>24 == 0 { // the point
				x, stop := digits(word(b, at+21))
				p = at + 29
				if stop == 0 {
					if ninth := byteAt(b, p) - '0'; ninth <= 9 {
						t += event.Time(ninth)
						p++
					}
				} else if p = at + 21 + bits.TrailingZeros64(stop)>>3; p == at+21 {
					return at, n, true
				} else {
					x &= through(stop) >> 8
				}
				t += event.Time(joinDigits(x)) * 10
			}
			if byteAt(b, p) != 'Z' || byteAt(b, p+1) != '"' {
				return at, n, true
			}
			slots[n.slot] = event.Timestamp(t)
			p += 2

		case first == '"':
			for p = at + 1; ; p += 8 {
				if p+8 > len(b) {
					if p += bits.TrailingZeros64(special(lastWord(b, p))) >> 3; p >= len(b) {
						return at, n, true
					}
					break
				}
				if m := special(word(b, p)); m != 0 {
					k := int(n.tail)
					if e := bits.TrailingZeros64(m) >> 3; e != k {
						n.tail = uint8(e)
						k = e
					}
					p += k
					break
				}
			}
			if byteAt(b, p) != '"' {
				return at, n, true
			}
			if n.slot >= 0 {
				if n.typ != event.TypeString && n.typ != event.TypeAny {
					return at, n, true
				}
				slots[n.slot] = event.StringAt((*byte)(pointer(b, at+1)), p-at-1)
			}
			p++

		default:
			p = at
			if first == '-' {
				p++
			}
			var x, stop uint64
			if p+8 <= len(b) {
				x, stop = digits(word(b, p))
			} else {
				x, stop = digits(lastWord(b, p))
			}
			i := bits.TrailingZeros64(stop) >> 3
			if i == 0 || i > 1 && byte(x) == 0 {
				return at, n, true
			}
			whole, k, power := through(stop), i, 8-i
			point := byteAt(b, p+i) == '.'
			if point {
				stop &= stop - 1
			}
			if stop == 0 {
				return at, n, true
			}
			if point {
				k = int(n.tail)
				if j := bits.TrailingZeros64(stop) >> 3; j != k {
					n.tail = uint8(j)
					k = j
				}
				if k == i+1 {
					return at, n, true
				}
				x = (x&(whole>>8))<<8 | x&(through(stop)>>8^whole)
				power--
			}
			p += k
			if byteAt(b, p)|0x20 == 'e' {
				return at, n, true
			}
			switch {
			case n.slot < 0:
			case n.typ == event.TypeDouble || n.typ == event.TypeAny && point:
				if !point {
					x &= whole >> 8
				}
				f := float64(int64(joinDigits(x))) / powers[power&7]
				if first == '-' {
					f = -f
				}
				slots[n.slot] = event.Double(f)
			case !point && (n.typ == event.TypeInt || n.typ == event.TypeAny):
				m := int64(joinDigits(x << (64 - 8*i&63)))
				if first == '-' {
					m = -m
				}
				slots[n.slot] = event.Int(m)
			default:
				return at, n, true
			}
		}
	}
}

// nearlyUsual goes on where [jsonDecoder.usual] could not: at a name that has come
// at its place before, and at values that are simple. It returns the same of where
// it cannot go on either.
func (d *jsonDecoder) nearlyUsual(b []byte, p int, n *node, odd bool, slots []event.Value) (next int, last *node, isOdd bool) {
	for {
		from := p
		if odd {
			if from = plain(b, p, n, slots); from == 0 {
				return p, n, true
			}
		} else if _, value := n.predict(b, p); value == 0 { // else it is now the first that may follow
			return p, n, false
		}
		if p, n, odd = d.usual(b, from, n, slots); p == from && !odd {
			return p, n, false
		}
	}
}

// plain reads the value at p, of which n is the name, if it is one of those that
// are simple and yet not in [jsonDecoder.usual]. It returns where it ends; 0 for
// all else, right or wrong.
func plain(b []byte, p int, n *node, slots []event.Value) int {
	c := b[p]
	if c == '-' || c-'0' <= 9 {
		if n.slot >= 0 {
			return shortNumber(b, p, n.typ, &slots[n.slot])
		}
		return pastNumber(b, p)
	}
	v, literal := event.Null, "null"
	switch c {
	case 't':
		v, literal = event.Bool(true), "true"
	case 'f':
		v, literal = event.Bool(false), "false"
	}
	end := p + len(literal)
	if end > len(b) || string(b[p:end]) != literal {
		return 0
	}
	if n.slot >= 0 {
		if n.typ != event.TypeAny && (n.typ != event.TypeBool || c == 'n') {
			return 0
		}
		slots[n.slot] = v
	}
	return end
}
