package mqtt

import (
	"context"
	"io"

	"github.com/cepd/cepd/ingest"
)

// Source reads one broker. It implements [ingest.Source].
type Source struct{}

var _ ingest.Source = (*Source)(nil)

// New returns a source for the broker of cfg and starts to connect.
func New(cfg Config) (*Source, error) { return nil, io.EOF }

// Read returns the messages that have arrived, waiting for one.
func (s *Source) Read(ctx context.Context) (ingest.Batch, error) { return ingest.Batch{}, io.EOF }

// Close disconnects. The broker keeps the session and its subscriptions.
func (s *Source) Close() error { return nil }
