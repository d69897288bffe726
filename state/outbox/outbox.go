package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

// Log is the log that an outbox stands on. Records have numbers that go up.
type Log interface {
	// Append adds records, durable on return. After an error none of them counts.
	Append(group [][]byte) (first uint64, err error)
	// Read calls f with the records after a number, in order, until it fails.
	// What f gets is f's for the length of the call.
	Read(after uint64, f func(seq uint64, data []byte) error) error
	// Truncate may remove the records below a number.
	Truncate(below uint64) error
	// Bytes is the room that the log takes.
	Bytes() int64
	Close() error
}

// ErrFull is the error of an outbox that is as large as it may be, and has
// nothing that may be given up. The caller waits and tries again.
var ErrFull = errors.New("the outbox is full")

// Options set up an [Outbox].
type Options struct {
	// MaxBytes is how much room the outbox may take. Where it would take more,
	// the oldest derived events that wait are given up, and counted; changes of
	// alerts never are: if there are too many of them, adding fails with
	// [ErrFull]. Default 1 GiB.
	MaxBytes int64
	// DeadLetters is how many dead letters are kept, the newest ones. What is
	// over is counted. Default 10,000.
	DeadLetters int
	// MarksEvery is how long it may take until it is durable that something was
	// sent. What was sent and not marked before a crash is sent again. Default
	// 100ms; negative: only [Outbox.Flush] and whatever is written beside does it.
	MarksEvery time.Duration
	// Now reads the wall clock. Default: time.Now.
	Now func() time.Time
	// Logger is told of what nobody waits for. Default: nobody.
	Logger *slog.Logger
	// ReadOnly changes nothing, so that an outbox can be looked at that somebody
	// else has open.
	ReadOnly bool
	// SegmentBytes is the size of a file. The log is cut by whole files. Default: an
	// eighth of MaxBytes, and at most 16 MiB.
	SegmentBytes int64
	// Salt returns a random number for each new file. Default: as package segment
	// has it.
	Salt func() uint64
	// Synced, if set, is told how long each fdatasync took.
	Synced func(took time.Duration)

	extent int // bytes of an extent, about; see there
}

