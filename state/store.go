package state

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/cepd/cepd/state/vfs"
)

// Options say what a store may hold and how much room it must leave.
type Options struct {
	// Encoding and Semantics are the highest numbers of rows' encoding and of
	// their meaning that the caller knows: what has a higher one is refused.
	Encoding, Semantics int
	// MinFree is how many bytes must be free on the disk. With less nothing is
	// opened, and no snapshot begun. Default 64 MiB: what badger may need of
	// memory-mapped files while it writes an epoch, since a full disk kills a
	// process that writes to one.
	MinFree int64
	// Ballast is the size of a file that keeps room on the disk, and is removed
	// when there is less than MinFree. Default 16 MiB; negative for none.
	Ballast int64
	// Free returns how many bytes are free where dir is. Default: as the
	// operating system says.
	Free func(dir string) (int64, error)
	// Fault, if not nil, is asked before each operation on the database, by its
	// name: "write", "head", "view" or "room". What it returns is what the
	// operation fails with; nothing of it happens then.
	Fault func(operation string) error
}

// EnsureDefaults fills in what is not set.
func (o *Options) EnsureDefaults() {
	if o.MinFree == 0 {
		o.MinFree = 64 << 20
	}
	if o.Ballast == 0 {
		o.Ballast = 16 << 20
	}
	if o.Free == nil {
		o.Free = vfs.OS().Free
	}
}

// database is what a store asks of badger: keys and values in order of the
// keys.
type database interface {
	// write makes changes in their order, in as many transactions as it takes.
	// What a transaction wrote is durable, all of it, when the next begins, and
	// when write returns. After an error some may have been made.
	write(changes []change) error
	// view gives a reader of what was written before.
	view(func(reader) error) error
	// setHead replaces the head as a whole.
	setHead([]byte) error
	// room returns an error if there is no room to write.
	room() error
	close() error
}

// faulty is a database that fails as its fault says.
type faulty struct {
	database
	fault func(operation string) error
}

func (f faulty) write(changes []change) error {
	if err := f.fault("write"); err != nil {
		return err
	}
	return f.database.write(changes)
}

func (f faulty) view(do func(reader) error) error {
	if err := f.fault("view"); err != nil {
		return err
	}
	return f.database.view(do)
}

func (f faulty) setHead(text []byte) error {
	if err := f.fault("head"); err != nil {
		return err
	}
	return f.database.setHead(text)
}

func (f faulty) room() error {
	if err := f.fault("room"); err != nil {
		return err
	}
	return f.database.room()
}

// change is a key with its new value; nil removes it.
type change struct{ key, value []byte }

// reader reads a database. Bytes that it returns are good until its next call.
type reader interface {
	// seek goes to the first key at or after one, next to the one after.
	seek(key []byte)
	next()
	// at returns what is there; ok is false at the end.
	at() (key, value []byte, ok bool, err error)
}

// Store keeps snapshots. See the package's description.
type Store struct {
	db   database
	kept []Marker // the newest first, at most two
	last uint64   // highest epoch that was ever begun

	garbage garbage // what only the older epoch needs
	removed int     // versions that were collected
	dirty   bool    // there may be rows of an epoch that was abandoned
	epoch   *Epoch
}

// garbage lists versions of rows that are to be removed, each after those that
// it hides. With sweep there are more than are worth a list: everything is to
// be looked through.
type garbage struct {
	keys  [][]byte
	sweep bool
}

// maxGarbage bounds the list.
const maxGarbage = 100_000

func (g *garbage) add(key []byte) {
	switch {
	case len(g.keys) == maxGarbage:
		g.keys, g.sweep = nil, true
	case !g.sweep:
		g.keys = append(g.keys, key)
	}
}

// keepEpochs is how many epochs are kept: one that a newer one may turn out to
// be less than.
const keepEpochs = 2

// Newest returns the newest epoch's marker; ok is false where there is none.
func (s *Store) Newest() (m Marker, ok bool) {
	if len(s.kept) == 0 {
		return Marker{}, false
	}
	return s.kept[0], true
}

// Oldest returns the marker of the oldest epoch that is kept: the log must
// reach back to its position.
func (s *Store) Oldest() (m Marker, ok bool) {
	if len(s.kept) == 0 {
		return Marker{}, false
	}
	return s.kept[len(s.kept)-1], true
}

