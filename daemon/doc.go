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
// # Time
//
// The appender alone writes ticks, and only when the engine has said that a tick
// would move something. The clock that stamps records never goes back and never
// runs slower than monotonic time, whatever happens to the wall clock.
//
// # Goroutines
//
// [New] builds and starts nothing. [Daemon.Start] starts one goroutine for each
// source, appender and loop, the helpers of the engine's shards, the dispatcher's
// workers, the watcher of rule files and the HTTP server. All have ended when
// [Daemon.Stop] returns. Methods may be called from any goroutine.
package daemon
