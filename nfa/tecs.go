package nfa

import "github.com/cepd/cepd/event"

// tecs is a timed enumerable compact set: the chains of all partial matches of
// one key as a graph that shares what they have in common. It is from Bucchi,
// Grez, Quintana, Riveros and Vansummeren, "CORE: a Complex Event Recognition
// Engine" (PVLDB 15(9), 2022), whose symbols the comments give.
//
// A vertex stands for a set of chains. It is one of
//
//	extend(event, step, before)   the chains of before, each with one event more
//	union(left, right)            the chains of both
//
// where before is 0 for the event that begins a chain (the paper's bottom). So
// the chains of a -> b ~> c over a1 b2 a3 b4, waiting for their c, are
//
//	union ---left---> b4 ---> union ---left---> a3
//	    \                          \--right--> a1
//	     \--right--> b2 ---> a1
//
// max of a vertex is the latest event that begins one of its chains, and in a
// union that of left is not earlier than that of right. So where max is too old
// all of the vertex is, and a walk that looks at max before it goes right meets
// no dead end.
//
// Vertices are numbered from 1 in order of creation, and what a vertex leads to
// has lower numbers. They hold no pointers: the events that they name by number
// lie in a list of their own.
//
// The paper keeps vertices in a ring and takes away those older than the
// window. Here each key has its own few, in a slice, which is tidied each time
// it has doubled: keys have times of their own, and are stored, dropped and read
// back alone; and what has died before its time, because its events were not
// followed as the pattern says, is taken away as well.
type tecs struct {
	vertices []vertex
	events   []accepted     // in order
	floor    uint32         // the first of events that may begin a chain
	made     uint32         // vertices since the last tidying
	live     uint32         // vertices that the last tidying left
	within   event.Duration // of the pattern; 0: no limit
	cut      event.Time     // when the floor moves next
}

// accepted is an event that a chain has accepted. Its time is looked at long
// afterwards, when the event is in no cache any more.
type accepted struct {
	event *event.Event
	time  event.Time
}

type vertex struct {
	a, b uint32 // of an extend: the event, and before; of a union: left and right
	max  uint32 // number of an event
	step int32  // that took the event; unionStep
}

const unionStep = -1

func (t *tecs) at(id uint32) *vertex { return &t.vertices[id-1] }

// alive reports whether a vertex has chains that are not too old.
func (t *tecs) alive(id uint32) bool { return t.at(id).max >= t.floor }

// bare returns a vertex that is alive without unions on top of it whose right
// side is too old. Whatever looks at a vertex looks at it so. Hence the graph
// behaves as if all that is too old were gone, and tidying it can be seen by
// nobody.
func (t *tecs) bare(id uint32) uint32 {
	for {
		v := t.at(id)
		if v.step != unionStep || t.alive(v.b) {
			return id
		}
		id = v.a
	}
}

func (t *tecs) add(v vertex) uint32 {
	t.vertices = append(t.vertices, v)
	t.made++
	return uint32(len(t.vertices))
}

// extend returns the chains of before with one event more.
func (t *tecs) extend(ev uint32, step uint16, before uint32) uint32 {
	latest := ev
	if before != 0 {
		latest = t.at(before).max
	}
	return t.add(vertex{a: ev, b: before, max: latest, step: int32(step)})
}

// join returns a union of two vertices of which left has the later max.
func (t *tecs) join(left, right uint32) uint32 {
	return t.add(vertex{a: left, b: right, max: t.at(left).max, step: unionStep})
}

// union returns the union of two vertices with the same max. A left side is no
// union, or one within a constant depth, so that a walk gets to its first chain
// in constant time.
func (t *tecs) union(a, b uint32) uint32 {
	a, b = t.bare(a), t.bare(b)
	switch va, vb := *t.at(a), *t.at(b); {
	case va.step != unionStep:
		return t.join(a, b)
	case vb.step != unionStep:
		return t.join(b, a)
	default:
		late, early := va.b, vb.b
		if t.at(late).max < t.at(early).max {
			late, early = early, late
		}
		return t.join(va.a, t.join(vb.a, t.join(late, early)))
	}
}

// A list holds the chains of one deterministic state (the paper's union list):
// the first vertex is no union and its max is the latest, the max of the others
// falls.

// fresh returns the beginning of a list that is not too old.
func (t *tecs) fresh(list []uint32) []uint32 {
	n := len(list)
	for n > 0 && !t.alive(list[n-1]) {
		n--
	}
	return list[:n]
}

// merge returns the union of a list. The list is shortened to two, so that the
// next merge is short.
func (t *tecs) merge(list []uint32) (all uint32, short []uint32) {
	if len(list) == 1 {
		return t.bare(list[0]), list
	}
	rest := t.bare(list[len(list)-1])
	for i := len(list) - 2; i > 0; i-- {
		rest = t.join(t.bare(list[i]), rest)
	}
	list[1] = rest
	return t.join(t.bare(list[0]), rest), list[:2]
}

// accept adds an event, later than all others, and returns its number.
func (t *tecs) accept(e *event.Event) uint32 {
	n := uint32(len(t.events))
	t.events = append(t.events, accepted{e, e.Time})
	if t.floor == n {
		t.findCut()
	}
	return n
}

// expire moves the floor behind the events whose window is over at a time.
func (t *tecs) expire(now event.Time) {
	for t.cut <= now {
		t.floor++
		t.findCut()
	}
}

// findCut finds out when the floor moves next.
func (t *tecs) findCut() {
	t.cut = event.MaxTime
	if t.within > 0 && int(t.floor) < len(t.events) {
		t.cut = t.events[t.floor].time.Add(t.within)
	}
}

// minGarbage is the number of new vertices that are not worth tidying.
const minGarbage = 16

// untidy reports whether as many vertices were made as the last tidying left.
// It depends on what happened only, not on what is still in memory.
func (t *tecs) untidy() bool { return t.made >= max(t.live, minGarbage) }

// clear drops everything. Memory for a few is kept, for the next chains.
func (t *tecs) clear() {
	if cap(t.vertices) > 4*minGarbage {
		*t = tecs{within: t.within, cut: event.MaxTime}
		return
	}
	clear(t.events)
	*t = tecs{vertices: t.vertices[:0], events: t.events[:0], within: t.within, cut: event.MaxTime}
}
