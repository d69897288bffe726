package mqtt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/internal/leak"
	"github.com/cepd/cepd/internal/mosquitto"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(publishEnv); task != "" {
		publishAll(task)
		return
	}
	leak.Main(m)
}

// testClient is the client that sources of the test at hand use.
var testClient = ClientNative

// forClients runs a test with each client.
func forClients(t *testing.T, test func(t *testing.T)) {
	for _, client := range []string{ClientNative, ClientPaho} {
		testClient = client
		t.Run(client, test)
	}
}

// forBrokers runs a test with each client and broker, with a source behind a
// proxy. Paho has the real broker only: with Mochi, the last acknowledgements
// of a connection sometimes come too late.
func forBrokers(t *testing.T, test func(t *testing.T, address string, line *proxy)) {
	forClients(t, func(t *testing.T) {
		for _, b := range brokers {
			if b.name == "mochi" && testClient == ClientPaho {
				continue
			}
			t.Run(b.name, func(t *testing.T) {
				address := b.start(t)
				test(t, address, startProxy(t, address))
			})
		}
	})
}

func TestDelivery(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		p.publish("plant/kept", "0", 1, true)
		p.settle()
		cfg := configFor(line.address())
		cfg.Subscriptions = append(cfg.Subscriptions, Subscription{"other/+/x", 0}, Subscription{"plant/+", 0})
		r := &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 1")
		r.want("message 1 retained q1 plant/kept 0")
		for _, m := range []struct {
			topic string
			qos   byte
		}{{"plant/a", 0}, {"plant/b", 1}, {"other/a/x", 1}, {"other/a/y", 1}, {"plant/c/d", 1}, {"plant/e", 0}} {
			p.publish(m.topic, "1", m.qos, false)
		}
		r.want("message 1 q0 plant/a 1", "message 1 q1 plant/b 1", "message 1 q0 other/a/x 1", "message 1 q1 plant/c/d 1", "message 1 q0 plant/e 1")
		r.ack(nil)
		r.until("counted", func(s Status) bool { return s.Messages == 6 })
		if s := r.source.Status(); s.Messages != 6 || s.Bytes != 6 || s.Duplicates != 0 || s.Shed != 0 || s.Err != nil || s.Buffered != 0 || !s.Connected {
			t.Errorf("status %+v", s)
		}
	})
}

// What is not acknowledged comes again, and what is does not.
func TestRedelivery(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		cfg := configFor(line.address())
		r := &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 1")
		p.publish("plant/a", "1", 1, false)
		r.want("message 1 q1 plant/a 1")
		line.cut()
		r.want("source down 1")
		r.up("source up 2 session")
		r.want("message 2 dup q1 plant/a 1")
		r.ack(nil) // the first of the two belongs to a connection that is gone
		p.publish("plant/b", "2", 1, false)
		r.want("message 2 q1 plant/b 2")
		r.source.Close() // sends the acknowledgement of the second plant/a

		cfg.LastConn = r.source.Status().Conn
		if dropped := r.source.Status().AcksDropped; dropped != 1 {
			t.Errorf("%d acknowledgements dropped, want 1", dropped)
		}
		r = &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 3 session")
		p.publish("plant/c", "3", 1, false)
		r.want("message 3 dup q1 plant/b 2", "message 3 q1 plant/c 3")
		r.ack(nil)
		r.source.Close()
		if _, err := r.source.Read(context.Background()); err != ingest.ErrClosed {
			t.Errorf("reading a closed source: %v", err)
		}

		cfg.LastConn = 0
		p.publish("plant/d", "4", 1, false)
		r = &reader{t: t, source: newSource(t, cfg)}
		r.want("source up 1 session")
		r.wantPerhapsAgain("message 1 q1 plant/d 4")
	})
}

