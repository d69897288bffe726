// Package web answers over HTTP: metrics, health, readiness, and the request
// to load the rules again.
//
// [New] makes the handler, [Serve] answers with it on a listener of the
// caller's. [Metrics] holds what cepd counts, under the names that users see,
// and is fed by whoever runs the engine. Metrics of rules carry the rule as a
// label and never a key: there may be millions of keys.
//
// All exported functions and methods may be used from any goroutine. The
// package starts goroutines only in Serve, which waits for them.
package web