// Epochs returns the markers of the epochs that are kept, the newest first.
func (s *Store) Epochs() []Marker { return slices.Clone(s.kept) }

// Rows yields the rows of an epoch that is kept, in the order of their names.
// One that is damaged comes without a value and with a [RowError]. Any other
// error is the last that is yielded.
func (s *Store) Rows(epoch uint64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		i := slices.IndexFunc(s.kept, func(m Marker) bool { return m.Epoch == epoch })
		if i < 0 {
			yield(Row{}, fmt.Errorf("epoch %d is not kept", epoch))
			return
		}
		errStop := errors.New("enough")
		err := s.db.view(func(r reader) error {
			return eachRow(r, &s.kept[i], func(row Row, err error) error {
				if !yield(row, err) {
					return errStop
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Row{}, err)
		}
	}
}

// Close closes the store. An epoch that is being written is lost.
func (s *Store) Close() error { return s.db.close() }

// Epoch is a snapshot that is being written.
type Epoch struct {
	store   *Store
	marker  Marker  // as far as it is known
	garbage garbage // what the epoch before needs and this one does not
	err     error
	over    bool
}

// Begin begins to write an epoch: with full a whole state, otherwise what has
// changed since the newest one. There may be one at a time.
func (s *Store) Begin(full bool) (*Epoch, error) {
	if s.epoch != nil {
		panic("state: an epoch is being written")
	}
	if err := s.db.room(); err != nil {
		return nil, err
	}
	if err := s.clean(); err != nil {
		return nil, fmt.Errorf("removing rows of a snapshot that was abandoned: %w", err)
	}
	e := &Epoch{store: s, marker: Marker{Epoch: s.last + 1}}
	if old, ok := s.Newest(); ok && !full {
		e.marker.Base, e.marker.Rows, e.marker.Sum = old.Base, old.Rows, old.Sum
	} else {
		e.marker.Base = e.marker.Epoch
	}
	s.last++
	s.epoch = e
	return e, nil
}

// Number returns the epoch's number.
func (e *Epoch) Number() uint64 { return e.marker.Epoch }

// Put writes rows of the epoch; one without a value says that there is none of
// its name any more. No name comes twice in an epoch. After an error the epoch
// can only be abandoned.
func (e *Epoch) Put(rows []Row) error {
	if e.err != nil || e.over {
		return errors.Join(e.err, errOver)
	}
	e.err = e.put(rows)
	return e.err
}

var errOver = errors.New("the epoch is over")

func (e *Epoch) put(rows []Row) error {
	if err := e.store.db.room(); err != nil {
		return err
	}
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b Row) int { return bytes.Compare(a.Name, b.Name) })
	var changes []change
	err := e.store.db.view(func(r reader) (err error) {
		for i := range rows {
			if i > 0 && bytes.Equal(rows[i-1].Name, rows[i].Name) {
				return fmt.Errorf("row %x comes twice", rows[i].Name)
			}
			if changes, err = e.putRow(r, rows[i], changes); err != nil {
				return fmt.Errorf("row %x: %w", rows[i].Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.store.db.write(changes)
}

// putRow appends the changes that make a row what it is now. Parts that are as
// they were are left alone.
func (e *Epoch) putRow(r reader, row Row, changes []change) ([]change, error) {
	var parts [][]byte
	var err error
	if row.Value != nil {
		if parts, err = split(row.Value); err != nil {
			return nil, err
		}
	}
	prefix := rowPrefix(row.Name)
	for i, before := 0, 1; i < max(len(parts), before); i++ {
		p := partPrefix(prefix, i)
		old, err := e.current(r, p, i)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			before = old.parts
		}
		var content []byte
		switch {
		case i < len(parts) && bytes.Equal(parts[i], old.content):
			continue
		case i < len(parts):
			content = parts[i]
			e.marker.Rows++
			e.marker.Sum.add(hashPart(p, content))
		case old.content == nil:
			continue
		default:
			content = []byte{partGone}
		}
		if old.content != nil {
			e.marker.Rows--
			e.marker.Sum.sub(hashPart(p, old.content))
		}
		key := versionKey(p, e.marker.Epoch)
		changes = append(changes, change{key, seal(key, content)})
		if old.key != nil {
			e.garbage.add(old.key)
		}
		if content[0] == partGone {
			e.garbage.add(key) // nobody needs it when what it removes is gone
		}
	}
	return changes, nil
}

// version is a version of a part that is in force; content is nil where there
// is none.
type version struct {
	key, content []byte
	parts        int
}

// current returns the version of a part that the epoch before has. A damaged
// one cannot be replaced, since what it counted for is not known.
func (e *Epoch) current(r reader, prefix []byte, number int) (version, error) {
	if e.marker.Base == e.marker.Epoch {
		return version{}, nil // nothing before counts
	}
	r.seek(prefix)
	key, value, ok, err := r.at()
	if err != nil || !ok || !bytes.HasPrefix(key, prefix) {
		return version{}, err
	}
	k, ok := parseRowKey(key)
	switch {
	case !ok:
		return version{}, &RowError{What: "its key is no key"}
	case k.epoch == e.marker.Epoch:
		return version{}, errors.New("it comes twice")
	case k.epoch < e.marker.Base:
		return version{}, nil
	}
	content, ok := unseal(key, value)
	p, well := parsePart(content, number)
	if !ok || !well {
		return version{}, &RowError{What: "the version of epoch " + fmt.Sprint(k.epoch) + " is not what was written; take a full snapshot"}
	}
	if p.gone {
		return version{key: bytes.Clone(key)}, nil
	}
	return version{bytes.Clone(key), bytes.Clone(content), p.parts}, nil
}

// Commit makes the epoch the newest. The caller fills in of the marker what is
// its own: log, position, rules, numbers and time. After an error the epoch can
// only be abandoned; should the program die before, it may be there or not.
func (e *Epoch) Commit(m Marker) error {
	if e.err != nil || e.over {
		return errors.Join(e.err, errOver)
	}
	s := e.store
	m.Epoch, m.Base, m.Rows, m.Sum = e.marker.Epoch, e.marker.Base, e.marker.Rows, e.marker.Sum
	kept := append([]Marker{m}, s.kept[:min(len(s.kept), keepEpochs-1)]...)
	e.err = s.db.room()
	if e.err == nil {
		e.err = s.db.write([]change{{markerKey(m.Epoch), encodeMarker(&m)}})
	}
	if e.err == nil {
		h := head{Format: Format, Opened: true, Epochs: kept}
		e.err = s.db.setHead(h.encode())
	}
	if e.err != nil {
		return fmt.Errorf("writing the marker of epoch %d: %w", m.Epoch, e.err)
	}
	s.retire(kept, e)
	return nil
}

// retire makes an epoch the newest, and removes what nobody needs any more:
// the marker of the epoch that is not kept, and what those that are have
// replaced. If that fails, all is looked through the next time: it must not
// happen that an old version outlives the one that hides it.
func (s *Store) retire(kept []Marker, e *Epoch) {
	old, garbage := s.kept, s.garbage
	s.kept, s.garbage = kept, e.garbage
	s.epoch, e.over = nil, true
	if garbage.sweep || len(old) > 0 && kept[len(kept)-1].Base > old[len(old)-1].Base { // of what is before a full one nobody has a list
		if err := s.collect(); err != nil {
			s.garbage.sweep = true
		}
		return
	}
	var changes []change
	for _, key := range garbage.keys {
		changes = append(changes, change{key: key})
	}
	if len(old) == keepEpochs {
		changes = append(changes, change{key: markerKey(old[len(old)-1].Epoch)})
	}
	if err := s.db.write(changes); err != nil {
		s.garbage.sweep = true
	}
}

// Abandon makes sure that the epoch does not count. What was written of it is
// removed before the next one begins: to keep a list of that would take as much
// memory as a large epoch itself, for what hardly ever happens.
func (e *Epoch) Abandon() error {
	if e.over {
		return nil
	}
	s := e.store
	e.over, s.epoch = true, nil
	s.dirty = true
	h := head{Format: Format, Opened: true, Epochs: s.kept}
	err := s.db.setHead(h.encode())
	if err == nil { // whether the marker was written is not always known
		err = s.db.write([]change{{key: markerKey(e.marker.Epoch)}})
	}
	return err
}

// clean removes what an abandoned epoch has left.
func (s *Store) clean() error {
	if !s.dirty {
		return nil
	}
	h := head{Format: Format, Opened: true, Epochs: s.kept}
	if err := s.db.setHead(h.encode()); err != nil {
		return err
	}
	if err := s.collect(); err != nil {
		return err
	}
	s.dirty = false
	return nil
}
