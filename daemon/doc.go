// Package daemon wires the parts of cepd into one process, starts them, and
// stops them again. It decides nothing about events: that is the engine's.
//
// # The way of an event
//
//	source --> batches --> appender --> groups --> loop --> dispatcher --> sinks
//	  ^                       |  log               engine    outbox
//	  +--------- ack ---------+
//
// A goroutine for each source reads batches and puts them into a channel of
// bounded length; a full one makes the sources wait. The appender takes as many
// batches as are ready, gives them places in the log, acknowledges them, and
// hands them on as a group. The loop steps the engine once for each group and
// puts what changed and what was emitted into the outbox. So the log is written
// while the engine evaluates what came before; when the engine is a few groups
// behind, the appender waits. Nothing waits for a sink; only who reads a file
// does, when very much is on its way to one.
//
// # What outlives the process
//
// With a state directory the log, the outbox, snapshots of the engine and the
// rule sets lie on the disk; package durable says what must be there before
// what. Start takes the directory, and recovers: the HTTP server answers before,
// and says that it is not ready. Between two steps the loop encodes a few rows
// of a snapshot, which the saver writes. Where the disk or the outbox is full,
// appender and loop wait, and so does everybody before them.
//
// # Time
//
// The appender alone writes ticks, and only when the engine has said that a tick
// would move something. The clock that stamps records never goes back and never
// runs slower than monotonic time, whatever happens to the wall clock.
//
// # Goroutines
//
// [New] builds and starts nothing. [Daemon.Start] starts one goroutine for each
// source, appender, loop and saver, the helpers of the engine's shards, the
// dispatcher's workers, the watcher of rule files, the HTTP server and, with
// sync: interval, one that syncs the log. All have ended when
// [Daemon.Stop] returns. Methods may be called from any goroutine.
package daemon
