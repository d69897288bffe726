package wal

import (
	"bytes"
	"testing"

	"github.com/cepd/cepd/event"
)

// Whatever the bytes are, a record comes of them that says the same when it is
// written again, or an error.
func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, &event.Record{Kind: event.KindTick, Arrival: 5}))
	f.Add(appendRecord(nil, &event.Record{
		Kind: event.KindMessage, Flags: event.FlagDup | 1, Partition: 7, Arrival: -1, Conn: 3, Packet: 700,
		Source: "plant", Topic: "a/b", SenderID: "17", Payload: []byte(`{"a":1}`),
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d decoder
		var r, again event.Record
		if d.record(1, data, &r) != nil {
			return
		}
		encoded := appendRecord(nil, &r)
		if err := d.record(1, encoded, &again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(appendRecord(nil, &again), encoded) {
			t.Errorf("%x is read as %+v and, written again, as %+v", data, r, again)
		}
	})
}

// A decoder that has seen very many names begins anew, so that its memory is
// bounded.
func TestNames(t *testing.T) {
	var d decoder
	for i := range 3 * maxNames {
		name := []byte{byte(i), byte(i >> 8), byte(i >> 16)}
		for range 2 { // unknown, and known
			if d.name(name) != string(name) {
				t.Fatalf("%x is another name", name)
			}
		}
		if len(d.names) > maxNames {
			t.Fatalf("%d names are remembered", len(d.names))
		}
	}
}
