package mqtt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/cepd/cepd/event"
)

// native is a [client] that does what a source needs, and nothing else: it
// subscribes, hands messages over, acknowledges and pings. It reads packets
// straight into the memory that records share, hands over what has come
// together, and writes acknowledgements together.
//
// It has one goroutine, which reads. Pings are sent by it too: whenever it has
// waited, or read, for as long as the connection may be silent.
type native struct {
	c    *connection
	conn net.Conn
	raw  syscall.RawConn // of conn; nil where something is between, such as TLS
	in   chunks
	done chan struct{} // closed when the goroutine has ended

	// Of the reading goroutine.
	messages []message
	topics   map[string]string
	pinged   bool // and the broker has not answered
	pace     pace
	deaf     bool      // to what comes; see heed
	dry      bool      // nothing came during the last rest
	until    time.Time // a read waits no longer

	write    sync.Mutex // guards all below
	out      []byte
	wrote    time.Time
	answered chan answer // to a subscribe packet; nil while none waits
}

// answer is what the broker grants to each filter of a subscribe packet.
type answer []byte

// chunkBytes is how much memory is taken at once for what comes. Records keep
// a whole chunk as long as they are held, so it is no larger than a few hundred
// messages need.
const chunkBytes = 32 << 10

// maxTopics is how many topics a connection remembers, so that the records of
// one topic share its text.
const maxTopics = 1 << 14

// subscribeID is the packet id of the only subscribe packet of a connection.
// That of the unsubscribe packet is the next one.
const subscribeID = 1

// dialNative connects, up to the broker's answer.
func dialNative(ctx context.Context, c *connection) (session bool, err error) {
	cfg := c.source.cfg.Conn
	user, password, err := cfg.Login()
	if err != nil {
		return false, err
	}
	conn, err := cfg.Dial(ctx)
	if err != nil {
		return false, err
	}
	n := &native{
		c: c, conn: conn, raw: plain(conn), done: make(chan struct{}), topics: map[string]string{}, wrote: time.Now(),
		in: chunks{from: conn},
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // a broker that says nothing does not hold up Close
	session, err = n.greet(hello{cfg.ClientID, user, password, int(cfg.KeepAlive / time.Second)}, cfg.ConnectTimeout)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return false, err
	}
	c.client = n
	return session, nil
}

// greet sends the first packet and reads the first of the broker. It reads no
// byte more, so that what follows is read by chunks.
func (n *native) greet(h hello, timeout time.Duration) (session bool, err error) {
	if err := n.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return false, err
	}
	if _, err := n.conn.Write(appendConnect(nil, h)); err != nil {
		return false, err
	}
	var b [4]byte
	if _, err := io.ReadFull(n.conn, b[:]); err != nil {
		return false, fmt.Errorf("waiting for the broker's answer: %w", err)
	}
	first, length, size, err := header(b[:])
	if err != nil || first>>4 != packetConnack || length != len(b)-size {
		return false, errors.New("what answers is no MQTT broker")
	}
	if session, err = readConnack(b[size:]); err != nil {
		return false, err
	}
	return session, n.conn.SetDeadline(time.Time{})
}

func (n *native) start() { go n.run() }

// run reads packets until the connection ends.
func (n *native) run() {
	defer close(n.done)
	err := n.read()
	n.handOver() // what came before
	n.c.end(err)
	n.conn.Close() // a writer that waits for the broker gives up
}

func (n *native) read() error {
	for {
		first, body, cut, ok, err := n.in.next()
		if err == nil && ok {
			if err = n.packet(first, body, cut); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		n.handOver()
		if err := n.more(); err != nil {
			return err
		}
	}
}

// more waits for bytes, and pings when the connection has been silent for too
// long, to one side or the other.
func (n *native) more() error {
	silence := n.c.source.cfg.Conn.KeepAlive
	if n.pinged {
		silence = min(silence, pingTimeout)
	}
	rest := n.pace.rest
	if n.dry { // the next message is a lone one
		rest = 0
	}
	n.heed(rest == 0)
	if rest > 0 && !n.in.full() { // else there may be more already
		time.Sleep(rest)
	}
	err := n.fill(rest > 0, silence)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && rest > 0:
		n.dry = true
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && n.pinged:
		return errors.New("the broker does not answer a ping")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n.ping()
	case errors.Is(err, io.EOF):
		return errors.New("the broker has closed the connection")
	case err != nil:
		return err
	}
	n.dry = false
	n.pinged = false // whatever it sends shows that it is there
	if n.silentFor() > n.c.source.cfg.Conn.KeepAlive/2 {
		return n.ping()
	}
	return nil
}

