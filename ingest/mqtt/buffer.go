package mqtt

import (
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
	acks    []pending     // of the messages among records that need one, in order
	ackAt   []int         // index in records, parallel to acks
	usual   int           // records that were taken the last time
	ready   chan struct{} // holds a token while there are records
	room    chan struct{} // holds a token when half of the buffer has become free
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
		b.records = make([]event.Record, 0, max(len(messages), b.usual))
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
				b.acks = make([]pending, 0, cap(b.records))
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
	k := 0
	for k < len(b.ackAt) && b.ackAt[k] < n {
		k++
	}
	records, acks = b.records[:n:n], b.acks[:k:k]
	b.records, b.acks, b.ackAt = b.records[n:], b.acks[k:], b.ackAt[k:]
	for i := range b.ackAt {
		b.ackAt[i] -= n
	}
	if len(b.records) == 0 { // the memory has been given away
		b.records, b.acks, b.ackAt = nil, nil, b.ackAt[:0]
	} else {
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
