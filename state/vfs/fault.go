package vfs

import (
	"fmt"
	"io"
	"sync"
)

// Op is one operation that changes something, or reads.
type Op struct {
	N    int    // counts them, from 1 up
	Name string // "create", "open", "read", "write", "truncate", "sync", "close", "remove", "rename", "list", "syncdir", "mkdir", "lock", "free", "stat"
	Path string
}

// String prints what would be done to what.
func (o Op) String() string { return fmt.Sprintf("%d %s %s", o.N, o.Name, o.Path) }

// Effect is how much of an operation happens although it fails.
type Effect uint8

// The effects of an operation that fails.
const (
	None  Effect = iota // nothing
	Half                // of a write the first half, of all others nothing
	Whole               // all of it
)

// Failure makes an operation fail.
type Failure struct {
	Err    error
	Effect Effect
}

// NewFault returns a file system that asks fail before each operation on inner.
// If fail returns a failure, the operation fails so. fail is called by one
// goroutine at a time.
func NewFault(inner FS, fail func(Op) *Failure) FS { return &faultFS{inner: inner, fail: fail} }

type faultFS struct {
	inner FS
	mu    sync.Mutex
	n     int
	fail  func(Op) *Failure
}

// ask returns how an operation is to fail; nil if it is not.
func (f *faultFS) ask(name, path string) *Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	return f.fail(Op{f.n, name, path})
}

// do does an operation, unless it is to fail.
func (f *faultFS) do(name, path string, op func() error) error {
	x := f.ask(name, path)
	if x == nil {
		return op()
	}
	if x.Effect == Whole {
		_ = op()
	}
	return fmt.Errorf("%s %s: %w", name, path, x.Err)
}

// file does an operation that opens a file.
func (f *faultFS) file(op, name string, open func(string) (File, error)) (File, error) {
	var file File
	err := f.do(op, name, func() (err error) {
		file, err = open(name)
		return err
	})
	if err != nil {
		if file != nil {
			_ = file.Close()
		}
		return nil, err
	}
	return &faultFile{f, name, file}, nil
}

func (f *faultFS) MkdirAll(dir string) error {
	return f.do("mkdir", dir, func() error { return f.inner.MkdirAll(dir) })
}

func (f *faultFS) Create(name string) (File, error) { return f.file("create", name, f.inner.Create) }

func (f *faultFS) Open(name string) (File, error) { return f.file("open", name, f.inner.Open) }

func (f *faultFS) OpenWrite(name string) (File, error) {
	return f.file("open", name, f.inner.OpenWrite)
}

func (f *faultFS) Remove(name string) error {
	return f.do("remove", name, func() error { return f.inner.Remove(name) })
}

func (f *faultFS) Rename(from, to string) error {
	return f.do("rename", to, func() error { return f.inner.Rename(from, to) })
}

func (f *faultFS) SyncDir(dir string) error {
	return f.do("syncdir", dir, func() error { return f.inner.SyncDir(dir) })
}

func (f *faultFS) List(dir string) (out []Info, err error) {
	err = f.do("list", dir, func() (err error) {
		out, err = f.inner.List(dir)
		return err
	})
	return out, err
}

func (f *faultFS) Lock(name string) (io.Closer, error) {
	if x := f.ask("lock", name); x != nil {
		return nil, fmt.Errorf("lock %s: %w", name, x.Err)
	}
	return f.inner.Lock(name)
}

func (f *faultFS) Free(dir string) (n int64, err error) {
	err = f.do("free", dir, func() (err error) {
		n, err = f.inner.Free(dir)
		return err
	})
	return n, err
}

// faultFile is an open file of a faultFS.
type faultFile struct {
	fs    *faultFS
	name  string
	inner File
}

func (f *faultFile) ReadAt(p []byte, at int64) (int, error) {
	if x := f.fs.ask("read", f.name); x != nil {
		return 0, fmt.Errorf("read %s: %w", f.name, x.Err)
	}
	return f.inner.ReadAt(p, at)
}

func (f *faultFile) WriteAt(p []byte, at int64) (int, error) {
	x := f.fs.ask("write", f.name)
	if x == nil {
		return f.inner.WriteAt(p, at)
	}
	n := 0
	switch x.Effect {
	case Half:
		n, _ = f.inner.WriteAt(p[:len(p)/2], at)
	case Whole:
		n, _ = f.inner.WriteAt(p, at)
	}
	return n, fmt.Errorf("write %s: %w", f.name, x.Err)
}

func (f *faultFile) Truncate(size int64) error {
	return f.fs.do("truncate", f.name, func() error { return f.inner.Truncate(size) })
}

func (f *faultFile) Size() (n int64, err error) {
	err = f.fs.do("stat", f.name, func() (err error) {
		n, err = f.inner.Size()
		return err
	})
	return n, err
}

// Sync fails as Linux does: what was written since the last one is forgotten.
func (f *faultFile) Sync() error {
	x := f.fs.ask("sync", f.name)
	if x == nil {
		return f.inner.Sync()
	}
	if x.Effect == Whole {
		_ = f.inner.Sync()
	} else if l, ok := f.inner.(interface{ lose() }); ok {
		l.lose()
	}
	return fmt.Errorf("sync %s: %w", f.name, x.Err)
}

func (f *faultFile) Close() error {
	return f.fs.do("close", f.name, f.inner.Close)
}
