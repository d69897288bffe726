package segment

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cepd/cepd/state/vfs"
)

// Recovery says what [Open] found.
type Recovery struct {
	// Clean reports that the log had been closed, so that nothing can be missing
	// at its end. After a crash it is false, and nothing that was acknowledged
	// need be missing.
	Clean bool
	// Repairs are what was cut off, or would be if the log were not read only.
	Repairs []Repair
}

// Repair is a torn tail.
type Repair struct {
	File   string
	Offset int64  // where it began
	Bytes  int64  // how long it was
	Reason string // what was wrong
}

// String says what was done, for people.
func (r Repair) String() string {
	return fmt.Sprintf("%s: cut off %d bytes at %d, and nothing shows that they were durable: %s", r.File, r.Bytes, r.Offset, r.Reason)
}

// readTries is how often a directory that somebody else writes to is looked at
// before its state is believed.
const readTries = 3

// Open opens the log in a directory, and begins one where there is none.
func Open(fsys vfs.FS, dir string, opts Options) (l *Log, rec Recovery, err error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, rec, fmt.Errorf("options of the log: %w", err)
	}
	tries := 1
	if opts.ReadOnly {
		tries = readTries
	}
	for range tries {
		if l, rec, err = open(fsys, dir, opts); err == nil {
			return l, rec, nil
		}
	}
	return nil, rec, err
}

func open(fsys vfs.FS, dir string, opts Options) (*Log, Recovery, error) {
	if !opts.ReadOnly {
		if err := fsys.MkdirAll(dir); err != nil {
			return nil, Recovery{}, err
		}
	}
	files, temps, err := list(fsys, dir, opts)
	if err != nil {
		return nil, Recovery{}, err
	}
	l := &Log{fs: fsys, dir: dir, opts: opts, files: files}
	if len(files) == 0 {
		return l, Recovery{Clean: true}, l.begin(temps)
	}
	s, err := scanFile(fsys, dir, files[len(files)-1])
	if err != nil {
		return nil, Recovery{}, err
	}
	rec := Recovery{Clean: s.closed}
	if s.repair != nil {
		rec.Repairs = append(rec.Repairs, *s.repair)
	}
	if err := l.takeUp(s, temps); err != nil {
		return nil, rec, err
	}
	return l, rec, nil
}

// begin makes the first file of a log.
func (l *Log) begin(temps []string) error {
	if l.opts.ReadOnly {
		return &fs.PathError{Op: "open", Path: filepath.Join(l.dir, fileName(1)), Err: fs.ErrNotExist}
	}
	if err := removeAll(l.fs, temps); err != nil {
		return err
	}
	a, err := create(l.fs, l.dir, header{kind: l.opts.Kind, version: l.opts.Version, first: 1, salt: l.opts.Salt()}, func() {})
	if err != nil {
		return fmt.Errorf("beginning a log: %w", err)
	}
	l.active, l.next = a, 1
	l.files = []file{{a.header, a.end.size, a.end.next}}
	return nil
}

// takeUp makes the last file, as far as it is good, the active one.
func (l *Log) takeUp(s *scan, temps []string) (err error) {
	l.next, l.last = s.end.next, s.end.next-1
	f := &l.files[len(l.files)-1]
	f.size, f.next = s.end.size, s.end.next
	if l.opts.ReadOnly {
		l.err = ErrReadOnly
		return nil
	}
	if err := removeAll(l.fs, temps); err != nil {
		return err
	}
	a := &active{header: f.header, salt32: saltSum(f.salt), end: s.end, synced: s.end}
	a.f, err = l.fs.OpenWrite(filepath.Join(l.dir, fileName(f.first)))
	if err != nil {
		return err
	}
	if err := l.harden(a, s); err != nil {
		return errors.Join(err, a.f.Close())
	}
	l.active = a
	return nil
}

// harden makes certain of what was left: it cuts off a torn tail, and writes
// again what can be read but need not be on the disk. That may be the mark of a
// log that was closed: it proves all that is before it, and not itself.
func (l *Log) harden(a *active, s *scan) error {
	if s.repair != nil {
		if err := a.f.Truncate(s.end.size); err != nil {
			return fmt.Errorf("cutting off a torn tail: %w", err)
		}
	}
	if len(s.unproven) > 0 {
		if _, err := a.f.WriteAt(s.unproven, s.end.size-int64(len(s.unproven))); err != nil {
			return fmt.Errorf("writing again what was perhaps not durable: %w", err)
		}
	}
	if err := a.f.Sync(); err != nil {
		return fmt.Errorf("making durable what was left: %w", err)
	}
	return l.fs.SyncDir(l.dir)
}

func removeAll(fsys vfs.FS, names []string) error {
	for _, n := range names {
		if err := vfs.RemoveAny(fsys, n); err != nil {
			return err
		}
	}
	return nil
}

