package mqtt

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// sockets returns both ends of a connection by TCP.
func sockets(t *testing.T) (ours, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// What is read at once is what has come, up to the end of the connection.
func TestReadNow(t *testing.T) {
	ours, theirs := sockets(t)
	raw, b := plain(ours), make([]byte, 100)
	if _, err := readNow(raw, b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("where nothing has come: %v", err)
	}
	if _, err := io.WriteString(theirs, "few"); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if _, err := io.ReadFull(ours, b[:1]); err != nil || b[0] != 'f' { // it has come now
		t.Fatal(err)
	}
	if n, err := readNow(raw, b); string(b[:n]) != "ew" || err != nil {
		t.Errorf("got %q, %v", b[:n], err)
	}
	for { // until the end has come, too
		if _, err := readNow(raw, b); errors.Is(err, io.EOF) {
			break
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("at the end: %v", err)
		}
	}
	ours.Close()
	if _, err := readNow(raw, b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("once it is closed: %v", err)
	}
}

// A reader that rests reads what has come, and waits for the next message where
// nothing has, also behind a deadline that was set long ago.
func TestRestAtOnce(t *testing.T) {
	ours, theirs := sockets(t)
	cfg := configFor("")
	n := &native{c: &connection{source: &Source{cfg: cfg}}, conn: ours, raw: plain(ours), in: chunks{from: ours}, wrote: time.Now()}
	n.c.source.cfg.Conn.KeepAlive = time.Minute
	n.pace.rest = restFor
	for i := range 50 {
		if i == 25 { // as if that were long ago
			if n.until = time.Now().Add(-time.Second); ours.SetReadDeadline(n.until) != nil {
				t.Fatal("no deadline")
			}
		}
		if i%10 == 9 { // a silence
			for n.dry = false; !n.dry; {
				if err := n.more(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := theirs.Write([]byte{0x30, 4, 0, 1, 'a', byte(i)}); err != nil {
			t.Fatal(err)
		}
		for {
			_, body, _, ok, err := n.in.next()
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				if body[3] != byte(i) {
					t.Fatalf("message %d, want %d", body[3], i)
				}
				break
			}
			if err := n.more(); err != nil {
				t.Fatal(err)
			}
		}
	}
	theirs.Close()
	for {
		if err := n.more(); err != nil {
			if !strings.Contains(err.Error(), "closed the connection") {
				t.Error(err)
			}
			return
		}
	}
}

// Acknowledgements that the connection takes at once need no other goroutine;
// those that it does not take wait for it, in order.
func TestAckAtOnce(t *testing.T) {
	ours, theirs := sockets(t)
	if err := errors.Join(ours.SetWriteBuffer(4<<10), theirs.SetReadBuffer(4<<10)); err != nil {
		t.Fatal(err)
	}
	c := lineOver(t, time.Minute, ours, theirs)
	s := c.source
	s.acks, s.stopped = newAcks(), make(chan struct{})
	var want []byte
	id := uint16(0)
	ack := func(messages int) {
		batch := make([]pending, messages)
		for i := range batch {
			id++
			batch[i] = pending{conn: c, id: id}
			want = appendPuback(want, id)
		}
		s.ack(batch, nil)
	}
	ack(3)
	if got := readBytes(t, theirs, len(want)); !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x", got, want)
	}
	want = nil
	for !s.acks.busy() {
		if id > 60_000 {
			t.Fatal("the connection takes everything")
		}
		ack(501)
	}
	ack(7)
	s.done.Add(1)
	go s.sendAcks()
	if got := readBytes(t, theirs, len(want)); !bytes.Equal(got, want) {
		t.Error("acknowledgements are missing, or in another order")
	}
	want = nil
	for s.acks.busy() {
		<-s.acks.idle
	}
	ack(2) // nobody is waiting any more
	if got := readBytes(t, theirs, len(want)); !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x", got, want)
	}
	close(s.stopped)
	s.done.Wait()
}
