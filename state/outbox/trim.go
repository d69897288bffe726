package outbox

import (
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

const (
	// looseExtents is how much of the log must be of no use, at its start, before
	// it is cut.
	looseExtents = 4
	// wasteExtents is how large the log must be before room is won back by moving
	// what waits.
	wasteExtents = 8
	// maxCarries bounds how many extents are moved at once: adding waits for it.
	maxCarries = 4
)

// trim lets go of the start of the log, as far as nothing in it waits and no id
// in it may come again. Where what waits at the start, for a sink that is down,
// say, keeps a log of which most is of no use, it moves that to the end: so one
// sink does not keep what all others have got. A failure is no harm: the next
// call tries again. o.writing is held.
func (o *Outbox) trim() {
	o.pop()
	for range maxCarries {
		if !o.wasteful() || o.carry(o.extents[0], keepAll) != nil {
			break
		}
		o.pop()
	}
	if o.loose >= looseExtents*o.opts.extent {
		_ = o.truncate()
	}
}

// pop drops the extents at the start that are of no use.
func (o *Outbox) pop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for n < len(o.extents)-1 && o.extents[n].waiting == 0 && o.forgettable(o.extents[n]) {
		x := o.extents[n]
		o.drop(x)
		x.gone = true
		o.loose += x.bytes
		o.extents[n] = nil
		n++
	}
	o.extents = o.extents[n:]
}

// forgettable reports whether no id of an extent may come again.
func (o *Outbox) forgettable(x *extent) bool {
	return o.volatile || x.through.Compare(o.forgotten) <= 0
}

// truncate cuts the log behind what is of no use. What the log says only there
// is said again before.
func (o *Outbox) truncate() error {
	o.mu.Lock()
	for name, q := range o.queues {
		for _, n := range q.notes {
			o.note(name, n)
		}
	}
	o.marks.forget = o.forgotten
	below := uint64(0)
	if len(o.extents) > 0 {
		below = o.extents[0].first
	}
	o.mu.Unlock()
	if !o.volatile {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if err := o.log.Truncate(below); err != nil {
		return err
	}
	o.loose = 0
	return nil
}

// wasteful reports whether more than half of the log is of no use, and moving
// its start would help.
func (o *Outbox) wasteful() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.extents) < 2 || !o.forgettable(o.extents[0]) {
		return false
	}
	all, useless := 0, 0
	for _, x := range o.extents {
		all += x.bytes
		useless += x.bytes
		if x.places > 0 {
			useless -= x.bytes * x.waiting / x.places
		}
	}
	return all > wasteExtents*o.opts.extent && useless > all/2
}

// fate says what carry gives up.
type fate uint8

const (
	keepAll    fate = iota
	keepAlerts      // derived events and dead letters are given up
	keepUnsent      // so are the raises that fire and that every sink has: they are told again no more
	fates           // how many there are
)

// carry moves what waits in an extent to the end of the log.
func (o *Outbox) carry(x *extent, what fate) error {
	o.mu.Lock()
	items := append([]item(nil), x.items...)
	if !x.cached {
		var err error
		if items, err = o.load(x); err != nil {
			o.mu.Unlock()
			return err
		}
	}
	var recs []*fresh
	for i := range items {
		if len(items[i].to) == 0 {
			continue
		}
		if rec := o.moved(&items[i], what); len(rec.to) > 0 {
			recs = append(recs, rec)
		}
	}
	o.mu.Unlock()
	for len(recs) > 0 {
		n := min(len(recs), groupRecords)
		if err := o.put(recs[:n]); err != nil {
			return err
		}
		recs = recs[n:]
	}
	return nil
}

// carryIDs moves the ids of an extent that may come again to the end of the log,
// so that a log that is full does not have to wait for the next snapshot.
func (o *Outbox) carryIDs(x *extent) error {
	o.mu.Lock()
	if o.forgettable(x) {
		o.mu.Unlock()
		return nil
	}
	items := x.items
	if !x.cached {
		var err error
		if items, err = o.load(x); err != nil {
			o.mu.Unlock()
			return err
		}
	}
	var ids []knownID
	for _, it := range items {
		all := it.ids
		if it.kind == kindNew {
			all = []knownID{{keyOf(it.id), it.through}}
		}
		for _, id := range all {
			if id.through.Compare(o.forgotten) > 0 {
				ids = append(ids, id)
			}
		}
	}
	o.mu.Unlock()
	data := appendIDs(nil, ids)
	first, err := o.log.Append([][]byte{data})
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	x.through = event.Position{}
	o.applyIDs(first, len(data), ids)
	return nil
}

// applyIDs lets a record of ids take effect.
func (o *Outbox) applyIDs(seq uint64, size int, ids []knownID) {
	x := o.extentFor(seq, size, &record{})
	o.drop(x)
	for _, id := range ids {
		o.ids.add(id.key, id.through)
		x.through = later(x.through, id.through)
	}
}

// moved returns the record that takes over what waits of another one.
func (o *Outbox) moved(it *item, what fate) *fresh {
	rec := &fresh{record: it.record}
	rec.kind, rec.last, rec.to, rec.done, rec.told, rec.through = kindCarried, false, nil, nil, nil, event.Position{}
	rec.body = it.encoded()
	for _, t := range it.to {
		switch {
		case !o.queue(t.queue).waits.has(t.seq):
		case what >= keepAlerts && t.queue == deadQueue:
			o.giveUp(t, notify.Loss{Reason: notify.ReasonTooMany})
		case what >= keepAlerts && it.about.change == 0:
			o.giveUp(t, notify.Loss{Sink: t.queue, Reason: notify.ReasonOutboxFull})
		case what >= keepUnsent && t.queue == firingQueue:
			o.giveUp(t, notify.Loss{Reason: notify.ReasonOutboxFull})
			o.cease(it.about.fingerprint)
		default:
			rec.to = append(rec.to, t)
		}
		if f := o.firing[it.about.fingerprint]; t.queue == firingQueue && f != nil && f.seq == t.seq {
			rec.told = append([]told(nil), f.told...)
		}
	}
	return rec
}

// makeRoom sees to it that records of a size may be added.
func (o *Outbox) makeRoom(size int64) error {
	// What is carried is there twice for a moment, and records have headers.
	over := func() bool { return o.log.Bytes()+size+int64(o.opts.extent) > o.opts.MaxBytes }
	if !over() {
		return nil
	}
	o.pop()
	if o.loose > 0 {
		if err := o.truncate(); err != nil {
			return err
		}
	}
	o.mu.Lock()
	fruitless := o.stuck && o.closes == o.stuckAt
	o.mu.Unlock()
	for what := keepAlerts; what < fates && over() && !fruitless; what++ {
		if err := o.shed(what, over); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stuck, o.stuckAt = over(), o.closes
	if o.stuck {
		return ErrFull
	}
	return nil
}

// shed gives up, from the start of the log on, what may be given up, while there
// is too little room.
func (o *Outbox) shed(what fate, over func() bool) error {
	o.mu.Lock()
	tries := len(o.extents) - 1
	o.mu.Unlock()
	for i := 0; i < tries && over(); i++ {
		if err := o.carry(o.extents[0], what); err != nil {
			return err
		}
		if err := o.carryIDs(o.extents[0]); err != nil {
			return err
		}
		o.pop()
		if err := o.truncate(); err != nil {
			return err
		}
	}
	return nil
}
