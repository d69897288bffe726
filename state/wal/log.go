package wal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
)

// Sync says when a batch is durable.
type Sync = segment.Policy

// The policies; see package segment for what each risks.
const (
	Always   = segment.Always
	Interval = segment.Interval
	Never    = segment.Never
)

// Options say how a log is kept.
type Options struct {
	// Sync says when a batch is durable. Default [Always].
	Sync Sync
	// SegmentBytes is the size at which a file is full. Default 16 MiB.
	SegmentBytes int64
	// History is how long records are kept although nobody needs them for
	// recovery: so long before the first one of the newest file, by arrival.
	// Default 0.
	History event.Duration
	// ReadOnly changes no file; see [segment.Options].
	ReadOnly bool
	// Rand fills b with random bytes, for the log's identity and the salts of its
	// files. Default: crypto/rand.
	Rand func(b []byte)
	// Synced, if set, is told how long each fdatasync took.
	Synced func(took time.Duration)
}

// Log is the input log in a directory.
type Log struct {
	segments *segment.Log
	opts     Options
	id       string

	mu     sync.Mutex
	starts map[uint64]event.Time // arrivals of the first records of files, by number
}

const (
	kind   = "input"
	idFile = "id"
)

// Open opens the log in a directory, and begins one where there is none. What it
// had to cut off, and whether the log had been closed, is in the recovery; see
// package segment for its errors.
func Open(fsys vfs.FS, dir string, opts Options) (*Log, segment.Recovery, error) {
	if opts.Rand == nil {
		opts.Rand = func(b []byte) { _, _ = rand.Read(b) } // it never fails
	}
	id, err := readID(fsys, dir)
	known := err == nil
	switch {
	case known:
		err = anySegment(fsys, dir)
	case errors.Is(err, fs.ErrNotExist):
		err = noRecord(fsys, dir)
	}
	if err != nil {
		return nil, segment.Recovery{}, err
	}
	segments, rec, err := segment.Open(fsys, dir, segment.Options{
		Kind: kind, Version: Format, Sync: opts.Sync, SegmentBytes: opts.SegmentBytes, ReadOnly: opts.ReadOnly,
		Salt: func() uint64 {
			var b [8]byte
			opts.Rand(b[:])
			return binary.LittleEndian.Uint64(b[:])
		},
		Synced: opts.Synced,
	})
	if err != nil {
		return nil, rec, fmt.Errorf("opening the log: %w", err)
	}
	l := &Log{segments: segments, opts: opts, id: id, starts: map[uint64]event.Time{}}
	if !known {
		if err := l.makeID(fsys, dir); err != nil {
			return nil, rec, errors.Join(err, segments.Close())
		}
	}
	return l, rec, nil
}

// makeID gives a new log its identity. That comes after the first file, so that a
// log with an identity and without files has lost them.
func (l *Log) makeID(fsys vfs.FS, dir string) error {
	name := filepath.Join(dir, idFile)
	if l.segments.Last() > 0 || l.opts.ReadOnly {
		return noID(dir)
	}
	var b [16]byte
	l.opts.Rand(b[:])
	l.id = hex.EncodeToString(b[:])
	if err := vfs.WriteFile(fsys, name, encodeID(l.id)); err != nil {
		return fmt.Errorf("beginning a log: %w", err)
	}
	return nil
}

// encodeID returns the contents of the file with the identity: it, and a
// checksum.
func encodeID(id string) []byte {
	return fmt.Appendf(nil, "cepd-log 1 %s %08x\n", id, crc32.ChecksumIEEE([]byte(id)))
}

func readID(fsys vfs.FS, dir string) (string, error) {
	name := filepath.Join(dir, idFile)
	data, err := vfs.ReadFile(fsys, name)
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(data))
	if len(fields) != 4 || !bytes.Equal(data, encodeID(fields[2])) {
		return "", &segment.CorruptError{File: name, Problem: "it does not match its checksum, and the ids of alerts follow from it"}
	}
	return fields[2], nil
}

// anySegment makes sure that a directory has a segment.
func anySegment(fsys vfs.FS, dir string) error {
	files, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name, ".seg") {
			return nil
		}
	}
	return &segment.CorruptError{File: dir, Problem: "the files of the log are missing"}
}

func noID(dir string) error {
	return &segment.CorruptError{File: filepath.Join(dir, idFile), Problem: "the file is missing, and the ids of alerts follow from it"}
}

