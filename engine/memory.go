package engine

import (
	"encoding/binary"

	"github.com/cepd/cepd/event"
)

// digest stands for what is remembered: the first half of a SHA-256, so that
// nobody can make one message look like another.
type digest [16]byte

// memory remembers digests in the order in which they came, each with a mark
// that its user gives a meaning. All operations take constant time.
//
// Entries are numbered from 0 up and lie in chunks, which are stored as one row
// each and forgotten as a whole:
//
//	chunks:   [512 ... 1023] [1024 ... 1535] [1536 ... 1600]
//	          first = 1                                     next = 1601
//
// Those of one digest are linked, from the oldest to the newest.
type memory struct {
	first  uint64 // number of the first chunk
	chunks [][]remembered
	next   uint64 // number of the next entry
	known  map[digest]chain
}

// remembered is one entry.
type remembered struct {
	digest digest
	mark   int64
	next   uint64 // number of the next entry of the same digest; 0: there is none
	gone   bool   // it stands for nothing any more
}

// chain is where the entries of one digest begin and end.
type chain struct{ oldest, newest uint64 }

// chunkEntries is the length of a chunk, about 10 kB when it is stored.
const chunkEntries = 512

func newMemory() *memory { return &memory{known: map[digest]chain{}} }

func (m *memory) at(n uint64) *remembered {
	return &m.chunks[n/chunkEntries-m.first][n%chunkEntries]
}

// oldest and newest return an entry of a digest, nil if there is none.
func (m *memory) oldest(d digest) *remembered {
	c, ok := m.known[d]
	if !ok {
		return nil
	}
	return m.at(c.oldest)
}

func (m *memory) newest(d digest) (entry *remembered, number uint64) {
	c, ok := m.known[d]
	if !ok {
		return nil, 0
	}
	return m.at(c.newest), c.newest
}

// add remembers a digest.
func (m *memory) add(d digest, mark int64) {
	m.pad(m.next)
	n := m.next
	m.next++
	m.put(n, remembered{digest: d, mark: mark})
}

// put appends entry n, which follows the last.
func (m *memory) put(n uint64, r remembered) {
	if n%chunkEntries == 0 || len(m.chunks) == 0 {
		if len(m.chunks) == 0 {
			m.first = n / chunkEntries
		}
		m.chunks = append(m.chunks, make([]remembered, 0, chunkEntries))
	}
	last := len(m.chunks) - 1
	m.chunks[last] = append(m.chunks[last], r)
	if r.gone {
		return
	}
	c, ok := m.known[r.digest]
	if ok {
		m.at(c.newest).next = n
	} else {
		c.oldest = n
	}
	c.newest = n
	m.known[r.digest] = c
}

// end returns the number behind the last entry that is there.
func (m *memory) end() uint64 {
	if len(m.chunks) == 0 {
		return m.next / chunkEntries * chunkEntries
	}
	last := len(m.chunks) - 1
	return (m.first+uint64(last))*chunkEntries + uint64(len(m.chunks[last]))
}

// pad puts entries that stand for nothing where some were lost, up to n: a
// damaged row costs what it held and no more.
func (m *memory) pad(n uint64) {
	if n-m.end() > maxRemembered {
		m.chunks, m.known = nil, map[digest]chain{}
	}
	for at := m.end(); at < n; at++ {
		m.put(at, remembered{gone: true})
	}
}

// forget forgets the oldest entry of a digest.
func (m *memory) forget(d digest) {
	c := m.known[d]
	r := m.at(c.oldest)
	if r.gone = true; r.next == 0 {
		delete(m.known, d)
		return
	}
	c.oldest = r.next
	m.known[d] = c
}

// drop forgets the first chunk, and returns how many entries of it were
// wanted still.
func (m *memory) drop(wanted func(r *remembered) bool) (lost int) {
	for i := range m.chunks[0] {
		r := &m.chunks[0][i]
		if r.gone {
			continue
		}
		if wanted(r) {
			lost++
		}
		m.forget(r.digest) // it is the oldest of its digest, since it is the oldest of all
	}
	m.chunks[0] = nil
	m.chunks = m.chunks[1:]
	m.first++
	return lost
}

// wants reports whether any entry of the first chunk is wanted still.
func (m *memory) wants(wanted func(r *remembered) bool) bool {
	for i := range m.chunks[0] {
		if r := &m.chunks[0][i]; !r.gone && wanted(r) {
			return true
		}
	}
	return false
}

// length returns how many entries there are, those that are gone among them.
func (m *memory) length() int { return int(m.next - m.first*chunkEntries) }

// full reports whether the first chunk has all its entries.
func (m *memory) full() bool { return len(m.chunks) > 0 && len(m.chunks[0]) == chunkEntries }

// maxRemembered bounds every memory, and with it what damaged rows can ask for.
const maxRemembered = 10_100_000

// appendChunk appends a chunk as it is stored.
func appendChunk(v []byte, chunk []remembered) []byte {
	v = binary.AppendUvarint(v, uint64(len(chunk)))
	for i := range chunk {
		r := &chunk[i]
		if v = append(v, flag(r.gone)); !r.gone {
			v = binary.AppendVarint(append(v, r.digest[:]...), r.mark)
		}
	}
	return v
}

// readChunk reads a chunk that was stored. Chunks come in order.
func (m *memory) readChunk(number uint64, r *event.Reader) {
	n := r.Count()
	if start := number * chunkEntries; n == 0 || n > chunkEntries || number > m.next/chunkEntries || start+uint64(n) > m.next || start < m.end() && len(m.chunks) > 0 {
		r.Fail()
		return
	}
	if len(m.chunks) > 0 {
		m.pad(number * chunkEntries)
	}
	for i := range n {
		var e remembered
		if e.gone = r.Byte() == 1; !e.gone {
			for j := range e.digest {
				e.digest[j] = r.Byte()
			}
			e.mark = r.Varint()
		}
		m.put(number*chunkEntries+uint64(i), e)
	}
}
