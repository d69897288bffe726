package engine

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// keyHash is the hash of an encoded key by which a [keyTable] finds it.
type keyHash uint64

// keySeed makes hashes that nobody can foresee who chooses keys: it differs from
// process to process. Nothing that comes out of an engine depends on it, as
// nothing depends on the order of a map.
var keySeed = maphash.MakeSeed()

func hashKey(key string) keyHash {
	if key == "" { // of a rule without `by` every event has it
		return 0
	}
	return keyHash(maphash.String(keySeed, key))
}

// hashDigest is the hash of a digest, by which a [digestIndex] finds it.
func hashDigest(d *digest) keyHash { return keyHash(maphash.Bytes(keySeed, d[:])) }

// keyTable finds the states of keys. It takes 10 to 16 bytes for a key, where a
// map, which holds the texts of its keys itself and grows twofold, takes 29 to 57.
//
// The first bits of a hash, as many as depth says, are the number of the part of
// the table where a key is:
//
//	parts  00 01 10 11        depth 2
//	        |  |  \ /
//	        |  |   hashes that begin with 1, depth 1
//	        |  hashes that begin with 01, depth 2
//	        hashes that begin with 00, depth 2
//
// A part that is full becomes two, and the list of parts is doubled where it does
// not tell them apart (Fagin, Nievergelt, Pippenger and Strong, "Extendible
// hashing", 1979). So no event has to wait until a large table has been moved.
//
// In a part the next bits are the number of the group of eight places where the
// search for a key begins. It ends at the first group that has never been full.
type keyTable struct {
	parts []*keyPart
	depth uint8
	n     int                      // keys
	hash  func(key string) keyHash // [hashKey], but in tests
}

// keyPart holds the keys whose hashes begin with the same bits.
type keyPart struct {
	groups []keyGroup
	used   int   // places that are not free, with those that were left
	depth  uint8 // bits that the hashes have in common
}

// keyGroup is eight places, with a byte for each that tells most other keys from
// the one that is looked for: a bit that says that there is a key and seven bits
// of its hash, or [tagFree] or [tagLeft].
type keyGroup struct {
	tags uint64
	keys [8]*keyState
}

const (
	tagFree = 0
	tagLeft = 1 // of a key that went while its group was full: the search goes on
	tagKey  = 1 << 7

	everyByte = 0x0101010101010101

	// partGroups are the groups of a part, at most, so that moving one takes some
	// ten microseconds.
	partGroups = 32
)

// room is how many places of so many groups may be in use, lest a search be long.
func room(groups int) int { return 7 * groups }

func newKeyTable() *keyTable {
	return alone(keyTable{parts: []*keyPart{{groups: make([]keyGroup, 1)}}, hash: hashKey})
}

func (t *keyTable) part(h keyHash) *keyPart { return t.parts[h>>(64-t.depth)] }

// home returns the group where the search for a key begins.
func (p *keyPart) home(h keyHash) int {
	return int(uint64(uint32(h<<p.depth>>32)) * uint64(len(p.groups)) >> 32)
}

func (h keyHash) tag() uint64 { return uint64(h)&(tagKey-1) | tagKey }

// zeroes returns the highest bit of bytes that are zero. The lowest one is right;
// above it there may be bytes that are one.
func zeroes(x uint64) uint64 { return (x - everyByte) &^ x & (everyByte * tagKey) }

// get returns the state of a key, nil where there is none.
func (t *keyTable) get(h keyHash, key string) *keyState {
	p := t.part(h)
	for i := p.home(h); ; {
		g := &p.groups[i]
		for m := zeroes(g.tags ^ h.tag()*everyByte); m != 0; m &= m - 1 {
			if ks := g.keys[bits.TrailingZeros64(m)/8]; ks.key == key {
				return ks
			}
		}
		if zeroes(g.tags) != 0 {
			return nil
		}
		if i++; i == len(p.groups) {
			i = 0
		}
	}
}

// likely returns the state that a search for a key would most likely find, nil
// where it would most likely find none.
func (t *keyTable) likely(h keyHash) *keyState {
	p := t.part(h)
	i := p.home(h)
	for range likelyGroups {
		g := &p.groups[i]
		if m := zeroes(g.tags ^ h.tag()*everyByte); m != 0 {
			return g.keys[bits.TrailingZeros64(m)/8]
		}
		if zeroes(g.tags) != 0 {
			return nil
		}
		if i++; i == len(p.groups) {
			i = 0
		}
	}
	return nil
}

// likelyGroups is in how many groups nearly all keys are found.
const likelyGroups = 3