// A batch that could not be kept comes again at once, and the one before it
// does not.
func TestRefusedByTheLog(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		r := &reader{t: t, source: newSource(t, configFor(line.address()))}
		r.up("source up 1")
		p.publish("plant/a", "1", 1, false)
		r.want("message 1 q1 plant/a 1")
		p.publish("plant/b", "2", 1, false)
		r.want("message 1 q1 plant/b 2")
		r.acks[len(r.acks)-2](nil)
		r.acks[len(r.acks)-1](errors.New("the disk is full"))
		r.want("source down 1", "source up 2 session", "message 2 dup q1 plant/b 2")
		r.until("counted", func(s Status) bool { return s.Duplicates == 1 })
	})
}

// A broker that has forgotten the session is asked for the topics again.
func TestSubscribesOnEveryConnection(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		r := &reader{t: t, source: newSource(t, configFor(line.address()))}
		r.up("source up 1")
		thief := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("cepd-test").
			SetProtocolVersion(4).SetCleanSession(true).SetAutoReconnect(false))
		if token := thief.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatal(token.Error())
		}
		defer thief.Disconnect(50)
		r.want("source down 1")
		// Mochi hands over even a session that is not kept, if we are back soon.
		if got := r.next(); got != "source up 2 session" && got != "source up 2 lost" {
			t.Fatalf("got %q", got)
		}
		r.until("subscribed", func(t Status) bool { return t.Subscribed })
		p.publish("plant/a", "1", 1, false)
		r.want("message 2 q1 plant/a 1")
	})
}

// However often the line is cut, every message of QoS 1 arrives, each
// connection is announced and ended, and its messages lie between. Mochi
// loses messages when a session moves to a new connection.
func TestCuts(t *testing.T) { forClients(t, testCuts) }

func testCuts(t *testing.T) {
	address := mosquitto.Start(t)
	line := startProxy(t, address)
	p := newPublisher(t, address)
	cfg := configFor(line.address())
	cfg.BatchRecords = 3
	r := &reader{t: t, source: newSource(t, cfg)}
	r.up("source up 1")
	const messages = 200
	go func() {
		for i := range messages {
			if token := p.client.Publish(fmt.Sprintf("plant/%03d", i), 1, false, "x"); !token.WaitTimeout(patience) {
				return
			}
			if i%20 == 19 {
				line.cut()
			}
		}
	}()
	seen := map[string]bool{}
	conn, up := 1, true
	for len(seen) < messages {
		fields := strings.Fields(r.next())
		r.ack(nil)
		switch kind := fields[0]; {
		case kind == "source" && fields[1] == "up":
			conn++
			if up || fields[2] != fmt.Sprint(conn) || len(fields) < 4 {
				t.Fatalf("after connection %d: %q", conn-1, fields)
			}
			up = true
		case kind == "source":
			if !up || fields[2] != fmt.Sprint(conn) {
				t.Fatalf("in connection %d: %q", conn, fields)
			}
			up = false
		default:
			if !up || fields[1] != fmt.Sprint(conn) {
				t.Fatalf("in connection %d (up: %v): %q", conn, up, fields)
			}
			seen[fields[len(fields)-2]] = true
		}
	}
	if conn == 1 {
		t.Error("the line was never cut")
	}
}

