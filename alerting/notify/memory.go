package notify

import (
	"slices"
	"sync"
)

// rememberedIDs bounds how many ids a [Memory] outbox remembers to leave out
// what comes twice. In memory nothing comes twice across a restart, so that
// only what the engine gives out again shortly after matters.
const rememberedIDs = 1 << 16

// Memory is an [Outbox] in memory, for runs that keep nothing. What it holds
// is lost with the process.
type Memory struct {
	mu      sync.Mutex
	entries []memoryEntry // by place, without gaps
	first   uint64        // place of entries[0]
	sinks   map[string]*memorySink
	ids     map[string]struct{}
	order   []string // the ids, as a ring once it is full
	oldest  int
}

type memoryEntry struct {
	message Message
	open    []string // the sinks that need it still
}

// memorySink is what an outbox knows of one sink.
type memorySink struct {
	places  []uint64 // of what goes to it, in order; those before the first unmarked one are dropped
	pending int
}

// NewMemory returns an empty outbox in memory.
func NewMemory() *Memory {
	return &Memory{first: 1, sinks: map[string]*memorySink{}, ids: map[string]struct{}{}}
}

// Append adds messages at the end; it never fails.
func (m *Memory) Append(ms []Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, msg := range ms {
		if !m.remember(msg.Identity()) {
			continue
		}
		open := slices.Clone(msg.Sinks())
		slices.Sort(open)
		open = slices.Compact(open)
		place := m.first + uint64(len(m.entries))
		for _, name := range open {
			s := m.sinks[name]
			if s == nil {
				s = &memorySink{}
				m.sinks[name] = s
			}
			s.places = append(s.places, place)
			s.pending++
		}
		m.entries = append(m.entries, memoryEntry{msg, open})
	}
	m.trim()
	return nil
}

// remember notes an id and reports whether it is new.
func (m *Memory) remember(id string) bool {
	if _, ok := m.ids[id]; ok {
		return false
	}
	m.ids[id] = struct{}{}
	if len(m.order) < rememberedIDs {
		m.order = append(m.order, id)
		return true
	}
	delete(m.ids, m.order[m.oldest])
	m.order[m.oldest] = id
	m.oldest = (m.oldest + 1) % len(m.order)
	return true
}

// Read returns entries for a sink; it never fails.
func (m *Memory) Read(sink string, after uint64, limit int) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sinks[sink]
	if s == nil {
		return nil, nil
	}
	var out []Entry
	i, _ := slices.BinarySearch(s.places, after+1)
	for ; i < len(s.places) && len(out) < limit; i++ {
		if e := m.at(s.places[i]); e != nil && slices.Contains(e.open, sink) {
			out = append(out, Entry{s.places[i], e.message})
		}
	}
	return out, nil
}

// Mark says that a sink needs an entry no more; it never fails.
func (m *Memory) Mark(sink string, seq uint64, _ Outcome) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.at(seq)
	if e == nil {
		return nil
	}
	i := slices.Index(e.open, sink)
	if i < 0 {
		return nil
	}
	if e.open = slices.Delete(e.open, i, i+1); len(e.open) == 0 {
		e.message = Message{} // its evidence may be large
	}
	s := m.sinks[sink]
	s.pending--
	for len(s.places) > 0 {
		if e := m.at(s.places[0]); e != nil && slices.Contains(e.open, sink) {
			break
		}
		s.places = s.places[1:]
	}
	m.trim()
	return nil
}

// at returns the entry at a place, nil where there is none any more.
func (m *Memory) at(seq uint64) *memoryEntry {
	if seq < m.first || seq >= m.first+uint64(len(m.entries)) {
		return nil
	}
	return &m.entries[seq-m.first]
}

// trim lets go of the entries at the front that no sink needs.
func (m *Memory) trim() {
	n := 0
	for n < len(m.entries) && len(m.entries[n].open) == 0 {
		n++
	}
	m.entries = m.entries[n:]
	m.first += uint64(n)
	if len(m.entries) == 0 {
		m.entries = nil
	}
}

// Pending counts what a sink is to get still.
func (m *Memory) Pending(sink string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sinks[sink]; s != nil {
		return s.pending
	}
	return 0
}
