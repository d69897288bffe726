package segment

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/cepd/cepd/internal/failpoint"
	"github.com/cepd/cepd/state/vfs"
)

// Policy says when a group is made durable.
type Policy uint8

// The policies.
const (
	// Always: before Append returns.
	Always Policy = iota
	// Interval: when Sync is called, which is up to the owner. A loss of power
	// loses what was appended since; the end of the process loses nothing.
	Interval
	// Never: when a file is full, and at Close. A loss of power may lose up to a
	// whole file.
	Never
)

// Options say what a log is for. Kind and Version are required.
type Options struct {
	// Kind names what is stored, in at most eight bytes. A directory of another
	// kind is refused.
	Kind string
	// Version is the format of what is stored. A directory with a file of a
	// newer one is refused.
	Version uint32
	// Sync says when a group is durable. Default [Always].
	Sync Policy
	// SegmentBytes is the size at which a file is full. Default 16 MiB: as much is read
	// into memory when the log is opened.
	SegmentBytes int64
	// ReadOnly changes no file, so that a directory that somebody else writes
	// to can be looked at. A torn tail is left out, not cut off.
	ReadOnly bool
	// Salt returns a random number for each new file. Default: one of
	// crypto/rand.
	Salt func() uint64
	// Synced, if set, is told how long each fdatasync of records took.
	Synced func(took time.Duration)
}

// EnsureDefaults fills what is left out.
func (o *Options) EnsureDefaults() {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 16 << 20
	}
	if o.Salt == nil {
		o.Salt = func() uint64 {
			var b [8]byte
			_, _ = rand.Read(b[:]) // it never fails
			return le.Uint64(b[:])
		}
	}
	if o.Synced == nil {
		o.Synced = func(time.Duration) {}
	}
}

// Validate reports every contradiction in o at once.
func (o *Options) Validate() error {
	var errs []error
	if o.Kind == "" || len(o.Kind) > kindLength {
		errs = append(errs, fmt.Errorf("kind %q is not of one to %d bytes", o.Kind, kindLength))
	}
	if o.Version == 0 {
		errs = append(errs, errors.New("the version is missing"))
	}
	if o.SegmentBytes < headerSize {
		errs = append(errs, fmt.Errorf("segment_bytes is %d; it must be at least %d", o.SegmentBytes, headerSize))
	}
	return errors.Join(errs...)
}

// maxUnsynced bounds what is kept in memory until fdatasync has covered it, with
// [Interval].
const maxUnsynced = 4 << 20

// maxScratch bounds the buffer that is kept from one group to the next.
const maxScratch = 4 << 20

// Log is an append-only log in a directory.
type Log struct {
	fs   vfs.FS
	dir  string
	opts Options

	// Of whoever writes.
	write   sync.Mutex
	active  *active // the last file
	next    uint64  // number of the record to come
	pending []byte  // the groups after active.synced; with Never, none
	scratch []byte  // memory for a group
	err     error   // why nothing can be written any more
	dirBad  bool    // a removal may not be durable

	// What readers look at.
	mu    sync.Mutex
	files []file // by number; never empty
	last  uint64 // number of the last record
}

// file is what is known of a file without opening it.
type file struct {
	header
	size int64  // as far as it counts
	next uint64 // number after that of its last record
}

// active is the file that is written to.
type active struct {
	header
	f      vfs.File
	salt32 uint32
	end    point // of what was written
	synced point // of what is durable
	failed bool  // a sync has failed: what follows synced is given up
	full   bool  // nothing must be appended
}

// point is a place between two groups of a file.
type point struct {
	size int64
	next uint64 // number of the record to come
	hash xxhash.Digest
}

// Append appends records as one group and returns the number of the first one;
// 0 if there are none. See the package comment for what it promises.
func (l *Log) Append(records [][]byte) (first uint64, err error) {
	return l.AppendFunc(len(records), func(i int, dst []byte) []byte { return append(dst, records[i]...) })
}

// AppendFunc is [Log.Append] for n records that encode appends to dst, one after
// the other.
func (l *Log) AppendFunc(n int, encode func(i int, dst []byte) []byte) (first uint64, err error) {
	l.write.Lock()
	defer l.write.Unlock()
	if l.err != nil || n == 0 {
		return 0, l.err
	}
	first = l.next
	group, err := layOut(l.scratch[:0], first, n, encode)
	if err == nil {
		l.scratch = group
		err = l.append(group, uint64(n))
	}
	if cap(l.scratch) > maxScratch {
		l.scratch = nil
	}
	if err != nil {
		return 0, fmt.Errorf("appending records %d to %d: %w", first, first+uint64(n)-1, err)
	}
	return first, nil
}

