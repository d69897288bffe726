package mqtt

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
	// Client is [ClientNative] or [ClientPaho]. Default: native, but paho for a
	// broker behind WebSocket, which native does not speak.
	Client string
	// Subscriptions are the topics to read; at least one. What is covered by
	// another is not asked for; filters that overlap otherwise can bring a
	// message twice, where the broker does so.
	Subscriptions []Subscription
	// Unsubscribe are topic filters of an earlier configuration that are not
	// wanted any more. The session at the broker would keep them for ever.
	Unsubscribe []string
	// LastConn is the number of the last connection of this source that the log
	// knows, from an earlier run. Default 0: none.
	LastConn uint64
	// HasSession says that the broker has kept a session, as far as we know. If
	// it has not, that is counted and logged.
	HasSession bool
	// Connected, if set, is called for each connection, before its messages.
	Connected func()
	// MinBackoff is the first wait between two attempts to connect. It doubles
	// with each failure, up to Conn.ReconnectMax; each wait is a random part of
	// that, so that a thousand clients do not come back at once. Default 500 ms.
	MinBackoff time.Duration
	// BufferBytes is the most that is held of messages that nobody has read
	// yet: payloads, topics and 256 bytes for each. Default 16 MB.
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

	fullFor time.Duration // the buffer may be full before a connection ends
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	c.Conn.EnsureDefaults()
	if c.Client == "" {
		c.Client = ClientNative
		if !c.Conn.Stream() {
			c.Client = ClientPaho
		}
	}
	if c.MinBackoff == 0 {
		c.MinBackoff = min(500*time.Millisecond, c.Conn.ReconnectMax)
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 16 << 20
	}
	if c.BatchRecords == 0 {
		c.BatchRecords = 1000
	}
	if c.fullFor == 0 { // the client does not read meanwhile
		c.fullFor = min(time.Second, c.Conn.KeepAlive/4)
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Connected == nil {
		c.Connected = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every contradiction in c at once. It opens no file.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		bad("the source has no name")
	}
	if err := c.Conn.Validate(); err != nil {
		errs = append(errs, err)
	}
	switch {
	case c.Client != ClientNative && c.Client != ClientPaho:
		bad("client is %q; it is native or paho", c.Client)
	case c.Client == ClientNative && !c.Conn.Stream():
		bad("client: native does not speak WebSocket; leave it out, or write client: paho")
	}
	if len(c.Subscriptions) == 0 {
		bad("there is no topic to subscribe to")
	}
	seen := map[string]bool{}
	for _, s := range c.Subscriptions {
		if err := checkFilter(s.Filter); err != nil {
			errs = append(errs, err)
		}
		if s.QoS > 1 {
			bad("qos of %q is %d; it is 0 or 1", s.Filter, s.QoS)
		}
		if seen[s.Filter] {
			bad("topic filter %q stands twice", s.Filter)
		}
		seen[s.Filter] = true
	}
	if c.MinBackoff < 0 || c.BufferBytes < 0 || c.BatchRecords < 0 {
		bad("backoff, buffer and batch cannot be negative")
	}
	if c.Now == nil {
		bad("there is no clock")
	}
	return errors.Join(errs...)
}
