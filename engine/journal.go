package engine

// A journal follows which units of state have changed since a snapshot last
// took them, so that a snapshot costs what has changed, and its pause does not
// grow with that.
//
// Time is cut into generations; each snapshot ends one. What changes is listed
// once in a generation. A snapshot takes the list as it stands, and encodes the
// units on it later, a few at a time between steps. A unit that is about to
// change before its turn has come is encoded first: copy on write.
//
//	generation 1   what was restored, and so is stored already
//	2 .. base      taken by snapshots that are durable
//	     .. gen-1  taken by the snapshot under way
//	gen            the present
//
// A journal belongs to one shard, as the units do that it follows.
type journal struct {
	gen   uint32
	base  uint32
	dirty *unitList // changed in the present generation, or taken by an abandoned snapshot
	under *taken    // by the snapshot under way; nil without one
}

// stored is the generation of what was restored.
const stored = 1

// unit is a piece of state that a journal follows. What is to be followed
// embeds a [tag], and calls [journal.touch] before each change.
type unit interface {
	tagged() *tag
	// rows puts all rows.
	rows(put func(name, value []byte))
	// changes puts the rows of what has changed after a generation: without a
	// value where there may be a stored row and no more state. It reports
	// whether it put any row, and whether one without a value.
	changes(since uint32, put func(name, value []byte)) (any, gone bool)
	// settled says that rows without a value, put in a generation, are gone from
	// the store.
	settled(gen uint32)
}

// tag is a unit's place in the lists of its journal.
type tag struct {
	list *unitList // nil: it is stored as it is
	at   int32
	gen  uint32 // in which it last changed
}

func (t *tag) tagged() *tag { return t }

// unitList is a list of units that knows where each is.
type unitList struct{ units []unit }

func (l *unitList) add(u unit) {
	t := u.tagged()
	t.list, t.at = l, int32(len(l.units))
	l.units = append(l.units, u)
}

func (l *unitList) remove(t *tag) {
	last := len(l.units) - 1
	moved := l.units[last]
	l.units[t.at] = moved
	moved.tagged().at = t.at
	l.units[last] = nil
	l.units = l.units[:last]
	t.list = nil
}

func newJournal() *journal {
	return &journal{gen: stored + 1, base: stored, dirty: &unitList{}}
}

// touch notes that a unit is about to change.
func (j *journal) touch(u unit) {
	t := u.tagged()
	if t.gen == j.gen {
		return
	}
	if j.under != nil && t.list == j.under.units {
		j.under.encode(u)
	}
	t.gen = j.gen
	if t.list == nil {
		j.dirty.add(u)
	}
}

// drop forgets a unit that is no more.
func (j *journal) drop(u unit) {
	if t := u.tagged(); t.list != nil {
		t.list.remove(t)
	}
}

// taken is what a snapshot has taken from a journal.
type taken struct {
	from       *journal
	gen, since uint32
	units      *unitList // to be encoded
	rows       []Row     // encoded and not given out yet
	done, gone []unit    // that have put rows; that have put one without a value
}

// take ends the generation. With every, what is stored is taken too.
func (j *journal) take(every func(func(unit))) *taken {
	t := &taken{from: j, gen: j.gen, since: j.base, units: j.dirty}
	if every != nil {
		t.since = 0
		every(func(u unit) {
			if u.tagged().list == nil {
				t.units.add(u)
			}
		})
	}
	j.dirty, j.under = &unitList{}, t
	j.gen++
	return t
}

// encode puts the rows of one of the taken units.
func (t *taken) encode(u unit) {
	t.units.remove(u.tagged())
	any, gone := u.changes(t.since, func(name, value []byte) {
		if value != nil || t.since > 0 { // what replaces everything removes nothing
			t.rows = append(t.rows, Row{Name: name, Value: value})
		}
	})
	if any {
		t.done = append(t.done, u)
	}
	if gone {
		t.gone = append(t.gone, u)
	}
}

// next returns up to max encoded rows, fewer only at the end.
func (t *taken) next(max int) []Row {
	for len(t.rows) < max && len(t.units.units) > 0 {
		t.encode(t.units.units[len(t.units.units)-1])
	}
	n := min(max, len(t.rows))
	rows := t.rows[:n:n]
	t.rows = t.rows[n:]
	return rows
}

// commit says that all that was taken is durable.
func (t *taken) commit() {
	t.from.base, t.from.under = t.gen, nil
	for _, u := range t.gone {
		u.settled(t.gen)
	}
}

// abandon puts back what was taken.
func (t *taken) abandon() {
	j := t.from
	j.under = nil
	for _, units := range [][]unit{t.done, t.units.units} {
		for _, u := range units {
			if l := u.tagged().list; l == nil || l == t.units {
				j.dirty.add(u)
			}
		}
	}
}
