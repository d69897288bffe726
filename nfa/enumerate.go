package nfa

import (
	"cmp"
	"slices"

	"github.com/cepd/cepd/event"
)

// complete gives the matches that the event at hand completes.
func (c *chains) complete(at event.Time, out *Result) {
	s := &out.compact
	if c.prog.skip == SkipPastLast {
		c.completeFirst(at, out)
		return
	}
	given := len(out.Matches)
	for _, f := range s.found {
		c.enumerate(f, at, out)
	}
	slices.SortFunc(out.Matches[given:], compareMatches)
}

// completeFirst gives the first of the matches and drops what it skips: all
// that began up to its last event. That is everything, unless the match ends in
// `=> !x` and so has not taken the event at hand. Then what is left may hold
// another match.
func (c *chains) completeFirst(at event.Time, out *Result) {
	s := &out.compact
	for len(s.found) > 0 {
		m := c.first(at, s)
		out.Matches = append(out.Matches, m)
		if m.Last() == s.kept {
			c.drop()
			return
		}
		last := len(c.events) - 1
		for c.events[last].event != m.Last() {
			last--
		}
		c.floor = uint32(last) + 1
		c.findCut()
		c.dropDead()
		s.found = slices.DeleteFunc(s.found, func(f completion) bool { return f.before != 0 && !c.alive(f.before) })
	}
}

func compareMatches(a, b Match) int {
	if c := cmp.Compare(a.Start, b.Start); c != 0 {
		return c // that of the first event
	}
	return cmp.Or(compareFirst(a.First(), b.First()), compareChains(a.last, b.last))
}

// pathStep is an accepted event of a chain that is being walked.
type pathStep struct {
	event uint32
	step  uint16
}

// branch is a vertex that is still to be walked, and how much of the path leads
// there.
type branch struct {
	id   uint32
	path int
}

// enumerate gives every chain that completes, at most as many as there may be
// runs: so many the run machine would never have held.
func (c *chains) enumerate(f completion, at event.Time, out *Result) {
	s, left := &out.compact, c.prog.maxRuns
	s.path = s.path[:0]
	if f.step >= 0 {
		s.path = append(s.path, pathStep{s.now, uint16(f.step)})
	}
	if f.before == 0 {
		out.Matches = append(out.Matches, c.matchOf(s, at))
		return
	}
	s.todo = append(s.todo[:0], branch{f.before, len(s.path)})
	for len(s.todo) > 0 {
		if left == 0 {
			out.Evicted++
			return
		}
		left--
		next := s.todo[len(s.todo)-1]
		s.todo, s.path = s.todo[:len(s.todo)-1], s.path[:next.path]
		c.walk(next.id, s)
		out.Matches = append(out.Matches, c.matchOf(s, at))
	}
}

// walk adds a chain of a vertex to the path, last event first, and leaves what
// branches off to be done.
func (c *chains) walk(id uint32, s *compactScratch) {
	for id != 0 {
		v := c.at(id)
		if v.step == unionStep {
			if c.alive(v.b) {
				s.todo = append(s.todo, branch{v.b, len(s.path)})
			}
			id = v.a
			continue
		}
		s.path = append(s.path, pathStep{v.a, uint16(v.step)})
		id = v.b
	}
}

// matchNodes is how many nodes one piece of memory is for, at least.
const matchNodes = 64 // 4 kB

// take returns memory for the chain of a match. What was given is used again once
// the result is reset.
func (s *compactScratch) take(n int) []node {
	from := len(s.nodes)
	if from+n > cap(s.nodes) { // what is in use of the piece stays with its matches
		s.nodes, from = make([]node, 0, max(n, matchNodes)), 0
	}
	s.nodes = s.nodes[:from+n]
	return s.nodes[from:]
}

// reset takes back what the matches had.
func (s *compactScratch) reset() {
	clear(s.nodes)
	s.nodes = s.nodes[:0]
}

