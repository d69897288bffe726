package state

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Recovery says what was found when a store was opened, and what was done
// about it.
type Recovery struct {
	// Epochs are those that were there or should have been, the newest first.
	Epochs []EpochReport
	// Chosen is the number of the epoch that is used; 0 for none.
	Chosen uint64
	// Damaged are rows of it that are damaged. Each is left out.
	Damaged []*RowError
	// Leftovers is the number of versions that no epoch needs, and that are
	// removed: of a snapshot that was not committed, or replaced.
	Leftovers int
}

// EpochReport is what was found of one epoch.
type EpochReport struct {
	Marker
	// Expected says that the epoch was committed. One that is there and was not
	// expected became durable just before a crash.
	Expected bool
	// What is wrong, empty if nothing.
	Problems []string

	damaged []*RowError
	stray   int // damaged rows whose names cannot be told
	found   bool
	rows    uint64
	sum     Sum
}

// Good reports whether the epoch is there as it was committed.
func (r *EpochReport) Good() bool { return len(r.Problems) == 0 }

// usable reports whether all that is wrong with the epoch are damaged rows with
// names: they can be left out, and somebody told.
func (r *EpochReport) usable() bool {
	return r.found && r.stray == 0 && len(r.damaged) > 0 && r.rows+uint64(len(r.damaged)) == r.Rows
}

// Back reports whether an epoch was lost and an older one is used.
func (r *Recovery) Back() bool {
	return slices.ContainsFunc(r.Epochs, func(e EpochReport) bool { return e.Expected && e.Epoch > r.Chosen })
}

// String prints one line for each epoch and for each damaged row.
func (r *Recovery) String() string {
	var b strings.Builder
	for i := range r.Epochs {
		e := &r.Epochs[i]
		fmt.Fprintf(&b, "epoch %d at %s, %d rows: ", e.Epoch, e.Position, e.Rows)
		switch {
		case e.Good() && e.Epoch == r.Chosen:
			b.WriteString("good, used")
		case e.Good():
			b.WriteString("good")
		case e.Epoch == r.Chosen:
			b.WriteString("used without what is damaged: " + strings.Join(e.Problems, "; "))
		default:
			b.WriteString("not used: " + strings.Join(e.Problems, "; "))
		}
		b.WriteByte('\n')
	}
	if len(r.Epochs) == 0 {
		b.WriteString("no epoch\n")
	}
	return b.String()
}

