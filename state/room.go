package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cepd/cepd/state/vfs"
)

// room returns a [FullError] if less than MinFree is free where dir is. The
// first time it is so the ballast is thrown off: what the database has begun to
// write must find room, whoever else has filled the disk. When there is room
// for both again, the ballast is taken in anew.
func room(dir string, o *Options) error {
	free, err := o.Free(dir)
	if err != nil {
		return err
	}
	ballast := filepath.Join(dir, ballastFile)
	info, err := os.Stat(ballast)
	there := err == nil
	switch {
	case free >= o.MinFree && (there && info.Size() >= o.Ballast || o.Ballast < 0): // a kill may have left a part of it
		return nil
	case free >= o.MinFree+o.Ballast:
		// Without ballast there is less safety, and no reason not to work.
		if err := takeBallast(ballast, o.Ballast); err != nil && !vfs.IsFull(err) {
			return err
		}
		return nil
	case free >= o.MinFree:
		return nil
	case there:
		if err := os.Remove(ballast); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return &FullError{Dir: dir, Free: free, Need: o.MinFree}
}

// takeBallast writes a file of zeros: one with a hole in it would keep nothing.
func takeBallast(name string, size int64) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	zeros := make([]byte, 1<<20)
	for size > 0 {
		n, err := f.Write(zeros[:min(size, int64(len(zeros)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return f.Sync()
}
