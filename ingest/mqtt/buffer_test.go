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
