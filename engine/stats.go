package engine

import (
	"maps"

	"github.com/cepd/cepd/event"
)

// Counter counts by a name and a reason or other detail; the detail is empty
// where there is none.
type Counter map[CounterKey]int64

// CounterKey is what a [Counter] counts by.
type CounterKey struct{ Name, Detail string }

func (c *Counter) add(name, detail string, n int64) {
	if n != 0 {
		c.need()
		(*c)[CounterKey{name, detail}] += n
	}
}

func (c *Counter) merge(d Counter) {
	if len(d) > 0 {
		c.need()
		for k, n := range d {
			(*c)[k] += n
		}
	}
}

func (c *Counter) need() {
	if *c == nil {
		*c = Counter{}
	}
}

// Stats counts what happened in one call of [Engine.Step]. Nothing is dropped
// that is not counted here with a reason. A counter of what did not happen is nil:
// of most that is all that a batch has to tell.
type Stats struct {
	Records    int64   // of any kind
	Unrouted   Counter // messages that no stream takes, by source
	Events     Counter // events, by stream
	Rejected   Counter // messages that are no event, by stream and reason
	Duplicates Counter // events that came before, by stream and reason
	NoID       Counter // events without a usable `id`, by stream
	// ForgottenIDs counts ids that were forgotten before their time, since newer
	// ones took their place, by stream.
	ForgottenIDs Counter
	Late         Counter // events behind their watermark, by stream
	Mismatched   Counter // fields of another type than declared, by stream
	KeyErrors    Counter // events without a usable key, by stream and reason
	EvalErrors   Counter // conditions and values that failed, by rule and reason
	Matches      Counter // by rule
	Timeouts     Counter // partial matches that time ended, by rule
	Evictions    Counter // partial matches that a limit ended, by rule and reason
	Raised       Counter // alerts, by rule
	Cleared      Counter // alerts, by rule and reason
	Emitted      Counter // derived events, by rule
}

func (s *Stats) counters() [16]*Counter {
	return [...]*Counter{&s.Unrouted, &s.Events, &s.Rejected, &s.Duplicates, &s.NoID, &s.ForgottenIDs, &s.Late, &s.Mismatched, &s.KeyErrors, &s.EvalErrors,
		&s.Matches, &s.Timeouts, &s.Evictions, &s.Raised, &s.Cleared, &s.Emitted}
}

// merge adds t to s and empties t.
func (s *Stats) merge(t *Stats) {
	s.Records += t.Records
	t.Records = 0
	from := t.counters()
	for i, c := range s.counters() {
		if *c == nil {
			*c, *from[i] = *from[i], nil
			continue
		}
		c.merge(*from[i])
		clear(*from[i])
	}
}

// Add adds what another Step counted.
func (s *Stats) Add(t Stats) {
	s.Records += t.Records
	from := t.counters()
	for i, c := range s.counters() {
		c.merge(*from[i])
	}
}

// Total returns the sum of a counter over everything, or over one name.
func (c Counter) Total(name string) int64 {
	var n int64
	for k, v := range maps.All(c) {
		if name == "" || k.Name == name {
			n += v
		}
	}
	return n
}

// Reject is one message that became no event, for a log line.
type Reject struct {
	Position event.Position
	Stream   string
	Source   string
	Topic    string
	Reason   string
	Err      error
}
