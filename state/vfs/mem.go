package vfs

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// ErrCrashed is what files and locks answer that were open before a crash.
var ErrCrashed = errors.New("the file system has crashed")

// sector is what a disk writes as a whole, or not at all.
const sector = 512

// Mem is a file system in memory that can crash. It is as unhelpful as POSIX
// allows: see the package comment.
type Mem struct {
	mu       sync.Mutex
	dirs     map[string]bool
	names    map[string]*inode // as a process sees them
	durable  map[string]*inode // as they are found after a loss of power
	changes  []dirChange       // between the two, in order
	locks    map[string]*memLock
	capacity int64 // 0: no limit
	epoch    int   // counts crashes
}

// inode is a file, whatever its names.
type inode struct {
	data    []byte   // as a process sees it
	durable []byte   // what is on the disk for certain
	writes  []*write // between the two, in order
}

// write is a write that need not be on the disk, or a truncation.
type write struct {
	at       int64
	data     []byte
	truncate bool // to the length at
	lost     bool // a sync failed: no later one covers it
}

// dirChange is a change of names that happens as a whole or not at all. A nil
// inode is a name that went.
type dirChange struct {
	dir   string
	names map[string]*inode
}

// NewMem returns an empty file system without a limit.
func NewMem() *Mem {
	return &Mem{dirs: map[string]bool{".": true, "/": true}, names: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]*memLock{}}
}

// SetCapacity bounds the bytes of all files together; 0 is no bound. What would
// go beyond fails with ENOSPC, after the bytes for which there is room.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Bytes returns the size of all files together.
func (m *Mem) Bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes()
}

func (m *Mem) bytes() (n int64) {
	for _, ino := range m.names {
		n += int64(len(ino.data))
	}
	return n
}

// Kill ends the process that uses the file system: its files and locks are of no
// use any more, and nothing is lost.
func (m *Mem) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	clear(m.locks)
}

// Crash takes the power away. Of what was not synced, rng decides what is there
// afterwards: of each file nothing, everything, the first writes of which the
// last is torn, or any of its sectors; of names the same.
func (m *Mem) Crash(rng *rand.Rand) {
	m.Kill()
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := chance(rng)
	for _, c := range m.changes {
		if keep() {
			c.apply(m.durable)
		}
	}
	m.changes = nil
	for _, name := range slices.Sorted(maps.Keys(m.durable)) {
		m.durable[name].crash(rng)
	}
	m.names = maps.Clone(m.durable)
}

// chance returns a function that says of one thing after the other whether it
// survives: none, all, the first ones, or any.
func chance(rng *rand.Rand) func() bool {
	switch rng.IntN(4) {
	case 0:
		return func() bool { return false }
	case 1:
		return func() bool { return true }
	case 2:
		alive := true
		return func() bool {
			alive = alive && rng.IntN(4) > 0
			return alive
		}
	}
	return func() bool { return rng.IntN(2) == 0 }
}

func (c dirChange) apply(names map[string]*inode) {
	for name, ino := range c.names {
		if ino == nil {
			delete(names, name)
		} else {
			names[name] = ino
		}
	}
}

func (n *inode) crash(rng *rand.Rand) {
	torn := rng.IntN(2) == 0 // else by sectors
	keep := chance(rng)
	for _, w := range n.writes {
		switch {
		case w.truncate:
			if keep() {
				n.durable = resize(n.durable, w.at)
			}
		case torn:
			if keep() {
				n.durable = w.apply(n.durable)
			} else if rng.IntN(2) == 0 {
				part := write{at: w.at, data: w.data[:rng.IntN(len(w.data)+1)]}
				n.durable = part.apply(n.durable)
			}
		default:
			for from := 0; from < len(w.data); {
				to := min(len(w.data), from+sector-int((w.at+int64(from))%sector))
				if keep() {
					part := write{at: w.at + int64(from), data: w.data[from:to]}
					n.durable = part.apply(n.durable)
				}
				from = to
			}
			if end := w.at + int64(len(w.data)); int64(len(n.durable)) < end && rng.IntN(2) == 0 {
				n.durable = resize(n.durable, end) // the length was written, and the contents were not
			}
		}
	}
	n.writes = nil
	n.data = slices.Clone(n.durable)
}

func (w *write) apply(data []byte) []byte {
	if w.truncate {
		return resize(data, w.at)
	}
	if end := w.at + int64(len(w.data)); int64(len(data)) < end {
		data = resize(data, end)
	}
	copy(data[w.at:], w.data)
	return data
}

func (w *write) overlaps(o *write) bool {
	return w.truncate || o.truncate || w.at < o.at+int64(len(o.data)) && o.at < w.at+int64(len(w.data))
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// sync makes durable what was written, but for what an earlier sync lost.
func (n *inode) sync() {
	var left []*write
	for i, w := range n.writes {
		if !w.lost {
			n.durable = w.apply(n.durable)
			continue
		}
		again := slices.ContainsFunc(n.writes[i+1:], func(later *write) bool { return !later.lost && later.overlaps(w) })
		if !again {
			left = append(left, w)
		}
	}
	n.writes = left
}

// path checks a name and cleans it.
func (m *Mem) path(op, name string) (string, error) {
	name = filepath.Clean(name)
	if !m.dirs[filepath.Dir(name)] {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return name, nil
}

func (m *Mem) change(dir string, names map[string]*inode) {
	c := dirChange{dir, names}
	c.apply(m.names)
	m.changes = append(m.changes, c)
}

// MkdirAll makes directories; a crash does not touch them.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dir = filepath.Clean(dir); !m.dirs[dir]; dir = filepath.Dir(dir) {
		m.dirs[dir] = true
	}
	return nil
}

