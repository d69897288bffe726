package sim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/durable"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state"
	"github.com/cepd/cepd/state/outbox"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

// process is all that a crash ends.
type process struct {
	w          *world
	log        *wal.Log
	bundles    *durable.Bundles
	outbox     *outbox.Outbox
	dispatcher *notify.Dispatcher
	engine     *durable.Engine
	store      *state.Store

	buffer    []arrived // what the source has read
	acks      []ack     // what it may acknowledge
	groups    []group   // in the log, and not judged yet
	waits     bool      // something is decided, and not in the outbox
	due       event.Time
	ticked    event.Position
	snapshot  *durable.Snapshot
	rows      []state.Row // of it, to be written
	last      bool        // they are the last
	confirmed []confirmed // by sinks, and not marked
	sent      []confirmed // marked, and that is not durable yet
	marks     map[string]event.Time
	asked     bool // the rules were asked to change
	ready     bool // those of the start are in force
}

// arrived is a record from the source, and the message that it is of.
type arrived struct {
	record event.Record
	id     int // -1: none
	conn   int
}

type ack struct{ id, conn int }

type group struct {
	records []event.Record
	started bool // it holds the rules that are wanted
}

type confirmed struct {
	sink string
	seq  uint64
	id   string // of the delivery
}

// boot starts a process on what the last one has left.
func (w *world) boot() error {
	p := &process{w: w, due: event.MaxTime, marks: map[string]event.Time{}}
	if err := p.open(); err != nil {
		if vfs.IsFull(err) {
			w.disk.Kill()
			return nil // it waits for room
		}
		return fmt.Errorf("starting: %w", err)
	}
	if err := w.recovered(p); err != nil {
		return err
	}
	w.p = p
	p.buffer = append(p.buffer, arrived{record: event.Record{Kind: event.KindStart}, id: -1})
	return nil
}

// open opens what is on the disk, in the daemon's order.
func (p *process) open() (err error) {
	w := p.w
	files := w.files()
	if p.bundles, err = durable.OpenBundles(files, "/rules"); err != nil {
		return err
	}
	if p.log, _, err = wal.Open(files, "/log", wal.Options{SegmentBytes: 2000, Rand: w.random}); err != nil {
		return err
	}
	clock := func() time.Time { return time.Unix(0, int64(w.now)) }
	salt := func() uint64 { w.salt++; return uint64(w.salt) }
	if p.outbox, _, err = outbox.Open(files, "/outbox", outbox.Options{MarksEvery: -1, SegmentBytes: 1500, Now: clock, Salt: salt}); err != nil {
		return err
	}
	if p.store, _, err = w.store.Open(state.Options{Encoding: engine.Encoding, Semantics: engine.Semantics}); err != nil {
		return err
	}
	var sinks []notify.Sink
	for _, name := range sinkNames {
		sinks = append(sinks, notify.Sink{Name: name, Notifier: w.sinks[name]})
	}
	if p.dispatcher, err = notify.New(notify.Config{Sinks: sinks, Outbox: p.outbox}); err != nil {
		return err
	}
	p.engine, _, err = durable.Open(durable.Config{
		Engine: engine.Config{Shards: 1 + w.rng.IntN(3), Load: p.load}, Log: p.log, Outputs: p.dispatcher, BatchRecords: 1 + w.rng.IntN(20),
		Keep: &durable.Keep{Log: p.log, Store: p.store, Bundles: p.bundles, Outbox: p.outbox},
	})
	return err
}

// load returns the rules of a hash, from what is kept of them.
func (p *process) load(hash string) (*rules.Set, error) {
	if _, err := p.bundles.Get(hash); err != nil {
		return nil, err
	}
	return compiled(hash)
}

// act lets one of the daemon's goroutines, or the world beside it, do something.
func (p *process) act() error {
	w := p.w
	switch w.rng.IntN(18) {
	case 0:
		p.publish()
	case 1, 2:
		p.receive()
	case 3, 4, 5:
		return p.append()
	case 6, 7:
		p.acknowledge()
	case 8, 9, 10:
		return p.step()
	case 11, 12:
		return p.save()
	case 13, 14:
		return p.send()
	case 15:
		return p.mark()
	case 16:
		if w.small && w.steps < stormy && w.rng.IntN(20) == 0 {
			return p.evict()
		}
	case 17:
		switch w.rng.IntN(30) {
		case 0:
			if w.steps < stormy {
				return errKilled
			}
		case 1:
			return p.stop()
		default:
			return p.change()
		}
	}
	return nil
}

// publish lets a device publish its next message. Before the rules change,
// everything before must be in the log, so that it is known which rules judge it.
func (p *process) publish() {
	w := p.w
	if w.told == len(w.story) || w.told == w.reload && p.engine.Rules() != w.want {
		return
	}
	if w.told == w.reload && w.want == keep(rulesBefore) {
		if len(w.logged) == w.told {
			w.log("the rules change")
			w.want = keep(rulesAfter)
		}
		return
	}
	m := w.story[w.told]
	w.told++
	w.now = max(w.now, m.at)
	w.broker.queue = append(w.broker.queue, m)
	w.log("published %d %s %s", m.id, m.topic, m.payload)
}

