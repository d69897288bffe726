package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cepd/cepd/event"
)

// message is what a device publishes.
type message struct {
	id      int
	at      event.Time // when it is published
	topic   string
	payload string
	again   bool // the broker has sent it before
}

// tell makes up what devices publish: readings of temperature and vibration with
// times a little out of order, and heartbeats. The last one is so much later that
// everything is decided by it.
func tell(rng *rand.Rand) []message {
	at := start
	var out []message
	add := func(topic, payload string) {
		out = append(out, message{id: len(out), at: at, topic: topic, payload: payload})
	}
	reading := func(device, temp int, vib float64, late event.Duration) {
		add(fmt.Sprintf("t/%d", device), fmt.Sprintf(`{"n":%d,"ts":%q,"temp":%d,"vib":%.1f}`, len(out), at.Add(-late), temp, vib))
	}
	for range 20 + rng.IntN(30) {
		at = at.Add(event.Duration(rng.IntN(4e9)))
		if rng.IntN(6) == 0 {
			add(fmt.Sprintf("beat/%d", rng.IntN(2)), fmt.Sprintf(`{"n":%d}`, len(out)))
			continue
		}
		reading(rng.IntN(3), 60+5*rng.IntN(9), float64(rng.IntN(30))/10, event.Duration(rng.IntN(6e9)))
	}
	at = at.Add(600e9)
	reading(9, 20, 0, 0)
	return out
}

// broker keeps messages for a client with a session: what was not acknowledged
// it sends again, in order, on the next connection.
type broker struct {
	queue    []message
	inflight []message // sent, and not acknowledged
	conn     int       // number of the connection; 0: none
	last     int       // number of the last connection
}

// window is how many messages may be on their way without an acknowledgement.
const window = 6

func (b *broker) connect() int {
	b.last++
	b.conn = b.last
	return b.conn
}

func (b *broker) hangUp() {
	b.conn = 0
	for i := range b.inflight {
		b.inflight[i].again = true
	}
	b.queue = append(b.inflight, b.queue...)
	b.inflight = nil
}

// send sends the next message, if there is one and the client may have it.
func (b *broker) send() (message, bool) {
	if b.conn == 0 || len(b.queue) == 0 || len(b.inflight) == window {
		return message{}, false
	}
	m := b.queue[0]
	b.queue = b.queue[1:]
	b.inflight = append(b.inflight[:len(b.inflight):len(b.inflight)], m)
	return m, true
}

// ack takes an acknowledgement. It counts on the connection on which the message
// was sent.
func (b *broker) ack(id, conn int) {
	if conn == b.conn {
		b.inflight = slices.DeleteFunc(b.inflight, func(m message) bool { return m.id == id })
	}
}
