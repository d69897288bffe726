package window

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"

	"github.com/cepd/cepd/event"
)

// digest answers quantiles. Up to [ExactQuantile] values it keeps the values;
// beyond, a sketch of their distribution: DDSketch (C. Masson, J. E. Rim, H. K.
// Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
// relative-error guarantees", VLDB 2019). Either depends on the values alone,
// not on their order nor on how they were merged.
//
// The sketch counts the values x of each bucket i, gamma^(i-1) < x <= gamma^i.
// The middle of a bucket is within alpha, 1 %, of every value in it. Negative
// values have buckets of their own, and zeros a count.
type digest struct {
	bad      bool
	sketched bool
	vals     []float64 // sorted, until sketched
	zeros    uint64
	pos, neg buckets
}

const (
	alpha = 0.01
	gamma = (1 + alpha) / (1 - alpha)

	// maxBuckets bounds a sketch. Its buckets span a factor of 6e17; values
	// smaller than the largest one by more than that count as if they were not
	// quite as small.
	maxBuckets = 2048

	// smallest is the smallest double of full precision. What is nearer to zero
	// counts as zero.
	smallest = 0x1p-1022
)

var (
	logGamma  = math.Log(gamma)
	logMiddle = math.Log((gamma + 1) / 2) // from the middle of a bucket to its upper end
)

func (d *digest) add(_ event.Time, x event.Value) {
	f, ok := x.Number()
	if !ok {
		d.bad = true
		return
	}
	if d.sketched {
		d.count(f, 1)
		return
	}
	if f == 0 {
		f = 0 // no negative zero: the order of zeros must not matter
	}
	d.vals = slices.Insert(d.vals, sort.SearchFloat64s(d.vals, f), f)
	if len(d.vals) > ExactQuantile {
		d.sketch()
	}
}

// sketch turns the values into counts.
func (d *digest) sketch() {
	d.sketched = true
	for _, f := range d.vals {
		d.count(f, 1)
	}
	d.vals = nil
}

func (d *digest) count(f float64, n uint64) {
	switch {
	case f >= smallest:
		d.pos.add(bucketOf(f), n)
	case f <= -smallest:
		d.neg.add(bucketOf(-f), n)
	default:
		d.zeros += n
	}
}

func bucketOf(f float64) int { return int(math.Ceil(math.Log(f) / logGamma)) }

// bucketValue returns the middle of a bucket, as a square since an exponential
// close to the largest double may overflow early.
func bucketValue(i int) float64 {
	root := math.Exp((float64(float64(i)*logGamma) - logMiddle) / 2)
	return min(float64(root*root), math.MaxFloat64)
}

func (d *digest) merge(o partial) {
	p := o.(*digest)
	d.bad = d.bad || p.bad
	if !d.sketched && !p.sketched && len(d.vals)+len(p.vals) <= ExactQuantile {
		d.vals = mergeSorted(d.vals, p.vals)
		return
	}
	if !d.sketched {
		d.sketch()
	}
	for _, f := range p.vals {
		d.count(f, 1)
	}
	d.zeros += p.zeros
	d.pos.merge(&p.pos)
	d.neg.merge(&p.neg)
}

// mergeSorted merges b into a, using a's memory.
func mergeSorted(a, b []float64) []float64 {
	if len(b) == 0 {
		return a
	}
	i, j := len(a)-1, len(b)-1
	a = append(a, b...)
	for k := len(a) - 1; j >= 0; k-- {
		if i >= 0 && a[i] > b[j] {
			a[k] = a[i]
			i--
		} else {
			a[k] = b[j]
			j--
		}
	}
	return a
}

func (d *digest) read(a *Aggregate) (event.Value, Reason) {
	q := a.Q
	if a.Kind == Median {
		q = 0.5
	}
	switch {
	case d.bad:
		return event.Missing, ReasonType
	case !d.sketched && len(d.vals) == 0:
		return event.Missing, ReasonEmpty
	case !d.sketched:
		return finite(interpolate(d.vals, q))
	}
	return finite(d.rank(q))
}

// interpolate returns the quantile q as PromQL has it: between the two values
// whose ranks are nearest.
func interpolate(sorted []float64, q float64) float64 {
	rank := float64(q * float64(len(sorted)-1))
	low := math.Floor(rank)
	high := min(int(low)+1, len(sorted)-1)
	w := rank - low
	return float64(sorted[int(low)]*(1-w)) + float64(sorted[high]*w)
}