// fill reads more. After a rest it takes what has come, or waits for no more than
// another rest; else it waits for as long as the connection may be silent.
func (n *native) fill(rested bool, silence time.Duration) error {
	now := time.Now()
	atOnce := rested && n.raw != nil
	if rested && !atOnce {
		silence = restFor
	}
	if !atOnce || n.until.Sub(now) < silence/2 { // else what was set will do
		n.until = now.Add(silence)
		if err := n.conn.SetReadDeadline(n.until); err != nil {
			return err
		}
	}
	if atOnce {
		return n.in.fillBy(func(b []byte) (int, error) { return readNow(n.raw, b) })
	}
	return n.in.fill()
}

// heed says whether what comes is to wake this process. While the reader rests
// nothing but the end of the rest needs to, where the system can be told so.
func (n *native) heed(all bool) {
	if n.deaf != all {
		return
	}
	n.deaf = !all
	least := 1
	if n.deaf {
		least = chunkBytes
	}
	wakeAt(n.conn, least)
}

// pingTimeout bounds how long a broker may take to answer a ping.
const pingTimeout = 10 * time.Second

func (n *native) silentFor() time.Duration {
	n.write.Lock()
	defer n.write.Unlock()
	return time.Since(n.wrote)
}

func (n *native) ping() error {
	n.pinged = true
	return n.send(func(b []byte) []byte { return appendHeader(b, packetPingreq<<4, 0) })
}

// send appends a packet and writes all that is there to be written.
func (n *native) send(packet func(b []byte) []byte) error {
	n.write.Lock()
	defer n.write.Unlock()
	n.out = packet(n.out)
	return n.writeOut()
}

// writeOut writes what was appended; n.write is held.
func (n *native) writeOut() error {
	if len(n.out) == 0 {
		return nil
	}
	n.wrote = time.Now()
	err := n.conn.SetWriteDeadline(n.wrote.Add(n.c.source.cfg.Conn.WriteTimeout))
	if err == nil {
		_, err = n.conn.Write(n.out)
	}
	n.out = n.out[:0]
	if err == nil && n.raw != nil { // which ackNow is not to come up against
		err = n.conn.SetWriteDeadline(time.Time{})
	}
	return err
}

// packet takes one packet. cut says how many bytes are missing at its end.
func (n *native) packet(first byte, body []byte, cut int) error {
	switch kind := first >> 4; kind {
	case packetPublish:
		return n.publish(first, body)
	case packetSuback:
		if len(body) < 2 || cut > 0 {
			return errTooShort
		}
		n.answer(binary.BigEndian.Uint16(body), body[2:])
	case packetPingresp, packetUnsuback, packetPuback: // nothing depends on them
	default:
		return fmt.Errorf("the broker sends a packet of type %d, which no reader gets", kind)
	}
	return nil
}

// answer hands the broker's answer to who waits for it.
func (n *native) answer(id uint16, granted []byte) {
	n.write.Lock()
	defer n.write.Unlock()
	if id == subscribeID && n.answered != nil {
		n.answered <- slices.Clone(granted)
		n.answered = nil
	}
}

// publish takes a message.
func (n *native) publish(first byte, body []byte) error {
	p, err := readPublish(first, body)
	if err != nil {
		return err
	}
	if p.qos() > 1 {
		return fmt.Errorf("the broker sends a message of QoS %d, which was not asked for; the session may have an old subscription: use another client_id, or client: paho", p.qos())
	}
	topic, err := n.topic(p.topic)
	if err != nil {
		return err
	}
	m := message{record: event.Record{
		Kind: event.KindMessage, Source: n.c.source.cfg.Name, Conn: n.c.number,
		Topic: topic, Payload: p.payload[:min(len(p.payload), maxPayload)], Flags: event.Flags(p.qos()),
	}}
	if p.flags&8 != 0 {
		m.record.Flags |= event.FlagDup
	}
	if p.flags&1 != 0 {
		m.record.Flags |= event.FlagRetained
	}
	if p.qos() > 0 {
		m.record.Packet = p.id
		m.ack = pending{conn: n.c, id: p.id}
	}
	n.messages = append(n.messages, m)
	return nil
}

