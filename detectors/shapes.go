package detectors

import "math"

// library holds the last values of a series and finds, among all stretches of dim
// values that do not overlap the newest one, those nearest to it.
//
// The stretches are sorted by their sum. Two stretches whose sums differ by s are
// at least s/sqrt(dim) apart, so that the search starts at the sum of the newest
// and walks outwards until no better one can come:
//
//	sums   ... 3.1  4.0  4.2 | 4.3  4.9  6.0 ...
//	                 <-------+------->
//	                      newest 4.25
type library struct {
	dim, most int       // values kept: most
	offset    float64   // taken off every value, so that 32 bits are enough
	ring      []float32 // most+dim long; the first dim values stand at the end again
	n         int       // values ever
	sums      []float32 // of the stretches, rising
	starts    []uint16  // their places in the ring
	now       []float32 // scratch: the newest stretch
}

func newLibrary(dim, most int) library {
	return library{dim: dim, most: most, ring: make([]float32, most+dim), now: make([]float32, dim),
		sums: make([]float32, 0, most), starts: make([]uint16, 0, most)}
}

// at returns the stretch of dim values that starts with value number i.
func (l *library) at(i int) []float32 {
	p := i % l.most
	return l.ring[p : p+l.dim]
}

func (l *library) sum(v []float32) float32 {
	var s float32
	for _, x := range v {
		s += x
	}
	return s
}

// add appends x. A stretch can be found once the newest one cannot overlap it.
func (l *library) add(x float64) {
	if l.n == 0 {
		l.offset = x
	}
	if l.n >= l.most && l.n-l.most+2*l.dim <= l.n {
		l.remove(l.n - l.most) // its first value is about to go
	}
	p := l.n % l.most
	v := float32(x - l.offset)
	l.ring[p] = v
	if p < l.dim {
		l.ring[p+l.most] = v
	}
	l.n++
	// The next newest stretch starts at n+1-dim; the one that ends before it at:
	if start := l.n + 1 - 2*l.dim; start >= 0 {
		l.insert(start)
	}
}

// place is the first place in sums of a sum not less than s.
func (l *library) place(s float32) int {
	lo, hi := 0, len(l.sums)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.sums[mid] < s {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (l *library) insert(start int) {
	s := l.sum(l.at(start))
	i := l.place(s)
	l.sums, l.starts = append(l.sums, 0), append(l.starts, 0)
	copy(l.sums[i+1:], l.sums[i:])
	copy(l.starts[i+1:], l.starts[i:])
	l.sums[i], l.starts[i] = s, uint16(start%l.most)
}

func (l *library) remove(start int) {
	p := uint16(start % l.most)
	for i := l.place(l.sum(l.at(start))); i < len(l.starts); i++ {
		if l.starts[i] == p {
			copy(l.sums[i:], l.sums[i+1:])
			copy(l.starts[i:], l.starts[i+1:])
			l.sums, l.starts = l.sums[:len(l.sums)-1], l.starts[:len(l.starts)-1]
			return
		}
	}
}

// maxNearest bounds q.
const maxNearest = 8

// nearest is the mean distance of the q stretches nearest to the last dim-1 values
// followed by x. There must be at least q.
func (l *library) nearest(x float64, q int) float64 {
	for i := range l.dim - 1 {
		l.now[i] = l.ring[(l.n-l.dim+1+i)%l.most]
	}
	l.now[l.dim-1] = float32(x - l.offset)
	var best [maxNearest]float32
	for i := range q {
		best[i] = math.MaxFloat32
	}
	s := l.sum(l.now)
	hi := l.place(s)
	lo := hi - 1
	share := 1 / float32(l.dim)
	for {
		limit := best[q-1]
		below, above := float32(math.MaxFloat32), float32(math.MaxFloat32)
		if lo >= 0 {
			below = s - l.sums[lo]
		}
		if hi < len(l.sums) {
			above = l.sums[hi] - s
		}
		i := hi
		if below < above {
			i = lo
			lo--
			above = below
		} else {
			hi++
		}
		if above == math.MaxFloat32 || above*above*share >= limit {
			break
		}
		l.try(int(l.starts[i]), &best, q)
	}
	var sum float64
	for _, d := range best[:q] {
		sum += math.Sqrt(float64(d))
	}
	return sum / float64(q)
}

// try measures the stretch at place p of the ring, and gives up as soon as it
// cannot be among the q best.
func (l *library) try(p int, best *[maxNearest]float32, q int) {
	limit := best[q-1]
	var sum float32
	stretch := l.ring[p : p+l.dim]
	for j, c := range l.now {
		d := c - stretch[j]
		sum += d * d
		if sum >= limit {
			return
		}
	}
	i := q - 1
	for ; i > 0 && best[i-1] > sum; i-- {
		best[i] = best[i-1]
	}
	best[i] = sum
}

// count is the number of stretches that can be found.
func (l *library) count() int { return len(l.sums) }

func (l *library) state(c *codec) {
	c.f64(&l.offset)
	c.int(&l.n)
	if l.n < 0 {
		c.bad, l.n = true, 0
	}
	c.f32s(l.ring)
	n := c.count(len(l.sums), l.most)
	if c.reading {
		l.sums = append(l.sums[:0], make([]float32, n)...)
		l.starts = append(l.starts[:0], make([]uint16, n)...)
	}
	c.f32s(l.sums)
	c.u16s(l.starts)
	for i := range l.starts {
		if int(l.starts[i]) >= l.most {
			c.bad, l.starts[i] = true, 0
		}
	}
}

func (l *library) bytes() int { return 128 + 4*len(l.ring) + 4*l.dim + 6*l.most }
