package wal

import "github.com/cepd/cepd/event"

// Memory assigns positions and keeps nothing but the last one, so its memory
// is bounded whatever is appended. The zero Memory is an empty log.
type Memory struct {
	last uint64
}

// Append gives each record its position, in its field Pos, and returns the
// first one; the zero position if there are no records. The error is always
// nil: it is there for the logs that can fail.
func (m *Memory) Append(records []event.Record) (first event.Position, err error) {
	if len(records) == 0 {
		return event.Position{}, nil
	}
	first = event.Position{Seq: m.last + 1}
	for i := range records {
		m.last++
		records[i].Pos = event.Position{Seq: m.last}
	}
	return first, nil
}

// Last returns the position of the last record; the zero position if there is
// none.
func (m *Memory) Last() event.Position { return event.Position{Seq: m.last} }
