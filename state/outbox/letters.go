package outbox

import (
	"fmt"
	"time"

	"github.com/cepd/cepd/alerting/notify"
)

// Bury makes dead letters of entries; see [notify.Outbox]. It needs no room but
// what the entries had.
func (o *Outbox) Bury(sink string, f notify.Failure, es ...notify.Entry) error {
	o.writing.Lock()
	defer o.writing.Unlock()
	o.mu.Lock()
	now := o.opts.Now()
	var recs []*fresh
	for _, e := range es {
		if q := o.queue(sink); !q.waits.has(e.Seq) {
			continue
		}
		rec := o.letter(&fresh{record{at: e.At, id: e.Identity(), about: aboutOf(e.Message), number: e.Repeat}, &e.Message, nil}, sink, f, now)
		rec.done = []ticket{{sink, e.Seq}}
		recs = append(recs, rec)
	}
	o.mu.Unlock()
	if err := o.put(recs); err != nil {
		return fmt.Errorf("keeping dead letters: %w", err)
	}
	o.trim()
	return nil
}

// letter returns the record of a dead letter.
func (o *Outbox) letter(of *fresh, sink string, f notify.Failure, now time.Time) *fresh {
	rec := &fresh{record{
		kind: kindMoved, at: of.at, id: of.id, about: of.about, body: of.body,
		to: []ticket{o.ticket(deadQueue)}, letter: &letter{Failure: f, sink: sink, number: of.number, time: now},
	}, of.message, nil}
	return rec
}

// unknown returns the dead letter of a message for a sink that there is not.
func (o *Outbox) unknown(of *fresh, sink string) *fresh {
	f := notify.Failure{Reason: notify.ReasonUnknownSink, Error: "there is no sink of that name"}
	return o.letter(of, sink, f, of.at)
}

// Sinks says which sinks there are; see [notify.Outbox].
func (o *Outbox) Sinks(names []string) error {
	o.writing.Lock()
	defer o.writing.Unlock()
	o.mu.Lock()
	o.known = map[string]bool{}
	for _, name := range names {
		o.known[name] = true
	}
	queues := sortedKeys(o.queues)
	o.mu.Unlock()
	for _, name := range queues {
		if name == deadQueue || name == firingQueue || o.known[name] {
			continue
		}
		if err := o.retire(name); err != nil {
			return fmt.Errorf("giving up what waits for sink %s, which there is not any more: %w", name, err)
		}
	}
	o.trim()
	return nil
}

// retire makes dead letters of the newest entries that wait for a sink, as many
// as are kept, and gives up the others.
func (o *Outbox) retire(sink string) error {
	loss := notify.Loss{Sink: sink, Reason: notify.ReasonSinkRemoved}
	f := notify.Failure{Reason: loss.Reason, Error: "there is no sink of that name any more"}
	o.mu.Lock()
	q := o.queue(sink)
	q.notes = nil
	for n, ok := q.waits.after(0); ok && q.waiting > o.opts.DeadLetters; n, ok = q.waits.after(n) {
		o.giveUp(ticket{sink, n}, loss)
	}
	o.mu.Unlock()
	for after := uint64(0); ; {
		got, err := o.scan(sink, after, groupRecords)
		if err != nil || len(got) == 0 {
			return err
		}
		o.mu.Lock()
		now := o.opts.Now()
		var recs []*fresh
		for i := range got {
			it := &got[i].item
			it.body = it.encoded()
			rec := o.letter(&fresh{it.record, it.message, nil}, sink, f, now)
			rec.done = []ticket{{sink, got[i].place}}
			recs = append(recs, rec)
		}
		o.mu.Unlock()
		if err := o.put(recs); err != nil {
			return err
		}
		after = got[len(got)-1].place
	}
}

// giveUp ends the wait of a place, for good, and counts it. o.mu is held.
func (o *Outbox) giveUp(t ticket, why notify.Loss) {
	if o.close(t, o.opts.Now()) {
		o.mark(t)
		o.gone[why]++
	}
}

// bury lets dead letters take effect that were written: those that are too many
// go. o.mu is held.
func (o *Outbox) buried(recs []*fresh) {
	for _, rec := range recs {
		if l := rec.letter; l != nil && (l.Reason == notify.ReasonUnknownSink || l.Reason == notify.ReasonSinkRemoved) {
			o.gone[notify.Loss{Sink: l.sink, Reason: l.Reason}]++
		}
	}
	q := o.queue(deadQueue)
	for n, ok := q.waits.after(0); ok && q.waiting > o.opts.DeadLetters; n, ok = q.waits.after(n) {
		o.giveUp(ticket{deadQueue, n}, notify.Loss{Reason: notify.ReasonTooMany})
	}
}

// DeadLetters returns dead letters; see [notify.Letters].
func (o *Outbox) DeadLetters(after uint64, limit int) ([]notify.DeadLetter, error) {
	got, err := o.scan(deadQueue, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading dead letters: %w", err)
	}
	var out []notify.DeadLetter
	for _, g := range got {
		m, err := g.decode()
		if err != nil {
			return nil, err
		}
		l := g.letter
		out = append(out, notify.DeadLetter{Seq: g.place, Failure: l.Failure, Time: l.time, Delivery: notify.NewDelivery(m, l.sink, l.number)})
	}
	return out, nil
}

// Retry puts dead letters back; see [notify.Letters].
func (o *Outbox) Retry(seqs []uint64) (int, error) {
	o.writing.Lock()
	defer o.writing.Unlock()
	letters, err := o.find(deadQueue, setOf(seqs))
	if err != nil {
		return 0, fmt.Errorf("reading dead letters: %w", err)
	}
	var recs []*fresh
	o.mu.Lock()
	now := o.opts.Now()
	for _, seq := range sortedKeys(letters) {
		it := letters[seq]
		if o.known != nil && !o.known[it.letter.sink] {
			continue
		}
		recs = append(recs, &fresh{record{
			kind: kindMoved, at: now, id: it.id, about: it.about, number: it.letter.number, body: it.encoded(),
			to: []ticket{o.ticket(it.letter.sink)}, done: []ticket{{deadQueue, seq}},
		}, it.message, nil})
	}
	o.mu.Unlock()
	if err := o.put(recs); err != nil {
		return 0, fmt.Errorf("putting dead letters back: %w", err)
	}
	return len(recs), nil
}

// Purge forgets dead letters; see [notify.Letters].
func (o *Outbox) Purge(seqs []uint64) (int, error) {
	o.mu.Lock()
	n := 0
	for _, seq := range seqs {
		if t := (ticket{deadQueue, seq}); o.close(t, o.opts.Now()) {
			o.mark(t)
			n++
		}
	}
	o.mu.Unlock()
	return n, o.Flush()
}

func setOf(seqs []uint64) runs {
	s := runs{}
	for _, n := range seqs {
		s.add(n)
	}
	return s
}
