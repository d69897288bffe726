package mqtt

import (
	"context"
	"time"

	"github.com/cepd/cepd/event"
)

// The clients that a [Config] may name.
const (
	// ClientNative is the reader of this package: it does what a source needs,
	// at half of the cost or less.
	ClientNative = "native"
	// ClientPaho is Eclipse Paho, which also speaks WebSocket.
	ClientPaho = "paho"
)

// client is one connection of a client whose session is kept, from the broker's
// answer on. What it receives it gives to [connection.receive] one after the
// other, and to [connection.end] why it has ended.
type client interface {
	// start lets messages in.
	start()
	// subscribe asks for topics, and gives up some before. It returns those that
	// the broker refused.
	subscribe(ctx context.Context, wanted map[string]byte, unwanted []string) (refused []string, err error)
	// ack acknowledges a message, at the latest when flush is called. Both are
	// called by one goroutine, and may block for as long as the connection lasts.
	ack(p *pending)
	flush()
	// disconnect says goodbye, if that is still possible, and returns when
	// nothing more comes.
	disconnect()
}

// message is a message as a client hands it over. Its ack is the zero value if
// it needs none.
type message struct {
	record event.Record
	ack    pending
}

// receive takes messages over from the client. Where there is no room it waits for
// some, but not for as long as a ping may be late.
func (c *connection) receive(messages []message) {
	var late <-chan time.Time
	for len(messages) > 0 && c.alive() { // else what comes now will come again
		o := c.source.buffer.offer(messages)
		c.source.count(func(t *Status) {
			t.Messages += o.messages
			t.Bytes += o.bytes
			t.Duplicates += o.duplicates
			t.Shed += o.shed
		})
		if !o.full {
			return
		}
		messages = messages[o.messages+o.shed:]
		if late == nil {
			late = time.After(c.source.cfg.fullFor)
		}
		if !c.waitForRoom(late) {
			c.end(errFull)
		}
	}
}

// waitForRoom waits until half of the buffer may be free, or the connection has
// ended, but not longer than until it is late. Meanwhile what was read before is
// acknowledged. If the connection ended at once, a broker that sends more in that
// time than the buffer holds would send the same again and again.
func (c *connection) waitForRoom(late <-chan time.Time) bool {
	select {
	case <-c.source.buffer.room:
		if !c.alive() {
			signal(c.source.buffer.room) // it is for whoever connects again
		}
	case <-c.ended:
	case <-late:
		return false
	}
	return true
}
