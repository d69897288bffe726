package outbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

// Queues that belong to no sink. No sink can be called so.
const (
	deadQueue   = "!dead"   // of dead letters
	firingQueue = "!firing" // of the raises of alerts that were not cleared
)

// queue is the cursor of one sink: the places that wait, as runs, so that a
// sink that is down costs no more than one that is not.
type queue struct {
	next    uint64 // place of the next message
	top     uint64 // last place that has ever held one
	waits   runs
	waiting int // how many places wait
	notes   []notify.Note
}

// maxNotes is how many notes of a sink are kept, the newest ones.
const maxNotes = 256

// queue returns the queue of that name. o.mu is held.
func (o *Outbox) queue(name string) *queue {
	q := o.queues[name]
	if q == nil {
		q = &queue{next: 1}
		o.queues[name] = q
	}
	return q
}

// ticket takes the next place of the queue. A place whose message could not be
// written stays empty.
func (o *Outbox) ticket(name string) ticket {
	q := o.queue(name)
	q.next++
	return ticket{name, q.next - 1}
}

// note keeps a note in place of the one of its name.
func (q *queue) note(n notify.Note) {
	for i := range q.notes {
		if q.notes[i].Name == n.Name {
			q.notes = append(append(q.notes[:i:i], q.notes[i+1:]...), n)
			return
		}
	}
	if len(q.notes) == maxNotes {
		q.notes = q.notes[1:]
	}
	q.notes = append(q.notes, n)
}

// extentBytes is how many bytes of records an extent holds, about.
const extentBytes = 256 << 10

// cachedBytes is how many bytes of records, about, are kept in memory for the
// sinks that keep up. Those behind read the disk.
const cachedBytes = 4 << 20

// extent is a stretch of the log. Of any queue, each place that waits lies in
// one extent: the newest one whose span holds it.
type extent struct {
	first, last uint64 // records
	bytes       int
	spans       map[string]run // by queue: the places within
	carried     bool           // its places were in earlier extents before
	places      int            // how many places were opened here
	waiting     int            // how many of them wait
	through     event.Position // of the last id that is known by a record within
	items       []item         // what it holds, while it is in memory
	cached      bool           // items holds all
	gone        bool           // the log is cut behind it
}

// item is a record that holds a message.
type item struct {
	seq  uint64
	size int
	record
	message *notify.Message // nil: not decoded
}

// extentFor returns the extent for the next record of the log. A place that was
// there before and was carried over stands in no extent with others: so the
// places of a queue go up within each.
func (o *Outbox) extentFor(seq uint64, size int, rec *record) *extent {
	carried, up := false, true
	x := o.tail()
	for _, t := range rec.to {
		carried = carried || t.seq <= o.queue(t.queue).top
		if x != nil {
			s, ok := x.spans[t.queue]
			up = up && (!ok || t.seq > s.last)
		}
	}
	if x == nil || x.bytes >= extentBytes || x.carried != carried || !up {
		x = &extent{first: seq, spans: map[string]run{}, carried: carried, cached: true}
		o.extents = append(o.extents, x)
	}
	x.last = seq
	x.bytes += size
	return x
}

func (o *Outbox) tail() *extent {
	if len(o.extents) == 0 {
		return nil
	}
	return o.extents[len(o.extents)-1]
}

// open makes a place wait that the last extent holds.
func (o *Outbox) open(t ticket, x *extent) {
	q := o.queue(t.queue)
	if q.waits.add(t.seq) {
		q.waiting++
	} else {
		o.extentOf(t).waiting-- // it was carried over from there
	}
	q.next, q.top = max(q.next, t.seq+1), max(q.top, t.seq)
	x.places++
	x.waiting++
	s, ok := x.spans[t.queue]
	if !ok {
		s.first = t.seq
	}
	s.last = t.seq
	x.spans[t.queue] = s
}

// extentOf returns the extent that holds a place that waits.
func (o *Outbox) extentOf(t ticket) *extent {
	for i := len(o.extents) - 1; i >= 0; i-- {
		x := o.extents[i]
		if s, ok := x.spans[t.queue]; ok && s.first <= t.seq && t.seq <= s.last && x.waiting > 0 {
			return x
		}
	}
	panic(fmt.Sprintf("outbox: place %d of %s waits and is in no extent", t.seq, t.queue))
}

// close ends the wait of a place, and reports whether it did wait. What was on
// its way to a sink counts as told.
func (o *Outbox) close(t ticket, now time.Time) bool {
	q := o.queue(t.queue)
	if !q.waits.remove(t.seq) {
		return false
	}
	o.extentOf(t).waiting--
	q.waiting--
	o.closes++
	if f := o.raises[t]; f != nil {
		delete(o.raises, t)
		f.reached(t, now)
	}
	return true
}

// hold keeps a record in memory, for the sinks that keep up.
func (o *Outbox) hold(x *extent, it item) {
	if it.message == nil || !x.cached {
		o.drop(x)
		return
	}
	if len(x.items) == 0 {
		o.held = append(o.held, x)
	}
	it.body = nil
	x.items = append(x.items, it)
	o.cached += int64(it.size)
	for o.cached > cachedBytes && len(o.held) > 1 {
		o.drop(o.held[0])
	}
}

// drop takes the records of an extent out of memory.
func (o *Outbox) drop(x *extent) {
	for _, it := range x.items {
		o.cached -= int64(it.size)
	}
	if len(x.items) > 0 {
		o.held = slices.DeleteFunc(o.held, func(y *extent) bool { return x == y })
	}
	x.items, x.cached = nil, false
}

func keyOf(id string) idKey {
	var k idKey
	if n, err := hex.Decode(k[:], []byte(id)); len(id) == 2*len(k) && err == nil && n == len(k) {
		return k
	}
	sum := sha256.Sum256([]byte(id))
	copy(k[:], sum[:])
	return k
}
