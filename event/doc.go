// Package event says what an event is: a record of typed slots with a place
// in the total order (event time, log position).
//
// The package is a leaf of the pure core. It has no clock and no goroutine;
// its values may be used by one goroutine at a time, and a [Value] or [Time],
// being small and immutable, by any number.
//
// # Representation
//
// A [Schema] numbers the fields of a stream that somebody uses. An [Event]
// holds one [Value] for each number, so that the hot path never touches a map
// or compares a name. Strings of a freshly decoded event point into its raw
// payload; [Schema.Keep] makes the copy that a rule's state holds on to.
//
// # Time
//
// [Time] counts nanoseconds since the Unix epoch, which reaches from 1677 to
// 2262. The two ends stand for "before everything" and "the end of time".
package event
