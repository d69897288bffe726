package mqtt

import (
	"log/slog"
	"time"

	"github.com/cepd/cepd/event"
)

// TLS names the files of a TLS connection. All are optional.
type TLS struct {
	CAFile     string // certificates that the broker's is checked against; default: the system's
	CertFile   string // our certificate, with KeyFile
	KeyFile    string
	ServerName string // the name to check; default: the host of the URL
	Insecure   bool   // accept any certificate
}

// Subscription is one topic filter.
type Subscription struct {
	Filter string
	QoS    byte // 0 or 1; a filter that several streams share has the highest
}

// Config says which broker to read, and how.
type Config struct {
	// Name of the source, which its records carry.
	Name string
	// URL of the broker: mqtt://host:1883, mqtts://host:8883, ws:// or wss://.
	URL string
	// ClientID names the session at the broker. It must be the same after a
	// restart, and no other client may have it.
	ClientID string
	// User and Password; both empty for none. The password is the content of
	// its file, not the file's name.
	User, Password string
	// TLS is used with mqtts:// and wss://.
	TLS TLS
	// Subscriptions are the topics to read; at least one.
	Subscriptions []Subscription
	// KeepAlive is how long the connection may be silent before a ping.
	// Default 30 s. A dead connection is noticed after about 1.5 times that.
	KeepAlive time.Duration
	// ConnectTimeout bounds one attempt to connect. Default 10 s.
	ConnectTimeout time.Duration
	// MinBackoff and MaxBackoff bound the wait between two attempts, which
	// doubles and is random within its bound. Defaults 500 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
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