// What an earlier configuration asked for goes out of the session.
func TestUnsubscribes(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		cfg := configFor(line.address())
		cfg.Subscriptions = append(cfg.Subscriptions, Subscription{"old/#", 1})
		r := &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 1")
		p.publish("old/a", "1", 1, false)
		r.want("message 1 q1 old/a 1")
		r.ack(nil)
		r.source.Close()

		cfg.Subscriptions, cfg.Unsubscribe, cfg.LastConn = cfg.Subscriptions[:1], []string{"old/#", "plant/#"}, 1
		r = &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 2 session")
		p.publish("old/b", "1", 1, false)
		p.publish("plant/b", "1", 1, false)
		got := r.next()
		if got == "message 2 dup q1 old/a 1" { // the end of the connection was faster than its last acknowledgement
			got = r.next()
		}
		if want := "message 2 q1 plant/b 1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A session that should be there and is not is counted: what the broker had kept
// in it is lost.
func TestSessionLost(t *testing.T) {
	address := startMochi(t)
	connections := 0
	for _, c := range []struct {
		id      string
		has     bool
		lost    uint64
		session bool
	}{{"first", false, 0, false}, {"first", true, 0, true}, {"second", true, 1, false}} {
		cfg := configFor(address)
		cfg.Conn.ClientID, cfg.HasSession = c.id, c.has
		cfg.Connected = func() { connections++ }
		src := newSource(t, cfg)
		r := &reader{t: t, source: src}
		switch {
		case c.session:
			r.up("source up 1 session")
		case c.lost > 0:
			r.up("source up 1 lost")
		default:
			r.up("source up 1")
		}
		if got := src.Status().SessionsLost; got != c.lost {
			t.Errorf("%s: %d sessions lost, want %d", c.id, got, c.lost)
		}
		src.Close()
	}
	if connections != 3 {
		t.Errorf("told of %d connections, want 3", connections)
	}
}

// With a full buffer the source leaves, and comes back when there is room.
func TestFullBuffer(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		cfg := configFor(line.address())
		cfg.BufferBytes, cfg.fullFor = 3000, time.Millisecond
		r := &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 1")
		const messages = 15
		payload := strings.Repeat("x", 500)
		for i := range messages {
			p.publish(fmt.Sprintf("plant/%02d", i), payload, 1, false)
		}
		p.settle()
		r.until("paused", func(s Status) bool { return s.Paused && !s.Connected })
		if s := r.source.Status(); s.Buffered > cfg.BufferBytes+entryBytes || !errors.Is(s.Err, errFull) || !errors.Is(s.Err, ingest.ErrNotConnected) {
			t.Errorf("status %+v", s)
		}
		seen := map[string]bool{} // mochi does not keep the order of what it sends again
		for len(seen) < messages {
			got := r.next()
			r.ack(nil)
			if topic, ok := strings.CutSuffix(got, " "+payload); ok {
				seen[topic[strings.Index(topic, "plant/"):]] = true
			} else if !strings.HasPrefix(got, "source ") {
				t.Fatalf("got %.40q", got)
			}
		}
		if s := r.source.Status(); s.Pauses == 0 || s.Shed != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// Where the buffer is full for a short time, the connection and the
// acknowledgements of what was read from it go on, and nothing comes twice.
func TestFullForShort(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		cfg := configFor(line.address())
		cfg.BufferBytes, cfg.fullFor = 3000, time.Hour
		r := &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 1")
		const messages = 60
		payload := strings.Repeat("x", 500)
		for i := range messages {
			p.publish(fmt.Sprintf("plant/%02d", i), payload, 1, false)
		}
		p.settle()
		r.until("full", func(s Status) bool { return s.Buffered > cfg.BufferBytes-1000 })
		for i := range messages {
			if got, want := r.next(), fmt.Sprintf("message 1 q1 plant/%02d %s", i, payload); got != want {
				t.Fatalf("got %.40q, want %.40q", got, want)
			}
			r.ack(nil)
		}
		if s := r.source.Status(); s.Pauses > 0 || s.Conn != 1 || s.Duplicates > 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// A source is closed while its client waits for room in the buffer.
func TestCloseWhileFull(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		cfg := configFor(line.address())
		cfg.BufferBytes, cfg.fullFor = 1000, time.Hour
		r := &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 1")
		for range 5 {
			p.publish("plant/a", strings.Repeat("x", 500), 1, false)
		}
		p.settle()
		r.until("full", func(s Status) bool { return s.Buffered > 500 })
		r.source.Close()
	})
}

// Messages of QoS 0 cannot be sent again, so they are shed one by one.
func TestShed(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		cfg := configFor(line.address())
		cfg.BufferBytes = 1000
		r := &reader{t: t, source: newSource(t, cfg)}
		r.up("source up 1")
		for range 20 {
			p.publish("plant/a", "1", 0, false)
		}
		r.until("shedding", func(s Status) bool { return s.Messages+s.Shed == 20 })
		if s := r.source.Status(); s.Shed == 0 || s.Messages == 0 || !s.Connected || s.Conn != 1 || s.Buffered > 1000 {
			t.Errorf("status %+v", s)
		}
	})
}

