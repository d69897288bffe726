package notify

import (
	"time"

	"github.com/cepd/cepd/event"
)

// Entry is a message that waits in an outbox for one sink.
type Entry struct {
	Seq    uint64    // its place among those for that sink, from 1 up
	At     time.Time // when it came into the outbox
	Repeat int       // as [Delivery] has it
	Size   int       // in bytes, about: what it costs to hold it in memory
	Message
}

// Failure says why a delivery was given up.
type Failure struct {
	Reason Reason
	Error  string // of the last try, without secrets
	Tries  int
}

// DeadLetter is a delivery that was given up.
type DeadLetter struct {
	Seq uint64 // its number, from 1 up
	Failure
	Time     time.Time // when it was given up
	Delivery Delivery
}

// Note is what a sink must be told again after a crash: up to where the
// deliveries that are marked as sent have filled a file.
type Note struct {
	Name   string
	Length int64
}

// Outbox keeps messages until every sink that they go to has them. Its
// methods may be called from several goroutines at once.
type Outbox interface {
	// Sinks says which sinks there are. What waits for another becomes a dead
	// letter, and so does what is added for another later.
	Sinks(names []string) error
	// Append adds messages at the end, all of them or none. Those whose identity
	// is known already are left out. They are what came of the records of the
	// input log up to the given one.
	Append(through event.Position, ms []Message) error
	// Read returns the entries after the given place that wait for a sink, in
	// order: at most max of them, and none only if there is none.
	Read(sink string, after uint64, max int) ([]Entry, error)
	// Sent says that a sink has confirmed an entry. The note, if it has a name,
	// takes the place of an earlier one of that name.
	Sent(sink string, seq uint64, n Note) error
	// Bury makes dead letters of entries.
	Bury(sink string, f Failure, es ...Entry) error
	// Pending counts the entries that wait for a sink.
	Pending(sink string) int
	// Stats returns what the outbox has counted since it was opened.
	Stats() OutboxStats

	Letters
	Reminders
	Notes
}

// Loss says what was given up by the outbox itself: not by a try to send it.
type Loss struct {
	Sink   string
	Reason Reason
}

// OutboxStats are figures of an outbox.
type OutboxStats struct {
	Bytes       int64           // that it takes on disk
	Firing      int             // alerts that were raised and not cleared
	DeadLetters int             // that it holds
	Losses      map[Loss]uint64 // how many deliveries were given up, or dead letters forgotten
}

// Letters are the dead letters of an outbox.
type Letters interface {
	// DeadLetters returns those after the given number, in order, at most max.
	DeadLetters(after uint64, max int) ([]DeadLetter, error)
	// Retry puts dead letters back to where they were given up, and returns how
	// many it found. Those of sinks that there are not stay.
	Retry(seqs []uint64) (int, error)
	// Purge forgets dead letters, and returns how many it found.
	Purge(seqs []uint64) (int, error)
}

// Reminders tell sinks again of alerts that fire.
type Reminders interface {
	// Repeat adds again the raises whose `repeat` is due at the given time, and
	// returns how many they were and when the next one is due, the zero time if
	// none will be.
	Repeat(now time.Time) (added int, next time.Time, err error)
	// Refresh adds again, under the same ids, the raises of all alerts that fire
	// and that a sink has confirmed, for a sink that has forgotten them.
	Refresh(sink string) (added int, err error)
}

// Notes are what sinks must be told after a crash.
type Notes interface {
	// Note makes a note durable.
	Note(sink string, n Note) error
	// NotesOf returns the notes of a sink that a crash has left, or that were
	// made since. A log that was closed has left none.
	NotesOf(sink string) []Note
}
