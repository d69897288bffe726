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
	waits   runs
	waiting int // how many places wait
	notes   []notify.Note
	read    reading
}

// reading is where a sink that keeps up has read to, so that it need not look
// for the place again.
type reading struct {
	x     *extent
	item  int    // the next one in x
	after uint64 // all before it are up to this place
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

// extent is a stretch of the log. Each place that waits lies in the newest extent
// that holds it: it may have been carried over from earlier ones.
type extent struct {
	first, last uint64 // records
	bytes       int
	holds       map[string]runs // by queue: the places within, which go up from record to record
	places      int             // how many places were opened here
	waiting     int             // how many of them wait
	through     event.Position  // of the last id that is known by a record within
	items       []item          // what it holds, while it is in memory
	cached      bool            // items holds all
	gone        bool            // the log is cut behind it
}

// item is a record that holds a message.
type item struct {
	seq  uint64
	size int
	record
	message *notify.Message // nil: not decoded
	ids     []knownID       // of a record of ids
}

// extentFor returns the extent for the next record of the log.
func (o *Outbox) extentFor(seq uint64, size int, rec *record) *extent {
	x := o.tail()
	if x == nil || x.bytes >= o.opts.extent || !x.below(rec.to) {
		x = &extent{first: seq, holds: map[string]runs{}, cached: true}
		o.extents = append(o.extents, x)
	}
	x.last = seq
	x.bytes += size
	return x
}

// below reports whether all places of an extent are below those of its queue in
// a list.
func (x *extent) below(all []ticket) bool {
	for _, t := range all {
		if s := x.holds[t.queue]; len(s) > 0 && s[len(s)-1].last >= t.seq {
			return false
		}
	}
	return true
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
	q.next = max(q.next, t.seq+1)
	x.places++
	x.waiting++
	s := x.holds[t.queue]
	s.add(t.seq)
	x.holds[t.queue] = s
}

// extentOf returns the extent that holds a place that waits.
func (o *Outbox) extentOf(t ticket) *extent {
	for i := len(o.extents) - 1; i >= 0; i-- {
		if x := o.extents[i]; x.waiting > 0 && x.holds[t.queue].has(t.seq) {
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
