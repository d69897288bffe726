package engine

// A journal follows which units of state have changed since a snapshot last
// took them, so that a snapshot costs what has changed, and its pause does not
// grow with that.
//
// Time is cut into generations; each snapshot ends one, and so does [Engine.Age]. What changes is listed
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
	shown uint32    // the last that a snapshot has taken
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
	// place is the unit's index in the list that it is in, plus one; then a bit
	// for the list, of which there are two at a time, and a bit that says that the
	// unit is a [keyState]. Zero: it is in no list, and stored as it is.
	place uint32
	gen   uint32 // in which it last changed
}

const (
	placeList = 1 << iota
	placeKey
	placeShift = iota
)

func (t *tag) tagged() *tag { return t }

// unitList is a list of units that knows where each is.
type unitList struct {
	units
	bit uint32 // placeList or 0, which the journal's other list has not
}

// units are units of state. Nearly all are keys, of which there may be millions:
// a pointer to one takes half of what an interface takes.
type units struct {
	keys   []*keyState
	others []unit
}

func (us *units) append(u unit) {
	if ks, ok := u.(*keyState); ok {
		us.keys = append(us.keys, ks)
	} else {
		us.others = append(us.others, u)
	}
}

func (us *units) all(yield func(unit) bool) {
	for _, ks := range us.keys {
		if !yield(ks) {
			return
		}
	}
	for _, u := range us.others {
		if !yield(u) {
			return
		}
	}
}

// last returns one of the units, nil where there is none.
func (us *units) last() unit {
	if n := len(us.others); n > 0 {
		return us.others[n-1]
	}
	if n := len(us.keys); n > 0 {
		return us.keys[n-1]
	}
	return nil
}

// holds reports whether a unit is in the list. Each is in one of the journal's.
func (l *unitList) holds(t *tag) bool { return t.place != 0 && t.place&placeList == l.bit }

func (l *unitList) add(u unit) {
	l.append(u)
	t := u.tagged()
	if t.place = uint32(len(l.others))<<placeShift | l.bit; isKey(u) {
		t.place = uint32(len(l.keys))<<placeShift | placeKey | l.bit
	}
}

func isKey(u unit) bool {
	_, ok := u.(*keyState)
	return ok
}

func (l *unitList) remove(t *tag) {
	i := t.place>>placeShift - 1
	if t.place&placeKey != 0 {
		l.keys = moveLast(l.keys, i, t.place)
	} else {
		l.others = moveLast(l.others, i, t.place)
	}
	t.place = 0
}

// moveLast puts the last unit of a list into a place, which is its own then.
func moveLast[U unit](list []U, i, place uint32) []U {
	var none U
	last := len(list) - 1
	list[i] = list[last]
	list[i].tagged().place = place
	list[last] = none
	return list[:last]
}

func newJournal() *journal {
	return alone(journal{gen: stored + 1, base: stored, shown: stored, dirty: &unitList{}})
}

// touch notes that a unit is about to change.
func (j *journal) touch(u unit) {
	t := u.tagged()
	if t.gen == j.gen {
		return
	}
	j.spare(u)
	t.gen = j.gen
	if t.place == 0 {
		j.dirty.add(u)
	}
}

// spare encodes a unit for the snapshot under way, if that waits for it.
func (j *journal) spare(u unit) {
	if j.under != nil && j.under.units.holds(u.tagged()) {
		j.under.encode(u)
	}
}

// drop forgets a unit that is no more.
func (j *journal) drop(u unit) {
	switch t := u.tagged(); {
	case t.place == 0:
	case j.dirty.holds(t):
		j.dirty.remove(t)
	default:
		j.under.units.remove(t)
	}
}

// taken is what a snapshot has taken from a journal.
type taken struct {
	from       *journal
	gen, since uint32
	units      *unitList // to be encoded
	rows       []Row     // encoded and not given out yet
	done, gone units     // that have put rows; that have put one without a value
}

// take ends the generation. With every, what is stored is taken too.
func (j *journal) take(every func(func(unit))) *taken {
	t := &taken{from: j, gen: j.gen, since: j.base, units: j.dirty}
	if every != nil {
		t.since = 0
		every(func(u unit) {
			if u.tagged().place == 0 {
				t.units.add(u)
			}
		})
	}
	j.dirty, j.under = &unitList{bit: placeList - j.dirty.bit}, t
	j.shown = j.gen
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
		t.done.append(u)
	}
	if gone {
		t.gone.append(u)
	}
}

// next returns up to max encoded rows, fewer only at the end.
func (t *taken) next(max int) []Row {
	for len(t.rows) < max {
		u := t.units.last()
		if u == nil {
			break
		}
		t.encode(u)
	}
	n := min(max, len(t.rows))
	rows := t.rows[:n:n]
	t.rows = t.rows[n:]
	return rows
}

// commit says that all that was taken is durable.
func (t *taken) commit() {
	t.from.base, t.from.under = t.gen, nil
	for u := range t.gone.all {
		u.settled(t.gen)
	}
}

// abandon puts back what was taken.
func (t *taken) abandon() {
	j := t.from
	j.under = nil
	for _, us := range [...]*units{&t.done, &t.units.units} {
		for u := range us.all {
			if g := u.tagged(); g.place == 0 || t.units.holds(g) {
				j.dirty.add(u)
			}
		}
	}
}