// No acknowledgement is sent before the batch has been acknowledged.
func TestAckAfterAck(t *testing.T) { forClients(t, testAckAfterAck) }

func testAckAfterAck(t *testing.T) {
	hook, address := startMochiWith(t, nil)
	p := newPublisher(t, address)
	r := &reader{t: t, source: newSource(t, configFor(address))}
	r.up("source up 1")
	p.publish("plant/a", "1", 1, false)
	p.publish("plant/b", "2", 1, false)
	r.want("message 1 q1 plant/a 1", "message 1 q1 plant/b 2")
	if n := hook.acks.Load(); n != 0 {
		t.Errorf("%d acknowledgements before the first", n)
	}
	r.ack(nil)
	r.until("acknowledged", func(Status) bool { return hook.acks.Load() == 2 })
}

// Of a payload that is too large only the beginning is kept.
func TestHugePayload(t *testing.T) {
	forBrokers(t, func(t *testing.T, address string, line *proxy) {
		p := newPublisher(t, address)
		r := &reader{t: t, source: newSource(t, configFor(line.address()))}
		r.up("source up 1")
		p.publish("plant/a", strings.Repeat("x", maxPayload+1000), 1, false)
		r.want("message 1 q1 plant/a " + strings.Repeat("x", maxPayload))
	})
}

func TestRefusals(t *testing.T) { forClients(t, testRefusals) }

