package mqtt

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/mqttconn"
)

// What we write is what Paho reads.
func TestPacketsWritten(t *testing.T) {
	for _, h := range []hello{{clientID: "c", keepAlive: 30}, {"cepd", "user", "", 1}, {"cepd", "user", strings.Repeat("p", 300), 65535}} {
		p := read[*packets.ConnectPacket](t, appendConnect(nil, h))
		got := hello{p.ClientIdentifier, p.Username, string(p.Password), int(p.Keepalive)}
		if got != h || p.CleanSession || p.ProtocolVersion != 4 || p.ProtocolName != "MQTT" || p.Validate() != packets.Accepted {
			t.Errorf("got %+v of %+v", p, h)
		}
	}
	sub := read[*packets.SubscribePacket](t, appendFilters(nil, 7, []string{"a/#", "b"}, []byte{1, 0}))
	if sub.MessageID != 7 || !slices.Equal(sub.Topics, []string{"a/#", "b"}) || !bytes.Equal(sub.Qoss, []byte{1, 0}) {
		t.Error(sub)
	}
	unsub := read[*packets.UnsubscribePacket](t, appendFilters(nil, 8, []string{"a/#"}, nil))
	if unsub.MessageID != 8 || !slices.Equal(unsub.Topics, []string{"a/#"}) {
		t.Error(unsub)
	}
	if ack := read[*packets.PubackPacket](t, appendPuback(nil, 0x1234)); ack.MessageID != 0x1234 {
		t.Error(ack)
	}
	read[*packets.PingreqPacket](t, appendHeader(nil, packetPingreq<<4, 0))
	read[*packets.DisconnectPacket](t, appendHeader(nil, packetDisconnect<<4, 0))
}

func read[P packets.ControlPacket](t *testing.T, b []byte) P {
	t.Helper()
	r := bytes.NewReader(b)
	cp, err := packets.ReadPacket(r)
	if err != nil || r.Len() > 0 {
		t.Fatalf("%x: %v, %d bytes left", b, err, r.Len())
	}
	p, ok := cp.(P)
	if !ok {
		t.Fatalf("%x is a %T", b, cp)
	}
	return p
}

func written(t *testing.T, p packets.ControlPacket) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stream returns packets as Paho writes them, and the messages in them.
func stream(t *testing.T, rng *rand.Rand, n int) (b []byte, want []string) {
	for i := range n {
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.TopicName, p.Qos = fmt.Sprintf("plant/p%d", rng.IntN(5)), byte(rng.IntN(2))
		p.Dup, p.Retain, p.MessageID = rng.IntN(2) == 0 && p.Qos > 0, rng.IntN(2) == 0, uint16(i)+1
		size := rng.IntN(300)
		switch rng.IntN(20) {
		case 0:
			size = rng.IntN(3 * chunkBytes)
		case 1:
			size = maxPacket + rng.IntN(1000)
		}
		p.Payload = bytes.Repeat([]byte{byte('a' + i%26)}, size)
		b = append(b, written(t, p)...)
		want = append(want, fmt.Sprint(p.TopicName, p.Qos, p.Dup, p.Retain, p.MessageID*uint16(p.Qos), min(size, maxPayload), p.Payload[:min(size, 1)]))
		if rng.IntN(4) == 0 {
			b = append(b, written(t, packets.NewControlPacket(packets.Pingresp))...)
		}
	}
	return b, want
}

// However the bytes of a stream come, its packets are the same, and memory that
// was handed over is not written again.
func TestPacketsRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		b, want := stream(t, rng, 60)
		from := io.Reader(bytes.NewReader(b))
		switch rng.IntN(3) {
		case 0:
			from = &pieces{b, rng}
		case 1:
			from = iotest.DataErrReader(from)
		}
		n := &native{c: &connection{source: &Source{}}, topics: map[string]string{}, in: chunks{from: from}}
		var err error
		for err == nil {
			first, body, cut, ok, bad := n.in.next()
			switch {
			case bad != nil:
				t.Fatal(bad)
			case ok:
				err = n.packet(first, body, cut)
			default:
				err = n.in.fill()
			}
		}
		if err != io.EOF {
			t.Fatal(err)
		}
		var got []string
		for _, m := range n.messages {
			r := m.record
			if bytes.Count(r.Payload, r.Payload[:min(1, len(r.Payload))]) < len(r.Payload) {
				t.Fatalf("the payload of %s is mixed", r.Topic)
			}
			got = append(got, fmt.Sprint(r.Topic, r.Flags.QoS(), r.Flags.Dup(), r.Flags.Retained(), m.ack.id, len(r.Payload), r.Payload[:min(1, len(r.Payload))]))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %d messages, want %d", len(got), len(want))
		}
	}
}

// pieces gives a stream in pieces of random sizes.
type pieces struct {
	b   []byte
	rng *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:1+p.rng.IntN(len(b))], p.b)
	p.b = p.b[n:]
	return n, nil
}

