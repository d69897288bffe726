package rules

import (
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
)

// Wait says for how long a stream that is quiet holds up a rule that takes
// other streams too.
type Wait struct {
	Stream string         // from a source, or derived with a watermark of its own
	For    event.Duration // 0: until its next event
	PerKey bool           // it is the key that is waited for
}

// Waits returns what a rule of the set waits for, by name of the stream: it is
// empty where it takes one stream only, or no other that has a time of its own.
func (s *Set) Waits(r *Rule) []Wait {
	makers := map[string]*Rule{}
	for _, m := range s.Rules {
		makers[m.Name] = m
	}
	all := waits(r, makers, map[string]bool{})
	if len(all) < 2 {
		return nil
	}
	slices.SortFunc(all, func(a, b Wait) int { return strings.Compare(a.Stream, b.Stream) })
	return all
}

// waits lists the streams whose watermark the rule's is the lowest of.
func waits(r *Rule, makers map[string]*Rule, seen map[string]bool) []Wait {
	var all []Wait
	for _, in := range r.Inputs {
		s := in.Stream
		own := s.Producer == "" || s.Unordered && in.Marks == MarksStream
		of := s
		if s.LateOf != nil {
			of = s.LateOf
		}
		switch {
		case !own && makers[s.Producer] != nil:
			all = append(all, waits(makers[s.Producer], makers, seen)...)
		case !own || seen[of.Name] || s.Producer == "" && of.Time == nil:
		default:
			seen[of.Name] = true
			w := Wait{Stream: of.Name, For: of.Watermark.Idle}
			if in.Marks == MarksKey {
				w.For, w.PerKey = of.Watermark.KeyIdle, true
			}
			all = append(all, w)
		}
	}
	return all
}
