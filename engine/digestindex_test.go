package engine

import (
	"math/rand"
	"testing"
)

// TestDigestIndex holds a memory against lists: of few digests that come often, and
// of many, while numbers go beyond what a reference holds.
func TestDigestIndex(t *testing.T) {
	for seed := range int64(6) {
		rng := rand.New(rand.NewSource(seed))
		m := newMemory(newJournal(), memoryOfSource, "s")
		m.next = 5<<refBits - 1000 + uint64(rng.Intn(500))
		digests := make([]digest, []int{3, 100, 5000}[seed%3])
		for i := range digests {
			rng.Read(digests[i][:])
		}
		want := map[digest][]uint64{}
		check := func(d digest) {
			t.Helper()
			list := want[d]
			first := m.oldest(d)
			last, n := m.newest(d)
			if len(list) == 0 {
				if first != nil || last != nil {
					t.Fatalf("seed %d: there is %v, which is forgotten", seed, d)
				}
				return
			}
			if first == nil || first != m.at(list[0]) || n != list[len(list)-1] || last != m.at(n) {
				t.Fatalf("seed %d: the newest is number %d, want %d of %d", seed, n, list[len(list)-1], len(list))
			}
		}
		for range 40_000 {
			d := digests[rng.Intn(len(digests))]
			switch rng.Intn(8) {
			case 0, 1:
				if len(want[d]) > 0 {
					m.forget(d)
					want[d] = want[d][1:]
				}
			case 2:
				if len(m.chunks) > 5 {
					first := m.chunks[1].number * chunkEntries
					m.drop(func(*remembered) bool { return false })
					for d, list := range want {
						for len(list) > 0 && list[0] < first {
							list = list[1:]
						}
						want[d] = list
					}
				}
			default:
				want[d] = append(want[d], m.next)
				m.add(d, 0)
			}
			check(d)
			check(digests[rng.Intn(len(digests))])
		}
		left := 0
		for d, list := range want {
			if check(d); len(list) > 0 {
				left++
			}
		}
		if m.index.n != left || left == 0 {
			t.Errorf("seed %d: %d digests are known, want %d", seed, m.index.n, left)
		}
	}
}

// BenchmarkRemember is what it takes to look for a digest that is new among
// 65,536 others, and to remember it.
func BenchmarkRemember(b *testing.B) {
	rng := rand.New(rand.NewSource(1))
	m := newMemory(newJournal(), memoryOfSource, "s")
	var d digest
	b.ReportAllocs()
	for b.Loop() {
		rng.Read(d[:])
		if e, _ := m.newest(d); e != nil {
			b.Fatal("it is known")
		}
		m.add(d, 0)
		for m.length() >= maxDeliveries+chunkEntries {
			m.drop(func(*remembered) bool { return false })
		}
	}
}
