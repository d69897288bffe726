package decode

import (
	"encoding/binary"
	"unsafe"
)

// Eight bytes at once, the lowest address in the lowest byte.
const (
	each = 0x0101010101010101
	high = 0x8080808080808080
)

// op are operands. In memory they belong to the instructions that use them; a
// constant of 64 bits would take one more, and a register, each time.
var op = struct{ one, two, quote, backslash, high, zero, ten uint64 }{
	one:       each,
	two:       each * 2,
	quote:     each * ('"' ^ 2 + 1),
	backslash: each * '\\',
	high:      high,
	zero:      each * '0',
	ten:       each * (0x80 - 10),
}

// pointer returns where b[p] is, which must be there: who calls it has looked,
// and looking again here would take as long as all the rest.
func pointer(b []byte, p int) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), p)
}

// byteAt returns b[p], which must be there.
func byteAt(b []byte, p int) byte { return *(*byte)(pointer(b, p)) }

// word returns the eight bytes at b[p], all of which must be there.
func word(b []byte, p int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(pointer(b, p))[:])
}

// lastWord is word where not all of the bytes are there: the others are zeros. b
// has eight bytes at least.
func lastWord(b []byte, p int) uint64 {
	return word(b, len(b)-8) >> (8 * uint(p+8-len(b)))
}

// special returns a word whose lowest set bit is in the first byte of x that
// ends a run of plain text: a quote, a backslash, a control character or one
// that is not ASCII. With one bit turned, the quote lies right behind the
// control characters, and the blank does not. Bits above the lowest mean
// nothing: the subtractions borrow.
func special(x uint64) uint64 {
	return (x | (x ^ op.backslash - op.one) | (x ^ op.two - op.quote)) & op.high
}

// digits returns the values of the digits that x begins with, and a word whose
// lowest set bit is the highest one of the first byte that is none. What is above
// it means nothing, up to the next bit it does where that byte is a point.
func digits(x uint64) (values, stop uint64) {
	x ^= op.zero
	return x, (x + op.ten | x) & op.high
}

// through returns all bits up to the lowest set one of x.
func through(x uint64) uint64 { return x ^ (x - 1) }

// joinDigits returns the number whose digits are the bytes of x, the first in the
// lowest: neighbours join to numbers of two, four and eight digits.
func joinDigits(x uint64) uint64 {
	x = x*10 + x>>8
	return ((x&0x000000ff000000ff)*(100+1000000<<32) + (x>>16&0x000000ff000000ff)*(1+10000<<32)) >> 32
}
