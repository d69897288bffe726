package decode

import (
	"encoding/binary"
	"unsafe"

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
	nodes  []node
	text   []byte // of the names
	misses int    // names that found it full
}

// place is a node of the trie: behind the names read so far.
type place int32

const nowhere place = -1

// node has 128 bytes. What a message needs that comes as the last ones did lies
// in front, together.
type node struct {
	next   place      // the first name that may follow; 0: none
	slot   int16      // -1: none
	typ    event.Type // of the slot
	lead   lead
	filled uint64 // slots of the names up to here, as a set; of the first 64 slots
	alt    place  // another name at the same place; 0: none
	inner  place  // root of the objects under this name; 0: none yet
	parent place  // nowhere for a root
	text   uint32
	length uint8
	shift  uint8 // see word
	// word is the first eight bytes of the name and its closing quote, the first
	// in the lowest byte; if they are fewer, shifted up by so many bits.
	word uint64
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
func (t *trie) matches(n *node, b []byte, p int) bool {
	end := p + int(n.length)
	if end >= len(b) {
		return false
	}
	if p+8 > len(b) {
		return b[end] == '"' && string(b[p:end]) == string(t.text[n.text:][:n.length])
	}
	if binary.LittleEndian.Uint64(b[p:])<<(n.shift&63) != n.word {
		return false
	}
	return n.length < 8 || b[end] == '"' && string(b[p+8:end]) == string(t.text[n.text+8:][:n.length-8])
}

// Bounds of the trie: 512 nodes, with names of 16 bytes or so, are some 72 KB.
// Longer objects and rarer names are checked without it.
const (
	maxNodes    = 512
	maxNodeName = 64
	maxPath     = 128 // finding duplicates is quadratic while it learns
	maxAlt      = 8
	maxMisses   = 10_000
)

// start makes the trie ready for the next payload and returns its root.
func (t *trie) start() place {
	if t.nodes == nil || t.misses >= maxMisses {
		t.nodes = append(t.nodes[:0], node{parent: nowhere})
		t.nodes[0].lead.forget()
		t.text = t.text[:0]
		t.misses = 0
	}
	return 0
}

// name returns the name of a node. It is valid until the next start, which
// alone overwrites text.
func (t *trie) name(at place) string {
	n := &t.nodes[at]
	return unsafe.String(unsafe.SliceData(t.text[n.text:]), int(n.length))
}

// follow looks for the name that begins at b[p] among those that may follow
// at. It returns the node and the offset of the closing quote, or at and 0.
func (t *trie) follow(b []byte, p int, at place) (place, int) {
	if at == nowhere {
		return at, 0
	}
	before := place(0)
	for c := t.nodes[at].next; c != 0; c = t.nodes[c].alt {
		n := &t.nodes[c]
		if t.matches(n, b, p) {
			if before != 0 { // the next message is likely to be like this one
				t.nodes[before].alt, n.alt, t.nodes[at].next = n.alt, t.nodes[at].next, c
			}
			return c, p + int(n.length)
		}
		before = c
	}
	return at, 0
}

// predict looks for one of the names that may follow at, with all that leads
// from the value before p to the next one as it was written last. It returns
// the node and where the value begins, or at and 0.
func (t *trie) predict(b []byte, p int, at place) (place, int) {
	if at == nowhere {
		return at, 0
	}
	before := place(0)
	for c := t.nodes[at].next; c != 0; c = t.nodes[c].alt {
		n := &t.nodes[c]
		if n.lead.ends(b, p) && (n.lead.length <= 16 || n.lead.inside(b, p)) {
			if before != 0 {
				t.nodes[before].alt, n.alt, t.nodes[at].next = n.alt, t.nodes[at].next, c
			}
			return c, p + int(n.lead.length)
		}
		before = c
	}
	return at, 0
}

// path returns how many names lie on the way to at, and whether name is one
// of them.
func (t *trie) path(at place, name string) (length int, found bool) {
	for ; t.nodes[at].parent != nowhere; at = t.nodes[at].parent {
		if t.name(at) == name {
			return length, true
		}
		length++
	}
	return length, false
}

// learn adds a name behind at, which is length names from its root, if there
// is room.
func (t *trie) learn(at place, length int, name string, slot int, typ event.Type) place {
	if len(name) > maxNodeName || length >= maxPath || slot > 1<<15-1 {
		return nowhere
	}
	alts := 0
	for c := t.nodes[at].next; c != 0; c = t.nodes[c].alt {
		alts++
	}
	if alts >= maxAlt || len(t.nodes) >= maxNodes {
		t.misses++
		return nowhere
	}
	c := place(len(t.nodes))
	t.nodes = append(t.nodes, node{
		alt: t.nodes[at].next, parent: at,
		text: uint32(len(t.text)), length: uint8(len(name)), slot: int16(slot), typ: typ,
		filled: t.nodes[at].filled | bit(slot),
	})
	t.nodes[c].begin(name)
	t.nodes[c].lead.forget()
	t.text = append(t.text, name...)
	t.nodes[at].next = c
	return c
}

// bit returns the set of one slot; nothing for -1 and from 64 on.
func bit(slot int) uint64 {
	if slot < 0 {
		return 0
	}
	return 1 << slot
}

// inner returns the root of the objects that are the value of the name at.
func (t *trie) inner(at place) place {
	if at == nowhere || t.nodes[at].inner != 0 {
		if at == nowhere {
			return nowhere
		}
		return t.nodes[at].inner
	}
	if len(t.nodes) >= maxNodes {
		t.misses++
		return nowhere
	}
	root := place(len(t.nodes))
	t.nodes = append(t.nodes, node{parent: nowhere})
	t.nodes[at].inner = root
	return root
}
