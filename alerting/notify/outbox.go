package notify

// Entry is a message in an outbox.
type Entry struct {
	Seq uint64 // its place, from 1 up
	Message
}

// Outcome says why a sink needs an entry no more.
type Outcome uint8

// The outcomes of an entry at a sink.
const (
	Sent Outcome = iota + 1 // the receiver confirmed
	Dead                    // it was given up
)

// Outbox keeps messages until every sink that they go to has them. Its
// methods may be called from several goroutines at once.
type Outbox interface {
	// Append adds messages at the end. Those whose identity is known already are
	// left out.
	Append(ms []Message) error
	// Read returns the entries after the given place that go to a sink and are
	// not marked for it, in order, at most max of them.
	Read(sink string, after uint64, max int) ([]Entry, error)
	// Mark says that a sink needs an entry no more.
	Mark(sink string, seq uint64, o Outcome) error
	// Pending counts the entries that go to a sink and are not marked for it.
	Pending(sink string) int
}