// list reads the headers of all files and checks that each follows the one
// before it. temps are the files that a crash left unfinished.
func list(fsys vfs.FS, dir string, opts Options) (files []file, temps []string, err error) {
	infos, err := fsys.List(dir)
	if err != nil {
		return nil, nil, err
	}
	var damaged error
	for _, info := range infos {
		name := filepath.Join(dir, info.Name)
		if strings.HasSuffix(info.Name, suffix+vfs.Temporary) {
			temps = append(temps, name)
		}
		first, ok := parseName(info.Name)
		if !ok {
			continue
		}
		h, err := readHeader(fsys, name)
		switch {
		case errors.Is(err, ErrVersion): // this must be known before anything else is said
			return nil, nil, err
		case err == nil && h.kind != opts.Kind:
			err = fmt.Errorf("%s: holds %q, not %q: the directory belongs to something else", name, h.kind, opts.Kind)
		case err == nil && h.version > opts.Version:
			return nil, nil, &VersionError{name, h.version, opts.Version}
		case err == nil && h.first != first:
			err = &CorruptError{name, 0, fmt.Sprintf("the file says that it begins with record %d", h.first)}
		}
		if damaged == nil {
			damaged = err
		}
		files = append(files, file{header: h, size: info.Size})
	}
	if damaged != nil {
		return nil, nil, damaged
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.first, b.first) })
	return files, temps, chain(dir, files)
}

// chain checks that each file follows the one before it, and cuts the sizes of
// all but the last to what counts.
func chain(dir string, files []file) error {
	for i := range files {
		if i == 0 {
			continue
		}
		f, before := &files[i], &files[i-1]
		name := filepath.Join(dir, fileName(before.first))
		if f.prev.first != before.first {
			return &CorruptError{filepath.Join(dir, fileName(f.prev.first)), 0, "the file is missing, and the log goes on after it"}
		}
		if uint64(before.size) < f.prev.size {
			return &CorruptError{name, before.size, fmt.Sprintf("the file ends here, and had %d bytes", f.prev.size)}
		}
		before.size, before.next = int64(f.prev.size), f.first
	}
	return nil
}

func readHeader(fsys vfs.FS, name string) (h header, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, headerSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, err
	}
	h, err = decodeHeader(b[:n])
	switch {
	case errors.Is(err, errNewer):
		err = &VersionError{name, le.Uint32(b[8:]), Format}
	case err != nil:
		err = &CorruptError{name, 0, err.Error()}
	}
	return h, err
}

// scan is what was found in the last file of a log.
type scan struct {
	end      point
	closed   bool    // a mark says so
	repair   *Repair // what follows end, if anything does
	unproven []byte  // the bytes before end that need not be durable
}

// scanFile reads the last file to its end, or to its torn tail.
func scanFile(fsys vfs.FS, dir string, f file) (s *scan, err error) {
	name := filepath.Join(dir, fileName(f.first))
	in, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	data := make([]byte, f.size)
	if _, err := in.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return scanBytes(name, f.header, data)
}

func scanBytes(name string, h header, data []byte) (*scan, error) {
	salt := saltSum(h.salt)
	s := &scan{end: point{size: headerSize, next: h.first}}
	proven := int64(headerSize)
	for s.end.size < int64(len(data)) {
		g, size, err := nextGroup(data[s.end.size:], s.end.next, salt)
		if err != nil {
			if synced, at := lastProof(data, s.end.size+1, salt); synced > s.end.size {
				return nil, &CorruptError{name, s.end.size, fmt.Sprintf("%v, and byte %d of the file proves that it was durable", err, at)}
			}
			s.repair = &Repair{name, s.end.size, int64(len(data)) - s.end.size, err.Error()}
			break
		}
		if g.flags&markContinued != 0 {
			return nil, &CorruptError{filepath.Join(filepath.Dir(name), fileName(g.first)), 0, "the file is missing, and the one before it says that there was one"}
		}
		proven = max(proven, int64(min(g.synced, uint64(s.end.size))))
		s.end.size += size
		s.end.next += uint64(g.count)
		s.closed = g.flags&markClosed != 0
	}
	s.closed = s.closed && s.repair == nil
	s.unproven = data[proven:s.end.size]
	s.end.hash.Reset()
	_, _ = s.end.hash.Write(data[:s.end.size])
	return s, nil
}

// nextGroup checks the group at the beginning of data and returns its header and
// size.
func nextGroup(data []byte, next uint64, salt uint32) (group, int64, error) {
	g, ok := decodeGroup(data, salt)
	switch {
	case len(data) < groupSize:
		return g, 0, damage("the header of a group is not whole")
	case !ok:
		return g, 0, damage("what stands there is no group")
	case g.first != next:
		return g, 0, damage("record %d stands where record %d should", g.first, next)
	case uint64(g.length) > uint64(len(data)-groupSize):
		return g, 0, damage("the group of record %d is not whole", g.first)
	}
	body := data[groupSize : groupSize+int(g.length)]
	if crc32Body(body, salt) != g.body {
		return g, 0, bodyDamage(&g, body, salt)
	}
	return g, int64(groupSize + len(body)), g.records(body, salt, nil)
}

// bodyDamage says which record of a damaged group is to blame.
func bodyDamage(g *group, body []byte, salt uint32) error {
	if err := g.records(body, salt, nil); err != nil {
		return err
	}
	return damage("the records of a group from %d on do not belong together", g.first)
}

// lastProof looks for headers of groups from an offset on, and returns the
// highest offset that one of them proves to have been durable, and where that
// one stands.
func lastProof(data []byte, from int64, salt uint32) (synced, at int64) {
	for from < int64(len(data)) {
		i := bytes.Index(data[from:], []byte(groupMagic))
		if i < 0 {
			break
		}
		from += int64(i)
		if g, ok := decodeGroup(data[from:], salt); ok && g.synced <= uint64(from) && int64(g.synced) > synced {
			synced, at = int64(g.synced), from
		}
		from++
	}
	return synced, at
}
