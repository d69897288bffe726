// Package webhook posts changes of alerts to an HTTP address, each in a request of
// its own.
//
// The body is that of Alertmanager's webhook, version 4, with one alert, so
// that whatever takes those takes ours; or one of the other formats of package
// format.
//
// The headers are those of Standard Webhooks (standardwebhooks.com): a
// webhook-id that is the same on every try, by which a receiver recognises
// what it has seen; webhook-timestamp; and, where there is a secret,
// webhook-signature.
//
// Errors name scheme and host of the address at most, since user, path and
// query often hold secrets.
//
// A [Sink] may be used from any number of goroutines.
package webhook
