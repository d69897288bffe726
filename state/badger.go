package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/cepd/cepd/state/vfs"
)

// Open opens the snapshots in a directory, which is made if there is none. The
// recovery says what was found, also where it comes with an error of what was
// found. What is refused for its format is not touched; to look at what may be
// damaged without badger mending it, there is [OpenCopy].
func Open(dir string, o Options) (*Store, *Recovery, error) {
	o.EnsureDefaults()
	h, err := prepare(dir, &o)
	if err != nil {
		return nil, nil, fmt.Errorf("snapshots in %s: %w", dir, err)
	}
	s, rec, err := open(dir, &o, h)
	if err != nil {
		err = fmt.Errorf("snapshots in %s: %w", dir, err)
	}
	return s, rec, err
}

func open(dir string, o *Options, h *head) (*Store, *Recovery, error) {
	b, err := openBadger(dir, o)
	if err != nil {
		return nil, nil, err
	}
	var db database = b
	if o.Fault != nil {
		db = faulty{b, o.Fault}
	}
	rec, kept, err := examine(db, h)
	var s *Store
	if err == nil {
		s, err = use(db, h, rec, kept)
	}
	if err != nil {
		return nil, rec, errors.Join(err, db.close())
	}
	return s, rec, nil
}

// The files beside badger's own.
const (
	headFile    = "SNAPSHOTS"
	ballastFile = "BALLAST"
	manifest    = badger.ManifestFilename
)

// prepare looks at a directory before badger does, which would make what is
// missing, delete what it does not know, and crash on a full disk.
func prepare(dir string, o *Options) (*head, error) {
	text, err := os.ReadFile(filepath.Join(dir, headFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &head{Format: Format}, makeDir(dir, o)
	case err != nil:
		return nil, err
	}
	h, err := decodeHead(text, o)
	if err != nil {
		return nil, fmt.Errorf("the file %s: %w", headFile, err)
	}
	if _, err := os.Stat(filepath.Join(dir, manifest)); h.Opened && errors.Is(err, os.ErrNotExist) {
		// Badger would take the directory for a new one and delete all tables.
		return nil, &DamagedError{What: "the file " + manifest + " is missing", Advice: adviceRestore}
	}
	return h, nil
}

// makeDir makes a new directory for snapshots. One with anything in it is
// somebody else's, or has lost its head.
func makeDir(dir string, o *Options) error {
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == manifest }):
		return &DamagedError{What: "the file " + headFile + " is missing", Advice: adviceRestore}
	case slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !begun(e.Name()) }):
		return &DamagedError{What: "the directory is not empty, and its files are no snapshots", Advice: adviceDir}
	}
	if err := vfs.OS().MkdirAll(dir); err != nil {
		return err
	}
	if err := room(dir, o); err != nil {
		return err
	}
	return vfs.WriteFile(vfs.OS(), filepath.Join(dir, headFile), (&head{Format: Format}).encode())
}

// begun reports whether a file may be what is left where making a directory was
// cut short.
func begun(name string) bool { return name == ballastFile || strings.HasSuffix(name, vfs.Temporary) }

// badgerDB is a badger database in a directory of its own.
type badgerDB struct {
	db  *badger.DB
	dir string
	o   *Options
}

// openBadger opens the database. It fails now and then after a crash: a
// memory table that was made and not used yet is an error once.
func openBadger(dir string, o *Options) (*badgerDB, error) {
	b := &badgerDB{dir: dir, o: o}
	if err := b.room(); err != nil {
		return nil, err
	}
	options := badgerOptions(dir)
	err := guarded(func() (err error) { b.db, err = badger.Open(options); return err })
	if err != nil {
		err = guarded(func() (err error) { b.db, err = badger.Open(options); return err })
	}
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return b, nil
}

// memTable is the size of a memory table. There are up to three, each with an
// arena on the heap and a mapped file, so that it is what most of the memory of
// a snapshot depends on. A transaction is 15 % of one at most.
const memTable = 2 << 20

// largeMemTable is what it once was. A table that a crash has left does not fit
// into a smaller one.
const largeMemTable = 8 << 20

// memTableSize returns how large memory tables must be for those that are there.
// Their files have twice the size.
func memTableSize(dir string) int64 {
	files, err := os.ReadDir(dir)
	if err != nil {
		return memTable // badger says why
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && strings.HasSuffix(f.Name(), ".mem") && info.Size() > 2*memTable {
			return largeMemTable
		}
	}
	return memTable
}

// badgerOptions are chosen for few small transactions and little memory.
// Checksums of tables stay off, since their failure is a panic in a goroutine of
// badger's: rows have their own.
func badgerOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(memTableSize(dir)).
		WithBaseTableSize(1 << 20). // what builds a table takes twice as much
		WithNumMemtables(2).
		WithValueLogFileSize(16 << 20).
		WithValueThreshold(4 * partBytes). // all values lie in the tables
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithChecksumVerificationMode(options.NoVerification).
		WithNumCompactors(2).
		WithNumGoroutines(1).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithLogger(nil)
}

// guarded calls badger, and makes an error of a panic: it has some for bytes
// that it does not expect. Memory that a file no longer backs is one too.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the database is damaged: %v", p)
		}
	}()
	return f()
}

func (b *badgerDB) write(changes []change) error {
	return guarded(func() error {
		if err := b.room(); err != nil {
			return err
		}
		txn := b.db.NewTransaction(true)
		defer func() { txn.Discard() }()
		for _, c := range changes {
			err := apply(txn, c)
			if errors.Is(err, badger.ErrTxnTooBig) {
				if err = txn.Commit(); err == nil {
					if err = b.room(); err == nil {
						txn = b.db.NewTransaction(true)
						err = apply(txn, c)
					}
				}
			}
			if err != nil {
				return err
			}
		}
		return txn.Commit()
	})
}

func apply(txn *badger.Txn, c change) error {
	if c.value == nil {
		return txn.Delete(c.key)
	}
	return txn.Set(c.key, c.value)
}

func (b *badgerDB) view(f func(reader) error) error {
	return guarded(func() error {
		return b.db.View(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: false})
			defer it.Close()
			return f(badgerReader{it})
		})
	})
}

type badgerReader struct{ it *badger.Iterator }

func (r badgerReader) seek(key []byte) { r.it.Seek(key) }

func (r badgerReader) next() { r.it.Next() }

func (r badgerReader) at() (key, value []byte, ok bool, err error) {
	if !r.it.Valid() {
		return nil, nil, false, nil
	}
	item := r.it.Item()
	err = item.Value(func(v []byte) error { value = v; return nil })
	return item.Key(), value, err == nil, err
}

func (b *badgerDB) setHead(text []byte) error {
	return vfs.WriteFile(vfs.OS(), filepath.Join(b.dir, headFile), text)
}

// room makes sure that there is room to write. A database on a full disk
// cannot even be closed: its files are mapped into memory, and a page that finds
// no room kills the process.
func (b *badgerDB) room() error { return room(b.dir, b.o) }

// close closes the database, unless there is no room for what it would still
// write: then it is left to the next start, which loses nothing by it.
func (b *badgerDB) close() error {
	if err := b.room(); err != nil && errors.Is(err, ErrFull) {
		return nil
	}
	return guarded(b.db.Close)
}
