package mqtt

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cepd/cepd/event"
)

// paced plays a broker that sends messages at even steps, no more than a window
// of them without an acknowledgement, to a reader at a pace: it takes what has
// come, rests or waits for the next message, and what it took is acknowledged
// within a time. It returns how many messages came, and how often the reader
// took some.
func paced(p *pace, step, ack, total time.Duration, window int) (messages, takings int) {
	var acked []time.Duration // when each message in the window will be
	held := 0                 // by the broker
	start := time.Unix(0, 0)
	at, next := time.Duration(0), time.Duration(0)
	for at < total {
		for ; next <= at; next += step {
			held++
		}
		for len(acked) > 0 && acked[0] <= at {
			acked = acked[1:]
		}
		n := min(held, window-len(acked))
		if n > 0 {
			held -= n
			messages += n
			takings++
			for range n {
				acked = append(acked, at+ack)
			}
			p.took(n, start.Add(at))
		}
		switch {
		case p.rest > 0 && n > 0:
			at += p.rest
		case held == 0:
			at = next
		default:
			at = acked[0]
		}
	}
	return messages, takings
}

// A reader rests where messages come fast, and only there.
func TestPace(t *testing.T) {
	const total = 10 * time.Second
	for _, c := range []struct {
		name       string
		step, ack  time.Duration
		window     int
		least      int // messages in all
		groups     int // least size of what is taken, on average
		groupsMost int
	}{
		{"one a second", time.Second, time.Millisecond, 20, 10, 1, 1},
		{"a thousand", time.Millisecond, 100 * time.Microsecond, 20, 9990, 1, 1},
		{"ten thousand", 100 * time.Microsecond, 100 * time.Microsecond, 1000, 99_900, 8, 11},
		{"fifty thousand", 20 * time.Microsecond, 100 * time.Microsecond, 1000, 499_000, 45, 100},
		// 20 for each rest would be 20,000 a second; the disk would let through 200,000.
		{"more than a window for each rest", 20 * time.Microsecond, 100 * time.Microsecond, 20, 480_000, 1, 10},
		// 80 for each rest are enough for short ones, and not for long ones.
		{"a window for each short rest", 20 * time.Microsecond, 100 * time.Microsecond, 80, 495_000, 25, 45},
		{"one at a time", 100 * time.Microsecond, 100 * time.Microsecond, 1, 90_000, 1, 2},
	} {
		var p pace
		messages, takings := paced(&p, c.step, c.ack, total, c.window)
		if size := float64(messages) / float64(takings); messages < c.least || size < float64(c.groups) || size > float64(c.groupsMost) {
			t.Errorf("%s: %d messages, %.1f at a time; want at least %d, %d to %d at a time", c.name, messages, size, c.least, c.groups, c.groupsMost)
		}
	}
}

// Where rests bring different numbers of messages nothing limits them, and the
// reader does not try how it is without: that is dear.
func TestPaceUneven(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, every := range []time.Duration{400 * time.Microsecond, 100 * time.Microsecond, 20 * time.Microsecond} {
		var p pace
		start := time.Unix(0, 0)
		due, alone, long := time.Duration(0), 0, 0
		for at := time.Duration(0); at < 10*time.Second; {
			n := 0
			for ; due <= at; n++ {
				due += time.Duration(random.ExpFloat64() * float64(every))
			}
			if p.took(n, start.Add(at)); p.rest == 0 {
				alone++
				at = due
			} else {
				at += p.rest
			}
			if p.rest == longRest {
				long++
			}
		}
		if most := int(2 * countFor / every); alone > max(most, 150) {
			t.Errorf("a message every %v: %d were taken without a rest", every, alone)
		}
		if want := time.Second/longRate > every; want != (long > 4000) {
			t.Errorf("a message every %v: %d long rests", every, long)
		}
	}
}

// What comes after a silence is taken at once, however fast it was before.
func TestPaceAfterSilence(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	for range 300 {
		now = now.Add(100 * time.Microsecond)
		p.took(1, now)
	}
	if p.due(now.Add(restFor)) == 0 {
		t.Error("no rest at ten thousand messages a second")
	}
	if p.due(now.Add(time.Minute)) > 0 {
		t.Error("a rest a minute later")
	}
}

// A reader at rest takes everything, a lone message after it is not kept
// waiting, and pings go on.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, broker := line(t, time.Minute)
		n := c.client.(*native)
		c.source.cfg.Now = func() event.Time { return event.Time(time.Now().UnixNano()) }
		go func() { _, _ = io.Copy(io.Discard, broker) }()
		sent := 0
		send := func() {
			packet := fmt.Sprintf("\x30\x09\x00\x01a%06d", sent)
			if _, err := io.WriteString(broker, packet); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		for began := time.Now(); time.Since(began) < 50*time.Millisecond; time.Sleep(100 * time.Microsecond) {
			send()
		}
		synctest.Wait()
		if n.pace.since.IsZero() {
			t.Error("the reader did not rest")
		}
		time.Sleep(time.Second)
		at := event.Time(time.Now().UnixNano())
		send()
		synctest.Wait()
		records, _ := c.source.buffer.take(sent)
		for i, r := range records {
			if want := fmt.Sprintf("%06d", i); string(r.Payload) != want {
				t.Fatalf("message %d is %q", i, r.Payload)
			}
		}
		if len(records) != sent || sent < 10 || records[sent-1].Arrival != at {
			t.Errorf("%d of %d messages, the last one %v after it was sent", len(records), sent, records[len(records)-1].Arrival.Sub(at))
		}
	})
}

// halves writes everything in two halves, with a pause between them.
type halves struct {
	net.Conn
	pause atomic.Int64 // in nanoseconds
}

func (h *halves) Write(b []byte) (int, error) {
	n, err := h.Conn.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	time.Sleep(time.Duration(h.pause.Load()))
	m, err := h.Conn.Write(b[len(b)/2:])
	return n + m, err
}

// A TLS record of which only half has come at the end of a rest is read once all
// of it is there.
func TestRestTLS(t *testing.T) {
	_, _, pair := certificate(t, "broker")
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		slow := &halves{Conn: theirs}
		broker := tls.Server(slow, &tls.Config{Certificates: []tls.Certificate{pair}})
		c := lineOver(t, time.Minute, tls.Client(ours, &tls.Config{InsecureSkipVerify: true}), broker)
		n := c.client.(*native)
		go func() { _, _ = io.Copy(io.Discard, broker) }()
		sent := 0
		for _, pause := range []time.Duration{0, restFor / 2, restFor, 5 * restFor} {
			slow.pause.Store(int64(pause)) // the handshake may still be under way
			for range 200 {
				if _, err := fmt.Fprintf(broker, "\x30\x09\x00\x01a%06d", sent); err != nil {
					t.Fatal(err)
				}
				sent++
			}
		}
		synctest.Wait()
		if n.pace.since.IsZero() || !c.alive() {
			t.Errorf("the reader did not rest, or has ended: %v", c.reason)
		}
		records, _ := c.source.buffer.take(sent + 1)
		for i, r := range records {
			if want := fmt.Sprintf("%06d", i); string(r.Payload) != want {
				t.Fatalf("message %d is %q", i, r.Payload)
			}
		}
		if len(records) != sent {
			t.Errorf("%d of %d messages", len(records), sent)
		}
	})
}
