package file

import "github.com/cepd/cepd/event"

// memory is a piece of memory that the payloads of several batches share.
type memory struct {
	bytes []byte
	users int // batches, and who fills it
}

// pool keeps memory that has been given back. It belongs to the goroutine that
// reads the source.
type pool struct {
	size    int // of the pieces that it keeps
	pieces  []*memory
	batches []*batch
}

// maxSpare is how many pieces and batches a pool keeps: a reader that holds on
// to more for a while should not make the source hold them for good.
const maxSpare = 8

// get returns a piece of at least so many bytes, of which the caller is a user.
func (p *pool) get(size int) *memory {
	if n := len(p.pieces); n > 0 && size <= p.size {
		m := p.pieces[n-1]
		p.pieces = p.pieces[:n-1]
		m.users = 1
		return m
	}
	return &memory{bytes: make([]byte, max(size, p.size)), users: 1}
}

// drop takes a user from a piece, and keeps it for the next if it has no other.
func (p *pool) drop(m *memory) {
	if m.users--; m.users == 0 && len(m.bytes) == p.size && len(p.pieces) < maxSpare {
		p.pieces = append(p.pieces, m)
	}
}

// batch is the memory of one batch.
type batch struct {
	records []event.Record
	lines   []int // that the records stand on
	pieces  []*memory
	free    func()
	where   func(i int) string
	lent    bool
}

// add adds a record whose payload is part of a piece, if of any.
func (b *batch) add(r event.Record, line int, m *memory) {
	b.records = append(b.records, r)
	b.lines = append(b.lines, line)
	if m != nil {
		b.use(m)
	}
}

// use makes b a user of a piece.
func (b *batch) use(m *memory) {
	if n := len(b.pieces); n == 0 || b.pieces[n-1] != m {
		b.pieces = append(b.pieces, m)
		m.users++
	}
}

// newBatch returns an empty batch for so many records.
func (s *Source) newBatch(size int) *batch {
	if n := len(s.pool.batches); n > 0 {
		b := s.pool.batches[n-1]
		s.pool.batches, b.lent = s.pool.batches[:n-1], true
		return b
	}
	b := &batch{records: make([]event.Record, 0, size), lines: make([]int, 0, size), lent: true}
	b.where = func(i int) string { return place(s.cfg.Path, b.lines[i]) }
	b.free = func() { s.pool.takeBack(b) }
	return b
}

// takeBack takes a batch that is used no more, once.
func (p *pool) takeBack(b *batch) {
	if !b.lent {
		return
	}
	b.lent = false
	for _, m := range b.pieces {
		p.drop(m)
	}
	clear(b.pieces)
	b.records, b.lines, b.pieces = b.records[:0], b.lines[:0], b.pieces[:0]
	if len(p.batches) < maxSpare {
		p.batches = append(p.batches, b)
	}
}
