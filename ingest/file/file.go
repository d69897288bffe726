package file

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// Config says what to read, and how.
type Config struct {
	// Path is the file; "-" is standard input. A name that ends in .gz is
	// decompressed.
	Path string
	// Reader is read in place of Path, if it is not nil. Path then only
	// serves to tell the format and for messages.
	Reader io.Reader
	// Format is jsonl or csv. Left out, it follows from the ending of Path:
	// .csv and .tsv are csv, everything else is jsonl.
	Format string
	// Comma parts the cells of csv. Default ',', or a tab where Path ends in
	// .tsv.
	Comma byte
	// Source is the name of the source that the records carry. Default: Path.
	Source string
	// Topic is the topic that the records carry. Default: none.
	Topic string
	// Announce puts a record before the first and after the last message, that
	// the source is up and down. Left out, there are messages only.
	Announce bool
	// Arrival gives the time of arrival of the records of a batch. Left out,
	// records have none (zero): a replay has no time but the events'.
	Arrival func() event.Time
	// ChunkBytes is how much is read at once. Default 256 KB.
	ChunkBytes int
	// BatchRecords is the most messages in a batch. Default 512.
	BatchRecords int
}

// FormatOf returns the format that a file's name tells, empty where it tells
// none.
func FormatOf(path string) string {
	switch ending(path) {
	case ".csv", ".tsv":
		return "csv"
	case ".jsonl", ".ndjson", ".json":
		return "jsonl"
	}
	return ""
}

func ending(path string) string {
	return filepath.Ext(strings.TrimSuffix(strings.ToLower(path), ".gz"))
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	if c.Path == "" {
		c.Path = "-"
	}
	if c.Format == "" {
		c.Format = cmp.Or(FormatOf(c.Path), "jsonl")
	}
	if c.Comma == 0 {
		c.Comma = ','
		if ending(c.Path) == ".tsv" {
			c.Comma = '\t'
		}
	}
	if c.Source == "" {
		c.Source = c.Path
	}
	if c.ChunkBytes == 0 {
		c.ChunkBytes = 256 << 10
	}
	if c.BatchRecords == 0 {
		c.BatchRecords = 512
	}
}

// Validate reports every contradiction in c at once.
func (c Config) Validate() error {
	var errs []error
	if c.Format != "" && c.Format != "jsonl" && c.Format != "csv" {
		errs = append(errs, fmt.Errorf("unknown format %q of a file; formats are jsonl, csv", c.Format))
	}
	if strings.IndexByte("\"\r\n", c.Comma) >= 0 || c.Comma >= 0x80 {
		errs = append(errs, fmt.Errorf("%q cannot part the cells of csv", c.Comma))
	}
	if c.ChunkBytes < 0 || c.BatchRecords < 0 {
		errs = append(errs, errors.New("sizes of chunks and batches cannot be negative"))
	}
	return errors.Join(errs...)
}

// Source reads one file. It implements [ingest.Source].
type Source struct {
	cfg    Config
	pool   pool
	lines  lines
	row    *rows // of csv; nil for jsonl
	up     bool  // announced
	err    error // with which reading ended
	close  sync.Once
	closed chan struct{}
	file   io.Closer
}

var _ ingest.Source = (*Source)(nil)

// Open returns a source that reads what cfg says.
func Open(cfg Config) (*Source, error) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, closed: make(chan struct{})}
	r := cfg.Reader
	switch {
	case r != nil:
	case cfg.Path == "-":
		r = os.Stdin
	default:
		f, err := os.Open(cfg.Path)
		if err != nil {
			return nil, err
		}
		r, s.file = f, f
	}
	if strings.HasSuffix(strings.ToLower(cfg.Path), ".gz") {
		r = &gunzip{from: r}
	}
	s.pool.size = cfg.ChunkBytes
	s.lines = lines{from: reader{from: r, closed: s.closed}, pool: &s.pool}
	if cfg.Format == "csv" {
		s.row = &rows{comma: cfg.Comma, pool: &s.pool}
	}
	return s, nil
}

// gunzip decompresses. It reads the header with the first bytes that are asked
// for, since a pipe may have none yet when it is opened.
type gunzip struct {
	from io.Reader
	gz   *gzip.Reader
}

