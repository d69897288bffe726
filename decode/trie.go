package decode

import (
	"encoding/binary"
	"strings"

	"github.com/cepd/cepd/event"
)

// trie remembers in which order the names of objects came so far, since a
// device sends the same fields in the same order again and again. A name at
// its usual place costs one comparison: it is known to be valid, to be no
// duplicate of those before it, and which slot it has.
//
//	{"id":1,"pos":{"x":1,"y":2},"temp":3}      {"id":1,"temp":3}
//
//	root ── id ──┬── pos ── temp
//	             │    └ inner root ── x ── y
//	             └── temp
//
// The way from a root to a node is a list of distinct names. A node also knows
// how its name was written last, with the comma, the colon and the white space
// around it, so that all that parts two values is compared at once. The trie is
// bounded, and forgets everything when much of what comes is not in it; none
// of this changes a result.
type trie struct {
	root   *node
	count  int // of nodes
	misses int // names that found it full
}

// node is a place in the trie: behind the names read so far. What a message
// needs that comes as the last ones did lies in front, together.
type node struct {
	lead   lead
	slot   int16      // -1: none
	typ    event.Type // of the slot
	tail   uint8      // how many bytes of the last value there were behind whole words
	shift  uint8      // see word
	next   *node      // the first name that may follow; nil: none
	alt    *node      // another name at the same place; nil: none
	inner  *node      // root of the objects under this name; nil: none yet
	parent *node      // nil for a root
	filled uint64     // slots of the names up to here, as a set; of the first 64 slots
	// word is the first eight bytes of the name and its closing quote, the first
	// in the lowest byte; if they are fewer, shifted up by so many bits.
	word uint64
	name string
}

// begin sets what the first eight bytes of a name are compared with.
func (n *node) begin(name string) {
	var first [8]byte
	if k := copy(first[:], name); k < len(first) {
		first[k] = '"'
		n.shift = uint8(8 * (len(first) - 1 - k))
	}
	n.word = binary.LittleEndian.Uint64(first[:]) << n.shift
}

// matches reports whether the name of n and its closing quote stand at b[p].
func (n *node) matches(b []byte, p int) bool {
	end := p + len(n.name)
	if end >= len(b) {
		return false
	}
	if p+8 > len(b) {
		return b[end] == '"' && string(b[p:end]) == n.name
	}
	if word(b, p)<<(n.shift&63) != n.word {
		return false
	}
	return len(n.name) < 8 || b[end] == '"' && string(b[p+8:end]) == n.name[8:]
}

// Bounds of the trie: 512 nodes, with names of 16 bytes or so, are some 80 KB.
// Longer objects and rarer names are checked without it.
const (
	maxNodes    = 512
	maxNodeName = 64
	maxPath     = 128 // finding duplicates is quadratic while it learns
	maxAlt      = 8
	maxMisses   = 10_000
)

// start makes the trie ready for the next payload and returns its root.
func (t *trie) start() *node {
	if t.root == nil || t.misses >= maxMisses {
		*t = trie{root: &node{slot: -1}, count: 1}
	}
	return t.root
}

// follow looks for the name that begins at b[p] among those that may follow n.
// It returns its node and the offset of the closing quote, or n and 0.
func (n *node) follow(b []byte, p int) (*node, int) {
	if n == nil {
		return n, 0
	}
	var before *node
	for c := n.next; c != nil; c = c.alt {
		if c.matches(b, p) {
			n.prefer(c, before)
			return c, p + len(c.name)
		}
		before = c
	}
	return n, 0
}

// predict looks for one of the names that may follow n, with all that leads
// from the value before p to the next one as it was written last. It returns
// its node and where the value begins, or n and 0.
func (n *node) predict(b []byte, p int) (*node, int) {
	if n == nil {
		return n, 0
	}
	var before *node
	for c := n.next; c != nil; c = c.alt {
		if c.lead.at(b, p) {
			n.prefer(c, before)
			return c, p + int(c.lead.length)
		}
		before = c
	}
	return n, 0
}

// prefer makes c the first of the names that may follow n, since the next
// message is likely to be like this one. before is the one that leads to c.
func (n *node) prefer(c, before *node) {
	if before != nil {
		before.alt, c.alt, n.next = c.alt, n.next, c
	}
}

// find looks for a name among those that may follow n, however it was written.
func (n *node) find(name string) *node {
	if n == nil {
		return nil
	}
	for c := n.next; c != nil; c = c.alt {
		if c.name == name {
			return c
		}
	}
	return nil
}

// path returns how many names lie on the way to n, and whether name is one of
// them.
func (n *node) path(name string) (length int, found bool) {
	for ; n.parent != nil; n = n.parent {
		if n.name == name {
			return length, true
		}
		length++
	}
	return length, false
}

// learn adds a name behind n, which is length names from its root, if there
// is room; else it returns nil.
func (t *trie) learn(n *node, length int, name string, slot int, typ event.Type) *node {
	if len(name) > maxNodeName || length >= maxPath || slot > 1<<15-1 {
		return nil
	}
	alts := 0
	for c := n.next; c != nil; c = c.alt {
		alts++
	}
	if alts >= maxAlt || t.count >= maxNodes {
		t.misses++
		return nil
	}
	t.count++
	c := &node{alt: n.next, parent: n, name: strings.Clone(name), slot: int16(slot), typ: typ, filled: n.filled | bit(slot)}
	c.begin(name)
	c.lead.forget()
	n.next = c
	return c
}

// bit returns the set of one slot; nothing for -1 and from 64 on.
func bit(slot int) uint64 {
	if slot < 0 {
		return 0
	}
	return 1 << slot
}

// inner returns the root of the objects that are the value of the name n; nil if
// there is no room.
func (t *trie) inner(n *node) *node {
	if n == nil {
		return nil
	}
	if n.inner != nil {
		return n.inner
	}
	if t.count >= maxNodes {
		t.misses++
		return nil
	}
	t.count++
	n.inner = &node{slot: -1}
	return n.inner
}
