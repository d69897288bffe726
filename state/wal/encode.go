package wal

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cepd/cepd/event"
)

// Format is the version of the form in which records are stored, and the newest
// that this package reads.
const Format = 1

// appendRecord appends the form of a record to b: version, kind, flags, arrival
// (eight bytes), partition, connection, packet, source, topic and sender's
// id, and what is left is the payload. The position is the log's to know.
func appendRecord(b []byte, r *event.Record) []byte {
	b = append(b, Format, byte(r.Kind), byte(r.Flags))
	b = r.Arrival.AppendOrdered(b)
	b = binary.AppendUvarint(b, uint64(r.Partition))
	b = binary.AppendUvarint(b, r.Conn)
	b = binary.AppendUvarint(b, uint64(r.Packet))
	b = event.AppendText(b, r.Source)
	b = event.AppendText(b, r.Topic)
	b = event.AppendText(b, r.SenderID)
	return append(b, r.Payload...)
}

// decoder reads records. Names that come again and again share their memory.
type decoder struct{ names map[string]string }

// maxNames bounds the names that a decoder remembers.
const maxNames = 1 << 14

// record reads what appendRecord wrote.
func (d *decoder) record(seq uint64, data []byte, r *event.Record) error {
	in := reader{b: data}
	version := in.byte()
	*r = event.Record{
		Pos: event.Position{Seq: seq}, Kind: event.RecordKind(in.byte()), Flags: event.Flags(in.byte()), Arrival: in.time(),
	}
	partition := in.uvarint()
	r.Partition, r.Conn = uint32(partition), in.uvarint()
	packet := in.uvarint()
	r.Packet = uint16(packet)
	r.Source, r.Topic, r.SenderID = d.name(in.text()), d.name(in.text()), string(in.text())
	if in.bad || version != Format || partition > math.MaxUint32 || packet > math.MaxUint16 {
		return fmt.Errorf("record %d of the log is intact and cannot be understood: this is a mistake in the cepd that wrote it", seq)
	}
	if len(in.b) > 0 {
		r.Payload = append([]byte(nil), in.b...)
	}
	return nil
}

func (d *decoder) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if d.names == nil || len(d.names) == maxNames {
		d.names = map[string]string{}
	}
	d.names[s] = s
	return s
}

// reader reads the parts of a record without copying them.
type reader struct {
	b   []byte
	bad bool // something was not there
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	n, w := binary.Uvarint(r.b)
	if w <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[w:]
	return n
}

func (r *reader) time() event.Time {
	if b := r.take(8); b != nil {
		return event.Time(binary.BigEndian.Uint64(b) ^ 1<<63)
	}
	return 0
}

func (r *reader) text() []byte { return r.take(r.uvarint()) }
