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
	bytes     int        // that requests take which are not answered yet
	buffer    int        // how many they may
	conn      uint64     // of the last request
	answers   map[int]int64
}

// request is what one client posts.
type request struct {
	records []event.Record
	bytes   int        // that it takes
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
		ready: make(chan struct{}, 1), buffer: cfg.Buffer, answers: map[int]int64{},
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
	if !s.announced {
		s.announced = true
		signal(s.ready) // for what may wait already
		up := event.Record{Kind: event.KindSourceUp, Source: s.cfg.Name, Arrival: s.cfg.Now()}
		return ingest.Batch{Records: []event.Record{up}, Ack: ingest.NoAck}, true
	}
	n, total := 0, 0
	for n < len(s.waiting) && (n == 0 || total+len(s.waiting[n].records) <= maxRecords) {
		total += len(s.waiting[n].records)
		n++
	}
	taken := append([]*request(nil), s.waiting[:n]...)
	var records []event.Record
	if n == 1 {
		records = taken[0].records
	} else if n > 1 {
		records = make([]event.Record, 0, total)
		for _, r := range taken {
			records = append(records, r.records...)
		}
	}
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

// leave gives back what a request has taken that is not offered.
func (s *Source) leave(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= r.bytes
}

// Bound sets how many bytes may wait from now on, in place of Config.Buffer.
// What waits already is not refused.
func (s *Source) Bound(bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffer = bytes
}

var (
	errFull    = errors.New("too much waits for the log already")
	errClosing = errors.New("cepd is stopping")
)

// entryBytes is what a waiting event takes beside its payload.
const entryBytes = 200

// reserve takes more room for a request. A request that is alone is given any.
func (s *Source) reserve(r *request, bytes int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes > r.bytes && s.bytes+bytes > s.buffer {
		return errFull
	}
	s.bytes += bytes
	r.bytes += bytes
	return nil
}

// offer puts a request among those that wait to be read.
func (s *Source) offer(r *request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return errClosing
	}
	// A request is a connection of its own, and the numbers of connections go up
	// over restarts too: what a request repeats is recognised in all before it.
	now := s.cfg.Now()
	s.conn = max(s.conn+1, uint64(max(now, 0)))
	for i := range r.records {
		r.records[i].Arrival, r.records[i].Conn = now, s.conn
	}
	s.waiting = append(s.waiting, r)
	signal(s.ready)
	return nil
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
