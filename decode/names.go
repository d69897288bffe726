package decode

import (
	"unicode"
	"unicode/utf8"
)

// names remembers the names of the objects that are being read and that the
// trie does not know, to find duplicates. Few are compared one by one; the
// names of large objects go into a table.
type names struct {
	list    []string
	table   map[tableName]struct{}
	objects uint32 // numbered so far, in table
	longest int    // that list has been, for this payload
}

type tableName struct {
	object uint32
	name   string
}

// manyNames is where a table becomes cheaper than comparing one by one.
const manyNames = 24

// add adds a name of o, and reports whether it is new there.
func (n *names) add(o *object, name string) bool {
	if o.count < manyNames {
		for _, old := range n.list[o.base : o.base+o.count] {
			if old == name {
				return false
			}
		}
		n.list = append(n.list[:o.base+o.count], name)
		o.count++
		n.longest = max(n.longest, len(n.list))
		if o.count == manyNames {
			n.fillTable(o)
		}
		return true
	}
	key := tableName{o.id, name}
	if _, ok := n.table[key]; ok {
		return false
	}
	n.table[key] = struct{}{}
	return true
}

func (n *names) fillTable(o *object) {
	if n.table == nil {
		n.table = map[tableName]struct{}{}
	}
	n.objects++
	o.id = n.objects
	for _, name := range n.list[o.base : o.base+o.count] {
		n.table[tableName{o.id, name}] = struct{}{}
	}
}

// reset forgets everything, so that no payload is kept in memory.
func (n *names) reset() {
	if n.longest == 0 {
		return
	}
	clear(n.list[:n.longest])
	n.list, n.longest = n.list[:0], 0
	if n.objects > 0 {
		n.objects = 0
		if len(n.table) > 1024 {
			n.table = nil // clearing a large table for each small payload would be slow
		} else {
			clear(n.table)
		}
	}
}

// foldName appends name with each letter replaced by the first of those that
// differ from it in case only.
func foldName(dst []byte, name string) []byte {
	for _, r := range name {
		if r < utf8.RuneSelf && (r|0x20 < 'a' || r|0x20 > 'z') {
			dst = append(dst, byte(r))
			continue
		}
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		dst = utf8.AppendRune(dst, least)
	}
	return dst
}
