package engine

import (
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// guardIndex finds the conditions of a stream that an event cannot meet, many
// at once. A pattern of twenty steps that asks each time for another value of
// one field is twenty conditions, of which one look at that field's value
// decides nineteen.
type guardIndex struct {
	fields []guardedField
	of     []int8 // by condition: the number of its field, -1 for none
}

// guardedField holds the conditions that want a field to be a certain value.
type guardedField struct {
	slot  int
	all   []uint64   // a bit for each condition
	under constants  // the number of those that a value leaves open
	open  [][]uint64 // the first is of none
}

// One look at a field pays from so many conditions on. Beyond the most, setting
// the bits costs more than asking the few conditions that somebody asks about.
const (
	minGuarded = 6
	maxGuarded = 512
)

// newGuardIndex returns the index of those conditions of a stream that are sought,
// nil where it would be of no use.
func newGuardIndex(s *rules.Stream, sought []bool) *guardIndex {
	if len(s.Conditions) < minGuarded || len(s.Conditions) > maxGuarded {
		return nil
	}
	count := map[int]int{}
	for i, c := range s.Conditions {
		if g := c.Guard(); g != nil && sought[i] {
			count[g.Slot]++
		}
	}
	x := &guardIndex{of: make([]int8, len(s.Conditions))}
	place := map[int]int8{}
	for i, c := range s.Conditions {
		x.of[i] = -1
		g := c.Guard()
		if g == nil || !sought[i] || count[g.Slot] < minGuarded {
			continue
		}
		n, ok := place[g.Slot]
		if !ok && len(x.fields) == 64 {
			continue
		}
		if !ok {
			n = int8(len(x.fields))
			place[g.Slot] = n
			x.fields = append(x.fields, guardedField{slot: g.Slot, open: make([][]uint64, 1)})
		}
		x.of[i] = n
		x.fields[n].add(i, g.Values, len(s.Conditions))
	}
	if len(x.fields) == 0 {
		return nil
	}
	return x
}

// sought returns which conditions of a stream are asked of events of which nothing
// is known. The `where` of a rule that is filed under its constants is asked only
// of events that have one of them.
func (p *plan) sought(s *streamPlan) []bool {
	sought := make([]bool, len(s.Conditions))
	note := func(conditions ...int) {
		for _, c := range conditions {
			if c >= 0 {
				sought[c] = true
			}
		}
	}
	for _, l := range p.lanes {
		for _, t := range l.tables {
			x := t.indexes[s.number]
			for i, r := range t.rules {
				in := r.inputs[s.number]
				if in == nil {
					continue
				}
				note(in.When, in.Clear)
				note(in.Plain...)
				if x == nil || !x.rules[i].filed {
					note(in.Where)
				}
			}
		}
	}
	return sought
}

func (f *guardedField) add(condition int, values []event.Value, conditions int) {
	set := func(mask []uint64) []uint64 {
		if mask == nil {
			mask = make([]uint64, (conditions+63)/64)
		}
		mask[condition/64] |= 1 << (condition % 64)
		return mask
	}
	f.all = set(f.all)
	for _, v := range values {
		n := f.under.file(v)
		if *n == 0 {
			*n = int32(len(f.open))
			f.open = append(f.open, nil)
		}
		f.open[*n] = set(f.open[*n])
	}
}

// look looks at the field that decides most about a condition, once for an event,
// and reports whether it does.
func (m *memo) look(condition int, e *event.Event) bool {
	n := m.guards.of[condition]
	if n < 0 || m.looked&(1<<n) != 0 {
		return false
	}
	m.looked |= 1 << n
	f := &m.guards.fields[n]
	m.exclude(f, e.Slot(f.slot))
	return true
}

// exclude notes that the conditions which a field's value rules out do not hold.
func (m *memo) exclude(f *guardedField, v event.Value) {
	n, ok := f.under.find(v)
	if !ok {
		return
	}
	open := f.open[n]
	for i, all := range f.all {
		a := &m.answers[i]
		out := all &^ a.known
		if open != nil {
			out &^= open[i]
		}
		if a.known == 0 && out != 0 {
			m.use(i)
		}
		a.known |= out
	}
}