// rank returns a value within alpha of that of rank floor(q*(n-1)).
func (d *digest) rank(q float64) float64 {
	negs, poss := d.neg.total(), d.pos.total()
	rank := uint64(q * float64(negs+d.zeros+poss-1))
	switch {
	case rank < negs:
		return -bucketValue(d.neg.at(negs - 1 - rank))
	case rank < negs+d.zeros:
		return 0
	}
	return bucketValue(d.pos.at(min(rank-negs-d.zeros, poss-1)))
}

func (d *digest) reset() {
	*d = digest{vals: d.vals[:0], pos: buckets{counts: d.pos.counts[:0]}, neg: buckets{counts: d.neg.counts[:0]}}
}

func (d *digest) appendBinary(dst []byte) []byte {
	dst = appendBool(appendBool(dst, d.bad), d.sketched)
	if !d.sketched {
		return appendDoubles(binary.AppendUvarint(dst, uint64(len(d.vals))), d.vals...)
	}
	return d.neg.appendBinary(d.pos.appendBinary(binary.AppendUvarint(dst, d.zeros)))
}

func (d *digest) load(r *event.Reader) {
	*d = digest{bad: readBool(r), sketched: readBool(r)}
	if d.sketched {
		d.zeros = uint64(readCount(r))
		d.pos.load(r)
		d.neg.load(r)
		if d.zeros+d.pos.total()+d.neg.total() == 0 {
			d.sketched = false // no sketch is empty
		}
		return
	}
	n := r.Count()
	if n > ExactQuantile {
		n = 0
		d.bad = true
	}
	for range n {
		d.vals = append(d.vals, readDouble(r))
	}
	slices.Sort(d.vals)
}

// buckets counts values by bucket: counts[i] are those of bucket base+i. The
// first and last count are not 0.
type buckets struct {
	base   int
	counts []uint32
}

// add counts n values of bucket i.
func (b *buckets) add(i int, n uint64) {
	if len(b.counts) == 0 {
		b.base = i
	}
	top := max(b.base+len(b.counts)-1, i)
	i = max(i, top-maxBuckets+1)
	b.span(i, top)
	c := &b.counts[i-b.base]
	*c = uint32(min(uint64(*c)+n, math.MaxUint32))
}

// span makes room for the buckets i to top. Those too far below top are
// counted in the lowest that is left.
func (b *buckets) span(i, top int) {
	if low := top - maxBuckets + 1; len(b.counts) > 0 && b.base < low {
		sum := uint64(0)
		n := min(low-b.base, len(b.counts))
		for _, c := range b.counts[:n] {
			sum += uint64(c)
		}
		b.counts = append(b.counts[:0], b.counts[n:]...)
		b.base += n
		if len(b.counts) == 0 {
			b.counts, b.base = append(b.counts, 0), low
		}
		b.counts[0] = uint32(min(uint64(b.counts[0])+sum, math.MaxUint32))
	}
	if len(b.counts) == 0 {
		b.base = i
	}
	if i < b.base {
		b.counts = slices.Insert(b.counts, 0, make([]uint32, b.base-i)...)
		b.base = i
	}
	for b.base+len(b.counts) <= top {
		b.counts = append(b.counts, 0)
	}
}

func (b *buckets) merge(o *buckets) {
	if len(o.counts) == 0 {
		return
	}
	// From the top, so that each bucket finds its final place at once.
	for k := len(o.counts) - 1; k >= 0; k-- {
		if o.counts[k] > 0 {
			b.add(o.base+k, uint64(o.counts[k]))
		}
	}
}

func (b *buckets) total() (n uint64) {
	for _, c := range b.counts {
		n += uint64(c)
	}
	return n
}

// at returns the bucket of the value of a rank, from 0 up.
func (b *buckets) at(rank uint64) int {
	for i, c := range b.counts {
		if rank < uint64(c) {
			return b.base + i
		}
		rank -= uint64(c)
	}
	return b.base + len(b.counts) - 1
}

func (b *buckets) appendBinary(dst []byte) []byte {
	dst = binary.AppendVarint(binary.AppendUvarint(dst, uint64(len(b.counts))), int64(b.base))
	for _, c := range b.counts {
		dst = binary.AppendUvarint(dst, uint64(c))
	}
	return dst
}

func (b *buckets) load(r *event.Reader) {
	n := r.Count()
	base := r.Varint()
	for i := range n {
		c := r.Uvarint()
		// Buckets of a double lie well within these bounds.
		if c > 0 && c <= math.MaxUint32 && base > -100_000 && base < 100_000 && n <= maxBuckets {
			b.add(int(base)+i, c)
		}
	}
}
