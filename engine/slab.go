package engine

import (
	"slices"

	"github.com/cepd/cepd/event"
)

// slab hands out the events of a batch and their slots from larger pieces of
// memory. Once nothing holds the events, their pieces are used again: a stream in
// order costs no allocation per event, nor does one whose events wait for those
// that may come before them.
type slab struct {
	events pieces[slabEvent]
	values pieces[event.Value]
}

// slabEvent is an event with what most events have until they are judged.
type slabEvent struct {
	event.Event
	more event.Details
}

// The sizes of pieces. An event that is held back for long holds its piece.
const (
	slabEvents = 64  // 7 kB
	slabValues = 512 // 8 kB
)

func (s *slab) event(fields int) *event.Event {
	e := &s.events.take(1, slabEvents)[0]
	e.Slots, e.More = s.values.take(fields, slabValues), &e.more
	return &e.Event
}

// batch begins a new batch. Events of former ones may be held back until a time;
// those that were until now are not any more.
func (s *slab) batch(until, now event.Time) {
	s.events.batch(until, now)
	s.values.batch(until, now)
}

// pieces hands out slices of larger pieces of memory.
type pieces[T any] struct {
	all  [][]T // of this batch, and the last of former ones
	used int   // of the last
	held []heldPiece[T]
	free [][]T // empty
}

// heldPiece is a piece that is in use until a time.
type heldPiece[T any] struct {
	piece []T
	until event.Time
}

// maxHeldPieces is how many pieces are waited for, at most; what is in use for
// longer is left to the collector of garbage. Where a watermark stands still they are
// kept with the payloads of all their events, of which most may be needed no more:
// with 200 bytes each, some 15 MB.
const maxHeldPieces = 1 << 9

func (p *pieces[T]) take(n, size int) []T {
	if last := len(p.all) - 1; last < 0 || p.used+n > len(p.all[last]) {
		p.all, p.used = append(p.all, p.piece(n, size)), 0
	}
	piece := p.all[len(p.all)-1]
	out := piece[p.used : p.used+n : p.used+n]
	p.used += n
	return out
}

// piece returns an empty piece with room for n.
func (p *pieces[T]) piece(n, size int) []T {
	if last := len(p.free) - 1; last >= 0 {
		piece := p.free[last]
		p.free[last], p.free = nil, p.free[:last]
		if len(piece) >= n {
			return piece
		}
	}
	return make([]T, max(size, n))
}

func (p *pieces[T]) batch(until, now event.Time) {
	if until <= now { // nothing is held back
		for _, h := range p.held {
			p.empty(h.piece, len(h.piece))
		}
		for i, piece := range p.all {
			used := len(piece)
			if i == len(p.all)-1 {
				used = p.used
			}
			p.empty(piece, used)
		}
		clear(p.held)
		clear(p.all)
		p.held, p.all, p.used = p.held[:0], p.all[:0], 0
		return
	}
	for len(p.all) > 1 { // the last has room left
		if now > event.MinTime && len(p.held) < maxHeldPieces { // else nobody can say when it is free
			p.held = append(p.held, heldPiece[T]{p.all[0], until})
		}
		p.all = p.all[1:]
	}
	n := 0
	for n < len(p.held) && p.held[n].until <= now {
		p.empty(p.held[n].piece, len(p.held[n].piece))
		n++
	}
	p.held = slices.Delete(p.held, 0, n)
}

// empty takes a piece back that nothing refers to. What is used of it is emptied, so
// that it holds on to no payload. There need not be more of them than were in use.
func (p *pieces[T]) empty(piece []T, used int) {
	if len(p.free) <= len(p.held)+len(p.all) {
		clear(piece[:used])
		p.free = append(p.free, piece)
	}
}
