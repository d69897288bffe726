package stdout

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/text"
)

// Config sets up a [Sink].
type Config struct {
	// Writer to write to.
	Writer io.Writer
	// Format is "json", a JSON object on each line, or "text". Default: json.
	Format string
	// Text says how to print text.
	Text text.Options
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	if c.Format == "" {
		c.Format = "json"
	}
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	if c.Writer == nil {
		return fmt.Errorf("no writer")
	}
	if c.Format != "json" && c.Format != "text" {
		return fmt.Errorf("format is %q; formats are json and text", c.Format)
	}
	return nil
}

// Sink is a [notify.Notifier] that writes to a stream.
type Sink struct {
	cfg Config
	mu  sync.Mutex
	buf []byte
}

// New returns a sink.
func New(cfg Config) (*Sink, error) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("setting up a stdout sink: %w", err)
	}
	return &Sink{cfg: cfg}, nil
}

// Notify writes a delivery. A stream that is closed is an error that another
// try may mend, since nobody else can tell.
func (s *Sink) Notify(_ context.Context, d notify.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cfg.Format != "text":
		s.buf = append(notify.AppendDelivery(s.buf[:0], &d), '\n')
	case d.Derived != nil:
		s.buf = text.AppendDerived(s.buf[:0], d.Derived, s.cfg.Text)
	default:
		s.buf = text.Append(s.buf[:0], d.Transition, s.cfg.Text)
	}
	if _, err := s.cfg.Writer.Write(s.buf); err != nil {
		return fmt.Errorf("writing to the stream: %w", err)
	}
	return nil
}