// receive connects, or reads a message.
func (p *process) receive() {
	w := p.w
	if p.ready = p.ready || p.engine.Rules() == w.want && !p.asked; !p.ready { // sources wait for the rules
		return
	}
	if w.broker.conn == 0 {
		conn := w.broker.connect()
		session := event.FlagSession
		if conn%5 == 4 { // so the broker says, and forgets nothing
			session = event.FlagLost
		}
		p.read(event.Record{Kind: event.KindSourceUp, Conn: uint64(conn), Flags: session}, -1)
		w.log("connection %d", conn)
		return
	}
	m, ok := w.broker.send()
	if !ok {
		return
	}
	flags := event.Flags(1)
	if m.again {
		flags |= event.FlagDup
	}
	p.read(event.Record{Kind: event.KindMessage, Conn: uint64(w.broker.conn), Flags: flags, Packet: uint16(m.id%math.MaxUint16 + 1), Topic: m.topic, Payload: []byte(m.payload)}, m.id)
}

func (p *process) read(r event.Record, id int) {
	r.Source, r.Arrival = "plant", p.w.now
	p.buffer = append(p.buffer, arrived{r, id, p.w.broker.conn})
}

// append puts some of what was read into the log, or a tick.
func (p *process) append() error {
	w := p.w
	n := min(len(p.buffer), 1+w.rng.IntN(5))
	var g group
	for _, a := range p.buffer[:n] {
		if a.record.Arrival == 0 {
			a.record.Arrival = w.now
		}
		g.records = append(g.records, a.record)
	}
	if n == 0 && p.due <= w.now && p.ticked.Compare(p.engine.Last()) <= 0 && len(p.groups) == 0 {
		g.records = []event.Record{{Kind: event.KindTick, Arrival: w.now}}
	}
	if len(g.records) == 0 {
		return nil
	}
	if ok, err := p.appendGroup(g); !ok {
		return err
	}
	for _, a := range p.buffer[:n] {
		if a.id >= 0 {
			p.acks = append(p.acks, ack{a.id, a.conn})
		}
	}
	p.buffer = p.buffer[n:]
	return nil
}

// appendGroup puts a group into the log. A disk without room is waited for.
func (p *process) appendGroup(g group) (ok bool, err error) {
	if err := p.engine.Append(g.records); err != nil {
		if vfs.IsFull(err) {
			return false, nil
		}
		return false, err
	}
	for _, r := range g.records {
		if r.Kind == event.KindTick {
			p.ticked = r.Pos
		}
		p.w.remember(r)
	}
	p.groups = append(p.groups, g)
	p.w.log("appended %d records at %s", len(g.records), g.records[0].Pos)
	return true, nil
}

// acknowledge sends an acknowledgement to the broker.
func (p *process) acknowledge() {
	if len(p.acks) == 0 {
		return
	}
	a := p.acks[0]
	p.acks = p.acks[1:]
	p.w.broker.ack(a.id, a.conn)
}

// step lets a group take effect, or puts into the outbox what could not be put
// there before.
func (p *process) step() error {
	if p.waits {
		return p.deliver()
	}
	if len(p.groups) == 0 {
		return nil
	}
	g := p.groups[0]
	p.groups = p.groups[1:]
	out := p.engine.Step(g.records)
	if out.Reload != nil && out.Reload.Err != nil {
		return out.Reload.Err
	}
	p.due = out.Deadline
	for _, n := range out.Stats.Duplicates {
		p.w.counts.duplicates += int(n)
	}
	if g.started {
		p.asked = false
	}
	for stream, mark := range p.engine.Watermarks() {
		if before, ok := p.marks[stream]; ok && mark < before {
			return fmt.Errorf("the watermark of %s went back from %s to %s", stream, before, mark)
		}
		p.marks[stream] = mark
	}
	p.waits = true
	return p.deliver()
}

func (p *process) deliver() error {
	err := p.engine.Deliver()
	if vfs.IsFull(err) || errors.Is(err, outbox.ErrFull) {
		return nil
	}
	p.waits = err != nil
	return err
}

// change brings the rules of the files into force, if others are.
func (p *process) change() error {
	w := p.w
	if p.asked || p.engine.Rules() == w.want || len(p.buffer) > 0 && p.buffer[0].record.Kind == event.KindStart {
		return nil
	}
	hash, err := p.bundles.Put([]byte(texts[w.want]))
	if vfs.IsFull(err) {
		return nil
	}
	if err != nil {
		return err
	}
	g := group{records: []event.Record{{Kind: event.KindRuleSet, Arrival: w.now, Payload: []byte(hash)}}, started: true}
	p.asked, err = p.appendGroup(g)
	return err
}