// noRecord makes sure that a directory without an identity has no record, before
// anything in it is changed.
func noRecord(fsys vfs.FS, dir string) error {
	if anySegment(fsys, dir) != nil {
		return nil
	}
	segments, _, err := segment.Open(fsys, dir, segment.Options{Kind: kind, Version: Format, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	if segments.Last() > 0 {
		err = noID(dir)
	}
	return errors.Join(err, segments.Close())
}

// ID returns the identity of the log: 128 random bits, in hexadecimal digits.
func (l *Log) ID() string { return l.id }

// Append gives each record its position, in its field Pos, makes all of them
// durable as the policy says, and returns the first position; the zero position
// if there are no records. See the package comment for what it promises.
func (l *Log) Append(records []event.Record) (first event.Position, err error) {
	if len(records) == 0 {
		return event.Position{}, nil
	}
	seq, err := l.segments.AppendFunc(len(records), func(i int, dst []byte) []byte { return appendRecord(dst, &records[i]) })
	if err != nil {
		return event.Position{}, err
	}
	for i := range records {
		records[i].Pos = event.Position{Seq: seq + uint64(i)}
	}
	return event.Position{Seq: seq}, nil
}

// Sync makes durable whatever was appended. With [Interval] the owner calls it
// from time to time, from the goroutine that appends.
func (l *Log) Sync() error { return l.segments.Sync() }

// Read calls f for each record after a position, in order, up to the last one
// that there was when Read was called. The record's memory, but not what it
// points to, is used again. An error of f ends the reading and is returned. Read
// may be called from any goroutine.
func (l *Log) Read(after event.Position, f func(*event.Record) error) error {
	var d decoder
	var r event.Record
	return l.segments.Read(after.Seq, func(seq uint64, data []byte) error {
		if err := d.record(seq, data, &r); err != nil {
			return err
		}
		return f(&r)
	})
}

// Last returns the position of the last record; the zero position if there was
// never one.
func (l *Log) Last() event.Position { return event.Position{Seq: l.segments.Last()} }

// First returns the position of the first record that is kept; if there is none,
// that of the record to come.
func (l *Log) First() event.Position { return event.Position{Seq: l.segments.First()} }

// Bytes returns the size of all files together.
func (l *Log) Bytes() int64 { return l.segments.Bytes() }

// Segment describes a file of the log.
type Segment struct {
	segment.Segment
	Start event.Time // arrival of its first record; zero if it has none
}

// Segments describes the files, oldest first.
func (l *Log) Segments() ([]Segment, error) {
	all := l.segments.Segments()
	out := make([]Segment, len(all))
	for i, s := range all {
		start, err := l.arrival(s.First)
		if err != nil {
			return nil, err
		}
		out[i] = Segment{s, start}
	}
	return out, nil
}

// errEnough ends a reading that has found what it looked for.
var errEnough = errors.New("enough")

// arrival returns when a record arrived; zero if there is no such record yet.
func (l *Log) arrival(seq uint64) (at event.Time, err error) {
	if seq == 0 || seq > l.segments.Last() {
		return 0, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.starts[seq]; ok {
		return at, nil
	}
	err = l.Read(event.Position{Seq: seq - 1}, func(r *event.Record) error {
		at = r.Arrival
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	l.starts[seq] = at
	return at, nil
}

// Truncate removes the files whose records are all before a position, but not
// those that [Options.History] keeps.
func (l *Log) Truncate(below event.Position) error {
	if l.opts.History > 0 {
		kept, err := l.history()
		if err != nil {
			return fmt.Errorf("truncating the log: %w", err)
		}
		below.Seq = min(below.Seq, kept)
	}
	return l.segments.Truncate(below.Seq)
}

// history returns the number of the first record of the oldest file that is kept
// for its own sake: the one in which the history begins.
func (l *Log) history() (uint64, error) {
	all, err := l.Segments()
	if err != nil {
		return 0, err
	}
	newest, kept := all[len(all)-1].Start, all[0].First
	for _, s := range all[1:] { // a file ends where the next one starts
		if s.Start == 0 || s.Start > newest.Add(-l.opts.History) {
			break
		}
		kept = s.First
	}
	return kept, nil
}

// Close makes everything durable and ends the log.
func (l *Log) Close() error { return l.segments.Close() }