// home returns the tags of the group where the search for a key begins.
func (t *keyTable) home(h keyHash) uint64 {
	p := t.part(h)
	return p.groups[p.home(h)].tags
}

// put adds the state of a key that is not there.
func (t *keyTable) put(h keyHash, ks *keyState) {
	p := t.part(h)
	for p.used >= room(len(p.groups)) {
		t.grow(p, h)
		p = t.part(h)
	}
	p.put(h, ks)
	t.n++
}

func (p *keyPart) put(h keyHash, ks *keyState) {
	i := p.home(h)
	for zeroes(p.groups[i].tags) == 0 {
		if i++; i == len(p.groups) {
			i = 0
		}
	}
	g := &p.groups[i]
	at := bits.TrailingZeros64(zeroes(g.tags)) / 8
	g.tags |= h.tag() << (8 * at)
	g.keys[at] = ks
	p.used++
}

// remove takes out the state of a key, which is there.
func (t *keyTable) remove(h keyHash, ks *keyState) {
	p := t.part(h)
	t.n--
	for i := p.home(h); ; {
		g := &p.groups[i]
		for at := range g.keys {
			if g.keys[at] == ks {
				p.clear(g, at)
				return
			}
		}
		if i++; i == len(p.groups) {
			i = 0
		}
	}
}

func (p *keyPart) clear(g *keyGroup, at int) {
	free := zeroes(g.tags) != 0 // no search has gone past the group
	g.keys[at] = nil
	if g.tags &^= 0xff << (8 * at); free {
		p.used--
	} else {
		g.tags |= tagLeft << (8 * at)
	}
}

// grow makes room in the part of a hash: by places that keys have left, by more
// groups, or by making two parts of it.
func (t *keyTable) grow(p *keyPart, h keyHash) {
	n := 0
	for i := range p.groups {
		n += bits.OnesCount64(p.groups[i].tags & (everyByte * tagKey))
	}
	switch {
	case n < room(partGroups):
		t.move(p, groupsFor(n))
	case p.depth < t.depth || len(t.parts) < n:
		t.split(p, h)
	default: // hashes that are all alike
		t.move(p, 2*len(p.groups))
	}
}

// groupSteps are the groups that parts have, as they fill the blocks of memory
// that there are.
var groupSteps = [...]int{1, 2, 3, 5, 7, 10, 14, 21, 28, partGroups}

// groupsFor returns how many groups are given to so many keys, so that there is
// room for more.
func groupsFor(n int) int {
	for _, groups := range groupSteps {
		if room(groups) > n+n/4 {
			return groups
		}
	}
	return max(partGroups, n/room(1)+1)
}

// move gives a part new groups, and moves its keys there.
func (t *keyTable) move(p *keyPart, groups int) {
	old := p.groups
	p.groups, p.used = make([]keyGroup, groups), 0
	for ks := range keysOf(old) {
		p.put(t.hash(ks.key), ks)
	}
}

// split makes two parts of the part of a hash.
func (t *keyTable) split(p *keyPart, h keyHash) {
	if p.depth == t.depth {
		parts := make([]*keyPart, 0, 2*len(t.parts))
		for _, p := range t.parts {
			parts = append(parts, p, p)
		}
		t.parts = parts
		t.depth++
	}
	p.depth++
	two, n := [2]*keyPart{p, {depth: p.depth}}, [2]int{}
	old := p.groups
	for ks := range keysOf(old) {
		n[t.hash(ks.key)>>(64-p.depth)&1]++
	}
	for i, p := range two {
		p.groups, p.used = make([]keyGroup, groupsFor(n[i])), 0
	}
	for ks := range keysOf(old) {
		h := t.hash(ks.key)
		two[h>>(64-p.depth)&1].put(h, ks)
	}
	places := keyHash(1) << (t.depth - p.depth) // of each in the list
	second := (h>>(64-p.depth) | 1) * places
	for i := range places {
		t.parts[second+i] = two[1]
	}
}

func keysOf(groups []keyGroup) iter.Seq[*keyState] {
	return func(yield func(*keyState) bool) {
		for i := range groups {
			for _, ks := range groups[i].keys {
				if ks != nil && !yield(ks) {
					return
				}
			}
		}
	}
}

// all yields the states of all keys, in no particular order. The table must not
// change meanwhile.
func (t *keyTable) all() iter.Seq[*keyState] {
	return func(yield func(*keyState) bool) {
		for i, p := range t.parts {
			if i > 0 && t.parts[i-1] == p {
				continue
			}
			for ks := range keysOf(p.groups) {
				if !yield(ks) {
					return
				}
			}
		}
	}
}
