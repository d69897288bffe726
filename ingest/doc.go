// Package ingest is the contract of sources: where records come from, and how
// a source learns that they are safe.
//
// A [Source] is read by one goroutine, its owner. [Source.Read] blocks until
// there is a batch, the context is cancelled or the source has ended. The
// owner appends each batch to the log and calls the batch's Ack, once and in
// the order of reading: with nil when the records are durable, else with the
// reason. Acks may come from another goroutine than the reads, and many
// batches may be read before the first is acknowledged; a source bounds what
// it holds by itself.
//
// A source decides nothing about its records. It tells the time of their
// arrival by the clock that it was given, and what it learns of its own
// connection it tells with records too: [event.KindSourceUp] and
// [event.KindSourceDown], in their place among the messages.
package ingest