// Create makes a new file.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, err := m.path("create", name)
	if err != nil {
		return nil, err
	}
	if m.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	ino := &inode{}
	m.change(filepath.Dir(name), map[string]*inode{name: ino})
	return &memFile{m: m, name: name, inode: ino, epoch: m.epoch, writable: true}, nil
}

// Open opens a file for reading.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenWrite opens a file for reading and writing.
func (m *Mem) OpenWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, writable bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	ino := m.names[name]
	if ino == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m: m, name: name, inode: ino, epoch: m.epoch, writable: writable}, nil
}

// Remove removes a file.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	if m.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	m.change(filepath.Dir(name), map[string]*inode{name: nil})
	return nil
}

// Rename gives a file another name.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	ino := m.names[from]
	if ino == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if filepath.Dir(from) != filepath.Dir(to) {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrInvalid}
	}
	m.change(filepath.Dir(to), map[string]*inode{from: nil, to: ino})
	return nil
}

// List returns the files of a directory.
func (m *Mem) List(dir string) ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	if !m.dirs[dir] {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	var out []Info
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		if filepath.Dir(name) == dir {
			out = append(out, Info{filepath.Base(name), int64(len(m.names[name].data))})
		}
	}
	return out, nil
}

// SyncDir makes the names of a directory durable.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	m.changes = slices.DeleteFunc(m.changes, func(c dirChange) bool {
		if c.dir == dir {
			c.apply(m.durable)
		}
		return c.dir == dir
	})
	return nil
}

type memLock struct {
	m     *Mem
	name  string
	epoch int
}

// Lock takes a lock that a crash releases.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, err := m.path("lock", name)
	if err != nil {
		return nil, err
	}
	if m.locks[name] != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	l := &memLock{m, name, m.epoch}
	m.locks[name] = l
	return l, nil
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.locks[l.name] != l {
		return ErrCrashed
	}
	delete(l.m.locks, l.name)
	return nil
}

// Free returns what the capacity leaves.
func (m *Mem) Free(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free(), nil
}

func (m *Mem) free() int64 {
	if m.capacity == 0 {
		return 1 << 50
	}
	return max(m.capacity-m.bytes(), 0)
}

// memFile is an open file of a [Mem].
type memFile struct {
	m        *Mem
	name     string
	inode    *inode
	epoch    int
	writable bool
	closed   bool
}

// use locks the file system, and says whether the file may be used.
func (f *memFile) use(op string, write bool) (func(), error) {
	f.m.mu.Lock()
	err := error(nil)
	switch {
	case f.epoch != f.m.epoch:
		err = ErrCrashed
	case f.closed:
		err = fs.ErrClosed
	case write && !f.writable:
		err = syscall.EBADF
	}
	if err != nil {
		f.m.mu.Unlock()
		return nil, &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return f.m.mu.Unlock, nil
}

func (f *memFile) ReadAt(p []byte, at int64) (int, error) {
	done, err := f.use("read", false)
	if err != nil {
		return 0, err
	}
	defer done()
	if at >= int64(len(f.inode.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.inode.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, at int64) (int, error) {
	done, err := f.use("write", true)
	if err != nil {
		return 0, err
	}
	defer done()
	if grows := at + int64(len(p)) - int64(len(f.inode.data)); grows > 0 {
		if room := f.m.free(); grows > room {
			p = p[:max(0, int64(len(p))-(grows-room))]
			err = &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
	}
	if len(p) == 0 {
		return 0, err
	}
	w := &write{at: at, data: slices.Clone(p)}
	f.inode.data = w.apply(f.inode.data)
	f.inode.writes = append(f.inode.writes, w)
	return len(p), err
}

func (f *memFile) Truncate(size int64) error {
	done, err := f.use("truncate", true)
	if err != nil {
		return err
	}
	defer done()
	w := &write{at: size, truncate: true}
	f.inode.data = w.apply(f.inode.data)
	f.inode.writes = append(f.inode.writes, w)
	return nil
}

func (f *memFile) Size() (int64, error) {
	done, err := f.use("stat", false)
	if err != nil {
		return 0, err
	}
	defer done()
	return int64(len(f.inode.data)), nil
}

func (f *memFile) Sync() error {
	done, err := f.use("sync", false)
	if err != nil {
		return err
	}
	defer done()
	f.inode.sync()
	return nil
}

// lose is a sync that fails: what was written stays to be seen, and no later
// sync makes it durable.
func (f *memFile) lose() {
	done, err := f.use("sync", false)
	if err != nil {
		return
	}
	defer done()
	for _, w := range f.inode.writes {
		w.lost = true
	}
}

func (f *memFile) Close() error {
	done, err := f.use("close", false)
	if err != nil {
		return err
	}
	defer done()
	f.closed = true
	return nil
}
