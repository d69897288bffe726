package mqtt

import (
	"context"

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

// receive takes messages over from the client. It does not block.
func (c *connection) receive(messages []message) {
	if !c.alive() || len(messages) == 0 {
		return // what comes now will come again
	}
	o := c.source.buffer.offer(messages)
	c.source.count(func(t *Status) {
		t.Messages += o.messages
		t.Bytes += o.bytes
		t.Duplicates += o.duplicates
		t.Shed += o.shed
	})
	if o.full {
		c.end(errFull)
	}
}