// FuzzPackets: whatever a broker sends is a message, an error, or not yet
// complete; and what Paho reads as a message is the same one to us.
func FuzzPackets(f *testing.F) {
	f.Add([]byte{0x30, 5, 0, 1, 'a', 'x', 'y'})
	f.Add([]byte{0x3b, 6, 0, 1, 'a', 0, 7, 'x', 0xd0, 0})
	f.Add([]byte{0x90, 3, 0, 1, 0x80, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := &native{c: &connection{source: &Source{}}, topics: map[string]string{}, in: chunks{from: bytes.NewReader(b)}}
		var err error
		for err == nil {
			first, body, cut, ok, bad := n.in.next()
			switch {
			case bad != nil:
				err = bad
			case ok:
				err = n.packet(first, body, cut)
			default:
				err = n.in.fill()
			}
		}
		r := bytes.NewReader(b)
		for _, m := range n.messages {
			p, err := packets.ReadPacket(r)
			for err == nil {
				if _, ok := p.(*packets.PublishPacket); ok {
					break
				}
				p, err = packets.ReadPacket(r)
			}
			if err != nil {
				return // Paho is stricter about other packets
			}
			pub := p.(*packets.PublishPacket)
			if m.record.Topic != pub.TopicName || !bytes.Equal(m.record.Payload, pub.Payload) || m.ack.id != pub.MessageID || m.record.Flags.QoS() != int(pub.Qos) {
				t.Fatalf("%+v, and Paho says %v", m, pub)
			}
		}
	})
}

// line is a connection to a broker that the test plays.
func line(t *testing.T, keepAlive time.Duration) (*connection, net.Conn) {
	ours, theirs := net.Pipe()
	return lineOver(t, keepAlive, ours, theirs), theirs
}

func lineOver(t *testing.T, keepAlive time.Duration, ours, theirs net.Conn) *connection {
	cfg := Config{Name: "plant", Conn: mqttconn.Config{KeepAlive: keepAlive}, Now: func() event.Time { return 1 }}
	cfg.EnsureDefaults()
	c := &connection{source: &Source{cfg: cfg, buffer: newBuffer(1 << 20)}, ended: make(chan struct{})}
	n := &native{c: c, conn: ours, raw: plain(ours), in: chunks{from: ours}, done: make(chan struct{}), topics: map[string]string{}, wrote: time.Now()}
	c.client = n
	n.start()
	t.Cleanup(func() { theirs.Close(); n.disconnect() })
	return c
}

// A silent line is pinged, and given up when nobody answers.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c, broker := line(t, time.Minute)
		for range 3 { // answered
			read[*packets.PingreqPacket](t, readBytes(t, broker, 2))
			if _, err := broker.Write([]byte{packetPingresp << 4, 0}); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d != 3*time.Minute {
			t.Errorf("three pings took %v", d)
		}
		readBytes(t, broker, 2) // and one that is not
		<-c.ended
		if d := time.Since(begin); d != 4*time.Minute+pingTimeout || !strings.Contains(c.reason.Error(), "does not answer a ping") {
			t.Errorf("ended after %v: %v", d, c.reason)
		}
	})
}

// A broker that sends all the time, and gets no acknowledgements, is pinged
// too: it would take us for dead.
func TestPingsWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, broker := line(t, time.Minute)
		pinged := make(chan time.Time, 1)
		go func() {
			b := make([]byte, 2)
			if _, err := io.ReadFull(broker, b); err == nil {
				pinged <- time.Now()
			}
		}()
		begin := time.Now()
		for i := 0; ; i++ {
			select {
			case at := <-pinged:
				if d := at.Sub(begin); d > time.Minute {
					t.Errorf("pinged after %v", d)
				}
				if c.source.buffer.held() == 0 {
					t.Error("nothing was read")
				}
				return
			case <-time.After(10 * time.Second):
				if _, err := broker.Write([]byte{0x30, 4, 0, 1, 'a', 'x'}); err != nil || i > 10 {
					t.Fatal(i, err)
				}
			}
		}
	})
}

func readBytes(t *testing.T, conn net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// What a broker must not send ends the connection, with a word why.
func TestBadBroker(t *testing.T) {
	for send, want := range map[string]string{
		"\x34\x05\x00\x01a\x00\x01": "QoS 2",
		"\x10\x00":                  "type 1",
		"\x30\x01\x00":              "ends too early",
		"\x30\xff\xff\xff\xff\x01":  "more than four bytes",
		"\x30\x03\x00\x01\xff":      "no UTF-8",
		"\x90\x01\x00":              "ends too early",
	} {
		c, broker := line(t, time.Minute)
		if _, err := broker.Write([]byte(send)); err != nil {
			t.Fatal(err)
		}
		<-c.ended
		if !strings.Contains(c.reason.Error(), want) {
			t.Errorf("after %q: %v, want %q", send, c.reason, want)
		}
	}
}

// Who answers a connect, and how.
func TestGreetings(t *testing.T) {
	for answer, want := range map[string]string{
		"\x20\x02\x00\x00":         "",
		"\x20\x02\x01\x00":         "",
		"\x20\x02\x00\x04":         "refuses user and password",
		"\x20\x02\x00\x09":         "code 9",
		"HTTP/1.1 400 Bad Request": "no MQTT broker",
		"\x20\x02":                 "waiting for the broker's answer",
	} {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = packets.ReadPacket(theirs)
			_, _ = io.WriteString(theirs, answer)
			if len(answer) < 4 {
				theirs.Close()
			}
		}()
		session, err := (&native{conn: ours}).greet(hello{clientID: "c", keepAlive: 30}, patience)
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && !strings.Contains(got, want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
		if session != (answer[2:] == "\x01\x00") {
			t.Errorf("%q: session %v", answer, session)
		}
		ours.Close()
		theirs.Close()
	}
}
