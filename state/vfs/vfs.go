package vfs

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"syscall"
)

// FS is a file system. Names are paths with slashes; errors are those of package
// os, so that errors.Is finds [io/fs.ErrNotExist] and its kin. Methods may be
// called from several goroutines at once.
type FS interface {
	// MkdirAll makes a directory and those above it, durably.
	MkdirAll(dir string) error
	// Create makes a new file, for reading and writing.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenWrite opens a file that exists, for reading and writing.
	OpenWrite(name string) (File, error)
	// Remove removes a file.
	Remove(name string) error
	// Rename gives a file another name in the same directory, at once. A file
	// that has the name already is replaced.
	Rename(from, to string) error
	// List returns the files of a directory, by name.
	List(dir string) ([]Info, error)
	// SyncDir makes durable which names a directory has.
	SyncDir(dir string) error
	// Lock takes a lock that ends with the process at the latest. The error is
	// [ErrLocked] if somebody has it.
	Lock(name string) (io.Closer, error)
	// Free returns the number of bytes that may still be written.
	Free(dir string) (int64, error)
}

// File is an open file. Reads may come from several goroutines at once, writes
// and syncs from one.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length in bytes.
	Size() (int64, error)
	// Truncate sets the length.
	Truncate(size int64) error
	// Sync makes contents and length durable. It must not be called again after
	// an error: see the package comment.
	Sync() error
}

// Info is what a directory says of a file.
type Info struct {
	Name string // without the directory
	Size int64
}

// ErrLocked says that somebody else has a lock.
var ErrLocked = errors.New("locked by another process")

// IsFull reports whether an error says that there is no room left, or that a
// quota is used up: something that may pass.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// ReadFile returns the contents of a file.
func ReadFile(fs FS, name string) (data []byte, err error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data = make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if errors.Is(err, io.EOF) { // it became shorter, or ends exactly here
		err = nil
	}
	return data[:n], err
}

// Temporary is the ending of names that [WriteFile] and others give to what they
// are not done with. A file of such a name is of no use after a crash.
const Temporary = ".tmp"

// WriteFile gives a file new contents, durably: afterwards, and after a crash at
// any moment, it has the old ones or the new ones.
func WriteFile(fs FS, name string, data []byte) (err error) {
	temp := name + Temporary
	if err := RemoveAny(fs, temp); err != nil {
		return err
	}
	f, err := fs.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", temp, err), RemoveAny(fs, temp))
	}
	if err := fs.Rename(temp, name); err != nil {
		return errors.Join(err, RemoveAny(fs, temp))
	}
	return fs.SyncDir(filepath.Dir(name))
}

// RemoveAny removes a file if there is one.
func RemoveAny(fs FS, name string) error {
	err := fs.Remove(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}
