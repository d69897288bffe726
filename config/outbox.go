package config

// Outbox says how much of what sinks are still to be told is kept.
type Outbox struct {
	// MaxBytes is the room that it may take. Where it would take more, the oldest
	// derived events that wait are given up; changes of alerts never are. Default
	// 1 GB.
	MaxBytes int64
	// DeadLetters is how many dead letters are kept, the newest ones. Default
	// 10000.
	DeadLetters int
}

// minOutbox is the least room of an outbox: it holds the ids, about 20 bytes each,
// of all that may be decided between three snapshots.
const minOutbox = 64 << 20

// maxDeadLetters bounds how many dead letters are kept: more are looked at by
// nobody.
const maxDeadLetters = 1_000_000

func (o *Outbox) ensureDefaults() {
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	if o.DeadLetters == 0 {
		o.DeadLetters = 10_000
	}
}

// fields are the keys of `outbox`.
func (o *Outbox) fields() fields {
	return fields{"max_bytes": size(&o.MaxBytes), "dead_letters": integer(&o.DeadLetters, 1, maxDeadLetters)}
}

func (o *Outbox) validate(bad report) {
	if o.MaxBytes < minOutbox {
		bad("outbox.max_bytes", "%d bytes are less than 64MB", o.MaxBytes)
	}
}