// examine reads all that is stored, and decides what to use of it. It changes
// nothing.
func examine(db database, h *head) (*Recovery, []Marker, error) {
	rec := &Recovery{}
	for _, m := range h.Epochs {
		rec.Epochs = append(rec.Epochs, EpochReport{Marker: m, Expected: true})
	}
	err := db.view(func(r reader) error {
		if err := rec.readMarkers(r); err != nil {
			return err
		}
		return rec.audit(r)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the snapshots: %w", err)
	}
	kept, err := rec.choose(h)
	if err != nil {
		return rec, nil, err
	}
	return rec, kept, nil
}

// readMarkers compares the markers that are there with those that should be.
func (rec *Recovery) readMarkers(r reader) error {
	for r.seek([]byte{keyMarker}); ; r.next() {
		key, value, ok, err := r.at()
		if err != nil {
			return err
		}
		if !ok || key[0] != keyMarker {
			break
		}
		m, err := decodeMarker(key, value)
		if err != nil {
			rec.Epochs = append(rec.Epochs, EpochReport{Problems: []string{fmt.Sprintf("marker %x: %v", key, err)}})
			continue
		}
		i := slices.IndexFunc(rec.Epochs, func(e EpochReport) bool { return e.Epoch == m.Epoch })
		if i < 0 {
			i = len(rec.Epochs)
			rec.Epochs = append(rec.Epochs, EpochReport{Marker: *m})
		}
		e := &rec.Epochs[i]
		if e.found = true; e.Marker != *m {
			e.Problems = append(e.Problems, "its two markers differ")
		}
	}
	for i := range rec.Epochs {
		if e := &rec.Epochs[i]; e.Expected && !e.found {
			e.Problems = append(e.Problems, "its marker is missing")
		}
	}
	slices.SortFunc(rec.Epochs, func(a, b EpochReport) int { return cmp.Compare(b.Epoch, a.Epoch) })
	return nil
}

// audit counts what is there of each epoch.
func (rec *Recovery) audit(r reader) error {
	err := eachPart(r, func(versions []stored) error {
		for i := range rec.Epochs {
			e := &rec.Epochs[i]
			v := inForce(versions, &e.Marker)
			switch {
			case v == nil:
			case v.name == nil:
				e.stray++
			case !v.intact:
				e.damaged = append(e.damaged, &RowError{v.name, "its checksum is wrong"})
			case !v.part.gone:
				e.rows++
				e.sum.add(hashPart(v.prefix, v.content))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range rec.Epochs {
		e := &rec.Epochs[i]
		if !e.found {
			continue
		}
		if n := len(e.damaged) + e.stray; n > 0 {
			e.Problems = append(e.Problems, fmt.Sprintf("%d of its rows damaged", n))
		}
		switch {
		case e.rows+uint64(len(e.damaged)+e.stray) != e.Rows:
			e.Problems = append(e.Problems, fmt.Sprintf("%d rows are there instead of %d", e.rows, e.Rows))
		case e.sum != e.Sum && len(e.damaged)+e.stray == 0:
			e.Problems = append(e.Problems, "the sum of its rows is another one")
		}
	}
	return nil
}

// choose decides which epoch to use: the newest that is as it was committed,
// since the log reaches back to each that is kept; if there is none, the newest
// of which single rows can be left out.
func (rec *Recovery) choose(h *head) ([]Marker, error) {
	var good []Marker
	for _, e := range rec.Epochs {
		if e.found && e.Good() {
			good = append(good, e.Marker)
		}
	}
	if len(good) == 0 {
		if i := slices.IndexFunc(rec.Epochs, func(e EpochReport) bool { return e.usable() }); i >= 0 {
			good = append(good, rec.Epochs[i].Marker)
			rec.Damaged = rec.Epochs[i].damaged
		}
	}
	switch n := len(h.Epochs); {
	case len(good) == 0 && len(rec.Epochs) == 0:
		return nil, nil
	case len(good) == 0, n > 0 && good[0].Epoch < h.Epochs[n-1].Epoch:
		rec.Damaged = nil
		return nil, &DamagedError{What: "no snapshot is whole: " + strings.TrimSpace(strings.ReplaceAll(rec.String(), "\n", ". ")), Advice: adviceRestore}
	}
	rec.Chosen = good[0].Epoch
	return good[:min(len(good), keepEpochs)], nil
}

// stored is a version of a part as it is stored.
type stored struct {
	rowKey
	key     []byte
	name    []byte // nil if the key is no key of a row
	content []byte
	part    part
	intact  bool
}

// eachPart visits the versions of each part of each row, the newest first, in
// the order of names and parts.
func eachPart(r reader, visit func(versions []stored) error) error {
	var versions []stored
	flush := func() error {
		if len(versions) == 0 {
			return nil
		}
		err := visit(versions)
		versions = versions[:0]
		return err
	}
	for r.seek([]byte{keyRow}); ; r.next() {
		key, value, ok, err := r.at()
		if err != nil {
			return err
		}
		if !ok {
			return flush()
		}
		v := readStored(bytes.Clone(key), value)
		if len(versions) > 0 && (v.name == nil || !bytes.Equal(v.prefix, versions[0].prefix)) {
			if err := flush(); err != nil {
				return err
			}
		}
		versions = append(versions, v)
	}
}

func readStored(key, value []byte) stored {
	v := stored{key: key}
	k, ok := parseRowKey(key)
	if ok {
		v.rowKey = k
		v.name, ok = rowName(k.row)
	}
	if !ok {
		v.prefix, v.name = key, nil
		return v
	}
	if content, ok := unseal(key, value); ok {
		v.content = bytes.Clone(content)
		v.part, v.intact = parsePart(v.content, k.part)
	}
	return v
}

// inForce returns the version that an epoch has of a part, nil for none. What
// is no version of anything counts in every epoch, as damage.
func inForce(versions []stored, m *Marker) *stored {
	for i := range versions {
		if v := &versions[i]; v.name == nil || m.Base <= v.epoch && v.epoch <= m.Epoch {
			return v
		}
	}
	return nil
}

// eachRow visits the rows of an epoch.
func eachRow(r reader, m *Marker, visit func(row Row, err error) error) error {
	var row Row
	var damage *RowError
	var prefix []byte // of the row at hand; nil for none
	next, parts := 0, 0
	flush := func() error {
		if prefix == nil {
			return nil
		}
		prefix = nil
		if damage == nil && next != parts {
			damage = &RowError{row.Name, fmt.Sprintf("%d of its %d parts are missing", parts-next, parts)}
		}
		if damage != nil {
			return visit(Row{Name: row.Name}, damage)
		}
		return visit(row, nil)
	}
	err := eachPart(r, func(versions []stored) error {
		v := inForce(versions, m)
		switch {
		case v == nil || v.intact && v.part.gone:
			return nil
		case v.name == nil:
			return &DamagedError{What: fmt.Sprintf("%x is no key of a row", v.key), Advice: adviceRestore}
		}
		if prefix == nil || !bytes.Equal(v.row, prefix) {
			if err := flush(); err != nil {
				return err
			}
			row, damage, next, parts, prefix = Row{Name: v.name, Value: []byte{}}, nil, 0, 1, v.row
		}
		switch {
		case damage != nil:
		case !v.intact:
			damage = &RowError{v.name, "its checksum is wrong"}
		case v.rowKey.part != next:
			damage = &RowError{v.name, fmt.Sprintf("part %d of it is missing", next)}
		default:
			if next == 0 {
				parts = v.part.parts
			}
			row.Value = append(row.Value, v.part.bytes...)
			next++
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// collect removes every version that no kept epoch needs, and every marker of
// another, and lists what only the older one needs. Of one part the older
// versions go first: a newer one may hide them.
func (s *Store) collect() error {
	var changes []change
	var later garbage
	err := s.db.view(func(r reader) error {
		for r.seek([]byte{keyMarker}); ; r.next() {
			key, _, ok, err := r.at()
			if err != nil {
				return err
			}
			if !ok || key[0] != keyMarker {
				break
			}
			if !slices.ContainsFunc(s.kept, func(m Marker) bool { return bytes.Equal(key, markerKey(m.Epoch)) }) {
				changes = append(changes, change{key: bytes.Clone(key)})
			}
		}
		return eachPart(r, func(versions []stored) error {
			for i := len(versions) - 1; i >= 0; i-- {
				switch v := &versions[i]; {
				case !needed(s.kept, versions, v):
					changes = append(changes, change{key: v.key})
				case !needed(s.kept[:1], versions, v):
					later.add(v.key)
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := s.db.write(changes); err != nil {
		return err
	}
	s.removed += len(changes)
	s.garbage = later
	return nil
}

// needed reports whether one of the kept epochs needs a version. The oldest
// needs none that says that there is nothing.
func needed(kept []Marker, versions []stored, v *stored) bool {
	for i := range kept {
		if inForce(versions, &kept[i]) == v && (i < len(kept)-1 || !v.intact || !v.part.gone) {
			return true
		}
	}
	return false
}

// use makes a database that was examined a store.
func use(db database, h *head, rec *Recovery, kept []Marker) (*Store, error) {
	s := &Store{db: db, kept: kept}
	if len(kept) > 0 {
		s.last = kept[0].Epoch
	}
	next := head{Format: Format, Opened: true, Epochs: kept}
	if text := next.encode(); !h.Opened || !bytes.Equal(text, h.encode()) {
		if err := db.setHead(text); err != nil {
			return nil, err
		}
	}
	if err := s.collect(); err != nil {
		return nil, fmt.Errorf("removing what is not needed any more: %w", err)
	}
	rec.Leftovers = s.removed
	return s, nil
}
