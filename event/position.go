package event

import (
	"cmp"
	"fmt"
)

// Position is the place of a record in the input log. Positions of one log
// are ordered; the zero Position stands for "none".
type Position struct {
	Partition uint32 // of the log, not of the source
	Seq       uint64 // from 1 up
}

// Compare orders positions by sequence, then by partition.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.Seq, q.Seq); c != 0 {
		return c
	}
	return cmp.Compare(p.Partition, q.Partition)
}

// IsZero reports whether p stands for "none".
func (p Position) IsZero() bool { return p == Position{} }

// String prints p as partition:sequence, as `cepd log show` takes it.
func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Partition, p.Seq) }

// Origin is the tail of a derived event's place in the order. Events that come
// from a source have none, and come first among equals.
type Origin struct {
	Rule    string // the rule that emitted it
	Key     string // that rule's key, encoded
	Ordinal int    // among the events emitted by one judgment
}

// Compare orders origins; nil, for an event from a source, comes first.
func (o *Origin) Compare(p *Origin) int {
	switch {
	case o == p:
		return 0
	case o == nil:
		return -1
	case p == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(o.Rule, p.Rule), cmp.Compare(o.Key, p.Key), cmp.Compare(o.Ordinal, p.Ordinal))
}

// Compare is the total order in which events are judged: event time, then log
// position, then origin.
func Compare(a, b *Event) int {
	if c := cmp.Compare(a.Time, b.Time); c != 0 {
		return c
	}
	if c := a.Pos.Compare(b.Pos); c != 0 {
		return c
	}
	return a.Origin().Compare(b.Origin())
}
