// Package notify brings changes of alerts and derived events to sinks: at least
// once, in order for each alert and for what each rule emits for a key, and
// without letting one sink wait for another.
//
// # Parts
//
// An [Outbox] keeps each [Message], complete in itself, until every sink has
// it. A [Notifier] sends one [Delivery] to one sink, once. The
// [Dispatcher] stands between: for each sink it runs a bounded number of
// workers, tries again what failed, and gives up what can never succeed.
//
// # Order
//
// What is about one subject reaches a sink in order and one at a time. A
// subject is one alert (one fingerprint), or what one rule emits for one key.
// Different subjects are independent: one that is backing off holds back only
// what else there is about it.
//
// # Failures
//
// A Notifier says with [Permanent] that trying again is of no use, and with
// [RetryAfter] how long the receiver asked to be left alone. Any other error
// is tried again after a random wait ("full jitter") whose bound doubles from
// a second to five minutes. What is given up goes, with the reason, to a
// bounded list of dead letters.
//
// # Time and goroutines
//
// This is the shell: waits go by the wall clock of package time. All exported
// methods may be called from any goroutine. Goroutines start in
// [Dispatcher.Start] and have ended when [Dispatcher.Stop] returns.
package notify
