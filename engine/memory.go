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
//	number 1       number 2        number 3           next = 1601
//
// Those of one digest are linked, from the oldest to the newest, and index knows
// where these are.
type memory struct {
	journal *journal
	of      byte   // whose it is: memoryOfStream or memoryOfSource
	name    string // of that stream or source
	chunks  []*chunk
	next    uint64 // number of the next entry
	index   digestIndex
}

// chunk is a piece of a memory. It is a [unit] of the router's journal.
type chunk struct {
	tag
	memory  *memory
	number  uint64
	entries []remembered
	dropped bool
	stored  bool // there may be a row of it
}

// remembered is one entry.
type remembered struct {
	digest digest
	mark   int64
	next   entryRef // the next entry of the same digest
	gone   bool     // it stands for nothing any more
}

// chunkEntries is the length of a chunk, about 10 kB when it is stored.
const chunkEntries = 512

func newMemory(j *journal, of byte, name string) *memory {
	return &memory{journal: j, of: of, name: name}
}

// first returns the number of the first entry that is there.
func (m *memory) first() uint64 {
	if len(m.chunks) == 0 {
		return m.next
	}
	return m.chunks[0].number * chunkEntries
}

func (m *memory) chunkOf(n uint64) *chunk { return m.chunks[n/chunkEntries-m.chunks[0].number] }

func (m *memory) at(n uint64) *remembered { return &m.chunkOf(n).entries[n%chunkEntries] }

// oldest and newest return an entry of a digest, nil if there is none.
func (m *memory) oldest(d digest) *remembered {
	c := m.find(d)
	if c == nil {
		return nil
	}
	return m.at(m.number(c.oldest))
}

func (m *memory) newest(d digest) (entry *remembered, number uint64) {
	c := m.find(d)
	if c == nil {
		return nil, 0
	}
	n := m.number(c.newest)
	return m.at(n), n
}

// add remembers a digest.
func (m *memory) add(d digest, mark int64) {
	m.pad(m.next)
	n := m.next
	m.next++
	c := m.room(n)
	m.journal.touch(c)
	m.put(c, remembered{digest: d, mark: mark})
}

// room returns the chunk for entry n, which follows the last.
func (m *memory) room(n uint64) *chunk {
	if n%chunkEntries == 0 || len(m.chunks) == 0 {
		m.chunks = append(m.chunks, &chunk{memory: m, number: n / chunkEntries, entries: make([]remembered, 0, chunkEntries)})
	}
	return m.chunks[len(m.chunks)-1]
}

// put appends an entry to the last chunk.
func (m *memory) put(c *chunk, r remembered) {
	n := c.number*chunkEntries + uint64(len(c.entries))
	c.entries = append(c.entries, r)
	if r.gone {
		return
	}
	if k := m.find(r.digest); k != nil {
		m.at(m.number(k.newest)).next = refTo(n)
		k.newest = chainOf(&r.digest, n).newest
		return
	}
	m.insert(r.digest, chainOf(&r.digest, n))
}

// end returns the number behind the last entry that is there.
func (m *memory) end() uint64 {
	if len(m.chunks) == 0 {
		return m.next / chunkEntries * chunkEntries
	}
	last := m.chunks[len(m.chunks)-1]
	return last.number*chunkEntries + uint64(len(last.entries))
}

// pad puts entries that stand for nothing where some were lost, up to n: a
// damaged row costs what it held and no more.
func (m *memory) pad(n uint64) {
	if n-m.end() > maxRemembered {
		m.chunks, m.index = nil, digestIndex{}
	}
	for at := m.end(); at < n; at++ {
		c := m.room(at)
		m.journal.touch(c)
		m.put(c, remembered{gone: true})
	}
}

// forget forgets the oldest entry of a digest.
func (m *memory) forget(d digest) {
	n := m.number(m.find(d).oldest)
	m.journal.touch(m.chunkOf(n))
	m.unlink(m.at(n))
}

// unlink forgets an entry that is the oldest of its digest.
func (m *memory) unlink(oldest *remembered) {
	k := m.find(oldest.digest)
	if oldest.gone = true; oldest.next == 0 {
		m.remove(k)
		return
	}
	k.oldest = oldest.next
}

// drop forgets the first chunk, and returns how many entries of it were
// wanted still.
func (m *memory) drop(wanted func(r *remembered) bool) (lost int) {
	c := m.chunks[0]
	m.journal.touch(c)
	for i := range c.entries {
		r := &c.entries[i]
		if r.gone {
			continue
		}
		if wanted(r) {
			lost++
		}
		m.unlink(r) // the oldest of all is the oldest of its digest
	}
	if c.entries, c.dropped = nil, true; !c.stored {
		m.journal.drop(c)
	}
	m.chunks = m.chunks[1:]
	return lost
}

// wants reports whether any entry of the first chunk is wanted still.
func (m *memory) wants(wanted func(r *remembered) bool) bool {
	for i := range m.chunks[0].entries {
		if r := &m.chunks[0].entries[i]; !r.gone && wanted(r) {
			return true
		}
	}
	return false
}

// length returns how many entries there are, those that are gone among them.
func (m *memory) length() int { return int(m.next - m.first()) }

// full reports whether the first chunk has all its entries.
func (m *memory) full() bool { return len(m.chunks) > 0 && len(m.chunks[0].entries) == chunkEntries }

// maxRemembered bounds every memory, and with it what damaged rows can ask for.
const maxRemembered = 10_100_000

func (c *chunk) rowName() []byte {
	return binary.BigEndian.AppendUint64(memoryName(rowChunk, c.memory.of, c.memory.name), c.number)
}

// rows puts the row of the chunk; see [unit].
func (c *chunk) rows(put func(name, value []byte)) {
	v := binary.AppendUvarint([]byte{rowVersion}, uint64(len(c.entries)))
	for i := range c.entries {
		r := &c.entries[i]
		if v = append(v, flag(r.gone)); !r.gone {
			v = binary.AppendVarint(append(v, r.digest[:]...), r.mark)
		}
	}
	put(c.rowName(), v)
}

// changes puts the row of the chunk; see [unit].
func (c *chunk) changes(_ uint32, put func(name, value []byte)) (any, gone bool) {
	switch {
	case !c.dropped:
		c.rows(put)
		c.stored = true
	case c.stored:
		put(c.rowName(), nil)
	default:
		return false, false
	}
	return true, c.dropped
}

// settled does nothing: nobody holds a chunk that was dropped.
func (c *chunk) settled(uint32) {}

// readChunk reads a chunk that was stored. Chunks come in order.
func (m *memory) readChunk(number uint64, r *event.Reader) {
	n := r.Count()
	if n == 0 || n > chunkEntries || number > m.next/chunkEntries || number*chunkEntries+uint64(n) > m.next || number*chunkEntries < m.end() && len(m.chunks) > 0 {
		r.Fail()
		return
	}
	if len(m.chunks) > 0 {
		m.pad(number * chunkEntries)
	}
	c := m.room(number * chunkEntries)
	c.stored, c.gen = true, stored
	for range n {
		var e remembered
		if e.gone = r.Byte() == 1; !e.gone {
			for j := range e.digest {
				e.digest[j] = r.Byte()
			}
			e.mark = r.Varint()
		}
		m.put(c, e)
	}
}
