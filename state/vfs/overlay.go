package vfs

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"sync"
)

// NewOverlay returns a file system that begins as another one is, and keeps all
// changes to itself, in memory: what opens a log to see what it would have to
// repair leaves the log as it is. A file is copied when it is first opened for
// writing. Locks are its own too.
func NewOverlay(base FS) FS {
	return &overlay{base: base, own: NewMem(), gone: map[string]bool{}}
}

type overlay struct {
	base FS
	own  *Mem

	mu   sync.Mutex
	gone map[string]bool // files of base that are there no more
}

func (o *overlay) MkdirAll(dir string) error { return o.own.MkdirAll(dir) }

func (o *overlay) Create(name string) (File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f, err := o.open(name); err == nil {
		return nil, errors.Join(&fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}, f.Close())
	}
	if err := o.own.MkdirAll(filepath.Dir(name)); err != nil {
		return nil, err
	}
	return o.own.Create(name)
}

func (o *overlay) Open(name string) (File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open(name)
}

func (o *overlay) open(name string) (File, error) {
	f, err := o.own.Open(name)
	if errors.Is(err, fs.ErrNotExist) && !o.gone[name] {
		return o.base.Open(name)
	}
	return f, err
}

func (o *overlay) OpenWrite(name string) (File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.take(name); err != nil {
		return nil, err
	}
	return o.own.OpenWrite(name)
}

// take makes a file the overlay's own.
func (o *overlay) take(name string) error {
	f, err := o.own.Open(name)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) || o.gone[name] {
		return err
	}
	data, err := ReadFile(o.base, name)
	if err != nil {
		return err
	}
	if err := o.own.MkdirAll(filepath.Dir(name)); err != nil {
		return err
	}
	if f, err = o.own.Create(name); err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	o.gone[name] = true
	return errors.Join(err, f.Close())
}

func (o *overlay) Remove(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.own.Remove(name)
	if errors.Is(err, fs.ErrNotExist) && !o.gone[name] {
		f, err := o.base.Open(name)
		if err != nil {
			return err
		}
		o.gone[name] = true
		return f.Close()
	}
	return err
}

func (o *overlay) Rename(from, to string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.take(from); err != nil {
		return err
	}
	o.gone[to] = true
	return o.own.Rename(from, to)
}

func (o *overlay) List(dir string) ([]Info, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	own, ownErr := o.own.List(dir)
	base, err := o.base.List(dir)
	if err != nil && ownErr != nil {
		return nil, err
	}
	for _, info := range base {
		mine := slices.ContainsFunc(own, func(i Info) bool { return i.Name == info.Name })
		if !mine && !o.gone[filepath.Join(dir, info.Name)] {
			own = append(own, info)
		}
	}
	slices.SortFunc(own, func(a, b Info) int { return cmp.Compare(a.Name, b.Name) })
	return own, nil
}

func (o *overlay) SyncDir(string) error { return nil }

func (o *overlay) Lock(name string) (io.Closer, error) {
	if err := o.own.MkdirAll(filepath.Dir(name)); err != nil {
		return nil, err
	}
	return o.own.Lock(name)
}

func (o *overlay) Free(string) (int64, error) { return math.MaxInt64, nil }
