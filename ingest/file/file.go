package file

import (
	"context"
	"io"

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
	// Arrival gives the time of arrival of the records of a batch. Left out,
	// records have none (zero): a replay has no time but the events'.
	Arrival func() event.Time
	// ChunkBytes is how much is read at once. Default 256 KB.
	ChunkBytes int
	// BatchRecords is the most records in a batch. Default 512.
	BatchRecords int
}

// Source reads one file. It implements [ingest.Source].
type Source struct{}

var _ ingest.Source = (*Source)(nil)

// Open returns a source that reads what cfg says.
func Open(cfg Config) (*Source, error) { return nil, io.EOF }

// Read returns the next records. It does not watch ctx while it waits for a
// pipe.
func (s *Source) Read(ctx context.Context) (ingest.Batch, error) { return ingest.Batch{}, io.EOF }

// Close closes the file.
func (s *Source) Close() error { return nil }
