// Package scenario runs rules over recorded events, on the engine that runs in
// production: behind `cepd replay` and `cepd explain`.
//
// A scenario has no clock. Event time comes from the events, and at the end it
// moves where the caller says, by default to the end of time. The output is
// the same, byte for byte, on every run.
package scenario
