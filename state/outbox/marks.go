package outbox

import (
	"fmt"
	"time"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

func newMarks() marks { return marks{done: map[string]runs{}, notes: map[string][]notify.Note{}} }

// takeMarks takes the marks that wait to be written.
func (o *Outbox) takeMarks() *marks {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.marks
	m.at, m.covered = o.opts.Now(), o.covered
	o.marks, o.marked = newMarks(), 0
	return &m
}

// returnMarks takes back marks that could not be written.
func (o *Outbox) returnMarks(m *marks) {
	if m.empty() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for q, s := range m.done {
		if len(o.marks.done[q]) == 0 {
			o.marks.done[q] = s
			continue
		}
		all := o.marks.done[q]
		for n := range s.all {
			all.add(n)
		}
		o.marks.done[q] = all
	}
	for q, ns := range m.notes {
		o.marks.notes[q] = append(ns, o.marks.notes[q]...)
	}
	o.marks.closed = o.marks.closed || m.closed
	o.marks.forget = later(m.forget, o.marks.forget)
	o.marked++
}

// armMarks makes sure that marks are written before long. o.mu is held.
func (o *Outbox) armMarks() {
	if o.opts.MarksEvery < 0 || o.closed || o.timer != nil {
		return
	}
	wait := o.opts.MarksEvery
	if o.failing {
		wait = max(wait, time.Second)
	}
	o.timer = time.AfterFunc(wait, func() {
		err := o.Flush()
		o.mu.Lock()
		defer o.mu.Unlock()
		o.timer = nil
		if err != nil && !o.failing {
			o.opts.Logger.Error("what was sent cannot be marked as sent, and would be sent again after a restart", "err", err)
		}
		if o.failing = err != nil; o.failing {
			o.armMarks()
		}
	})
}

// Flush makes durable what was marked as sent.
func (o *Outbox) Flush() error {
	o.writing.Lock()
	defer o.writing.Unlock()
	if err := o.flush(); err != nil {
		return err
	}
	o.trim()
	return nil
}

func (o *Outbox) flush() error {
	m := o.takeMarks()
	if m.empty() {
		return nil
	}
	if _, err := o.log.Append([][]byte{m.append(nil)}); err != nil {
		o.returnMarks(m)
		return fmt.Errorf("marking what was sent: %w", err)
	}
	return nil
}

// applyMarks lets marks take effect that were read.
func (o *Outbox) applyMarks(m *marks) {
	for q, s := range m.done {
		queue := o.queue(q)
		for _, r := range s {
			for n, ok := queue.waits.after(r.first - 1); ok && n <= r.last; n, ok = queue.waits.after(n) {
				o.close(ticket{q, n}, m.at)
			}
			queue.next = max(queue.next, r.last+1)
		}
	}
	if m.closed {
		for _, q := range o.queues {
			q.notes = nil
		}
	}
	for q, ns := range m.notes {
		for _, n := range ns {
			if !m.closed {
				o.queue(q).note(n)
			}
		}
	}
	o.cover(m.covered)
	if o.forgotten.Compare(m.forget) < 0 {
		o.forgotten = m.forget
		o.ids.forget(m.forget)
	}
}

// note keeps a note and has it written with the next marks. o.mu is held.
func (o *Outbox) note(sink string, n notify.Note) {
	o.queue(sink).note(n)
	ns := o.marks.notes[sink]
	for i := range ns {
		if ns[i].Name == n.Name {
			ns[i] = n
			return
		}
	}
	o.marks.notes[sink] = append(ns, n)
	o.marked++
}

// Note makes a note durable; see [notify.Notes].
func (o *Outbox) Note(sink string, n notify.Note) error {
	o.mu.Lock()
	o.note(sink, n)
	o.mu.Unlock()
	return o.Flush()
}

// NotesOf returns the notes of a sink; see [notify.Notes].
func (o *Outbox) NotesOf(sink string) []notify.Note {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q := o.queues[sink]; q != nil {
		return append([]notify.Note(nil), q.notes...)
	}
	return nil
}

// rememberedIDs is how many ids a volatile outbox remembers. In memory nothing
// comes twice across a restart, so that only what the engine gives out again
// shortly after matters.
const rememberedIDs = 1 << 16

// idKey is an id in little room.
type idKey [16]byte

// ids are the identities that are known, in the order in which they came.
type ids struct {
	known map[idKey]struct{}
	order []knownID
}

type knownID struct {
	key     idKey
	through event.Position
}

func newIDs() ids { return ids{known: map[idKey]struct{}{}} }

func (s *ids) has(k idKey) bool {
	_, ok := s.known[k]
	return ok
}

// add remembers an id and reports whether it is new.
func (s *ids) add(k idKey, through event.Position) bool {
	if s.has(k) {
		return false
	}
	s.known[k] = struct{}{}
	s.order = append(s.order, knownID{k, through})
	return true
}

// forget forgets the ids of what came of records up to a position.
func (s *ids) forget(through event.Position) {
	n := 0
	for n < len(s.order) && s.order[n].through.Compare(through) <= 0 {
		n++
	}
	s.drop(n)
}

// keep forgets all but the newest ids.
func (s *ids) keep(n int) { s.drop(max(0, len(s.order)-n)) }

func (s *ids) drop(n int) {
	for _, id := range s.order[:n] {
		delete(s.known, id.key)
	}
	if s.order = s.order[n:]; len(s.order) == 0 {
		s.order = nil
	}
}
