package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/mosquitto"
	"github.com/cepd/cepd/mqttconn"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// brokers are what the tests run against.
var brokers = []struct {
	name  string
	start func(t *testing.T) (address string)
}{{"mochi", startMochi}, {"mosquitto", func(t *testing.T) string { return mosquitto.Start(t) }}}

// testHook lets everybody in who has the right password, and hides topics.
type testHook struct {
	broker.HookBase
	acks atomic.Int64 // PUBACK packets received
}

func (*testHook) ID() string { return "test" }

func (*testHook) Provides(b byte) bool {
	return b == broker.OnConnectAuthenticate || b == broker.OnACLCheck || b == broker.OnPacketRead
}

func (*testHook) OnConnectAuthenticate(_ *broker.Client, p packets.Packet) bool {
	return string(p.Connect.Password) != "wrong"
}

func (*testHook) OnACLCheck(_ *broker.Client, topic string, _ bool) bool {
	return !strings.HasPrefix(topic, "secret")
}

func (h *testHook) OnPacketRead(_ *broker.Client, p packets.Packet) (packets.Packet, error) {
	if p.FixedHeader.Type == packets.Puback {
		h.acks.Add(1)
	}
	return p, nil
}

func startMochi(t *testing.T) string {
	_, address := startMochiWith(t, nil)
	return address
}

func startMochiWith(t *testing.T, c *tls.Config) (*testHook, string) {
	t.Helper()
	b := broker.New(&broker.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	hook := &testHook{}
	if err := b.AddHook(hook, nil); err != nil {
		t.Fatal(err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "test", Address: "127.0.0.1:0", TLSConfig: c})
	if err := b.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return hook, l.Address()
}

// proxy stands between a source and its broker, and can cut the line.
type proxy struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended; p.cut() })
	go func() {
		defer close(ended)
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			go forward(out, in)
			go forward(in, out)
		}
	}()
	return p
}

// forward closes one direction only, so that what was sent last arrives.
func forward(to, from net.Conn) {
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// cut closes all connections at once.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// publisher is another client of a broker.
type publisher struct {
	t      *testing.T
	client paho.Client
}

func newPublisher(t *testing.T, address string) *publisher {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("publisher").SetProtocolVersion(4)
	c := paho.NewClient(o)
	if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal("the publisher cannot connect:", token.Error())
	}
	t.Cleanup(func() { c.Disconnect(50) })
	return &publisher{t, c}
}

func (p *publisher) publish(topic, payload string, qos byte, retained bool) {
	p.t.Helper()
	if token := p.client.Publish(topic, qos, retained, payload); !token.WaitTimeout(patience) || token.Error() != nil {
		p.t.Fatal("cannot publish:", token.Error())
	}
}

// settle waits until the broker has dealt with all that was published: mochi
// acknowledges a message before it has, but takes one after the other.
func (p *publisher) settle() {
	p.t.Helper()
	p.publish("nobody", "", 1, false)
}

// configFor returns a configuration whose clock counts.
func configFor(address string) Config {
	var now atomic.Int64
	return Config{
		Name:          "plant",
		Conn:          mqttconn.Config{URL: "mqtt://" + address, ClientID: "cepd-test"},
		Client:        testClient,
		Subscriptions: []Subscription{{"plant/#", 1}},
		MinBackoff:    time.Millisecond,
		Now:           func() event.Time { return event.Time(now.Add(1)) },
	}
}

func newSource(t *testing.T, cfg Config) *Source {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// reader reads a source record by record.
type reader struct {
	t      *testing.T
	source *Source
	left   []event.Record
	acks   []func(error) // of the batches read so far
}

// next returns the next record, as kind, connection, flags, topic, payload.
func (r *reader) next() string {
	r.t.Helper()
	for len(r.left) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		batch, err := r.source.Read(ctx)
		cancel()
		if err != nil {
			r.t.Fatalf("reading: %v; status %+v", err, r.source.Status())
		}
		r.left = batch.Records
		r.acks = append(r.acks, batch.Ack)
	}
	e := r.left[0]
	r.left = r.left[1:]
	if e.Source != "plant" || e.Arrival == 0 {
		r.t.Errorf("bad record %+v", e)
	}
	text := fmt.Sprintf("%s %d", e.Kind, e.Conn)
	if e.Flags.Dup() {
		text += " dup"
	}
	if e.Flags.Retained() {
		text += " retained"
	}
	if e.Flags.Lost() {
		text += " lost"
	}
	if e.Flags.Session() {
		text += " session"
	}
	if e.Kind == event.KindMessage {
		text += fmt.Sprintf(" q%d %s %s", e.Flags.QoS(), e.Topic, e.Payload)
	}
	return text
}

func (r *reader) want(records ...string) {
	r.t.Helper()
	for _, want := range records {
		if got := r.next(); got != want {
			r.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantPerhapsAgain expects a message that the broker may have sent on the
// last connection too, since it had not yet seen its end.
func (r *reader) wantPerhapsAgain(message string) {
	r.t.Helper()
	if got := strings.Replace(r.next(), " dup", "", 1); got != message {
		r.t.Fatalf("got %q, want %q", got, message)
	}
}

// ack acknowledges everything read so far.
func (r *reader) ack(err error) {
	for _, ack := range r.acks {
		ack(err)
	}
	r.acks = nil
}

// up expects a source up, and waits until the broker has answered the
// connection's subscription.
func (r *reader) up(record string) {
	r.t.Helper()
	r.want(record)
	r.until("subscribed", func(t Status) bool { return t.Subscribed })
}

// until waits until the source's status is as it should be.
func (r *reader) until(what string, is func(Status) bool) {
	r.t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for end := time.After(patience); !is(r.source.Status()); {
		select {
		case <-ticker.C:
		case <-end:
			r.t.Fatalf("it is not %s; status %+v", what, r.source.Status())
		}
	}
}
