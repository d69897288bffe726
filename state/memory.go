package state

import (
	"bytes"
	"errors"
	"maps"
	"slices"
)

// Memory is a disk in memory for a store that tests can crash. It outlives the
// stores that are opened on it, one after the other: a store that is not used
// any more, closed or not, has crashed, and what it had not finished to write
// is there in part. The zero Memory is an empty disk.
type Memory struct {
	// Fault, if not nil, is asked before each operation: "write" for one
	// transaction, "head", "room" and "view". What it returns is what the operation fails
	// with; nothing of it happens then.
	Fault func(operation string) error

	text   []byte // the head
	rows   map[string][]byte
	opened int // number of stores that were opened
}

// memoryBatch is how many changes make one transaction.
const memoryBatch = 16

// Open opens a store on the disk. The stores that were opened before must not
// be used any more.
func (m *Memory) Open(o Options) (*Store, *Recovery, error) {
	o.EnsureDefaults()
	if m.rows == nil {
		m.rows = map[string][]byte{}
	}
	h := &head{}
	if m.text != nil {
		var err error
		if h, err = decodeHead(m.text, &o); err != nil {
			return nil, nil, err
		}
	}
	m.opened++
	var db database = &memoryDB{m, m.opened}
	if o.Fault != nil {
		db = faulty{db, o.Fault}
	}
	if err := db.room(); err != nil {
		return nil, nil, err
	}
	rec, kept, err := examine(db, h)
	if err != nil {
		return nil, rec, err
	}
	s, err := use(db, h, rec, kept)
	if err != nil {
		return nil, rec, err
	}
	return s, rec, nil
}

// Clone returns a copy of the disk as it is now, without its faults.
func (m *Memory) Clone() *Memory {
	return &Memory{text: bytes.Clone(m.text), rows: maps.Clone(m.rows)}
}

// Damage flips a bit in the marker of the newest of two epochs, and reports
// whether there are two.
func (m *Memory) Damage() bool {
	var newest string
	markers := 0
	for key := range m.rows {
		if key[0] == keyMarker {
			markers, newest = markers+1, max(newest, key)
		}
	}
	if markers < 2 {
		return false
	}
	damaged := bytes.Clone(m.rows[newest])
	damaged[len(damaged)/2] ^= 1
	m.rows[newest] = damaged
	return true
}

// memoryDB is a store's hold on the disk.
type memoryDB struct {
	disk *Memory
	id   int
}

var errCrashed = errors.New("the store has crashed: the disk was opened again")

func (db *memoryDB) fault(operation string) error {
	if db.id != db.disk.opened {
		return errCrashed
	}
	if db.disk.Fault != nil {
		return db.disk.Fault(operation)
	}
	return nil
}

func (db *memoryDB) write(changes []change) error {
	for some := range slices.Chunk(changes, memoryBatch) {
		if err := db.fault("write"); err != nil {
			return err
		}
		for _, c := range some {
			if c.value == nil {
				delete(db.disk.rows, string(c.key))
			} else {
				db.disk.rows[string(c.key)] = c.value
			}
		}
	}
	return nil
}

func (db *memoryDB) setHead(text []byte) error {
	if err := db.fault("head"); err != nil {
		return err
	}
	db.disk.text = text
	return nil
}

func (db *memoryDB) room() error { return db.fault("room") }

func (db *memoryDB) close() error { return nil }

func (db *memoryDB) view(f func(reader) error) error {
	if err := db.fault("view"); err != nil {
		return err
	}
	return f(&memoryReader{rows: db.disk.rows, keys: slices.Sorted(maps.Keys(db.disk.rows))})
}

type memoryReader struct {
	rows map[string][]byte
	keys []string
	i    int
}

func (r *memoryReader) seek(key []byte) { r.i, _ = slices.BinarySearch(r.keys, string(key)) }

func (r *memoryReader) next() { r.i++ }

func (r *memoryReader) at() (key, value []byte, ok bool, err error) {
	if r.i >= len(r.keys) {
		return nil, nil, false, nil
	}
	k := r.keys[r.i]
	return []byte(k), r.rows[k], true, nil
}