// append gets a group into the log, or leaves the log as it was.
func (l *Log) append(group []byte, n uint64) error {
	if err := l.prepare(int64(len(group))); err != nil {
		return err
	}
	if err := l.put(group, n); err != nil {
		return err
	}
	l.next += n
	if l.opts.Sync != Never {
		before := len(l.pending)
		if before == 0 {
			l.pending, l.scratch = group, l.pending
		} else {
			l.pending = append(l.pending, group...)
		}
		if l.opts.Sync == Always || len(l.pending) > maxUnsynced {
			if err := l.flush(); err != nil {
				l.next -= n
				l.pending = l.pending[:before]
				return err
			}
		}
	}
	l.publish()
	return nil
}

// publish shows readers what is written.
func (l *Log) publish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &l.files[len(l.files)-1]
	f.size, f.next = l.active.end.size, l.active.end.next
	l.last = l.next - 1
}

// prepare sees to it that a group of a size can be put at the end of the active
// file.
func (l *Log) prepare(size int64) error {
	if l.mustRotate(size) {
		if err := l.flush(); err != nil {
			return err
		}
	}
	if l.mustRotate(size) { // flush may have done it
		if err := l.rotate(); err != nil {
			return err
		}
	}
	return l.rewrite()
}

func (l *Log) mustRotate(size int64) bool {
	a := l.active
	tooLong := a.end.size+size > l.opts.SegmentBytes && a.end.next > a.first
	return a.failed || a.full || tooLong || a.version != l.opts.Version
}

// put writes groups of n records at the end of the active file. If that fails,
// it leaves nothing of them.
func (l *Log) put(groups []byte, n uint64) error {
	a := l.active
	sum(groups, a.salt32, uint64(a.synced.size))
	if err := failpoint.Hit(l.opts.Kind, "before-write"); err != nil {
		return err
	}
	_, err := a.f.WriteAt(groups, a.end.size)
	if err == nil {
		err = failpoint.Hit(l.opts.Kind, "after-write")
	}
	if err != nil {
		if undo := a.f.Truncate(a.end.size); undo != nil {
			a.full = true
			err = errors.Join(err, undo)
		}
		return err
	}
	a.end.size += int64(len(groups))
	a.end.next += n
	_, _ = a.end.hash.Write(groups) // it never fails
	return nil
}

// rewrite puts what is pending into a new file.
func (l *Log) rewrite() error {
	if n := l.next - l.active.end.next; n > 0 {
		return l.put(l.pending, n)
	}
	return nil
}

// flush makes all of the log durable. If an fdatasync fails, it writes what that
// was to cover into a new file, once.
func (l *Log) flush() error {
	if l.active.synced.next == l.next {
		return nil
	}
	var failed error
	for range 2 {
		if l.active.failed {
			if err := l.rotate(); err != nil {
				return errors.Join(failed, err)
			}
		}
		if err := l.rewrite(); err != nil {
			return errors.Join(failed, err)
		}
		err := l.sync()
		if err == nil {
			l.pending = l.pending[:0]
			return nil
		}
		failed = errors.Join(failed, err)
		if l.opts.Sync == Never { // nothing is kept that could be written anew
			l.err = failed
			break
		}
	}
	return failed
}

func (l *Log) sync() error {
	began := time.Now()
	err := l.active.f.Sync()
	if err == nil {
		err = failpoint.Hit(l.opts.Kind, "after-sync")
	}
	if err != nil {
		l.active.failed = true
		return err
	}
	l.active.synced = l.active.end
	l.opts.Synced(time.Since(began))
	return nil
}

// rotate begins a new file after what is durable in the active one. An active
// file with nothing in it is replaced.
func (l *Log) rotate() error {
	old := l.active
	replace := old.synced.next == old.first
	h := header{kind: l.opts.Kind, version: l.opts.Version, first: old.synced.next, salt: l.opts.Salt()}
	if h.prev = old.prev; !replace {
		h.prev = link{old.first, uint64(old.synced.size), old.synced.hash.Sum64()}
	}
	a, err := create(l.fs, l.dir, h, func() { old.full = true })
	if err != nil {
		return fmt.Errorf("beginning a new file: %w", err)
	}
	l.active = a
	l.mu.Lock()
	end := &l.files[len(l.files)-1]
	end.size, end.next = old.synced.size, old.synced.next
	if replace {
		l.files = l.files[:len(l.files)-1]
	}
	l.files = append(l.files[:len(l.files):len(l.files)], file{h, a.end.size, a.end.next})
	l.mu.Unlock()
	if !old.failed && !replace {
		_ = old.mark(markContinued) // it helps to find a lost file, and nothing rests on it
	}
	_ = old.f.Close() // all that counts in it is durable
	return nil
}

