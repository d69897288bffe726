package engine

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/cepd/cepd/event"
)

// A message may come twice: a device that got no answer sends it again, and so
// does a broker whose acknowledgement was lost with a connection. What is the
// same event is known, in this order,
//
//   - by the `id` of its stream,
//   - by what the sender calls the message,
//   - by topic, payload and the number of its packet, if the broker says that it
//     sends a message again. Two equal readings are two readings: brokers keep
//     the number [MQTT-4.4.0-1], and each message of an earlier connection matches
//     once in each later one.
//
// An event that is known changes nothing but a count.

// The reasons for which an event counts as one that came before.
const (
	duplicateID       = "id"
	duplicateSenderID = "sender_id"
	duplicateDelivery = "redelivered"
)

// ids are the ids of the events of one stream, with their event times.
type ids struct {
	*memory
	latest event.Time // the highest event time of an event that was new
}

// deliveries are the messages of a source that its broker may send again, with
// the number of the connection that they came by. The numbers are the core's
// own: those of the source may begin anew.
type deliveries struct {
	*memory
	conn int64
}

// maxDeliveries is how many messages of a source are remembered by what is in
// them. A message that is not acknowledged holds one of MQTT's packet
// identifiers, of which there are 65,535.
const maxDeliveries = 1 << 16

// recall is what the router remembers of what came.
type recall struct {
	sources map[string]*deliveries

	// The record at hand: a message that several streams take is looked up once.
	pos   event.Position
	asked bool
	again bool
}

func newRecall() recall {
	return recall{sources: map[string]*deliveries{}}
}

// connected notes that a source has a new connection.
func (r *router) connected(source string) {
	if d := r.recall.sources[source]; d != nil {
		d.conn++
	}
}

// known reports for which reason the event of a reading is one that came
// before, empty for an event that is new, and remembers that.
func (r *router) known(rt *routed, t event.Time, rec *event.Record, x *extra) (reason string) {
	if x.noID {
		r.stats.NoID.add(rt.Name, "", 1)
	}
	switch {
	case x.identity == idStream && r.knownID(rt, t, x.id):
		return duplicateID
	case x.identity == idSender && r.knownID(rt, t, x.id):
		return duplicateSenderID
	case x.identity == idDelivery && r.redelivered(rec, x.id):
		return duplicateDelivery
	}
	return ""
}

// identify finds out what an event is known by if it comes again.
func (r *reader) identify(rt *routed, rec *event.Record, e *event.Event, rd *reading) {
	x := r.note(rd)
	if rt.ID.Value != nil {
		if x.noID = !r.idOf(rt, e); !x.noID {
			x.identity, x.id = idStream, digestOf(r.text)
			return
		}
	}
	switch {
	case rec.SenderID != "":
		r.text = append(append(r.text[:0], idOfSender), rec.SenderID...)
		x.identity, x.id = idSender, digestOf(r.text)
	case rec.Flags.QoS() > 0:
		r.text = append(event.AppendText(r.text[:0], rec.Topic), byte(rec.Packet>>8), byte(rec.Packet))
		r.text = append(r.text, rec.Payload...)
		x.identity, x.id = idDelivery, digestOf(r.text)
	}
}

// What an id is one of.
const (
	idOfSender = iota
	idOfStream
)

// idOf writes what the stream's `id` is of an event, and reports whether it has
// any. Ids by different expressions are never the same.
func (r *reader) idOf(rt *routed, e *event.Event) bool {
	r.frame.Event = e
	v, err := rt.ID.Value.Value(&r.frame)
	if err != nil {
		v = event.Missing
	}
	text := append(r.text[:0], idOfStream)
	text = event.AppendText(text, rt.ID.Value.Canonical())
	r.text, err = event.AppendKey(text, v)
	return err == nil
}

// digestOf returns the digest of a text.
func digestOf(text []byte) (d digest) {
	sum := sha256.Sum256(text)
	return digest(sum[:len(d)])
}

