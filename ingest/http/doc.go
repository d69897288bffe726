// Package http is a source that others post events to:
//
//	POST /v1/events            one JSON object, several, an array, or CloudEvents
//	POST /v1/events/a/b/c      the same, for the streams of the topic a/b/c
//
// A request is all or nothing. Its syntax is checked before anything is taken,
// and it is answered with 200 only when its events are durable in the log; any
// other answer means that none of them was taken, or, after a connection that
// broke, that the sender does not know. Such a sender sends the request again
// with the same Idempotency-Key (or the same ids of CloudEvents), and the
// engine recognises the events that it has.
//
// What is read of requests and waits to be logged is bounded in bytes. A request
// that finds no room is answered 429 with Retry-After.
//
// The handler runs on the goroutines of net/http; [Source.Read] is called by
// the source's owner, as package ingest says.
package http