// create makes a file that is durable before it has its name. committed is
// called before the name may be there.
func create(fs vfs.FS, dir string, h header, committed func()) (*active, error) {
	name := filepath.Join(dir, fileName(h.first))
	temp := name + vfs.Temporary
	if err := vfs.RemoveAny(fs, temp); err != nil {
		return nil, err
	}
	f, err := fs.Create(temp)
	if err != nil {
		return nil, err
	}
	b := h.encode()
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), vfs.RemoveAny(fs, temp))
	}
	committed()
	err = failpoint.Hit(h.kind, "before-rename")
	if err == nil {
		err = fs.Rename(temp, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), vfs.RemoveAny(fs, temp))
	}
	if err = failpoint.Hit(h.kind, "after-rename"); err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	a := &active{header: h, f: f, salt32: saltSum(h.salt)}
	a.end = point{size: headerSize, next: h.first}
	a.end.hash.Reset()
	_, _ = a.end.hash.Write(b)
	a.synced = a.end
	return a, nil
}

// mark writes a mark at the end of a file, durably.
func (a *active) mark(flags uint32) error {
	b := make([]byte, groupSize)
	g := group{first: a.end.next, synced: uint64(a.synced.size), body: a.salt32, flags: flags}
	g.encode(b, a.salt32)
	if _, err := a.f.WriteAt(b, a.end.size); err != nil {
		return err
	}
	return a.f.Sync()
}

// Sync makes durable whatever was appended. With [Interval] the owner calls it
// from time to time.
func (l *Log) Sync() error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.err != nil {
		return l.err
	}
	if err := l.flush(); err != nil {
		return fmt.Errorf("making records up to %d durable: %w", l.next-1, err)
	}
	l.publish()
	return nil
}

// Close makes everything durable and ends the log. It may be called again.
func (l *Log) Close() error {
	l.write.Lock()
	defer l.write.Unlock()
	if errors.Is(l.err, ErrClosed) || l.opts.ReadOnly {
		return nil
	}
	err := l.err
	if err == nil {
		err = l.flush()
	}
	if err == nil && !l.active.failed && !l.active.full {
		if err = l.active.mark(markClosed); vfs.IsFull(err) {
			err = nil // only the mark is missing
		}
	}
	err = errors.Join(err, l.active.f.Close())
	l.err = ErrClosed
	if err != nil {
		return fmt.Errorf("closing the log: %w", err)
	}
	return nil
}

// Last returns the number of the last record, 0 if there is none.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// First returns the number of the first record that is kept; of a log without
// records, that of the record to come.
func (l *Log) First() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files[0].first
}

// Bytes returns the size of all files together.
func (l *Log) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(0)
	for _, f := range l.files {
		n += f.size
	}
	return n
}

// Segment describes a file.
type Segment struct {
	Name        string // with its directory
	First, Last uint64 // numbers of its records; Last is below First where there is none
	Bytes       int64
}

// Segments describes the files, oldest first.
func (l *Log) Segments() []Segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Segment, len(l.files))
	for i, f := range l.files {
		out[i] = Segment{filepath.Join(l.dir, fileName(f.first)), f.first, f.next - 1, f.size}
	}
	return out
}

// Truncate removes the files whose records all have numbers below the given one.
// The last file stays.
func (l *Log) Truncate(below uint64) error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.err != nil {
		return l.err
	}
	for {
		if l.dirBad { // a hole must not appear, whatever survives a crash
			if err := l.fs.SyncDir(l.dir); err != nil {
				return fmt.Errorf("truncating the log: %w", err)
			}
			l.dirBad = false
		}
		l.mu.Lock()
		first, more := l.files[0], len(l.files) > 1
		l.mu.Unlock()
		if !more || first.next > below {
			return nil
		}
		l.dirBad = true
		err := failpoint.Hit(l.opts.Kind, "before-remove")
		if err == nil {
			err = vfs.RemoveAny(l.fs, filepath.Join(l.dir, fileName(first.first)))
		}
		if err == nil {
			err = failpoint.Hit(l.opts.Kind, "after-remove")
		}
		if err != nil {
			return fmt.Errorf("truncating the log: %w", err)
		}
		l.mu.Lock()
		l.files = l.files[1:]
		l.mu.Unlock()
	}
}