// EnsureDefaults fills what is left out.
func (p *Options) EnsureDefaults() {
	if p.MaxBytes == 0 {
		p.MaxBytes = 1 << 30
	}
	if p.SegmentBytes == 0 {
		p.SegmentBytes = max(min(maxSegment, p.MaxBytes/8), minSegment)
	}
	if p.extent == 0 {
		p.extent = extentBytes
	}
	if p.DeadLetters == 0 {
		p.DeadLetters = 10_000
	}
	if p.MarksEvery == 0 {
		p.MarksEvery = 100 * time.Millisecond
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
}

// maxMarks is how many marks are kept back at most before they are written.
const maxMarks = 4096

// Outbox is a [notify.Outbox] over a log.
type Outbox struct {
	opts     Options
	log      Log
	volatile bool // the log is gone with the process: no id comes twice but shortly after

	writing sync.Mutex // held while the log is used; taken before mu
	loose   int        // bytes at the start of the log that are of no use

	mu        sync.Mutex
	queues    map[string]*queue
	known     map[string]bool // the sinks that there are; nil: not told yet
	ids       ids
	firing    map[string]*firing // by fingerprint
	raises    map[ticket]*firing // raises on their way to sinks
	extents   []*extent          // in order of the log
	held      []*extent          // those of them that hold records in memory
	cached    int64              // bytes of these records
	covered   event.Position
	forgotten event.Position
	marks     marks // not written yet
	marked    int   // how many they are, about
	timer     *time.Timer
	failing   bool   // the last try to write marks failed
	closes    uint64 // places that wait no more, since the start
	stuck     bool   // there was no room, and none to be made
	stuckAt   uint64 // closes then
	closed    bool
	gone      map[notify.Loss]uint64
}

// New returns the outbox that a log holds.
func New(log Log, opts Options) (*Outbox, error) {
	o := blank(log, opts)
	if err := o.recover(); err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return o, nil
}

func blank(log Log, opts Options) *Outbox {
	opts.EnsureDefaults()
	return &Outbox{
		opts: opts, log: log, queues: map[string]*queue{}, firing: map[string]*firing{}, raises: map[ticket]*firing{},
		ids: newIDs(), marks: newMarks(), gone: map[notify.Loss]uint64{},
	}
}

// NewMemory returns an empty outbox that is lost with the process.
func NewMemory(opts Options) *Outbox {
	o := blank(&memory{}, opts)
	o.volatile = true
	return o
}

// Append adds messages; see [notify.Outbox].
func (o *Outbox) Append(through event.Position, ms []notify.Message) error {
	o.writing.Lock()
	defer o.writing.Unlock()
	o.mu.Lock()
	recs := o.take(through, ms)
	if len(recs) == 0 {
		o.cover(through)
	}
	o.mu.Unlock()
	if err := o.write(recs); err != nil {
		return fmt.Errorf("adding to the outbox: %w", err)
	}
	return nil
}

// fresh is a record that is to be written, and its message if it is at hand.
type fresh struct {
	record
	message *notify.Message
	data    []byte // of the record, once it is encoded
}

// take makes records of the messages that are not known already, and gives them
// places. A message for a sink that there is not is a dead letter of its own,
// before the record that makes the message known.
func (o *Outbox) take(through event.Position, ms []notify.Message) []*fresh {
	var recs []*fresh
	now := o.opts.Now()
	seen := map[idKey]bool{}
	raised := map[string]uint64{} // in this batch: places of raises, by alert; 0 once it is cleared
	for _, m := range ms {
		id := m.Identity()
		key := keyOf(id)
		if o.ids.has(key) || seen[key] {
			continue
		}
		rec := &fresh{record{kind: kindNew, through: through, at: now, id: id, about: aboutOf(m)}, &m, nil}
		letters := 0
		for i, sink := range m.Sinks() {
			switch {
			case contains(m.Sinks()[:i], sink):
			case o.known != nil && !o.known[sink]:
				recs = append(recs, o.unknown(rec, sink))
				letters++
			default:
				rec.to = append(rec.to, o.ticket(sink))
			}
		}
		o.follow(rec, raised)
		if len(rec.to)+len(rec.done)+letters > 0 {
			seen[key] = true
			recs = append(recs, rec)
		}
	}
	if len(recs) > 0 {
		recs[len(recs)-1].last = true
	}
	return recs
}

// follow adds to the record of a change what it means for the alerts that fire.
func (o *Outbox) follow(rec *fresh, raised map[string]uint64) {
	fp := rec.about.fingerprint
	if rec.about.change == 0 {
		return
	}
	before, ok := raised[fp]
	if f := o.firing[fp]; !ok && f != nil {
		before = f.seq
	}
	if before > 0 {
		rec.done = append(rec.done, ticket{firingQueue, before})
		raised[fp] = 0
	}
	if rec.about.change == alerting.Raised && len(rec.to) > 0 {
		rec.to = append(rec.to, o.ticket(firingQueue))
		raised[fp] = rec.to[len(rec.to)-1].seq
	}
}

// write makes records durable, if there is room for them, and lets them take
// effect. o.writing is held.
func (o *Outbox) write(recs []*fresh) error {
	if len(recs) == 0 {
		return nil
	}
	size := int64(0)
	for _, rec := range recs {
		rec.encode()
		size += int64(len(rec.data))
	}
	if err := o.makeRoom(size); err != nil {
		return err
	}
	if err := o.put(recs); err != nil {
		return err
	}
	o.trim()
	return nil
}

// encode makes the bytes of a record.
func (rec *fresh) encode() {
	if rec.data != nil {
		return
	}
	if rec.body == nil {
		rec.body = appendMessage(nil, *rec.message)
	}
	rec.data = rec.append(nil)
}

// put makes records durable, along with the marks that wait, and lets them take
// effect. o.writing is held.
func (o *Outbox) put(recs []*fresh) error {
	if len(recs) == 0 {
		return nil
	}
	group := make([][]byte, 0, len(recs)+1)
	for _, rec := range recs {
		rec.encode()
		group = append(group, rec.data)
	}
	m := o.takeMarks()
	if !m.empty() {
		group = append(group, m.append(nil))
	}
	first, err := o.log.Append(group)
	if err != nil {
		o.returnMarks(m)
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, rec := range recs {
		o.apply(first+uint64(i), len(rec.data), &rec.record, rec.message)
	}
	o.buried(recs)
	if o.volatile {
		o.ids.keep(rememberedIDs)
	}
	return nil
}

// apply lets a record take effect. o.mu is held.
func (o *Outbox) apply(seq uint64, size int, rec *record, m *notify.Message) {
	x := o.extentFor(seq, size, rec)
	if rec.kind == kindNew {
		if !o.ids.add(keyOf(rec.id), rec.through) {
			return // written by a try of which it was not known that it succeeded
		}
		x.through = later(x.through, rec.through)
	}
	if rec.last {
		o.cover(rec.through)
	}
	when := rec.at
	if rec.letter != nil {
		when = rec.letter.time
	}
	for _, t := range rec.done {
		o.close(t, when)
	}
	for _, t := range rec.to {
		o.open(t, x)
	}
	o.track(rec)
	o.hold(x, item{seq: seq, size: size, record: *rec, message: m})
}

func (o *Outbox) cover(through event.Position) { o.covered = later(o.covered, through) }

func later(a, b event.Position) event.Position {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// Covered returns the position of the input log up to which the outbox holds,
// or has held, all that came of it.
func (o *Outbox) Covered() event.Position {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.covered
}

// Forget says that nothing that came of records up to the given one will be
// added again: no snapshot is kept that is older. So their ids need not be
// known any more.
func (o *Outbox) Forget(through event.Position) {
	o.writing.Lock()
	defer o.writing.Unlock()
	o.mu.Lock()
	if through.Compare(o.forgotten) <= 0 {
		o.mu.Unlock()
		return
	}
	o.forgotten = through
	o.marks.forget = through
	o.ids.forget(through)
	o.mu.Unlock()
	o.trim()
}

// Sent marks an entry as confirmed; see [notify.Outbox].
func (o *Outbox) Sent(sink string, seq uint64, n notify.Note) error {
	o.mu.Lock()
	t := ticket{sink, seq}
	if !o.close(t, o.opts.Now()) {
		o.mu.Unlock()
		return nil
	}
	o.mark(t)
	if n.Name != "" {
		o.note(sink, n)
	}
	full := o.marked >= maxMarks && !o.failing
	o.armMarks()
	o.mu.Unlock()
	if full {
		return o.Flush()
	}
	return nil
}

// mark notes a mark to be written.
func (o *Outbox) mark(t ticket) {
	s := o.marks.done[t.queue]
	s.add(t.seq)
	o.marks.done[t.queue] = s
	o.marked++
}

// Pending counts what waits for a sink.
func (o *Outbox) Pending(sink string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q := o.queues[sink]; q != nil {
		return q.waiting
	}
	return 0
}

// Stats returns what the outbox has counted.
func (o *Outbox) Stats() notify.OutboxStats {
	o.mu.Lock()
	st := notify.OutboxStats{Firing: len(o.firing), Losses: map[notify.Loss]uint64{}}
	if q := o.queues[deadQueue]; q != nil {
		st.DeadLetters = q.waiting
	}
	for l, n := range o.gone {
		st.Losses[l] = n
	}
	o.mu.Unlock()
	o.writing.Lock()
	defer o.writing.Unlock()
	st.Bytes = o.log.Bytes()
	return st
}

// Close makes all marks durable and closes the log.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil
	}
	o.closed = true
	o.marks.closed = o.known != nil // else its sinks have not seen their notes
	if o.timer != nil {
		o.timer.Stop()
	}
	o.mu.Unlock()
	var err error
	if !o.opts.ReadOnly {
		err = o.Flush()
	}
	o.writing.Lock()
	defer o.writing.Unlock()
	return errors.Join(err, o.log.Close())
}

func contains(all []string, s string) bool {
	for _, one := range all {
		if one == s {
			return true
		}
	}
	return false
}
