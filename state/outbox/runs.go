package outbox

import (
	"cmp"
	"maps"
	"slices"
)

// run is a run of numbers, its ends included.
type run struct{ first, last uint64 }

// runs is a set of numbers: runs in order with gaps between. It is as large as
// it has gaps, however many numbers are in it.
type runs []run

// at returns the index of the run that holds n, or else of the one after it.
func (s runs) at(n uint64) (i int, in bool) {
	i, _ = slices.BinarySearchFunc(s, n, func(r run, n uint64) int {
		if r.last < n {
			return -1
		}
		return 1
	})
	return i, i < len(s) && s[i].first <= n
}

// has reports whether n is in the set.
func (s runs) has(n uint64) bool {
	_, in := s.at(n)
	return in
}

// after returns the lowest number above n in the set, and whether there is one.
func (s runs) after(n uint64) (uint64, bool) {
	i, in := s.at(n + 1)
	switch {
	case in:
		return n + 1, true
	case i < len(s):
		return s[i].first, true
	}
	return 0, false
}

// add puts n into the set, and reports whether it was not there.
func (s *runs) add(n uint64) bool {
	i, in := s.at(n)
	if in {
		return false
	}
	joinsLeft := i > 0 && (*s)[i-1].last+1 == n
	joinsRight := i < len(*s) && (*s)[i].first == n+1
	switch {
	case joinsLeft && joinsRight:
		(*s)[i-1].last = (*s)[i].last
		*s = slices.Delete(*s, i, i+1)
	case joinsLeft:
		(*s)[i-1].last = n
	case joinsRight:
		(*s)[i].first = n
	default:
		*s = slices.Insert(*s, i, run{n, n})
	}
	return true
}

// remove takes n out of the set, and reports whether it was there.
func (s *runs) remove(n uint64) bool {
	i, in := s.at(n)
	if !in {
		return false
	}
	r := (*s)[i]
	switch {
	case r.first == r.last:
		*s = slices.Delete(*s, i, i+1)
	case r.first == n:
		(*s)[i].first++
	case r.last == n:
		(*s)[i].last--
	default:
		(*s)[i].last = n - 1
		*s = slices.Insert(*s, i+1, run{n + 1, r.last})
	}
	return true
}

// all yields the numbers of the set, in order. The set must not change
// meanwhile.
func (s runs) all(yield func(uint64) bool) {
	for _, r := range s {
		for n := r.first; ; n++ {
			if !yield(n) {
				return
			}
			if n == r.last {
				break
			}
		}
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
