package segment

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/cepd/cepd/state/vfs"
)

// window is how much of a file is read at once.
const window = 256 << 10

// Read calls f for each record after a number, in order, up to the last one that
// there was when Read was called. f may use data only until it returns. Its error
// ends the reading and is returned. What the writer of a log that is read only has
// removed at its beginning is passed over.
func (l *Log) Read(after uint64, f func(seq uint64, data []byte) error) error {
	any := false
	for _, file := range l.view() {
		if file.next <= after+1 {
			continue
		}
		_, err := l.readFile(file, after, f)
		if errors.Is(err, fs.ErrNotExist) && l.opts.ReadOnly && !any {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) && l.opts.ReadOnly {
			return fmt.Errorf("the log was cut while it was read; read it again: %w", err)
		}
		if err != nil {
			return err
		}
		any = true
	}
	return nil
}

// Verify reads everything and returns what is damaged: one error for each file
// that is not as it was written.
func (l *Log) Verify() error {
	var errs []error
	files := l.view()
	for i, file := range files {
		hash, err := l.readFile(file, 0, func(uint64, []byte) error { return nil })
		if err == nil && i+1 < len(files) && files[i+1].prev.hash != hash {
			err = &CorruptError{l.path(file), 0, "the file is not the one that the next one follows"}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (l *Log) view() []file {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.files)
}

func (l *Log) path(f file) string { return filepath.Join(l.dir, fileName(f.first)) }

// readFile reads the records of one file after a number. Groups that are not
// asked for are passed over; if there were none, hash is that of the file.
func (l *Log) readFile(file file, after uint64, f func(seq uint64, data []byte) error) (hash uint64, err error) {
	in, err := l.fs.Open(l.path(file))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	r := &reader{in: in, end: file.size}
	r.hash.Reset()
	salt := saltSum(file.salt)
	if _, err := r.take(headerSize); err != nil {
		return 0, l.broken(file, r.at, err)
	}
	next := file.first
	for r.at < r.end {
		at := r.at
		n, err := r.group(next, after, salt, f)
		if err != nil {
			return 0, l.broken(file, at, err)
		}
		next += n
	}
	if next != file.next {
		return 0, l.broken(file, r.at, damage("the file ends with record %d, and should with record %d", next-1, file.next-1))
	}
	return r.hash.Sum64(), nil
}

// broken says where damage is; it leaves other errors as they are.
func (l *Log) broken(f file, at int64, err error) error {
	if d, ok := errors.AsType[damageError](err); ok {
		return &CorruptError{l.path(f), at, string(d)}
	}
	return err
}

// reader reads a file from its beginning on.
type reader struct {
	in   vfs.File
	end  int64
	at   int64 // of what take returns next
	buf  []byte
	from int64 // offset of buf
	hash xxhash.Digest
}

// group reads a group and returns the number of its records.
func (r *reader) group(next, after uint64, salt uint32, f func(uint64, []byte) error) (uint64, error) {
	b, err := r.take(groupSize)
	if err != nil {
		return 0, err
	}
	g, ok := decodeGroup(b, salt)
	switch {
	case !ok:
		return 0, damage("what stands there is no group")
	case g.first != next:
		return 0, damage("record %d stands where record %d should", g.first, next)
	case int64(g.length) > r.end-r.at:
		return 0, damage("the group of record %d is not whole", g.first)
	case g.first+uint64(g.count) <= after+1:
		r.at += int64(g.length)
		return uint64(g.count), nil
	}
	body, err := r.take(int(g.length))
	if err != nil {
		return 0, err
	}
	if crc32Body(body, salt) != g.body {
		return 0, bodyDamage(&g, body, salt)
	}
	return uint64(g.count), g.records(body, salt, func(seq uint64, data []byte) error {
		if seq <= after {
			return nil
		}
		return f(seq, data)
	})
}

// take returns the next n bytes, which are good until the next call.
func (r *reader) take(n int) ([]byte, error) {
	if r.at+int64(n) > r.end {
		return nil, damage("the file ends within a group")
	}
	if r.at < r.from || r.at+int64(n) > r.from+int64(len(r.buf)) {
		if err := r.fill(max(n, window)); err != nil {
			return nil, err
		}
	}
	b := r.buf[r.at-r.from:][:n]
	r.at += int64(n)
	_, _ = r.hash.Write(b)
	return b, nil
}

// fill reads as many bytes as there are, at most n.
func (r *reader) fill(n int) error {
	n = int(min(int64(n), r.end-r.at))
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	r.buf, r.from = r.buf[:n], r.at
	got, err := r.in.ReadAt(r.buf, r.at)
	if got == n {
		return nil
	}
	r.buf = nil
	if err == nil || errors.Is(err, io.EOF) {
		return damage("the file is shorter than it was")
	}
	return fmt.Errorf("reading the log: %w", err)
}