// matchOf makes the match of a path.
func (c *chains) matchOf(s *compactScratch, at event.Time) Match {
	path := s.path
	nodes, last := s.take(len(path)), (*node)(nil)
	for i, x := range slices.Backward(path) {
		last = c.prog.extendAs(&nodes[i], last, int(x.step), c.events[x.event].event)
	}
	return Match{c.events[path[len(path)-1].event].time, at, History{c.prog, last}}
}

// best is the first chain of a vertex in the order of matches: the one that
// began first, then the longest, then the one whose events come first.
type best struct {
	first uint32 // event that begins it
	depth uint32 // its length; 0: not known yet
	pick  uint32 // of a union: the side that it is on
	seen  bool
}

// first returns the first of the matches that the event at hand completes. It
// looks at each vertex once. Everything is dropped afterwards, or as good as
// everything, so this costs no more than making them did.
func (c *chains) first(at event.Time, s *compactScratch) Match {
	s.best = slices.Grow(s.best[:0], len(c.vertices)+1)[:len(c.vertices)+1]
	clear(s.best)
	for _, f := range s.found {
		s.best[f.before].seen = true
	}
	for id := len(c.vertices); id > 0; id-- {
		if !s.best[id].seen {
			continue
		}
		v := c.at(uint32(id))
		if v.step == unionStep {
			s.best[v.a].seen = true
		}
		if v.step != unionStep || c.alive(v.b) {
			s.best[v.b].seen = true
		}
	}
	for id := 1; id <= len(c.vertices); id++ {
		if s.best[id].seen {
			c.findBest(uint32(id), s.best)
		}
	}
	var first Match
	for i, f := range s.found {
		if x := c.bestOf(f, at, s); i == 0 || compareMatches(x, first) < 0 {
			first = x
		}
	}
	return first
}

// findBest finds the first chain of a vertex from those it leads to.
func (c *chains) findBest(id uint32, all []best) {
	v, b := c.at(id), &all[id]
	switch {
	case v.step != unionStep && v.b == 0:
		b.first, b.depth = v.a, 1
	case v.step != unionStep:
		b.first, b.depth = all[v.b].first, all[v.b].depth+1
	default:
		b.pick = v.a
		if c.alive(v.b) && c.compareBest(v.a, v.b, all) > 0 {
			b.pick = v.b
		}
		b.first, b.depth = all[b.pick].first, all[b.pick].depth
	}
}

// compareBest compares the first chains of two vertices, as compareMatches
// would.
func (c *chains) compareBest(x, y uint32, all []best) int {
	if c := cmp.Or(cmp.Compare(all[x].first, all[y].first), cmp.Compare(all[y].depth, all[x].depth)); c != 0 {
		return c
	}
	byEvent, byStep := 0, 0
	for x, y = c.picked(x, all), c.picked(y, all); x != y; x, y = c.picked(c.at(x).b, all), c.picked(c.at(y).b, all) {
		v, w := c.at(x), c.at(y)
		if c := cmp.Compare(v.a, w.a); c != 0 {
			byEvent = c
		}
		if c := cmp.Compare(v.step, w.step); c != 0 {
			byStep = c
		}
	}
	return cmp.Or(byEvent, byStep)
}

// picked returns the extend that the first chain of a vertex ends with.
func (c *chains) picked(id uint32, all []best) uint32 {
	for id != 0 && c.at(id).step == unionStep {
		id = all[id].pick
	}
	return id
}

// bestOf makes the match of the first chain that completes in one way.
func (c *chains) bestOf(f completion, at event.Time, s *compactScratch) Match {
	s.path = s.path[:0]
	if f.step >= 0 {
		s.path = append(s.path, pathStep{s.now, uint16(f.step)})
	}
	for id := c.picked(f.before, s.best); id != 0; id = c.picked(c.at(id).b, s.best) {
		v := c.at(id)
		s.path = append(s.path, pathStep{v.a, uint16(v.step)})
	}
	return c.matchOf(s, at)
}
