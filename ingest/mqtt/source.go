package mqtt

import (
	"context"
	"sync"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// Source reads one broker. It implements [ingest.Source].
type Source struct {
	cfg    Config
	buffer *buffer
	acks   *acks
	pace   pace // of whoever reads, where the client itself has none

	mu         sync.Mutex
	status     Status
	hasSession bool // the broker should have one

	ctx     context.Context // ends with Close
	close   context.CancelFunc
	closing <-chan struct{} // of ctx
	stopped chan struct{}   // closed when the connection is gone for good
	done    sync.WaitGroup
}

var _ ingest.Source = (*Source)(nil)

// Status is what an operator and the metrics want to know of a source. Counts
// are since the start.
type Status struct {
	Connected  bool
	Subscribed bool     // the broker has answered this connection's subscription
	Paused     bool     // disconnected because the buffer is full
	Session    bool     // the broker had kept the session when we connected last
	Conn       uint64   // number of the last connection
	Err        error    // why it is not connected: an ingest.ErrNotConnected with its cause
	Refused    []string // topic filters that the broker refused on this connection

	Messages     uint64 // taken over from the client
	Bytes        uint64 // of their payloads
	Duplicates   uint64 // of these, those that the broker said to have sent before
	SessionsLost uint64 // times that the broker had not kept the session
	Shed         uint64 // messages of QoS 0 for which there was no room
	Pauses       uint64 // times that the buffer was full
	Failures     uint64 // attempts to connect that failed
	AcksDropped  uint64 // for messages of a connection that is gone; they come again
	Buffered     int    // bytes held now
}

// New returns a source for the broker of cfg and starts to connect to it. It
// fails if cfg does, or if a file that it names cannot be read; a broker that
// cannot be reached is tried again for ever.
func New(cfg Config) (*Source, error) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if _, err := cfg.Conn.Options(); err != nil {
		return nil, err
	}
	s := &Source{
		cfg:    cfg,
		buffer: newBuffer(cfg.BufferBytes),
		acks:   newAcks(),
		status: Status{Conn: cfg.LastConn}, hasSession: cfg.HasSession,
		stopped: make(chan struct{}),
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	s.closing = s.ctx.Done()
	s.done.Add(2)
	go s.run()
	go s.sendAcks()
	return s, nil
}

// Read returns the records that have arrived, waiting for one.
func (s *Source) Read(ctx context.Context) (ingest.Batch, error) {
	for {
		select { // a source that is closed, or a caller who has given up, gets nothing
		case <-s.closing:
			return ingest.Batch{}, ingest.ErrClosed
		case <-ctx.Done():
			return ingest.Batch{}, ctx.Err()
		default:
		}
		select {
		case <-s.closing:
		case <-ctx.Done():
		case <-s.buffer.ready:
			if records, acks := s.take(); len(records) > 0 {
				return ingest.Batch{Records: records, Ack: func(err error) { s.ack(acks, err) }, Spent: func() { s.buffer.spent(records) }}, nil
			}
		}
	}
}

// take takes records from the buffer. Paho hands over every message by itself,
// and each would be a group of the log if nobody waited for the next ones; our
// own client rests before it reads.
func (s *Source) take() ([]event.Record, []pending) {
	if rest := s.pace.due(time.Now()); rest > 0 {
		time.Sleep(rest)
	}
	records, acks := s.buffer.take(s.cfg.BatchRecords)
	if s.cfg.Client == ClientPaho {
		s.pace.took(len(records), time.Now())
	}
	return records, acks
}

// ack lets messages be acknowledged, or, if they could not be kept, lets their
// connection end behind the acknowledgements before them, so that the broker
// sends them again.
func (s *Source) ack(messages []pending, err error) {
	if err != nil {
		for i := range messages {
			messages[i].failed = err
		}
	}
	if s.acks.add(messages, s.sendNow) {
		s.buffer.acked(messages)
	}
}

// Close sends what acknowledgements it can within a second and disconnects.
// The broker keeps the session and its subscriptions. Messages that are not
// acknowledged by then come again.
func (s *Source) Close() error {
	s.close()
	s.done.Wait()
	return nil
}

// Bound sets how many bytes of messages that nobody has read yet are held from
// now on, in place of Config.BufferBytes. What is held already stays.
func (s *Source) Bound(bytes int) { s.buffer.bound(bytes) }

// Status returns how the source is.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.status
	t.Buffered = s.buffer.held()
	return t
}

func (s *Source) count(f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
}

// record returns a record of the connection.
func (s *Source) record(kind event.RecordKind, conn uint64) event.Record {
	return event.Record{Kind: kind, Source: s.cfg.Name, Conn: conn, Arrival: s.cfg.Now()}
}