// knownID reports whether a stream had an event of an id, as far back as it
// remembers, and remembers it if not.
func (r *router) knownID(rt *routed, t event.Time, d digest) bool {
	if rt.ids == nil {
		rt.ids = r.newIDs(rt.Name)
	}
	m := rt.ids
	latest := max(m.latest, t)
	wanted := func(e *remembered) bool { return latest.Sub(event.Time(e.mark)) <= rt.ID.Within }
	if e, n := m.newest(d); e != nil && wanted(e) && n+uint64(rt.ID.Keep) >= m.next {
		return true
	}
	m.latest = latest
	m.add(d, int64(t))
	if m.next%chunkEntries == 1 { // a chunk has begun: there may be one too many
		for m.full() && (m.length() >= rt.ID.Keep+chunkEntries || !m.wants(wanted)) {
			r.stats.ForgottenIDs.add(rt.Name, "", int64(m.drop(wanted)))
		}
	}
	return false
}

// redelivered reports whether a message, known by its digest, is one that its
// source had in an earlier connection, and remembers it.
func (r *router) redelivered(rec *event.Record, sum digest) bool {
	c := &r.recall
	if c.asked && c.pos == rec.Pos {
		return c.again
	}
	c.asked, c.pos, c.again = true, rec.Pos, false
	d := r.deliveries(rec.Source)
	if rec.Flags.Dup() {
		if e := d.oldest(sum); e != nil && e.mark < d.conn {
			d.forget(sum)
			c.again = true
		}
	}
	d.add(sum, d.conn)
	for d.length() >= maxDeliveries+chunkEntries {
		d.drop(func(*remembered) bool { return false })
	}
	return c.again
}

// Whose memory a row belongs to.
const (
	memoryOfStream = iota
	memoryOfSource
)

func (r *router) newIDs(stream string) *ids {
	return &ids{memory: newMemory(r.journal, memoryOfStream, stream), latest: event.MinTime}
}

// deliveries returns the memory of a source, made if need be.
func (r *router) deliveries(source string) *deliveries {
	d := r.recall.sources[source]
	if d == nil {
		d = &deliveries{memory: newMemory(r.journal, memoryOfSource, source)}
		r.recall.sources[source] = d
	}
	return d
}

// appendRows puts up to where things are remembered. The things themselves are
// units of the router's journal.
func (r *router) appendRows(put func(name, value []byte)) {
	for _, rt := range r.streams {
		if m := rt.ids; m != nil {
			m.appendRow(int64(m.latest), put)
		}
	}
	for _, d := range r.recall.sources { // the caller sorts
		d.appendRow(d.conn, put)
	}
}

func (m *memory) appendRow(head int64, put func(name, value []byte)) {
	v := binary.AppendVarint([]byte{rowVersion}, head)
	put(memoryName(rowMemory, m.of, m.name), binary.AppendUvarint(v, m.next))
}

// every visits the units of the router.
func (r *router) every(visit func(unit)) {
	each := func(m *memory) {
		for _, c := range m.chunks {
			visit(c)
		}
	}
	for _, rt := range r.streams {
		if rt.ids != nil {
			each(rt.ids.memory)
		}
	}
	for _, d := range r.recall.sources { // a store puts rows in order
		each(d.memory)
	}
}

func memoryName(kind, of byte, name string) []byte {
	return event.AppendText([]byte{kind, of}, name)
}

// memoryOf returns the memory that a row belongs to, made if need be, and where
// its head goes; nil where nobody wants it any more.
func (r *router) memoryOf(name *event.Reader) (m *memory, head *int64) {
	of, who := name.Byte(), name.Text()
	if of == memoryOfSource {
		if r.sources[who] == nil {
			return nil, nil
		}
		d := r.deliveries(who)
		return d.memory, &d.conn
	}
	s := r.plan.streams[who]
	if s == nil || s.Producer != "" {
		return nil, nil
	}
	rt := r.streams[s.number]
	if rt.ids == nil {
		rt.ids = r.newIDs(rt.Name)
	}
	return rt.ids.memory, (*int64)(&rt.ids.latest)
}

// restoreMemory reads what was remembered in all, and reports whether anybody
// wants it.
func (r *router) restoreMemory(name, value *event.Reader) bool {
	m, head := r.memoryOf(name)
	if m != nil {
		*head, m.next = value.Varint(), value.Uvarint()
	}
	return m != nil
}

// restoreChunk reads a piece of it.
func (r *router) restoreChunk(name, value *event.Reader) bool {
	m, _ := r.memoryOf(name)
	if number := name.BigEndian(); m != nil {
		m.readChunk(number, value)
	}
	return m != nil
}
