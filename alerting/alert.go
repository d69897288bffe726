package alerting

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/cepd/cepd/event"
)

// Change says what happened to an alert.
type Change uint8

// The changes of an alert that a sink is told of.
const (
	Raised Change = iota + 1
	Cleared
)

// String returns the name that `expect` in tests and payloads use.
func (c Change) String() string {
	switch c {
	case Raised:
		return "raised"
	case Cleared:
		return "cleared"
	}
	return "unknown"
}

// Label is a name and a value; a set of labels is sorted by name.
type Label struct{ Name, Value string }

// Step is what one step of a pattern contributed to an alert, or, with an
// empty name, the event that a condition was judged on.
type Step struct {
	Name   string
	Events []*event.Event
}

// Transition is one change of one alert, complete in itself: whoever sends it
// needs neither the input log nor the engine's state.
type Transition struct {
	ID          string // the same on every try and every replay, see [TransitionID]
	Change      Change
	Reason      string // why now: "matched", "for", "clear", "clear_after", "rule removed", …
	Rule        string
	Key         string // encoded; empty for a rule without `by`
	KeyNames    []string
	Fingerprint string
	Severity    string
	Labels      []Label // with alertname and severity; sorted
	Summary     string
	Description string
	Runbook     string
	StartsAt    event.Time // when the alert was raised
	EndsAt      event.Time // when it was cleared; zero while it fires
	Time        event.Time // of this change
	Matches     int        // how many matches the alert stands for, so far
	Evidence    []Step
	To          []string       // sinks, fixed at the raise
	Repeat      event.Duration // sinks are told again while it fires, at most that often; 0: they are not
	Position    event.Position
	Shadow      bool // of a rule in shadow mode: shown, but told to no sink
	AtEnd       bool // decided because a replay ended, not because time came
}

// KeyValue returns the key as JSON shows it: a value where `by` is one
// expression, an object where it has names, null where the rule has no `by`.
func KeyValue(key string, names []string) event.Value {
	parts, err := event.DecodeKey(key)
	if err != nil || len(parts) == 0 {
		return event.Null
	}
	if len(names) == 0 {
		return parts[0]
	}
	es := make([]event.Entry, min(len(parts), len(names)))
	for i := range es {
		es[i] = event.Entry{Name: names[i], Value: parts[i]}
	}
	return event.Map(es)
}

// Fingerprint identifies an alert by its rule, its encoded key and its labels:
// 16 hexadecimal digits of xxhash64. Labels must be sorted. They are text, so
// that the keys 1 and "1", which are two, have the same ones.
func Fingerprint(rule, key string, labels []Label) string {
	b := event.AppendText(event.AppendText(nil, rule), key)
	for _, l := range labels {
		b = event.AppendText(event.AppendText(b, l.Name), l.Value)
	}
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, xxhash.Sum64(b)))
}

// SortLabels sorts labels by name; of two with one name the later one wins.
func SortLabels(labels []Label) []Label {
	slices.SortStableFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	out := labels[:0]
	for _, l := range labels {
		if n := len(out); n > 0 && out[n-1].Name == l.Name {
			out[n-1] = l
			continue
		}
		out = append(out, l)
	}
	return out
}