func (g *gunzip) Read(b []byte) (int, error) {
	if g.gz == nil {
		gz, err := gzip.NewReader(g.from)
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		g.gz = gz
	}
	return g.gz.Read(b)
}

// Read returns the next records: those that have been read already, else it
// waits for some.
func (s *Source) Read(ctx context.Context) (ingest.Batch, error) {
	if err := s.ended(ctx); err != nil {
		return ingest.Batch{Ack: ingest.NoAck}, err
	}
	b := s.newBatch(s.cfg.BatchRecords)
	for s.err == nil && len(b.records) < s.cfg.BatchRecords {
		if err := s.next(ctx, b); err != nil {
			switch {
			case errors.Is(err, errWait):
				return s.finish(b), nil
			case ctx.Err() != nil && errors.Is(err, ctx.Err()), errors.Is(err, ingest.ErrClosed):
				b.free() // there are no records: with some, it does not wait
				return ingest.Batch{Ack: ingest.NoAck}, err
			default:
				s.err = err
			}
		}
	}
	if len(b.records) == 0 && !(s.cfg.Announce && s.err == io.EOF) {
		b.free()
		return ingest.Batch{Ack: ingest.NoAck}, s.err
	}
	return s.finish(b), nil
}

// ended returns the error of a Read that has nothing to return any more.
func (s *Source) ended(ctx context.Context) error {
	select {
	case <-s.closed:
		return ingest.ErrClosed
	default:
	}
	if s.err != nil {
		return s.err
	}
	return ctx.Err()
}

// finish finishes a batch: with the announcements, and the time of arrival.
func (s *Source) finish(b *batch) ingest.Batch {
	if s.cfg.Announce {
		if !s.up {
			s.up = true
			b.records = slices.Insert(b.records, 0, event.Record{Kind: event.KindSourceUp, Source: s.cfg.Source})
			b.lines = slices.Insert(b.lines, 0, 0)
		}
		if s.err == io.EOF {
			b.add(event.Record{Kind: event.KindSourceDown, Source: s.cfg.Source}, s.lines.number, nil)
		}
	}
	if s.cfg.Arrival != nil {
		now := s.cfg.Arrival()
		for i := range b.records {
			b.records[i].Arrival = now
		}
	}
	return ingest.Batch{Records: b.records, Ack: ingest.NoAck, Where: b.where, Free: b.free}
}

// next adds the next line to b, or the next row as an object; of lines, all
// that have been read.
func (s *Source) next(ctx context.Context, b *batch) error {
	if s.row == nil {
		if s.lines.take(b, s.cfg.BatchRecords, s.message(nil)) {
			return nil
		}
		l, err := s.lines.next(ctx, len(b.records) > 0, nil)
		if err == nil {
			b.add(s.message(l.text), l.number, s.lines.chunk)
		}
		return s.located(err)
	}
	for {
		l, err := s.lines.next(ctx, len(b.records) > 0, s.row)
		if err != nil {
			return s.located(err)
		}
		if s.row.names == nil {
			if err := s.row.header(l.text); err != nil {
				return fmt.Errorf("%s: %w", place(s.cfg.Path, l.number), err)
			}
			continue
		}
		object, m := s.row.object(l.text)
		b.add(s.message(object), l.number, m)
		return nil
	}
}

// message returns the record of a payload.
func (s *Source) message(payload []byte) event.Record {
	return event.Record{Kind: event.KindMessage, Source: s.cfg.Source, Topic: s.cfg.Topic, Payload: payload}
}

// located adds the file's name to what went wrong with it.
func (s *Source) located(err error) error {
	switch {
	case err == nil, err == io.EOF, errors.Is(err, errWait), errors.Is(err, ingest.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("reading %s behind line %d: %w", s.cfg.Path, s.lines.number, err)
}

func place(path string, line int) string {
	if path == "-" {
		path = "stdin"
	}
	return fmt.Sprintf("%s:%d", path, line)
}

// Close closes the file and lets Read return. Standard input and a Reader of
// the configuration stay open: a read of theirs that waits ends with the
// process.
func (s *Source) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closed)
		if s.file != nil {
			err = s.file.Close()
		}
	})
	return err
}
