package outbox

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

// recordVersion follows the kind of every record.
const recordVersion = 1

// The kinds of records.
const (
	kindNew     = 1 // a message as the engine gave it: its id is remembered
	kindMoved   = 2 // a message that moves to another queue: given up, tried again, or told again
	kindMarks   = 3 // what needs messages no more, and notes of sinks
	kindCarried = 4 // a message that is written again, at the end of the log, with the places that wait
	kindIDs     = 5 // ids that are written again, without their messages
)

// ticket is a place in a queue.
type ticket struct {
	queue string
	seq   uint64
}

// record is one record of the log but for [kindMarks]. All that it says takes
// effect at once, or, if it is torn, not at all.
type record struct {
	kind    byte
	last    bool           // of its group: all outputs up to through are here
	through event.Position // of the input log
	at      time.Time      // when the message came into the outbox
	id      string
	about   alert
	number  int      // of the repeat that the targets are for
	to      []ticket // places that the message takes
	done    []ticket // places that need a message no more
	told    []told   // of an alert that fires and is carried over
	letter  *letter  // where the message is a dead letter
	body    []byte   // the message; see message.go
}

// alert is what the outbox must know of a message to know what fires.
type alert struct {
	change      alerting.Change // 0: of a derived event
	fingerprint string
	every       time.Duration // how often a raise is repeated; 0: never
}

// letter is what is known of a dead letter beside its message.
type letter struct {
	notify.Failure
	sink   string
	number int // of the repeat that was given up
	time   time.Time
}

func aboutOf(m notify.Message) alert {
	t := m.Transition
	switch {
	case t == nil:
		return alert{}
	case t.Change == alerting.Raised:
		return alert{t.Change, t.Fingerprint, t.Repeat}
	}
	return alert{change: t.Change, fingerprint: t.Fingerprint}
}

// The bits of a record's flags.
const (
	flagLast   = 1
	flagLetter = 2
	flagTold   = 4
)

func (rec *record) append(dst []byte) []byte {
	flags := byte(0)
	if rec.last {
		flags |= flagLast
	}
	if rec.letter != nil {
		flags |= flagLetter
	}
	if len(rec.told) > 0 {
		flags |= flagTold
	}
	dst = append(dst, rec.kind, recordVersion, flags, byte(rec.about.change))
	dst = appendWall(rec.through.AppendBinary(dst), rec.at)
	dst = event.AppendText(event.AppendText(dst, rec.id), rec.about.fingerprint)
	dst = binary.AppendVarint(dst, int64(rec.about.every))
	dst = binary.AppendUvarint(dst, uint64(rec.number))
	dst = appendTickets(appendTickets(dst, rec.to), rec.done)
	if l := rec.letter; l != nil {
		dst = event.AppendText(event.AppendText(event.AppendText(dst, l.sink), string(l.Reason)), l.Error)
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(l.Tries)), uint64(l.number))
		dst = appendWall(dst, l.time)
	}
	if len(rec.told) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(rec.told)))
		for _, t := range rec.told {
			dst = binary.AppendUvarint(event.AppendText(dst, t.sink), uint64(t.number))
			dst = binary.AppendUvarint(appendWall(dst, t.at), t.pending)
		}
	}
	return append(dst, rec.body...)
}

// readRecord reads a record of a kind that holds a message. The message itself
// is left undecoded.
func readRecord(data []byte) (*record, error) {
	r := event.NewReader(data)
	rec := &record{kind: r.Byte()}
	if rec.kind != kindNew && rec.kind != kindMoved && rec.kind != kindCarried || r.Byte() != recordVersion {
		r.Fail()
	}
	flags := r.Byte()
	rec.last = flags&flagLast != 0
	rec.about.change = alerting.Change(r.Byte())
	if flags > flagLast|flagLetter|flagTold || rec.about.change > alerting.Cleared {
		r.Fail()
	}
	rec.through, rec.at = r.Position(), readWall(r)
	rec.id, rec.about.fingerprint = r.Text(), r.Text()
	rec.about.every, rec.number = time.Duration(r.Varint()), readInt(r)
	rec.to, rec.done = readTickets(r), readTickets(r)
	if flags&flagLetter != 0 {
		l := &letter{sink: r.Text()}
		l.Reason, l.Error, l.Tries, l.number, l.time = notify.Reason(r.Text()), r.Text(), readInt(r), readInt(r), readWall(r)
		rec.letter = l
	}
	if flags&flagTold != 0 {
		for range r.Count() {
			rec.told = append(rec.told, told{sink: r.Text(), number: readInt(r), at: readWall(r), pending: r.Uvarint()})
		}
	}
	rec.body = data[len(data)-r.Len():]
	if len(rec.body) == 0 {
		r.Fail()
	}
	return rec, r.Err()
}

