package window

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/cepd/cepd/event"
)

// distinct counts different values, as equality of keys has it: 1 and 1.0 are
// one. Up to [ExactDistinct] it keeps their hashes; that two of so many values
// have the same 64 bits has a chance of 3e-14. Beyond, it keeps the registers
// of a HyperLogLog (P. Flajolet et al. 2007): of the hashes that begin with
// the 12 bits i, the most zeros that follow, plus one, in register i.
type distinct struct {
	bad    bool
	hashes []uint64 // sorted, until there are registers
	regs   []uint8  // nil or 4,096
}

const (
	hllBits      = 12
	hllRegisters = 1 << hllBits
	hllMax       = 64 - hllBits + 1 // largest value of a register
)

func (d *distinct) add(_ event.Time, x event.Value) {
	var buf [64]byte
	key, err := event.AppendKey(buf[:0], x)
	if err != nil {
		d.bad = true
		return
	}
	d.insert(hash(key))
}

func (d *distinct) insert(h uint64) {
	if d.regs != nil {
		d.register(h)
		return
	}
	i, found := slices.BinarySearch(d.hashes, h)
	if found {
		return
	}
	d.hashes = slices.Insert(d.hashes, i, h)
	if len(d.hashes) > ExactDistinct {
		d.estimateFrom()
	}
}

// estimateFrom turns hashes into registers.
func (d *distinct) estimateFrom() {
	d.regs = make([]uint8, hllRegisters)
	for _, h := range d.hashes {
		d.register(h)
	}
	d.hashes = nil
}

func (d *distinct) register(h uint64) {
	r := &d.regs[h>>(64-hllBits)]
	*r = max(*r, uint8(bits.LeadingZeros64(h<<hllBits|1<<(hllBits-1))+1))
}

func (d *distinct) merge(o partial) {
	p := o.(*distinct)
	d.bad = d.bad || p.bad
	switch {
	case p.regs == nil && d.regs == nil:
		d.hashes = union(d.hashes, p.hashes, func(x, y *uint64) int { return cmp.Compare(*x, *y) }, func(*uint64, *uint64) {})
		if len(d.hashes) > ExactDistinct {
			d.estimateFrom()
		}
		return
	case p.regs == nil:
		for _, h := range p.hashes {
			d.register(h)
		}
		return
	}
	if d.regs == nil {
		d.estimateFrom()
	}
	for i, r := range p.regs {
		d.regs[i] = max(d.regs[i], r)
	}
}

func (d *distinct) read(*Aggregate) (event.Value, Reason) {
	switch {
	case d.bad:
		return event.Missing, ReasonType
	case d.regs == nil:
		return event.Int(int64(len(d.hashes))), 0
	}
	return event.Int(int64(math.Round(d.estimate()))), 0
}

// estimate is the improved raw estimator, which needs no correction at either
// end (O. Ertl, "New cardinality estimation algorithms for HyperLogLog
// sketches", 2017, algorithm 6).
func (d *distinct) estimate() float64 {
	var counts [hllMax + 1]int
	for _, r := range d.regs {
		counts[r]++
	}
	const m = float64(hllRegisters)
	z := float64(m * tau(1-float64(counts[hllMax])/m))
	for k := hllMax - 1; k >= 1; k-- {
		z = 0.5 * (z + float64(counts[k]))
	}
	z += float64(m * sigma(float64(counts[0])/m))
	return m / (2 * math.Ln2) * m / z
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		last := z
		z += float64(x * y)
		y += y
		if z == last {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		last := z
		y *= 0.5
		z -= float64((1 - x) * (1 - x) * y)
		if z == last {
			return z / 3
		}
	}
}

func (d *distinct) reset() { *d = distinct{hashes: d.hashes[:0]} }

func (d *distinct) appendBinary(dst []byte) []byte {
	dst = appendBool(appendBool(dst, d.bad), d.regs != nil)
	if d.regs != nil {
		return append(dst, d.regs...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(d.hashes)))
	for _, h := range d.hashes {
		dst = binary.LittleEndian.AppendUint64(dst, h)
	}
	return dst
}

func (d *distinct) load(r *event.Reader) {
	d.bad = readBool(r)
	if readBool(r) {
		d.regs = make([]uint8, hllRegisters)
		for i := range d.regs {
			d.regs[i] = min(r.Byte(), hllMax)
		}
		return
	}
	for range r.Count() {
		d.insert(readFixed(r))
	}
}

// hash is FNV-1a, its bits mixed by the last step of MurmurHash3 so that the
// first 12 are as good as the others. It is part of the format of stored state.
func hash(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
