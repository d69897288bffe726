package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
)

// hashShape hashes what the state of a rule depends on.
func hashShape(parts []string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(event.AppendText(nil, p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// arrange computes levels from who makes which stream, and sorts: streams by
// name, rules by level and name. Producers must not form a circle.
func (s *Set) arrange() {
	makers := map[string]*Rule{}
	for _, r := range s.Rules {
		r.Level = -1
		makers[r.Name] = r
	}
	var level func(r *Rule) int
	level = func(r *Rule) int {
		if r.Level >= 0 {
			return r.Level
		}
		r.Level = 0
		for _, in := range r.Inputs {
			if maker := makers[in.Stream.Producer]; maker != nil {
				in.Stream.Level = level(maker) + 1
			}
			r.Level = max(r.Level, in.Stream.Level)
		}
		if r.Unless != nil {
			if parent := makers[r.Unless.Rule]; parent != nil {
				r.Level = max(r.Level, level(parent)+1)
			}
		}
		return r.Level
	}
	s.Levels = 0
	for _, r := range s.Rules {
		s.Levels = max(s.Levels, level(r)+1)
		if r.Output != nil {
			r.Output.Level = r.Level + 1
		}
	}
	slices.SortFunc(s.Streams, func(a, b *Stream) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Rules, func(a, b *Rule) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), strings.Compare(a.Name, b.Name))
	})
}
