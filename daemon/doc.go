// Package daemon wires the parts of cepd into one process, starts them, and
// stops them again. It decides nothing about events: that is the engine's.
//
// # The way of an event
//
//	source --> batches --> log --> engine --> dispatcher --> sinks
//	  ^                                |
//	  +------------- ack --------------+
//
// A goroutine for each source reads batches and puts them into a channel of
// bounded length; a full one makes the sources wait. One goroutine, the loop,
// takes as many batches as are ready, gives them places in the log, steps the
// engine once, hands what changed and what was emitted to the dispatcher, and
// acknowledges. Nothing in the loop waits for a sink; only who reads a file does,
// when very much is on its way to one.
//
// # Time
//
// The loop alone writes ticks, and only when the engine has said that a tick
// would move something. The clock that stamps records never goes back and never
// runs slower than monotonic time, whatever happens to the wall clock.
//
// # Goroutines
//
// [New] builds and starts nothing. [Daemon.Start] starts one goroutine for each
// source, the loop, the helpers of the engine's shards, the dispatcher's
// workers, the watcher of rule files and the HTTP server. All have ended when
// [Daemon.Stop] returns. Methods may be called from any goroutine.
package daemon
