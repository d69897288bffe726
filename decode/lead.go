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
	shift       uint8  // by so many bits both are shifted up, if it is shorter
	reach       uint8  // how many bytes a comparison reads
	length      uint8
	name        uint8 // where the name begins in it
	strangers   uint8 // how often something else stood there since it was learnt
	text        [maxLead]byte
}

const (
	// maxLead is the length of the longest lead that is remembered.
	maxLead = 56
	// maxStrangers is after how many other leads the last one is remembered in
	// place of the one that is: a sender may have begun to write otherwise.
	maxStrangers = 16
)

// forget makes l one that stands nowhere: no byte is both 0 and 1.
func (l *lead) forget() { *l = lead{last: 1, reach: 8, strangers: maxStrangers} }

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
	*l = lead{length: uint8(len(text)), name: uint8(name), reach: 8}
	n := copy(l.text[:], text)
	if n < 8 {
		l.shift = uint8(64 - 8*n)
		l.first = binary.LittleEndian.Uint64(l.text[:])
		l.last = l.first
		return
	}
	l.reach = uint8(n)
	l.first, l.last = binary.LittleEndian.Uint64(l.text[:]), binary.LittleEndian.Uint64(l.text[n-8:])
}

// ends reports whether the first and the last eight bytes of l stand at b[p]
// and where they must, followed by a byte at least.
func (l *lead) ends(b []byte, p int) bool {
	end := p + int(l.reach)
	return end < len(b) && ((word(b, p)^l.first)|(word(b, end-8)^l.last))<<(l.shift&63) == 0
}

// inside is the rest of the comparison that ends begins, where l is longer than
// sixteen bytes.
func (l *lead) inside(b []byte, p int) bool {
	return string(b[p+8:p+int(l.length)-8]) == string(l.text[8:l.length-8])
}
