package notify

import (
	"context"
	"errors"
	"time"

	"github.com/cepd/cepd/alerting"
)

// Delivery is one message on its way to one sink.
type Delivery struct {
	ID     string // as [alerting.DeliveryID] has it: the same on every try
	Sink   string // name of the sink
	Repeat int    // 0 for the change itself; else how often it was sent again since
	Message
}

// NewDelivery returns the delivery of m to a sink.
func NewDelivery(m Message, sink string, repeat int) Delivery {
	return Delivery{ID: alerting.DeliveryID(m.Identity(), sink, repeat), Sink: sink, Repeat: repeat, Message: m}
}

// Notifier sends deliveries to one sink. Notify tries once and returns nil
// only if the receiver has confirmed. It must return soon after ctx is done,
// may be called from several goroutines at once, and must not change what the
// delivery points to.
type Notifier interface {
	Notify(ctx context.Context, d Delivery) error
}

// Reason says in a word why a try failed. It is a label of metrics, so there
// are few.
type Reason string

// The reasons of failed tries.
const (
	ReasonTimeout     Reason = "timeout"      // no answer in time
	ReasonConnection  Reason = "connection"   // the receiver could not be reached
	ReasonRateLimited Reason = "rate_limited" // the receiver asked to slow down
	ReasonAuth        Reason = "auth"         // the receiver does not accept our credentials
	ReasonClient      Reason = "client"       // the receiver does not accept the message
	ReasonServer      Reason = "server"       // the receiver failed
	ReasonRedirect    Reason = "redirect"     // the receiver answered with another address
	ReasonUnknownSink Reason = "unknown_sink" // it is for a sink that there is not
	ReasonSinkRemoved Reason = "sink_removed" // it waited for a sink that there is not any more
	ReasonOutboxFull  Reason = "outbox_full"  // there was no room for it any more
	ReasonTooMany     Reason = "too_many"     // a dead letter that newer ones have pushed out
	ReasonExpired     Reason = "expired"      // it waited for as long as the sink's MaxAge
	ReasonOther       Reason = "other"
)

// Error is what a [Notifier] returns to say more than that a try failed.
type Error struct {
	Reason    Reason
	Permanent bool          // trying again is of no use
	After     time.Duration // the receiver asked not to be tried again before; 0: it did not say
	Err       error         // what went wrong, without secrets
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error within.
func (e *Error) Unwrap() error { return e.Err }

// Permanent marks an error that no other try can mend.
func Permanent(reason Reason, err error) error {
	return &Error{Reason: reason, Permanent: true, Err: err}
}

// Retry marks an error that another try may mend.
func Retry(reason Reason, err error) error { return &Error{Reason: reason, Err: err} }

// RetryAfter marks an error that another try may mend, but not before the
// given time has passed.
func RetryAfter(reason Reason, after time.Duration, err error) error {
	return &Error{Reason: reason, After: max(after, 0), Err: err}
}

// classify returns what an error of a Notifier means. An error that is no
// [Error] may be mended by another try.
func classify(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Reason: ReasonTimeout, Err: err}
	}
	return &Error{Reason: ReasonOther, Err: err}
}