// evict drops the state of all keys, by records of the log.
func (p *process) evict() error {
	notices, _ := p.engine.Coldest(1)
	var g group
	for _, n := range notices {
		g.records = append(g.records, n.Record(p.w.now))
		p.w.counts.evicted++
	}
	if len(g.records) == 0 {
		return nil
	}
	p.w.log("there is no memory for what is kept")
	_, err := p.appendGroup(g)
	return err
}

// save goes on with a snapshot, or begins one.
func (p *process) save() error {
	if p.snapshot == nil {
		if !p.engine.Changed() || p.w.rng.IntN(3) > 0 {
			return nil
		}
		if p.snapshot = p.engine.Begin(); p.snapshot == nil {
			return nil
		}
		p.w.log("snapshot at %s", p.snapshot.Position)
		p.rows, p.last = p.snapshot.Next(1 + p.w.rng.IntN(6))
		return nil
	}
	err := p.snapshot.Write(p.rows)
	if err == nil && !p.last {
		p.rows, p.last = p.snapshot.Next(1 + p.w.rng.IntN(6))
		return nil
	}
	if err == nil {
		err = p.snapshot.Seal(p.w.now)
	}
	return p.saved(err)
}

// saved ends a snapshot.
func (p *process) saved(err error) error {
	s := p.snapshot
	p.snapshot, p.rows = nil, nil
	var cut *durable.CutError
	if err != nil && !errors.As(err, &cut) {
		err = errors.Join(err, s.Abandon())
		p.w.log("no snapshot at %s: %v", s.Position, err)
	} else {
		p.w.counts.snapshots++
	}
	p.engine.End(s, err)
	if oldest, ok := p.store.Oldest(); ok && p.log.First().Seq > oldest.Position.Seq+1 {
		return fmt.Errorf("the log begins at %s, and the older snapshot is of %s", p.log.First(), oldest.Position)
	}
	return nil // a snapshot that fails is no reason to end
}

// send tries to tell a sink something.
func (p *process) send() error {
	w := p.w
	name := sinkNames[w.rng.IntN(len(sinkNames))]
	es, err := p.outbox.Read(name, 0, 8)
	if err != nil || len(es) == 0 {
		return err
	}
	i := w.rng.IntN(len(es))
	e := es[i]
	for _, before := range es[:i] { // of one subject one after the other
		if subject(before.Message) == subject(e.Message) {
			return nil
		}
	}
	for _, c := range p.confirmed {
		if c.sink == name && c.seq == e.Seq {
			return nil
		}
	}
	d := notify.NewDelivery(e.Message, name, e.Repeat)
	if w.sinks[name].marked[d.ID] {
		return fmt.Errorf("%s is told again of %s, although it was durable that it knew", name, describe(e.Message))
	}
	fate := w.rng.IntN(6)
	if w.steps >= stormy {
		fate = 5
	}
	switch fate {
	case 0: // it does not arrive
	case 1: // it arrives, and nobody knows
		w.sinks[name].take(d)
	default:
		w.sinks[name].take(d)
		p.confirmed = append(p.confirmed, confirmed{name, e.Seq, d.ID})
	}
	return nil
}

// mark notes what sinks have confirmed, or makes such notes durable.
func (p *process) mark() error {
	if len(p.confirmed) == 0 {
		err := p.outbox.Flush()
		if err == nil {
			p.w.noted(p.sent)
			p.sent = nil
		}
		if vfs.IsFull(err) {
			return nil
		}
		return err
	}
	for len(p.confirmed) > 0 && p.w.rng.IntN(4) > 0 {
		c := p.confirmed[0]
		p.confirmed = p.confirmed[1:]
		p.w.counts.sent++
		if err := p.outbox.Sent(c.sink, c.seq, notify.Note{}); err != nil {
			return err
		}
		p.sent = append(p.sent, c)
	}
	return nil
}

// stop ends the process in good order, as SIGTERM does.
func (p *process) stop() error {
	w := p.w
	w.log("a stop in good order")
	for len(p.groups) > 0 || p.waits {
		if err := p.step(); err != nil {
			return err
		}
		if p.waits { // there is no room
			return errKilled
		}
	}
	if err := errors.Join(p.outbox.Close(), p.log.Close()); err != nil && !vfs.IsFull(err) {
		return err
	}
	return errKilled
}

// idle reports whether nothing is on its way in the process.
func (p *process) idle() bool {
	return len(p.buffer)+len(p.groups)+len(p.confirmed) == 0 && !p.waits && !p.asked && p.snapshot == nil && !p.engine.Changed()
}

// subject is what a message is about, as the dispatcher sees it.
func subject(m notify.Message) string {
	if d := m.Derived; d != nil {
		return "event " + d.Rule + " " + strconv.Quote(d.Key)
	}
	return "alert " + m.Transition.Fingerprint
}
