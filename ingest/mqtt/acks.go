package mqtt

import "sync"

// acks is the queue of acknowledgements that may be sent. It has no bound of
// its own: a broker sends only so many messages without one, at most 65,535 on
// a connection.
type acks struct {
	mu      sync.Mutex
	queue   []pending
	sending bool
	wake    chan struct{} // holds a token while there is work
	idle    chan struct{} // holds a token when there is none left
}

func newAcks() *acks {
	return &acks{wake: make(chan struct{}, 1), idle: make(chan struct{}, 1)}
}

// add takes messages over, unless there are none before them: then now may
// acknowledge them at once, and reports whether it did. Their memory is the
// caller's again if add returns true.
func (a *acks) add(messages []pending, now func([]pending) bool) (free bool) {
	if len(messages) == 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.sending && len(a.queue) == 0 {
		if now(messages) {
			return true
		}
	}
	signal(a.wake)
	if a.queue == nil {
		a.queue = messages
		return false
	}
	a.queue = append(a.queue, messages...)
	return true
}

func (a *acks) take() []pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	batch := a.queue
	a.queue = nil
	a.sending = len(batch) > 0
	if !a.sending {
		signal(a.idle)
	}
	return batch
}

// busy reports whether acknowledgements are still to be sent.
func (a *acks) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sending || len(a.queue) > 0
}

// sendAcks is the goroutine that sends acknowledgements until the source is
// closed. The client may block it for as long as the connection lasts.
func (s *Source) sendAcks() {
	defer s.done.Done()
	for {
		select {
		case <-s.acks.wake:
		case <-s.stopped:
			return
		}
		for batch := s.acks.take(); len(batch) > 0; batch = s.acks.take() {
			s.send(batch)
			s.buffer.acked(batch)
		}
	}
}

// sendNow sends acknowledgements if that can be done without waiting, and reports
// whether it is done: it need not be another goroutine then.
func (s *Source) sendNow(batch []pending) bool {
	c := batch[0].conn
	for i := range batch {
		if batch[i].conn != c || batch[i].failed != nil {
			return false
		}
	}
	n, ok := c.client.(*native)
	return ok && c.alive() && n.ackNow(batch)
}

// send sends acknowledgements, and lets go of them together at the end of those
// of one connection.
func (s *Source) send(batch []pending) {
	for i := range batch {
		p := &batch[i]
		switch {
		case !p.conn.alive():
			s.count(func(t *Status) { t.AcksDropped++ })
		case p.failed != nil:
			p.conn.client.flush()
			p.conn.end(p.failed)
		default:
			p.conn.client.ack(p)
		}
		if i == len(batch)-1 || batch[i+1].conn != p.conn {
			p.conn.client.flush()
		}
	}
}