func testRefusals(t *testing.T) {
	address := startMochi(t)
	cfg := configFor(address)
	cfg.Subscriptions = append(cfg.Subscriptions, Subscription{"secret/#", 1})
	r := &reader{t: t, source: newSource(t, cfg)}
	r.up("source up 1")
	if got := r.source.Status().Refused; len(got) != 1 || got[0] != "secret/#" {
		t.Errorf("refused %q", got)
	}

	cfg.Conn.User, cfg.Conn.Password, cfg.Conn.ClientID = "me", "wrong", "other"
	r = &reader{t: t, source: newSource(t, cfg)}
	r.until("refused", func(s Status) bool { return s.Failures > 1 })
	if s := r.source.Status(); !errors.Is(s.Err, ingest.ErrNotConnected) || strings.Contains(s.Err.Error(), "wrong") || s.Connected || s.Conn != 0 {
		t.Errorf("status %+v", s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.source.Read(ctx); err != context.Canceled {
		t.Errorf("reading: %v", err)
	}
}

func TestNobodyThere(t *testing.T) { forClients(t, testNobodyThere) }

func testNobodyThere(t *testing.T) {
	line := startProxy(t, "127.0.0.1:1") // closes what it accepts
	r := &reader{t: t, source: newSource(t, configFor(line.address()))}
	r.until("refused", func(s Status) bool { return s.Failures > 1 && errors.Is(s.Err, ingest.ErrNotConnected) })
	waiting := make(chan error)
	go func() {
		_, err := r.source.Read(context.Background())
		waiting <- err
	}()
	if err := r.source.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; err != ingest.ErrClosed {
		t.Error(err)
	}
	if err := r.source.Close(); err != nil {
		t.Error("closing twice:", err)
	}
}

func TestConfig(t *testing.T) {
	err := Config{Subscriptions: []Subscription{{"a/#/b", 0}, {"a+", 0}, {"", 0}, {"a/+/#", 2}, {"#", 1}, {"#", 1}}, BufferBytes: -1}.Validate()
	for _, want := range []string{"no name", `"a/#/b" is no topic filter`, `"a+" is no`, `"" is no`, `qos of "a/+/#" is 2`, `"#" stands twice`, "negative", "no clock", "client_id"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err := configFor("127.0.0.1:1").Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no error")
	}
	cfg := configFor("127.0.0.1:1")
	cfg.Conn.URL, cfg.Conn.TLS.CAFile = "mqtts://127.0.0.1:1", "/does/not/exist"
	if _, err := New(cfg); err == nil {
		t.Error("no error for a missing file")
	}
}

func TestReduce(t *testing.T) {
	for _, test := range []struct{ a, b string }{
		{"#", "a"}, {"#", "a/+/b"}, {"#", "+/#"}, {"a/#", "a"}, {"a/#", "a/b/#"}, {"a/#", "a/+"}, {"a/+", "a/b"}, {"+/b", "a/b"}, {"+/+", "a/+"}, {"a", "a"}, {"$x/#", "$x/y"},
	} {
		if !covers(test.a, test.b) {
			t.Errorf("%s does not cover %s", test.a, test.b)
		}
		if test.a != test.b && covers(test.b, test.a) {
			t.Errorf("%s covers %s", test.b, test.a)
		}
	}
	for _, test := range []struct{ a, b string }{{"#", "$SYS/#"}, {"+/x", "$a/x"}, {"a/+", "a"}, {"a/+", "a/#"}, {"a/+", "a/b/c"}, {"a/+/c", "a/b/+"}, {"a", "b"}, {"a/b", "a"}, {"#", "$share/g/a"}} {
		if covers(test.a, test.b) {
			t.Errorf("%s covers %s", test.a, test.b)
		}
	}
	got := fmt.Sprint(reduce([]Subscription{{"a/b", 1}, {"a/#", 0}, {"a/+", 0}, {"+/b", 0}, {"c", 1}, {"$SYS/x", 0}}))
	if want := "[{a/# 1} {+/b 1} {c 1} {$SYS/x 0}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBackoff(t *testing.T) {
	s := &Source{cfg: configFor("127.0.0.1:1")}
	s.cfg.MinBackoff = 0
	s.cfg.EnsureDefaults()
	s.cfg.Rand = func() float64 { return 0.5 }
	var got []string
	for _, failures := range []int{0, 1, 2, 5, 6, 7, 100, 1 << 40} {
		got = append(got, s.backoff(failures).String())
	}
	if want := "250ms 500ms 1s 8s 15s 15s 15s 15s"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// take gives away memory that is not written again.
func TestBuffer(t *testing.T) {
	b := newBuffer(10 * entryBytes)
	conn := &connection{}
	add := func(n int) offered {
		messages := make([]message, n)
		for i := range messages {
			messages[i].record.Conn = uint64(i)
			if i%2 == 1 {
				messages[i].ack = pending{conn: conn, id: uint16(i)}
			}
		}
		return b.offer(messages)
	}
	if o := add(20); o.messages != 10 || o.shed != 1 || !o.full || b.held() != 10*entryBytes {
		t.Fatalf("%+v, %d bytes", o, b.held())
	}
	first, acks := b.take(3)
	if len(first) != 3 || len(acks) != 1 || acks[0].id != 1 || b.halfEmpty() {
		t.Fatal(first, acks)
	}
	if o := add(20); o.messages != 3 || !o.full {
		t.Fatal(o)
	}
	rest, acks := b.take(100)
	if len(rest) != 10 || rest[0].Conn != 3 || len(acks) != 5 || acks[0].id != 3 || !b.halfEmpty() || b.held() != 0 {
		t.Fatal(rest, acks)
	}
	if o := add(1); o.messages != 1 || first[0].Conn != 0 || rest[9].Conn != 2 {
		t.Fatal("memory was used again")
	}
	b.take(1)
	if records, acks := b.take(1); len(records)+len(acks) != 0 {
		t.Fatal(records, acks)
	}
	large := message{record: event.Record{Payload: make([]byte, 100*entryBytes)}}
	if o := b.offer([]message{large, {}}); o.messages != 1 || o.shed != 1 || o.bytes != 100*entryBytes {
		t.Errorf("an empty buffer must take any message, and no other behind it: %+v", o)
	}
	b.force(event.Record{})
	if records, _ := b.take(100); len(records) != 2 {
		t.Error(records)
	}
}
