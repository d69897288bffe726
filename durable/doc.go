// Package durable runs an engine so that nothing it was given or has decided is
// lost with the process: what comes is in a log before it takes effect, what
// comes of it is in an outbox before it is sent, and the state is written now
// and then, so that only the log's tail must be read again.
//
// # The way of a batch
//
//	Append    records get their places in the log; then they may be acknowledged
//	Step      they take effect
//	Deliver   what was decided goes into the outbox
//	Snapshot  now and then, a few rows at a time between steps
//
// [Open] does the same with what it finds: the newest good snapshot, the rules
// that were in force there, and the log behind it. What the outbox has already is
// not put into it again, since ids are the same every time.
//
// # What must be durable before what
//
// A rule set, before the record that names it: [Bundles]. Records, before they
// are acknowledged and before they take effect: Append returns when they are.
// What was decided up to a position, before the marker of a snapshot at that
// position: no snapshot is taken while something waits for Deliver. The
// marker, before the log is cut below the snapshot before it, and before the
// outbox forgets the ids of what was sent until then: [Snapshot.Seal].
//
// # Goroutines
//
// The package starts none and reads no clock, so that a simulator can drive it
// step by step. [Engine.Append] may be called by one goroutine, the write side
// of a [Snapshot] by another, and everything else by a third.
package durable
