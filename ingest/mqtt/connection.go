package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/mqttconn"
)

// maxPayload is how much of a payload is kept. It is more than any decoder
// accepts, so that one which was cut is rejected for its length; kept whole,
// it might never fit into the buffer, and would come again for ever.
const maxPayload = 512 << 10

// drainWait bounds how long Close waits for the last acknowledgements.
const drainWait = time.Second

var (
	errFull     = errors.New("the buffer is full")
	errClosed   = errors.New("closed")
	errNoAnswer = errors.New("the broker does not answer")
)

// connection is one connection to the broker, and one client: a client that is
// used again could send the acknowledgements of the last connection on the
// next one.
type connection struct {
	source *Source
	number uint64
	client client
	ended  chan struct{} // closed when nothing more is to be sent or taken
	once   sync.Once
	reason error // why it ended
}

// end makes the connection end, for the first reason given.
func (c *connection) end(reason error) {
	c.once.Do(func() {
		c.reason = reason
		close(c.ended)
	})
}

func (c *connection) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// run is the goroutine that keeps the source connected until it is closed.
func (s *Source) run() {
	defer s.done.Done()
	defer close(s.stopped)
	for failures := 0; ; {
		start := time.Now()
		c, err := s.connect()
		if err == nil {
			err = s.serve(c)
		}
		if errors.Is(err, errClosed) {
			return
		}
		s.report(c, err)
		if errors.Is(err, errFull) {
			if !s.waitForRoom() {
				return
			}
			failures = 0
			continue
		}
		if time.Since(start) > s.cfg.Conn.ReconnectMax {
			failures = 0 // it has lasted; a connection that the broker ends at once is a failure
		}
		if !s.sleep(s.backoff(failures)) {
			return
		}
		failures++
	}
}

// backoff returns how long to wait after so many failures: a random part of a
// time that doubles.
func (s *Source) backoff(failures int) time.Duration {
	limit := s.cfg.Conn.ReconnectMax
	if failures < 30 {
		limit = min(limit, s.cfg.MinBackoff<<failures)
	}
	return time.Duration(s.cfg.Rand() * float64(limit))
}

func (s *Source) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
		return false
	}
}

// waitForRoom waits until half of the buffer is free.
func (s *Source) waitForRoom() bool {
	for !s.buffer.halfEmpty() {
		select {
		case <-s.buffer.room:
		case <-s.closing:
			return false
		}
	}
	s.count(func(t *Status) { t.Paused = false })
	return true
}

// report tells why there is no connection.
func (s *Source) report(c *connection, err error) {
	wrapped := fmt.Errorf("%w to %s: %w", ingest.ErrNotConnected, mqttconn.Redact(s.cfg.Conn.URL), err)
	s.count(func(t *Status) {
		t.Err = wrapped
		switch {
		case c == nil:
			t.Failures++
		case errors.Is(err, errFull):
			t.Paused = true
			t.Pauses++
		}
	})
	if c == nil {
		s.cfg.Logger.Warn("cannot connect", "err", err)
	} else {
		s.cfg.Logger.Warn("disconnected", "connection", c.number, "err", err)
	}
}

// connect makes the next connection, up to the broker's answer.
func (s *Source) connect() (*connection, error) {
	c := &connection{source: s, ended: make(chan struct{})}
	dial := dialNative
	if s.cfg.Client == ClientPaho {
		dial = dialPaho
	}
	session, err := dial(s.ctx, c)
	if s.ctx.Err() != nil {
		c.end(errClosed)
		if err == nil {
			c.client.start()
			c.client.disconnect()
		}
		return nil, errClosed
	}
	if err != nil {
		c.end(err)
		return nil, err
	}
	s.begin(c, session)
	return c, nil
}

// begin gives a connection its number and lets its messages in, behind its
// record.
func (s *Source) begin(c *connection, session bool) {
	s.mu.Lock()
	s.status.Conn++
	c.number = s.status.Conn
	s.status.Connected, s.status.Session, s.status.Err, s.status.Refused = true, session, nil, nil
	lost := s.hasSession && !session
	if lost {
		s.status.SessionsLost++
	}
	s.hasSession = true
	s.mu.Unlock()
	if lost {
		s.cfg.Logger.Error("the broker has forgotten our session: what came while we were away is lost; let it keep sessions across its restarts and for long enough", "connection", c.number)
	}
	s.cfg.Connected()
	up := s.record(event.KindSourceUp, c.number)
	if session {
		up.Flags |= event.FlagSession
	}
	if lost {
		up.Flags |= event.FlagLost
	}
	s.buffer.force(up)
	c.client.start()
	s.cfg.Logger.Info("connected", "connection", c.number, "session", session)
}

// serve subscribes and waits until the connection ends. It returns why.
func (s *Source) serve(c *connection) error {
	if err := s.subscribe(c); err != nil {
		c.end(err)
	}
	select {
	case <-c.ended:
	case <-s.closing:
		s.drain(c)
		c.end(errClosed)
	}
	c.client.disconnect()
	s.buffer.force(s.record(event.KindSourceDown, c.number))
	s.count(func(t *Status) { t.Connected, t.Subscribed = false, false })
	return c.reason
}

// subscribe asks for all topics and looks at the answer.
func (s *Source) subscribe(c *connection) error {
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.cfg.Conn.ConnectTimeout, errNoAnswer)
	defer cancel()
	wanted, unwanted := s.filters()
	refused, err := c.client.subscribe(ctx, wanted, unwanted)
	switch {
	case s.ctx.Err() != nil:
		return nil // serve sees it too
	case err != nil:
		return fmt.Errorf("subscribing: %w", err)
	}
	slices.Sort(refused)
	s.count(func(t *Status) { t.Subscribed, t.Refused = true, refused })
	if len(refused) > 0 {
		s.cfg.Logger.Error("the broker refuses topics", "topics", refused)
	}
	return nil
}

// filters returns the topics to ask for, and those that the session may have
// and must not.
func (s *Source) filters() (wanted map[string]byte, unwanted []string) {
	wanted = map[string]byte{}
	for _, sub := range reduce(s.cfg.Subscriptions) {
		wanted[sub.Filter] = sub.QoS
	}
	for _, sub := range s.cfg.Subscriptions {
		unwanted = append(unwanted, sub.Filter)
	}
	unwanted = append(unwanted, s.cfg.Unsubscribe...)
	unwanted = slices.DeleteFunc(unwanted, func(filter string) bool {
		_, ok := wanted[filter]
		return ok
	})
	return wanted, unwanted
}

// drain waits a little for the acknowledgements that may be sent.
func (s *Source) drain(c *connection) {
	timeout := time.NewTimer(drainWait)
	defer timeout.Stop()
	for s.acks.busy() {
		select {
		case <-s.acks.idle:
		case <-c.ended:
			return
		case <-timeout.C:
			return
		}
	}
}
