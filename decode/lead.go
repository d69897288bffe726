package decode

import "encoding/binary"

// lead is what led to a value in the last message that had it: all between the
// value before it, or the bracket, and its own first byte.
//
//	{"ts":"2026-03-01T12:00:00Z", "temp": 21.5}
//	                            └── lead ──┘
//
// A message that has the same bytes there needs no other look at them.
type lead struct {
	first, last uint64 // its first and last eight bytes
	mask        uint64 // the bytes of both that are its own, if it is shorter
	length      uint8
	reach       uint8 // how many bytes a comparison reads
	name        uint8 // where the name begins in it
	strangers   uint8 // how often something else stood there since it was learnt
	text        [maxLead]byte
}

const (
	// maxLead is the length of the longest lead that is remembered.
	maxLead = 48
	// maxStrangers is after how many other leads the last one is remembered in
	// place of the one that is: a sender may have begun to write otherwise.
	maxStrangers = 16
)

// forget makes l one that stands nowhere: no byte is both 0 and 1.
func (l *lead) forget() { *l = lead{last: 1, mask: ^uint64(0), reach: 8, strangers: maxStrangers} }

// learn remembers text, in which a name begins at an offset, unless what is
// remembered is likely to come again.
func (l *lead) learn(text []byte, name int) {
	if l.strangers < maxStrangers {
		l.strangers++
		return
	}
	if len(text) > maxLead {
		return
	}
	*l = lead{length: uint8(len(text)), name: uint8(name), reach: 8, mask: ^uint64(0)}
	n := copy(l.text[:], text)
	l.first = binary.LittleEndian.Uint64(l.text[:])
	if n < 8 {
		l.mask = 1<<(8*n) - 1
		l.last = l.first
		return
	}
	l.reach = uint8(n)
	l.last = binary.LittleEndian.Uint64(l.text[n-8:])
}

// at reports whether l stands at b[p], followed by a byte at least.
func (l *lead) at(b []byte, p int) bool {
	if p+int(l.reach) >= len(b) {
		return l.atEnd(b, p)
	}
	return l.ends(b, p) && (l.length <= 16 || l.inside(b, p))
}

// atEnd is at where less than reach bytes are left.
func (l *lead) atEnd(b []byte, p int) bool {
	return len(b) >= 8 && l.length < 8 && p+int(l.length) < len(b) && l.short(lastWord(b, p))
}

// short reports whether l, which has less than eight bytes, stands at the
// beginning of x.
func (l *lead) short(x uint64) bool { return (x^l.first)&l.mask == 0 }

// ends reports whether the first and the last eight bytes of l stand at b[p]
// and where they must. Its reach must be there.
func (l *lead) ends(b []byte, p int) bool {
	return ((word(b, p)^l.first)|(word(b, p+int(l.reach)-8)^l.last))&l.mask == 0
}

// inside is the rest of the comparison that ends begins, where l is longer than
// sixteen bytes.
func (l *lead) inside(b []byte, p int) bool {
	for i := 8; i < int(l.length)-8; i += 8 {
		if word(b, p+i) != word(l.text[:], i) {
			return false
		}
	}
	return true
}
