package rules

import "github.com/cepd/cepd/event"

// Own says to whom the alerts go that cepd raises of itself, and when. It is a
// part of the set, as the rules are, so that a replay of the log decides as was
// decided then.
type Own struct {
	To         []string       `json:"to,omitempty"`      // sinks; empty: every sink
	Sources    []string       `json:"sources,omitempty"` // that are connected to something, sorted
	SourceDown event.Duration `json:"source_down"`       // how long one of them may be disconnected
}
