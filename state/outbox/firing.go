package outbox

import (
	"cmp"
	"slices"
	"time"

	"github.com/cepd/cepd/alerting"
)

// firing is an alert that was raised and not cleared. Its raise waits in the
// queue of what fires, so that it can be told again.
type firing struct {
	seq   uint64 // in that queue
	every time.Duration
	told  []told // by sink
}

// told says how far a sink has been told of an alert.
type told struct {
	sink    string
	number  int       // of the last repeat, 0 for the raise
	at      time.Time // when that was confirmed, or given up; zero: not yet
	pending uint64    // place of what is on its way, 0 for none
}

func (f *firing) sink(name string) *told {
	for i := range f.told {
		if f.told[i].sink == name {
			return &f.told[i]
		}
	}
	f.told = append(f.told, told{sink: name})
	return &f.told[len(f.told)-1]
}

// reached notes that what was on its way to a sink is there.
func (f *firing) reached(t ticket, now time.Time) {
	if s := f.sink(t.queue); s.pending == t.seq {
		s.pending, s.at = 0, now
	}
}

// track notes what a record means for the alerts that fire. One that is only
// written again means nothing new.
func (o *Outbox) track(rec *record) {
	fp := rec.about.fingerprint
	switch {
	case rec.about.change == 0 || rec.letter != nil:
		return
	case rec.kind == kindNew:
		o.cease(fp)
	}
	if rec.about.change != alerting.Raised {
		return
	}
	if i := slices.IndexFunc(rec.to, func(t ticket) bool { return t.queue == firingQueue }); i >= 0 {
		o.fires(rec, rec.to[i].seq)
	}
	f := o.firing[fp]
	if f == nil || rec.kind == kindCarried {
		return
	}
	for _, t := range rec.to {
		if t.queue != firingQueue && t.queue != deadQueue {
			s := f.sink(t.queue)
			s.number, s.pending = rec.number, t.seq
			o.raises[t] = f
		}
	}
}

// fires notes that an alert fires whose raise has a place in the queue of those.
func (o *Outbox) fires(rec *record, seq uint64) {
	f := o.firing[rec.about.fingerprint]
	if f == nil {
		f = &firing{}
		o.firing[rec.about.fingerprint] = f
	}
	f.seq, f.every = seq, rec.about.every
	if len(rec.told) == 0 {
		return
	}
	f.told = rec.told
	for _, t := range f.told {
		if t.pending > 0 {
			o.raises[ticket{t.sink, t.pending}] = f
		}
	}
}

// cease forgets that an alert fires.
func (o *Outbox) cease(fingerprint string) {
	f := o.firing[fingerprint]
	if f == nil {
		return
	}
	delete(o.firing, fingerprint)
	for _, t := range f.told {
		if t.pending > 0 {
			delete(o.raises, ticket{t.sink, t.pending})
		}
	}
}

// Firing returns the raises of all alerts that were raised and not cleared, in
// the order of their raises.
func (o *Outbox) Firing() ([]alerting.Transition, error) {
	var out []alerting.Transition
	for after := uint64(0); ; {
		es, err := o.Read(firingQueue, after, groupRecords)
		if err != nil {
			return nil, err
		}
		if len(es) == 0 {
			return out, nil
		}
		for _, e := range es {
			out = append(out, *e.Transition)
			after = e.Seq
		}
	}
}

// again is an alert that a sink is to be told of again.
type again struct {
	sink   string
	firing *firing
	number int
}

// Repeat adds what is to be repeated by now; see [notify.Reminders].
func (o *Outbox) Repeat(now time.Time) (int, time.Time, error) {
	var next time.Time
	n, err := o.tellAgain(func(f *firing, t *told) (number int, ok bool) {
		if f.every <= 0 {
			return 0, false
		}
		due := t.at.Add(f.every)
		if due.After(now) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			return 0, false
		}
		return t.number + 1, true
	})
	return n, next, err
}

// Refresh tells a sink again of all that fires; see [notify.Reminders].
func (o *Outbox) Refresh(sink string) (int, error) {
	return o.tellAgain(func(_ *firing, t *told) (int, bool) { return t.number, t.sink == sink })
}

// tellAgain adds raises again that have reached their sink, under the number
// that pick gives them.
func (o *Outbox) tellAgain(pick func(*firing, *told) (number int, ok bool)) (int, error) {
	o.writing.Lock()
	defer o.writing.Unlock()
	var all []again
	o.mu.Lock()
	for _, f := range o.firing {
		for i := range f.told {
			t := &f.told[i]
			if t.pending > 0 || t.at.IsZero() || o.known != nil && !o.known[t.sink] {
				continue
			}
			if number, ok := pick(f, t); ok {
				all = append(all, again{sink: t.sink, firing: f, number: number})
			}
		}
	}
	o.mu.Unlock()
	slices.SortFunc(all, func(a, b again) int {
		return cmp.Or(cmp.Compare(a.firing.seq, b.firing.seq), cmp.Compare(a.sink, b.sink))
	})
	added := 0
	for part := range slices.Chunk(all, groupRecords) {
		if err := o.addAgain(part); err != nil {
			return added, err
		}
		added += len(part)
	}
	return added, nil
}

// groupRecords bounds how many records that are moved are written at once.
const groupRecords = 256

func (o *Outbox) addAgain(all []again) error {
	seqs := runs{}
	for _, a := range all {
		seqs.add(a.firing.seq)
	}
	raises, err := o.find(firingQueue, seqs)
	if err != nil {
		return err
	}
	var recs []*fresh
	o.mu.Lock()
	now := o.opts.Now()
	for _, a := range all {
		it := raises[a.firing.seq]
		recs = append(recs, &fresh{record{
			kind: kindMoved, at: now, id: it.id, about: it.about, number: a.number, to: []ticket{o.ticket(a.sink)}, body: it.encoded(),
		}, it.message, nil})
	}
	o.mu.Unlock()
	return o.write(recs)
}
