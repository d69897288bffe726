package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// TestKeyStateSize holds a key to a size class, since there may be millions.
func TestKeyStateSize(t *testing.T) {
	if n := unsafe.Sizeof(keyState{}); n != 96 {
		t.Errorf("the state of a key has %d bytes", n)
	}
}

// TestKeyTable holds a table to a map that knows the same keys: with hashes as
// they are, and with some that are equal or begin alike.
func TestKeyTable(t *testing.T) {
	for name, hash := range map[string]func(key string) keyHash{
		"spread": hashKey,
		"equal":  func(string) keyHash { return 1 << 63 },
		"few":    func(key string) keyHash { return hashKey(key) % 7 << 61 },
		"alike":  func(key string) keyHash { return hashKey(key)>>20 | 0xabc<<52 },
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			table, want := newKeyTable(), map[string]*keyState{}
			table.hash = hash
			for i := range 20_000 {
				key := fmt.Sprint(rng.IntN(3000))
				ks := table.get(hash(key), key)
				if ks != want[key] {
					t.Fatalf("step %d: %s is %p, not %p", i, key, ks, want[key])
				}
				grows := rng.IntN(4) > 0 == (i/5000%2 == 0) // and shrinks, by turns
				switch {
				case ks == nil && grows:
					want[key] = &keyState{key: key}
					table.put(hash(key), want[key])
				case ks != nil && !grows:
					delete(want, key)
					table.remove(hash(key), ks)
				}
			}
			if table.n != len(want) {
				t.Errorf("%d keys, not %d", table.n, len(want))
			}
			all := slices.Collect(table.all())
			if len(all) != len(want) {
				t.Errorf("%d keys are listed, not %d", len(all), len(want))
			}
			for _, ks := range all {
				if want[ks.key] != ks {
					t.Errorf("%s is listed, and not there", ks.key)
				}
			}
		})
	}
}

func BenchmarkKeyTable(b *testing.B) {
	for _, n := range []int{100, 10_000, 1_000_000} {
		keys := make([]string, n)
		table, plain := newKeyTable(), map[string]*keyState{}
		for i := range keys {
			keys[i] = fmt.Sprintf("\x06\x0cpump-%07d", i)
			ks := &keyState{key: keys[i]}
			table.put(hashKey(keys[i]), ks)
			plain[keys[i]] = ks
		}
		order := rand.New(rand.NewPCG(1, 2)).Perm(n)
		b.Run(fmt.Sprintf("table/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				key := keys[order[i%n]]
				if table.get(hashKey(key), key) == nil {
					b.Fatal("a key is missing")
				}
			}
		})
		b.Run(fmt.Sprintf("map/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if plain[keys[order[i%n]]] == nil {
					b.Fatal("a key is missing")
				}
			}
		})
		b.Run(fmt.Sprintf("table/%d/unknown", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				key := keys[order[i%n]][2:]
				if table.get(hashKey(key), key) != nil {
					b.Fatal("a key is there")
				}
			}
		})
		b.Run(fmt.Sprintf("map/%d/unknown", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if plain[keys[order[i%n]][2:]] != nil {
					b.Fatal("a key is there")
				}
			}
		})
	}
}
