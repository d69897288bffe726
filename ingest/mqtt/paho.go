package mqtt

import (
	"context"
	"slices"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/cepd/cepd/event"
)

// disconnectWait bounds a polite goodbye, in milliseconds.
const disconnectWait = 250

// pahoClient is a [client] by Eclipse Paho. Each connection has one of its own:
// a client that is used again could send the acknowledgements of the last
// connection on the next one.
type pahoClient struct {
	paho.Client
	c     *connection
	begun chan struct{} // closed when messages may come in
}

// dialPaho connects, up to the broker's answer.
func dialPaho(ctx context.Context, c *connection) (session bool, err error) {
	options, err := c.source.cfg.Conn.Options()
	if err != nil {
		return false, err
	}
	p := &pahoClient{c: c, begun: make(chan struct{})}
	options.SetCleanSession(false)
	options.SetAutoReconnect(false)
	options.SetConnectRetry(false)
	options.SetAutoAckDisabled(true)
	options.SetOrderMatters(true)
	options.SetStore(noStore{})
	options.SetDefaultPublishHandler(p.receive)
	options.SetConnectionLostHandler(func(_ paho.Client, err error) { c.end(err) })
	p.Client = paho.NewClient(options)
	token := p.Connect()
	select {
	case <-token.Done():
	case <-ctx.Done():
		c.end(errClosed)
		p.Disconnect(0) // the client gives up by itself, after the timeout at the latest
		return false, ctx.Err()
	}
	if err := token.Error(); err != nil {
		return false, err
	}
	c.client = p
	return token.(*paho.ConnectToken).SessionPresent(), nil
}

func (p *pahoClient) start() { close(p.begun) }

func (p *pahoClient) disconnect() { p.Disconnect(disconnectWait) }

func (p *pahoClient) ack(m *pending) { m.paho.Ack() }

func (p *pahoClient) flush() {}

func (p *pahoClient) subscribe(ctx context.Context, wanted map[string]byte, unwanted []string) (refused []string, err error) {
	if len(unwanted) > 0 {
		p.Unsubscribe(unwanted...) // nothing depends on the answer
	}
	token := p.SubscribeMultiple(wanted, nil)
	select {
	case <-token.Done():
	case <-p.c.ended:
		return nil, p.c.reason
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := token.Error(); err != nil {
		return nil, err
	}
	for filter, code := range token.(*paho.SubscribeToken).Result() {
		if code > 2 {
			refused = append(refused, filter)
		}
	}
	return refused, nil
}

// receive takes a message over from the client, which calls it for one after
// the other.
func (p *pahoClient) receive(_ paho.Client, m paho.Message) {
	select {
	case <-p.begun: // our own goroutine has seen the broker's answer
	case <-p.c.ended:
		return
	}
	r := p.c.source.record(event.KindMessage, p.c.number)
	r.Topic, r.Payload, r.Flags = m.Topic(), m.Payload(), flags(m)
	if len(r.Payload) > maxPayload {
		r.Payload = slices.Clone(r.Payload[:maxPayload])
	}
	one := message{record: r}
	if m.Qos() > 0 {
		one.record.Packet = m.MessageID()
		one.ack = pending{conn: p.c, paho: m}
	}
	p.c.receive([]message{one})
}

func flags(m paho.Message) event.Flags {
	f := event.Flags(m.Qos())
	if m.Duplicate() {
		f |= event.FlagDup
	}
	if m.Retained() {
		f |= event.FlagRetained
	}
	return f
}

// noStore is the client's store of messages. The broker and the log keep what
// must be kept.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
