package mqtt

import (
	"log/slog"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/mqttconn"
)

// Subscription is one topic filter.
type Subscription struct {
	Filter string
	QoS    byte // 0 or 1; a filter that several streams share has the highest
}

// Config says which broker to read, and how.
type Config struct {
	// Name of the source, which its records carry.
	Name string
	// Conn says how to reach the broker. Its client id names the session there:
	// it must be the same after a restart, and no other client may have it.
	Conn mqttconn.Config
	// Subscriptions are the topics to read; at least one.
	Subscriptions []Subscription
	// MinBackoff is the first wait between two attempts to connect. It doubles
	// with each failure, up to Conn.ReconnectMax; each wait is a random part of
	// that. Default 500 ms.
	MinBackoff time.Duration
	// BufferBytes is the most that is held of messages that nobody has read
	// yet: payloads, topics and a fixed sum for each. When it is full the
	// source disconnects, and comes back when the buffer is half empty.
	// Default 16 MB.
	BufferBytes int
	// BatchRecords is the most records in a batch. Default 1,000.
	BatchRecords int
	// Now is the shell's clock, for the time of arrival. Required.
	Now func() event.Time
	// Rand returns a random number in [0,1), for the backoff. Default:
	// math/rand/v2.
	Rand func() float64
	// Logger receives what happens to the connection. Default: none.
	Logger *slog.Logger
}
