// Package outbox keeps what sinks are to be told until every one of them has it,
// across the end of the process and a loss of power.
//
// # Records
//
// An outbox is a log. A record holds a message, complete in itself (rendered
// texts, labels, evidence), and the places that it takes: one in the queue of
// each sink that it goes to. Places of a queue are numbered from 1 up. What says
// that a sink has confirmed is a mark, a record in the same log: written with the
// next messages, or within a moment, since to send something twice after a crash
// is allowed, and a sync for each delivery is too slow. Dead letters wait in a
// queue of their own, and so do the raises of the alerts that fire, so that they
// can be told again. What moves a message from one queue to another (a dead
// letter, its retry, a repeat) is one record that says both, so that it happens
// as a whole or not at all.
//
// # Memory
//
// Of each queue the places that wait are in memory, as runs: a sink that has been
// down for a million messages costs one run. The messages that were added last
// are in memory as well, for the sinks that keep up. The others are read from
// the log. Ids of messages are remembered, so that what a recovery gives out
// again is left out, until [Outbox.Forget] says that no snapshot is older.
//
// # Room
//
// The log is cut where nothing waits and no id may come again. Where most of it
// is of no use, what waits at its start is moved to its end, so that a sink that
// is down does not keep what all others have got. At MaxBytes the oldest derived
// events are given up, and counted; changes of alerts never are: then
// [Outbox.Append] fails with [ErrFull], and whoever adds waits.
//
// # Goroutines
//
// An outbox has none, but for a timer that writes marks. All methods may be
// called from any goroutine.
package outbox
