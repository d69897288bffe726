package http

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	nethttp "net/http"
	"strconv"
	"strings"

	"github.com/cepd/cepd/event"
)

// Path is where events are posted to; a topic may follow after a slash.
const Path = "/v1/events"

// When a client that was refused for the moment should try again, in seconds.
const (
	retryFull    = 1 // the log takes a group every few milliseconds
	retryFailing = 5 // somebody may have to make room on a disk
)

// statusGone counts clients that went away before their answer, by the number
// that proxies have made usual.
const statusGone = 499

// maxIDBytes bounds an Idempotency-Key, of which each event keeps a copy.
const maxIDBytes = 256

func (s *Source) handler() nethttp.Handler {
	mux := nethttp.NewServeMux()
	mux.HandleFunc("POST "+Path, s.post)
	mux.HandleFunc("POST "+Path+"/{topic...}", s.post)
	// A page on the web must not be able to post to a cepd on its reader's host.
	return nethttp.NewCrossOriginProtection().Handler(mux)
}

// refusal is a request that is not taken, and why.
type refusal struct {
	code    int
	message string
	retry   int // seconds; 0: trying again does not help
}

func (r *refusal) Error() string { return r.message }

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

// post takes a request and answers it when its events are durable.
func (s *Source) post(w nethttp.ResponseWriter, r *nethttp.Request) {
	n, err := s.accept(w, r)
	var no *refusal
	switch {
	case err == nil:
		s.reply(w, nethttp.StatusOK, map[string]any{"accepted": n})
	case errors.As(err, &no):
		if no.retry > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.retry))
		}
		if no.code == nethttp.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		s.reply(w, no.code, map[string]any{"accepted": 0, "error": no.message})
	default: // the client is gone; nobody reads an answer
		s.count(statusGone)
	}
}

func (s *Source) reply(w nethttp.ResponseWriter, code int, body any) {
	s.count(code)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone needs no answer
}

func (s *Source) count(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[code]++
}

// accept takes the events of a request and returns their number.
func (s *Source) accept(w nethttp.ResponseWriter, r *nethttp.Request) (int, error) {
	if !s.allowed(r) {
		return 0, refuse(nethttp.StatusUnauthorized, "no Authorization header with the token of this source")
	}
	topic := r.PathValue("topic")
	if topic == "" {
		topic = s.cfg.Topic
	}
	if !s.cfg.Takes(topic) {
		if topic == "" {
			return 0, refuse(nethttp.StatusNotFound, "no stream takes events without a topic; post to %s/TOPIC", Path)
		}
		return 0, refuse(nethttp.StatusNotFound, "no stream takes events of the topic %s", topic)
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxIDBytes {
		return 0, refuse(nethttp.StatusBadRequest, "the Idempotency-Key has %d bytes; at most %d are taken", len(key), maxIDBytes)
	}
	req := &request{done: make(chan error, 1)}
	n, err := s.read(w, r, req, topic, key)
	if err == nil {
		err = s.offer(req)
	}
	if err != nil {
		s.leave(req)
	}
	switch {
	case errors.Is(err, errFull):
		return 0, &refusal{nethttp.StatusTooManyRequests, err.Error(), retryFull}
	case errors.Is(err, errClosing):
		return 0, &refusal{nethttp.StatusServiceUnavailable, err.Error(), retryFailing}
	case err != nil:
		return 0, err
	}
	return n, s.await(r, req)
}

// read reads the events of a request, and returns their number.
func (s *Source) read(w nethttp.ResponseWriter, r *nethttp.Request, req *request, topic, key string) (int, error) {
	body, err := readBody(w, r, s.cfg.MaxBody, func(bytes int) error { return s.reserve(req, bytes) })
	if err != nil {
		return 0, err
	}
	events, err := parse(r.Header, body)
	if err != nil {
		return 0, err
	}
	if len(events) == 0 {
		return 0, refuse(nethttp.StatusBadRequest, "there is no event in the body")
	}
	if err := s.reserve(req, len(events)*entryBytes); err != nil {
		return 0, err
	}
	req.records = s.records(events, topic, key)
	return len(events), nil
}

// allowed reports whether a client may post. The comparison takes the same time
// wherever a wrong token differs.
func (s *Source) allowed(r *nethttp.Request) bool {
	if s.cfg.Token == "" {
		return true
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(token), []byte(s.cfg.Token)) == 1
}

// records makes the events' records. One that has a name of its sender's may be
// a repetition.
func (s *Source) records(events []posted, topic, key string) []event.Record {
	records := make([]event.Record, len(events))
	for i, e := range events {
		rec := event.Record{Kind: event.KindMessage, Source: s.cfg.Name, Topic: topic, Payload: e.payload, SenderID: e.id}
		if rec.SenderID == "" && key != "" {
			rec.SenderID = key + "/" + strconv.Itoa(i)
		}
		if rec.SenderID != "" {
			rec.Flags |= event.FlagDup
		}
		records[i] = rec
	}
	return records
}

// await waits until the records of a request are durable.
func (s *Source) await(r *nethttp.Request, req *request) error {
	select {
	case err := <-req.done:
		if err != nil {
			return &refusal{nethttp.StatusServiceUnavailable, "the events could not be logged: " + err.Error(), retryFailing}
		}
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	}
}
