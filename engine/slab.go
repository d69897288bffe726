package engine

import "github.com/cepd/cepd/event"

// slab hands out the events of a batch and their slots from larger pieces of
// memory. Once nothing holds the events, reset makes all of it available again:
// a stream in order costs no allocation per event.
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

// reset takes back everything. The memory is emptied, so that it holds on to
// no payload.
func (s *slab) reset() {
	s.events.reset()
	s.values.reset()
}

// moveOn forgets what has been handed out, which is still in use.
func (s *slab) moveOn() {
	s.events.moveOn()
	s.values.moveOn()
}

// pieces hands out slices of larger pieces of memory.
type pieces[T any] struct {
	all  [][]T
	at   int // number of the piece in use
	used int // of it
}

func (p *pieces[T]) take(n, size int) []T {
	if p.at < len(p.all) && p.used+n > len(p.all[p.at]) {
		p.at, p.used = p.at+1, 0
	}
	if p.at == len(p.all) {
		p.all = append(p.all, make([]T, max(size, n)))
	}
	piece := p.all[p.at]
	if p.used+n > len(piece) { // a piece of a former batch is too small
		piece = make([]T, n)
		p.all[p.at] = piece
	}
	out := piece[p.used : p.used+n : p.used+n]
	p.used += n
	return out
}

func (p *pieces[T]) moveOn() {
	p.all, p.at = p.all[min(p.at, len(p.all)):], 0
}

func (p *pieces[T]) reset() {
	for i := range min(p.at+1, len(p.all)) {
		clear(p.all[i])
	}
	p.at, p.used = 0, 0
}
