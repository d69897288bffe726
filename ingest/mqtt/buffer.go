package mqtt

import (
	"slices"
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/event"
)

// entryBytes is what a buffered message takes beside its topic and payload:
// the record, the client's message and what the allocator adds.
const entryBytes = 256

// pending is a message that waits for its acknowledgement.
type pending struct {
	conn   *connection // nil: it needs none
	id     uint16      // of the packet; 0: nothing is left to do but to write
	paho   paho.Message
	failed error // why it must not be acknowledged, if so
}

// buffer holds the records that nobody has read yet.
type buffer struct {
	mu      sync.Mutex
	limit   int
	bytes   int
	records []event.Record
	acks    []pending // of the messages among records that need one, in order
	ackAt   []int     // index in records, parallel to acks
	usual   int       // records that were taken the last time
	spare   spare
	ready   chan struct{} // holds a token while there are records
	room    chan struct{} // holds a token when half of the buffer has become free
}

// spare is memory that was given back.
type spare struct {
	records [][]event.Record
	acks    [][]pending
}

// maxSpare is how many pieces of memory are kept of each kind, and maxSpareLength
// how long one is at most.
const maxSpare, maxSpareLength = 4, 2048

// reuse returns memory for at least so many elements, from spare memory if there
// is such.
func reuse[E any](spare *[][]E, least int) []E {
	if n := len(*spare); n > 0 {
		m := (*spare)[n-1]
		if (*spare)[n-1], *spare = nil, (*spare)[:n-1]; cap(m) >= least {
			return m
		}
	}
	return make([]E, 0, least)
}

// keep makes memory spare that nobody uses any more.
func keep[E any](spare *[][]E, m []E) {
	clear(m)
	if n := cap(m); n > 0 && n <= maxSpareLength && len(*spare) < maxSpare {
		*spare = append(*spare, m[:0])
	}
}

func newBuffer(limit int) *buffer {
	return &buffer{limit: limit, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func size(r *event.Record) int { return len(r.Payload) + len(r.Topic) + entryBytes }

// offered says what became of messages that were offered.
type offered struct {
	messages, bytes, duplicates uint64 // that were taken
	shed                        uint64 // of QoS 0, for which there was no room
	full                        bool   // there was no room for one of QoS 1, nor was any behind it taken
}

// offer adds messages, as far as there is room for them. An empty buffer takes
// any message, since nothing would be gained by waiting.
func (b *buffer) offer(messages []message) (o offered) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records == nil { // as many will be taken as the last time
		b.records = reuse(&b.spare.records, max(len(messages), b.usual))
	}
	for i := range messages {
		m := &messages[i]
		n := size(&m.record)
		if b.bytes > 0 && b.bytes+n > b.limit {
			if m.ack.conn != nil {
				o.full = true
				break
			}
			o.shed++
			continue
		}
		b.bytes += n
		if m.ack.conn != nil {
			if b.acks == nil {
				b.acks = reuse(&b.spare.acks, cap(b.records))
			}
			b.acks = append(b.acks, m.ack)
			b.ackAt = append(b.ackAt, len(b.records))
		}
		b.records = append(b.records, m.record)
		o.messages++
		o.bytes += uint64(len(m.record.Payload))
		if m.record.Flags.Dup() {
			o.duplicates++
		}
	}
	if o.messages > 0 {
		signal(b.ready)
	}
	return o
}

// force adds a record whatever room there is: the few that tell of the
// connection.
func (b *buffer) force(r event.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += size(&r)
	b.records = append(b.records, r)
	signal(b.ready)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take removes the first records, at most limit, which belong to the caller
// then. It returns none if there are none.
func (b *buffer) take(limit int) (records []event.Record, acks []pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(limit, len(b.records))
	b.usual = n
	if n == len(b.records) { // their memory goes with them
		records, acks = b.records, b.acks
		b.records, b.acks, b.ackAt = nil, nil, b.ackAt[:0]
	} else {
		k, _ := slices.BinarySearch(b.ackAt, n)
		records, acks = b.records[:n:n], b.acks[:k:k]
		b.records, b.acks, b.ackAt = b.records[n:], b.acks[k:], b.ackAt[k:]
		for i := range b.ackAt {
			b.ackAt[i] -= n
		}
		signal(b.ready)
	}
	for i := range records {
		b.bytes -= size(&records[i])
	}
	if b.bytes <= b.limit/2 {
		signal(b.room)
	}
	return records, acks
}

// spent takes the memory of records back that were taken.
func (b *buffer) spent(records []event.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep(&b.spare.records, records)
}

// acked takes the memory of acknowledgements back that were taken.
func (b *buffer) acked(messages []pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep(&b.spare.acks, messages)
}

// halfEmpty reports whether half of the buffer is free.
func (b *buffer) halfEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes <= b.limit/2
}

// bound sets how many bytes the buffer holds from now on.
func (b *buffer) bound(limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit = limit; b.bytes <= b.limit/2 {
		signal(b.room)
	}
}

// held returns how many bytes the buffer holds.
func (b *buffer) held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}