// message decodes the message of a record.
func (rec *record) message() (notify.Message, error) { return readMessage(event.NewReader(rec.body)) }

// marks is a record that says what needs messages no more.
type marks struct {
	at      time.Time      // when it was so, about
	covered event.Position // see [Outbox.Covered]
	forget  event.Position // ids of what came up to there are not needed
	done    map[string]runs
	notes   map[string][]notify.Note // by queue
	closed  bool                     // the log was closed in good order: notes before it are void
}

func (m *marks) empty() bool {
	return len(m.done) == 0 && len(m.notes) == 0 && m.forget.IsZero() && !m.closed
}

func (m *marks) append(dst []byte) []byte {
	dst = appendBool(append(dst, kindMarks, recordVersion), m.closed)
	dst = m.forget.AppendBinary(m.covered.AppendBinary(appendWall(dst, m.at)))
	dst = binary.AppendUvarint(dst, uint64(len(m.done)))
	for _, q := range sortedKeys(m.done) {
		dst = event.AppendText(dst, q)
		dst = binary.AppendUvarint(dst, uint64(len(m.done[q])))
		before := uint64(0)
		for _, r := range m.done[q] {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, r.first-before), r.last-r.first)
			before = r.last
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.notes)))
	for _, q := range sortedKeys(m.notes) {
		dst = binary.AppendUvarint(event.AppendText(dst, q), uint64(len(m.notes[q])))
		for _, n := range m.notes[q] {
			dst = binary.AppendVarint(event.AppendText(dst, n.Name), n.Length)
		}
	}
	return dst
}

func readMarks(data []byte) (*marks, error) {
	r := event.NewReader(data)
	m := &marks{done: map[string]runs{}, notes: map[string][]notify.Note{}}
	if r.Byte() != kindMarks || r.Byte() != recordVersion {
		r.Fail()
	}
	m.closed, m.at, m.covered, m.forget = readBool(r), readWall(r), r.Position(), r.Position()
	for range r.Count() {
		q := r.Text()
		before := uint64(0)
		for range r.Count() {
			first := before + r.Uvarint()
			last := first + r.Uvarint()
			if first <= before || last < first {
				r.Fail()
				break
			}
			m.done[q] = append(m.done[q], run{first, last})
			before = last
		}
	}
	for range r.Count() {
		q := r.Text()
		for range r.Count() {
			m.notes[q] = append(m.notes[q], notify.Note{Name: r.Text(), Length: r.Varint()})
		}
	}
	if r.Len() > 0 {
		r.Fail()
	}
	return m, r.Err()
}

// appendIDs appends a record of ids to dst.
func appendIDs(dst []byte, all []knownID) []byte {
	dst = binary.AppendUvarint(append(dst, kindIDs, recordVersion), uint64(len(all)))
	for _, id := range all {
		dst = append(id.through.AppendBinary(dst), id.key[:]...)
	}
	return dst
}

func readIDs(data []byte) ([]knownID, error) {
	r := event.NewReader(data)
	if r.Byte() != kindIDs || r.Byte() != recordVersion {
		r.Fail()
	}
	n := r.Count()
	out := make([]knownID, 0, min(n, maxAhead))
	for range n {
		id := knownID{through: r.Position()}
		for i := range id.key {
			id.key[i] = r.Byte()
		}
		out = append(out, id)
	}
	if r.Len() > 0 {
		r.Fail()
	}
	return out, r.Err()
}

func appendTickets(dst []byte, all []ticket) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, t := range all {
		dst = binary.AppendUvarint(event.AppendText(dst, t.queue), t.seq)
	}
	return dst
}

func readTickets(r *event.Reader) []ticket {
	var out []ticket
	for range r.Count() {
		out = append(out, ticket{r.Text(), r.Uvarint()})
	}
	return out
}

// appendWall appends a time of the wall clock; the zero time is zero.
func appendWall(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(dst, 0)
	}
	return binary.AppendVarint(dst, t.UnixNano())
}

func readWall(r *event.Reader) time.Time {
	if n := r.Varint(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

func readInt(r *event.Reader) int {
	n := r.Uvarint()
	if n > math.MaxInt32 {
		r.Fail()
		return 0
	}
	return int(n)
}
