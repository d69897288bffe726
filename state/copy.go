package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// CopyDir copies a directory and all that is in it to one that is new or empty,
// and has the copy durable when it returns. Nobody may use what is copied.
// Files named in except are left out, wherever they are. Holes stay holes:
// badger makes files much longer than what they hold.
func CopyDir(from, to string, except ...string) error {
	if err := emptyDir(to); err != nil {
		return err
	}
	err := filepath.WalkDir(from, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case e.IsDir():
			return os.MkdirAll(target, 0o700)
		case slices.Contains(except, e.Name()):
			return nil
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is no file and no directory", name)
		}
		return copyFile(name, target)
	})
	if err != nil {
		return fmt.Errorf("copying %s to %s: %w", from, to, err)
	}
	return syncTree(to)
}

// emptyDir makes a directory, or makes sure that it is empty.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty; %s", dir, adviceDir)
	}
	return nil
}

const copyBlock = 64 << 10

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	block, zeros := make([]byte, copyBlock), make([]byte, copyBlock)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := out.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.Join(out.Truncate(at), out.Sync())
		case err != nil:
			return err
		}
	}
}

// syncTree makes durable which files the directories have.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		d, err := os.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
}

// OpenCopy opens a copy of the snapshots in a directory, made in temp, which is
// new or empty: badger cannot look at what a crash left without mending it.
// What it returns is what [Open] would make of the directory; that is not
// touched.
func OpenCopy(dir, temp string, o Options) (*Store, *Recovery, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, nil, err
	}
	if err := CopyDir(dir, temp, ballastFile); err != nil {
		return nil, nil, err
	}
	o.Ballast = -1
	return Open(temp, o)
}
