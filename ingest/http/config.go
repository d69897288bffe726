package http

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/cepd/cepd/event"
)

const (
	// DefaultMaxBody is how large the body of a request may be, unpacked.
	DefaultMaxBody = 16 << 20
	// DefaultBuffer is how many bytes of requests may be read or wait for the
	// log: the log takes thousands of events every few milliseconds.
	DefaultBuffer = 16 << 20
)

// Config sets up a source.
type Config struct {
	// Name of the source, as in cepd.yaml.
	Name string
	// Listen is the address to listen on, host:port.
	Listen string
	// TLS, if not nil, is what the server proves itself with. If it asks for
	// certificates of clients, no token is needed.
	TLS *tls.Config
	// Token is what clients show as "Authorization: Bearer TOKEN". Empty: none
	// is asked for, which only a loopback address or a TLS that verifies clients
	// allows.
	Token string
	// Topic of events that are posted to /v1/events itself. Default: none.
	Topic string
	// Takes reports whether any stream takes events of a topic; a request that
	// none takes is refused with 404, so that its sender learns of it. nil: all
	// are taken.
	Takes func(topic string) bool
	// MaxBody bounds the body of a request, in bytes, before and after it is
	// unpacked. Default [DefaultMaxBody].
	MaxBody int
	// Buffer bounds what is read of requests and waits for the log, in bytes.
	// Default [DefaultBuffer]. A larger request is taken when it is alone.
	Buffer int
	// Now tells the time of arrival.
	Now func() event.Time
	// Logger is told of errors that no client sees. Default: nobody.
	Logger *slog.Logger
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.Buffer == 0 {
		c.Buffer = DefaultBuffer
	}
	if c.Takes == nil {
		c.Takes = func(string) bool { return true }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every contradiction in c at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("a source needs a name"))
	}
	if c.Now == nil {
		errs = append(errs, errors.New("a source needs a clock"))
	}
	clients := c.TLS != nil && c.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	errs = append(errs, CheckListen(c.Listen, c.Token != "" || clients))
	if c.MaxBody < 0 || c.Buffer < 0 {
		errs = append(errs, errors.New("sizes are not negative"))
	}
	return errors.Join(errs...)
}

// CheckListen says what is wrong with an address to listen on. guarded says
// that clients must prove who they are.
func CheckListen(addr string, guarded bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen: %q is no address like 127.0.0.1:9478", addr)
	}
	if ip := net.ParseIP(host); guarded || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen: %q can be reached from elsewhere, and nothing says who may post; set token_file, or tls with client_ca_file", addr)
}
