package notify

import "context"

// Keeper is a [Notifier] that fills files of which a crash must leave no more
// than what is marked as sent. It has one worker.
type Keeper interface {
	Notifier
	// Note returns the name and length of what a delivery goes to.
	Note(d Delivery) (Note, error)
	// Restore is called before the first delivery, with what was noted before a
	// crash.
	Restore(ns []Note) error
}

// maxNoted is how many notes a sink takes for durable; it is less than an outbox
// keeps.
const maxNoted = 128

// restore tells a Keeper what it must know after a crash.
func (s *sink) restore() error {
	k, ok := s.Notifier.(Keeper)
	if !ok {
		return nil
	}
	return k.Restore(s.d.cfg.Outbox.NotesOf(s.Name))
}

// notify sends a delivery and returns the note to mark it with. The first time
// that a file is written to, its length is made durable before.
func (s *sink) notify(ctx context.Context, v Delivery) (Note, error) {
	k, ok := s.Notifier.(Keeper)
	if !ok {
		return Note{}, s.Notifier.Notify(ctx, v)
	}
	n, err := k.Note(v)
	if err != nil {
		return n, err
	}
	if last, ok := s.noted[n.Name]; !ok || n.Length < last { // new to us, or begun anew
		if err := s.d.cfg.Outbox.Note(s.Name, n); err != nil {
			return n, err
		}
		if len(s.noted) >= maxNoted {
			clear(s.noted)
		}
	}
	s.noted[n.Name] = n.Length
	if err := k.Notify(ctx, v); err != nil {
		return n, err
	}
	return k.Note(v)
}
