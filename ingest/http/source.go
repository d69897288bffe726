package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	nethttp "net/http"
	"sync"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// Source is a running server. It implements [ingest.Source].
type Source struct {
	cfg      Config
	listener net.Listener
	server   *nethttp.Server
	served   chan struct{} // closed when the server has ended
	closed   chan struct{}
	ready    chan struct{} // holds a token while there is something to read

	mu        sync.Mutex
	announced bool // that the source is up
	closing   bool
	waiting   []*request // that nobody has read yet
	bytes     int        // of the requests that are not answered yet
	conn      uint64     // of the last request
	answers   map[int]int64
}

// request is what one client posted.
type request struct {
	records []event.Record
	bytes   int
	done    chan error // has room for the answer
}

// New starts a server.
func New(cfg Config) (*Source, error) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	s := &Source{
		cfg: cfg, listener: l, served: make(chan struct{}), closed: make(chan struct{}),
		ready: make(chan struct{}, 1), answers: map[int]int64{},
	}
	s.server = &nethttp.Server{
		Handler: s.handler(), TLSConfig: cfg.TLS,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	signal(s.ready) // the announcement
	go s.serve()
	return s, nil
}

func (s *Source) serve() {
	defer close(s.served)
	var err error
	if s.cfg.TLS != nil {
		err = s.server.ServeTLS(s.listener, "", "")
	} else {
		err = s.server.Serve(s.listener)
	}
	if !errors.Is(err, nethttp.ErrServerClosed) {
		s.cfg.Logger.Error("the server has ended", "err", err)
	}
}

// Addr returns the address that the source listens on.
func (s *Source) Addr() string { return s.listener.Addr().String() }

// Answers returns how many requests were answered, by status code.
func (s *Source) Answers() map[int]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[int]int64, len(s.answers))
	for code, n := range s.answers {
		all[code] = n
	}
	return all
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// maxRecords bounds a batch, so that one Read does not take all that waits.
const maxRecords = 4096

// Read implements [ingest.Source]. The first batch tells that the source is
// up.
func (s *Source) Read(ctx context.Context) (ingest.Batch, error) {
	for {
		select {
		case <-s.ready:
			if b, ok := s.take(); ok {
				return b, nil
			}
		case <-s.closed:
			return ingest.Batch{}, ingest.ErrClosed
		case <-ctx.Done():
			return ingest.Batch{}, ctx.Err()
		}
	}
}

// take returns what waits, whole requests, as one batch.
func (s *Source) take() (ingest.Batch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ingest.Batch{}, false
	}
	var records []event.Record
	if !s.announced {
		s.announced = true
		records = append(records, event.Record{Kind: event.KindSourceUp, Source: s.cfg.Name, Arrival: s.cfg.Now()})
	}
	n := 0
	for n < len(s.waiting) && (n == 0 || len(records)+len(s.waiting[n].records) <= maxRecords) {
		records = append(records, s.waiting[n].records...)
		n++
	}
	taken := append([]*request(nil), s.waiting[:n]...)
	s.waiting = append(s.waiting[:0], s.waiting[n:]...)
	if len(s.waiting) > 0 {
		signal(s.ready)
	}
	return ingest.Batch{Records: records, Ack: func(err error) { s.answer(taken, err) }}, len(records) > 0
}

// answer lets the handlers of requests answer.
func (s *Source) answer(taken []*request, err error) {
	for _, r := range taken {
		r.done <- err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range taken {
		s.bytes -= r.bytes
	}
}

var (
	errFull    = errors.New("too much waits for the log already")
	errClosing = errors.New("cepd is stopping")
)

// entryBytes is what a waiting event takes beside its payload.
const entryBytes = 200

// offer puts a request among those that wait, if there is room.
func (s *Source) offer(records []event.Record) (*request, error) {
	r := &request{records: records, bytes: len(records) * entryBytes, done: make(chan error, 1)}
	for i := range records {
		r.bytes += len(records[i].Payload)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errClosing
	}
	if s.bytes > 0 && s.bytes+r.bytes > s.cfg.Buffer {
		return nil, errFull
	}
	s.bytes += r.bytes
	// A request is a connection of its own, and the numbers of connections go up
	// over restarts too: what a request repeats is recognised in all before it.
	now := s.cfg.Now()
	s.conn = max(s.conn+1, uint64(max(now, 0)))
	for i := range records {
		records[i].Arrival, records[i].Conn = now, s.conn
	}
	s.waiting = append(s.waiting, r)
	signal(s.ready)
	return r, nil
}

// closeBound is how long answers under way may take when the source closes.
const closeBound = 2 * time.Second

// Close ends the server. Requests that nobody has read yet are refused.
func (s *Source) Close() error {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	left := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	s.answer(left, errClosing)
	if !first {
		<-s.served
		return nil
	}
	close(s.closed)
	ctx, cancel := context.WithTimeout(context.Background(), closeBound)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = s.server.Close()
	}
	<-s.served
	if err != nil {
		return fmt.Errorf("closing the server of source %s: %w", s.cfg.Name, err)
	}
	return nil
}
