package detectors

import (
	"math"
	"slices"
)

// sorted is the last values of a series in the order of their size, and in the
// order of their coming. It is made for some hundreds or thousands of values:
// looking up is a binary search, replacing one moves the values between.
type sorted[T float32 | float64] struct {
	v    []T // rising
	ring []T // in order of coming, from next
	next int
	size int
}

func newSorted[T float32 | float64](size int) sorted[T] {
	return sorted[T]{v: make([]T, 0, size), ring: make([]T, 0, size), size: size}
}

// lowerBound is the number of values less than x.
func lowerBound[T float32 | float64](v []T, x T) int {
	lo, hi := 0, len(v)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if v[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// add puts x in, and takes the oldest out when there are too many.
func (s *sorted[T]) add(x T) {
	if len(s.ring) < s.size {
		s.ring = append(s.ring, x)
		s.v = slices.Insert(s.v, lowerBound(s.v, x), x)
		return
	}
	old := s.ring[s.next]
	s.ring[s.next] = x
	s.next++
	if s.next == s.size {
		s.next = 0
	}
	i, j := lowerBound(s.v, old), lowerBound(s.v, x)
	if j > i {
		copy(s.v[i:j-1], s.v[i+1:j])
		s.v[j-1] = x
		return
	}
	copy(s.v[j+1:i+1], s.v[j:i])
	s.v[j] = x
}

// quantileOf is the p quantile of rising values by linear interpolation of order statistics, type 7
// in R.
func quantileOf[T float32 | float64](v []T, p float64) float64 {
	h := p * float64(len(v)-1)
	i := int(h)
	if i+1 >= len(v) {
		return float64(v[len(v)-1])
	}
	return float64(v[i]) + (h-float64(i))*(float64(v[i+1])-float64(v[i]))
}

// madScale makes the median absolute deviation of normal values their standard
// deviation.
const madScale = 1.4826

// madOf is the median of the absolute deviations from center, scaled. The
// deviations below and above the center are two sorted runs, so that a binary
// search finds the middle of both together.
func madOf(v []float64, center float64) float64 {
	n := len(v)
	m := lowerBound(v, center)
	k := n / 2
	hi := away(v, center, m, k)
	if n%2 == 0 {
		hi = (hi + away(v, center, m, k-1)) / 2
	}
	return madScale * hi
}

// away is the k-th smallest absolute deviation from center, which lies before
// v[m].
func away(v []float64, center float64, m, k int) float64 {
	// i deviations come from below (v[m-1] downwards) and k+1-i from above.
	lo, hi := max(0, k+1-(len(v)-m)), min(m, k+1)
	for lo < hi {
		i := (lo + hi) / 2 // too few from below, if the next one there is nearer
		if center-v[m-1-i] < v[m+k-i]-center {
			lo = i + 1
		} else {
			hi = i
		}
	}
	d := math.Inf(-1)
	if lo > 0 {
		d = center - v[m-lo]
	}
	if j := k + 1 - lo; j > 0 {
		d = max(d, v[m+j-1]-center)
	}
	return d
}

// nearest is the distance from x to the nearest value, and that value.
func (s *sorted[T]) nearest(x T) (distance, value T) {
	i := lowerBound(s.v, x)
	distance, value = T(math.Inf(1)), T(math.NaN())
	if i < len(s.v) {
		distance, value = s.v[i]-x, s.v[i]
	}
	if i > 0 && x-s.v[i-1] < distance {
		distance, value = x-s.v[i-1], s.v[i-1]
	}
	return distance, value
}

func (s *sorted[T]) state(c *codec) {
	switch ring := any(&s.ring).(type) {
	case *[]float64:
		c.list(ring, s.size)
	case *[]float32:
		c.list32(ring, s.size)
	}
	c.index(&s.next, max(len(s.ring), 1))
	if c.reading {
		s.v = append(s.v[:0], s.ring...)
		slices.Sort(s.v)
	}
}
