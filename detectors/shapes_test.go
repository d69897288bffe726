package detectors

import (
	"math"
	"slices"
	"testing"
)

// bruteNearest measures every stretch that does not overlap the newest.
func bruteNearest(v []float64, dim, most, q int) float64 {
	now := v[len(v)-dim:]
	var all []float64
	for i := max(0, len(v)-1-most); i+2*dim <= len(v); i++ {
		var sum float64
		for j, c := range now {
			d := c - v[i+j]
			sum += d * d
		}
		all = append(all, math.Sqrt(sum))
	}
	slices.Sort(all)
	var mean float64
	for _, d := range all[:q] {
		mean += d / float64(q)
	}
	return mean
}

// TestNearest compares the search by sums with one that looks at everything, while
// the memory fills and after it is full.
func TestNearest(t *testing.T) {
	for _, q := range []int{1, 5} {
		const dim, most = 8, 200
		l := newLibrary(dim, most)
		chance := random(1)
		var v []float64
		for i := range 1000 {
			x := 1000 + math.Sin(float64(i)/9) + 0.3*chance.float()
			if i%250 > 200 {
				x = 1000
			}
			v = append(v, x)
			if l.count() >= q {
				got, want := l.nearest(x, q), bruteNearest(v, dim, most, q)
				if math.Abs(got-want) > 1e-3 {
					t.Fatalf("q %d, value %d: got %v, want %v", q, i, got, want)
				}
			}
			l.add(x)
		}
	}
}

// TestTail compares the sketch with all values kept.
func TestTail(t *testing.T) {
	var s tail
	var all []float64
	chance := random(2)
	for i := range 5000 {
		x := -math.Log(1 - chance.float())
		if i > 100 {
			n := 0
			for _, w := range all {
				if w >= x {
					n++
				}
			}
			want := -math.Log10(float64(n+1) / float64(i+1))
			got := s.score(x)
			if n > max(5, i/50) && math.Abs(got-want) > 0.02 {
				t.Fatalf("value %d: got %v, want %v", i, got, want)
			}
			if got < want-0.5 || got > want+3 {
				t.Fatalf("value %d, in the tail: got %v, want about %v", i, got, want)
			}
		}
		s.add(x)
		all = append(all, x)
	}
}
