package durable

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/vfs"
)

// Bundles keeps what rule sets are compiled from, by the hash of the contents:
// records of the log name a rule set so, and snapshots the one in force. Its
// methods may be called from any goroutine.
type Bundles struct {
	fs  vfs.FS
	dir string

	mu    sync.Mutex
	fresh map[string]bool // put, and not named by a record yet
	named []namedBundle   // in order of the log
	// before is the end of the log when it was opened. Records up to it may name
	// rule sets that nobody has seen since.
	before event.Position
}

// namedBundle is a rule set that a record names.
type namedBundle struct {
	hash string
	pos  event.Position
}

// OpenBundles returns the bundles of a directory, which it makes if there is
// none.
func OpenBundles(fsys vfs.FS, dir string) (*Bundles, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("keeping rules: %w", err)
	}
	return &Bundles{fs: fsys, dir: dir, fresh: map[string]bool{}}, nil
}

// Put keeps a bundle, durably, and returns its hash. One that is there already
// is left as it is, unless it is damaged.
func (b *Bundles) Put(data []byte) (hash string, err error) {
	sum := sha256.Sum256(data)
	hash = hex.EncodeToString(sum[:])
	b.mu.Lock()
	b.fresh[hash] = true
	b.mu.Unlock()
	if _, err := b.Get(hash); err == nil {
		// It may have been written a moment before a crash, and its name be there
		// by chance.
		if err := b.fs.SyncDir(b.dir); err != nil {
			return "", fmt.Errorf("keeping rules: %w", err)
		}
		return hash, nil
	}
	if err := vfs.WriteFile(b.fs, filepath.Join(b.dir, hash), data); err != nil {
		return "", fmt.Errorf("keeping rules: %w", err)
	}
	return hash, nil
}

// Get returns the bundle of a hash.
func (b *Bundles) Get(hash string) ([]byte, error) {
	name := filepath.Join(b.dir, hash)
	data, err := vfs.ReadFile(b.fs, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing, the rules that the log or a snapshot names; restore it from a copy", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading kept rules: %w", err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, fmt.Errorf("%s is damaged, the rules that the log or a snapshot names: its contents do not have that hash; restore it from a copy", name)
	}
	return data, nil
}

// opened says where the log ended when it was opened.
func (b *Bundles) opened(last event.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = last
}

// inForce says that a record names a bundle.
func (b *Bundles) inForce(hash string, pos event.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.fresh, hash)
	b.named = append(b.named, namedBundle{hash, pos})
}

// prune removes the bundles that neither the log needs, which begins at a
// position, nor the snapshots, which name hashes.
func (b *Bundles) prune(first event.Position, hashes []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.named) > 1 && b.named[1].pos.Compare(first) <= 0 {
		b.named = b.named[1:]
	}
	if first.Compare(b.before) <= 0 {
		return nil
	}
	for _, n := range b.named {
		hashes = append(hashes, n.hash)
	}
	files, err := b.fs.List(b.dir)
	if err != nil {
		return fmt.Errorf("removing old rules: %w", err)
	}
	var errs []error
	for _, f := range files {
		hash := strings.TrimSuffix(f.Name, vfs.Temporary)
		if !b.fresh[hash] && !slices.Contains(hashes, hash) {
			// A name that comes back after a crash does no harm, and goes the next time.
			errs = append(errs, vfs.RemoveAny(b.fs, filepath.Join(b.dir, f.Name)))
		}
	}
	return errors.Join(errs...)
}
