package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// datasync writes contents and length, and leaves out what nobody needs after a
// crash, such as the time of the last change.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if errors.Is(err, syscall.EINTR) { // it has not failed: it was not done
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}
