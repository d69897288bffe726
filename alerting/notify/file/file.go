package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cepd/cepd/alerting/notify"
)

// Policies of [Config.Sync].
const (
	SyncNever  = "never"
	SyncAlways = "always"
)

// maxOpen bounds how many files are open at once. Of more, the one that was
// written to least recently is closed.
const maxOpen = 64

// recheck is how often a sink looks whether a file was moved or removed. To look
// each time would take longer than to write.
const recheck = time.Second

// Config sets up a [Sink].
type Config struct {
	// Path of the files, in which {rule} and {date} are replaced. Required.
	Path string
	// Sync says when lines are synced to the disk: SyncAlways, before each
	// delivery is confirmed; SyncNever, when a file is closed. Default:
	// SyncNever.
	Sync string
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	if c.Sync == "" {
		c.Sync = SyncNever
	}
}

// Validate reports every contradiction in c at once. It opens no file.
func (c Config) Validate() error {
	err := CheckPath(c.Path)
	if err != nil && c.Path != "" {
		err = fmt.Errorf("path: %w", err)
	}
	if c.Sync != SyncNever && c.Sync != SyncAlways {
		err = errors.Join(err, fmt.Errorf("sync is %q; it is %s or %s", c.Sync, SyncNever, SyncAlways))
	}
	return err
}

// Sink is a [notify.Notifier] that appends to files.
type Sink struct {
	cfg  Config
	path template

	recheck time.Duration // how often to look whether a file is where it was

	mu     sync.Mutex
	files  map[string]*openFile
	writes uint64
	closed bool
	buf    []byte
}

// openFile is a file that lines are appended to.
type openFile struct {
	*os.File
	used    uint64    // the number of the last write
	checked time.Time // when it was seen to be where it was
}

// New returns a sink. It makes the folder that the path begins with, so that a
// path that cannot be written to is found at the start.
func New(cfg Config) (*Sink, error) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("setting up a file sink: %w", err)
	}
	t, err := parsePath(cfg.Path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(t.root(), 0o750); err != nil {
		return nil, fmt.Errorf("setting up a file sink: %w", err)
	}
	return &Sink{cfg: cfg, path: t, recheck: recheck, files: map[string]*openFile{}}, nil
}

// Notify appends a delivery to its file. Every error may be mended by another
// try: a full disk and missing rights are for an operator to see to.
func (s *Sink) Notify(_ context.Context, d notify.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the sink is closed")
	}
	path := s.path.expand(d.Rule(), d.Time())
	f, err := s.open(path)
	if err != nil {
		return err
	}
	s.buf = append(notify.AppendDelivery(s.buf[:0], &d), '\n')
	if n, err := f.Write(s.buf); err != nil {
		return errors.Join(err, s.takeBack(path, int64(n)))
	}
	if s.cfg.Sync == SyncAlways {
		if err := f.Sync(); err != nil {
			// What the disk has now is not known: the line is written once more.
			return errors.Join(err, s.close(path))
		}
	}
	return nil
}

// Note returns the file that a delivery goes to and its length; see
// [notify.Keeper].
func (s *Sink) Note(d notify.Delivery) (notify.Note, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return notify.Note{}, errors.New("the sink is closed")
	}
	path := s.path.expand(d.Rule(), d.Time())
	f, err := s.open(path)
	if err != nil {
		return notify.Note{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return notify.Note{}, err
	}
	return notify.Note{Name: path, Length: info.Size()}, nil
}

// Restore cuts files to the lengths that were noted before a crash: what comes
// after is written again.
func (s *Sink) Restore(ns []notify.Note) error {
	for _, n := range ns {
		info, err := os.Stat(n.Name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() <= n.Length) {
			continue
		}
		if err == nil {
			err = os.Truncate(n.Name, n.Length)
		}
		if err != nil {
			return fmt.Errorf("cutting %s to what was delivered before a crash: %w", n.Name, err)
		}
	}
	return nil
}

// open returns the file at a path, ready to be appended to.
func (s *Sink) open(path string) (*openFile, error) {
	s.writes++
	if f := s.files[path]; f != nil {
		if time.Since(f.checked) < s.recheck || f.isAt(path) {
			f.used = s.writes
			return f, nil
		}
		if err := s.close(path); err != nil {
			return nil, err
		}
	}
	if len(s.files) >= maxOpen {
		if err := s.closeOldest(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	f := &openFile{File: file, used: s.writes, checked: time.Now()}
	if err := f.endLine(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s.files[path] = f
	return f, nil
}

// isAt reports whether the file is still the one at a path.
func (f *openFile) isAt(path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	ours, err := f.Stat()
	f.checked = time.Now()
	return err == nil && os.SameFile(there, ours)
}

// endLine ends a last line that a crash cut off.
func (f *openFile) endLine() error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 || !info.Mode().IsRegular() {
		return err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	_, err = f.WriteString("\n")
	return err
}

// takeBack removes the last n bytes of a file, a part of a line, and closes it.
func (s *Sink) takeBack(path string, n int64) error {
	f := s.files[path]
	var err error
	if info, serr := f.Stat(); n > 0 && serr == nil && info.Mode().IsRegular() {
		err = f.Truncate(info.Size() - n)
	}
	return errors.Join(err, s.close(path))
}

// close syncs and closes a file.
func (s *Sink) close(path string) error {
	f := s.files[path]
	delete(s.files, path)
	var err error
	if info, serr := f.Stat(); serr == nil && info.Mode().IsRegular() {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// closeOldest closes the file that was written to least recently.
func (s *Sink) closeOldest() error {
	oldest := ""
	for path, f := range s.files {
		if oldest == "" || f.used < s.files[oldest].used {
			oldest = path
		}
	}
	return s.close(oldest)
}

// Close syncs and closes all files. It may be called more than once.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for path := range s.files {
		errs = append(errs, s.close(path))
	}
	return errors.Join(errs...)
}
