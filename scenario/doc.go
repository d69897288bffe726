// Package scenario runs rules over recorded events, and over those of `tests` in
// rule files, on the engine that runs in production: behind `cepd replay`,
// `cepd explain` and `cepd test`.
//
// A scenario has no clock. Event time comes from the events, and at the end it
// moves where the caller says, by default to the end of time; in a test it
// stays with the last event or moves to `until`. The output is
// the same, byte for byte, on every run.
package scenario
