package nfa

import "slices"

// tidyScratch is the memory of a tidying: by number of a vertex and of an event
// the new number.
type tidyScratch struct{ vertices, events []uint32 }

// zeroed returns n zeros in memory that is used again.
func zeroed(memory *[]uint32, n int) []uint32 {
	*memory = slices.Grow((*memory)[:0], n)[:n]
	clear(*memory)
	return *memory
}

// trim drops what is too old from the lists.
func (c *chains) trim() {
	c.dropDead()
	for i := range c.active {
		a := &c.active[i]
		c.shorten(a, len(c.fresh(c.list(a))))
	}
}

// tidy drops the vertices and events that no list leads to, and what is too old.
// It numbers the others anew in the same order.
func (c *chains) tidy(s *tidyScratch) {
	c.trim()
	to, events := zeroed(&s.vertices, len(c.vertices)+1), zeroed(&s.events, len(c.events))
	for i := range c.active {
		list := c.list(&c.active[i])
		for k, id := range list {
			list[k] = c.bare(id)
			to[list[k]] = 1
		}
	}
	for id := len(c.vertices); id > 0; id-- {
		if to[id] == 0 {
			continue
		}
		v := c.at(uint32(id))
		if v.step == unionStep {
			v.a = c.bare(v.a)
			to[v.a] = 1
		} else {
			events[v.a] = 1
		}
		if v.b != 0 {
			v.b = c.bare(v.b)
			to[v.b] = 1
		}
	}
	c.keepEvents(events)
	c.keepVertices(to, events)
	for i := range c.active {
		list := c.list(&c.active[i])
		for k, id := range list {
			list[k] = to[id]
		}
	}
	if cap(c.vertices) > 4*len(c.vertices) && cap(c.vertices) > 4*minGarbage {
		c.vertices, c.events = slices.Clone(c.vertices), slices.Clone(c.events)
	}
}

// keepEvents keeps the events that are marked, and leaves in place of each mark
// the new number.
func (c *chains) keepEvents(marked []uint32) {
	n := uint32(0)
	for i, mark := range marked {
		if mark != 0 {
			c.events[n], marked[i] = c.events[i], n
			n++
		}
	}
	clear(c.events[n:])
	c.events, c.floor = c.events[:n], 0
	c.findCut()
}

// keepVertices does the same for vertices, given the new numbers of events.
func (c *chains) keepVertices(marked, events []uint32) {
	n := uint32(0)
	for id := 1; id < len(marked); id++ {
		if marked[id] == 0 {
			continue
		}
		v := *c.at(uint32(id))
		v.max, v.b = events[v.max], marked[v.b]
		if v.step == unionStep {
			v.a = marked[v.a]
		} else {
			v.a = events[v.a]
		}
		c.vertices[n] = v
		n++
		marked[id] = n
	}
	c.vertices = c.vertices[:n]
}

// reduce drops what no chain needs, and if there are more chains than the
// limit of runs allows, those that began first.
func (c *chains) reduce(out *Result) {
	s := &out.compact.tidy
	c.tidy(s)
	out.Evicted += c.evict(s)
	c.made, c.live = 0, uint32(len(c.vertices))
}

// evict drops the oldest chains of a key that has too many, and returns how
// many at least that were. A graph has at least one chain for each list and one
// more for each union, so there were as many runs.
//
// The latest start that a union adds is that of its right side; so many stay
// as three quarters of the limit, lest the next one be too many again.
func (c *chains) evict(s *tidyScratch) int {
	if 2*len(c.vertices) <= c.prog.maxRuns {
		return 0
	}
	var starts []uint32
	for i := range c.active {
		for _, id := range c.list(&c.active[i]) {
			starts = append(starts, c.at(id).max)
		}
	}
	for _, v := range c.vertices {
		if v.step == unionStep {
			starts = append(starts, c.at(v.b).max)
		}
	}
	if len(starts) <= c.prog.maxRuns {
		return 0
	}
	slices.Sort(starts)
	c.floor = starts[len(starts)-c.prog.maxRuns*3/4-1] + 1
	kept, _ := slices.BinarySearch(starts, c.floor)
	c.tidy(s)
	return kept
}
