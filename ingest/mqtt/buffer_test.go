package mqtt

import (
	"testing"

	"github.com/cepd/cepd/event"
)

// A buffer that is made smaller takes nothing more until there is room again:
// messages of QoS 0 are shed and counted, one of QoS 1 makes the source wait.
func TestBound(t *testing.T) {
	b := newBuffer(1 << 20)
	offer := func(qos1 bool) offered {
		m := message{record: event.Record{Payload: make([]byte, 1000)}}
		if qos1 {
			m.ack.conn = &connection{}
		}
		return b.offer([]message{m})
	}
	for range 4 {
		if o := offer(true); o.messages != 1 {
			t.Fatalf("%+v", o)
		}
	}
	b.bound(2000)
	if o := offer(false); o.shed != 1 {
		t.Errorf("QoS 0: %+v", o)
	}
	if o := offer(true); !o.full {
		t.Errorf("QoS 1: %+v", o)
	}
	if records, _ := b.take(10); len(records) != 4 {
		t.Errorf("%d are left of what was there", len(records))
	}
	select {
	case <-b.room:
	default:
		t.Error("nobody is told that there is room")
	}
	if o := offer(true); o.messages != 1 {
		t.Errorf("with room: %+v", o)
	}
	b.bound(1 << 20)
	if o := offer(true); o.messages != 1 {
		t.Errorf("with more room: %+v", o)
	}
}

// Memory that was given back is used again, and what it held is let go of; what
// was not given back is left alone.
func TestBufferSpent(t *testing.T) {
	b := newBuffer(1 << 20)
	c := &connection{}
	offer := func(payloads ...string) {
		var messages []message
		for _, p := range payloads {
			messages = append(messages, message{record: event.Record{Payload: []byte(p)}, ack: pending{conn: c, id: 7}})
		}
		if o := b.offer(messages); int(o.messages) != len(payloads) {
			t.Fatalf("%d of %d were taken", o.messages, len(payloads))
		}
	}
	offer("1", "2", "3")
	first, acks := b.take(10)
	offer("4", "5", "6")
	second, _ := b.take(10)
	if &first[0] == &second[0] || string(first[0].Payload) != "1" {
		t.Fatal("memory was used that was not given back")
	}
	b.spent(first)
	b.acked(acks)
	if first[0].Payload != nil || acks[0].conn != nil {
		t.Error("what was given back holds what it held")
	}
	offer("7", "8")
	offer("9")
	part, partAcks := b.take(2)
	rest, restAcks := b.take(10)
	if &part[0] != &first[0] || &partAcks[0] != &acks[0] {
		t.Error("what was given back was not used")
	}
	b.spent(part)
	b.acked(partAcks)
	offer("a", "b")
	last, _ := b.take(10)
	if string(second[0].Payload) != "4" || string(rest[0].Payload) != "9" || restAcks[0].conn != c || string(last[1].Payload) != "b" {
		t.Errorf("got %s, %s and %s", second[0].Payload, rest[0].Payload, last[1].Payload)
	}
}