// topic returns the text of a topic.
func (n *native) topic(b []byte) (string, error) {
	if t, ok := n.topics[string(b)]; ok {
		return t, nil
	}
	if !utf8.Valid(b) {
		return "", errors.New("the broker sends a topic that is no UTF-8")
	}
	if len(n.topics) == maxTopics {
		clear(n.topics)
	}
	t := string(b)
	n.topics[t] = t
	return t, nil
}

// handOver hands over the messages that have come.
func (n *native) handOver() {
	if len(n.messages) == 0 {
		return
	}
	now := n.c.source.cfg.Now()
	for i := range n.messages {
		n.messages[i].record.Arrival = now
	}
	n.c.receive(n.messages)
	n.pace.took(len(n.messages), time.Now())
	clear(n.messages)
	n.messages = n.messages[:0]
}

func (n *native) subscribe(ctx context.Context, wanted map[string]byte, unwanted []string) (refused []string, err error) {
	filters := slices.Sorted(maps.Keys(wanted))
	var qos []byte
	for _, f := range filters {
		qos = append(qos, wanted[f])
	}
	granted := make(chan answer, 1)
	n.write.Lock()
	n.answered = granted
	n.write.Unlock()
	err = n.send(func(b []byte) []byte {
		if len(unwanted) > 0 {
			b = appendFilters(b, subscribeID+1, unwanted, nil)
		}
		return appendFilters(b, subscribeID, filters, qos)
	})
	if err != nil {
		return nil, err
	}
	select {
	case codes := <-granted:
		if len(codes) != len(filters) {
			return nil, errTooShort
		}
		for i, code := range codes {
			if code > 2 {
				refused = append(refused, filters[i])
			}
		}
		return refused, nil
	case <-n.c.ended:
		return nil, n.c.reason
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// maxOut is how many bytes of acknowledgements are written at once.
const maxOut = 4 << 10

// ackNow acknowledges messages as far as that can be done without waiting. What
// is not written then is written by the next flush.
func (n *native) ackNow(messages []pending) (written bool) {
	if n.raw == nil || !n.write.TryLock() {
		return false
	}
	defer n.write.Unlock()
	for i := range messages {
		n.out = appendPuback(n.out, messages[i].id)
		messages[i].id = 0
	}
	n.wrote = time.Now()
	k, err := writeNow(n.raw, n.out)
	n.out = n.out[:copy(n.out, n.out[k:])]
	n.sent(err)
	return len(n.out) == 0
}

func (n *native) ack(p *pending) {
	n.write.Lock()
	defer n.write.Unlock()
	if p.id != 0 { // else it is in n.out
		n.out = appendPuback(n.out, p.id)
	}
	if len(n.out) >= maxOut {
		n.sent(n.writeOut())
	}
}

func (n *native) flush() {
	n.write.Lock()
	defer n.write.Unlock()
	n.sent(n.writeOut())
}

// sent ends the connection if acknowledgements could not be written.
func (n *native) sent(err error) {
	if err != nil {
		n.c.end(fmt.Errorf("acknowledging: %w", err))
	}
}

// goodbye bounds how long a broker may take to close the connection, once it
// was told.
const goodbye = 250 * time.Millisecond

// disconnect leaves it to the broker to close the connection: if we did, while
// messages are on their way to us, the last acknowledgements could be lost with
// it.
func (n *native) disconnect() {
	if n.write.TryLock() { // else the broker does not even read acknowledgements
		n.out = appendHeader(n.out, packetDisconnect<<4, 0)
		err := n.writeOut()
		n.write.Unlock()
		if err == nil {
			select {
			case <-n.done:
			case <-time.After(goodbye):
			}
		}
	}
	n.conn.Close()
	<-n.done
}
