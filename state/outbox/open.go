package outbox

import (
	"errors"
	"fmt"

	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
)

const (
	// Format is the version of what an outbox writes. What is newer is refused.
	Format = 1

	// kind tells an outbox from other logs.
	kind = "outbox"

	minSegment = 4 << 10
	maxSegment = 16 << 20
)

// Open opens the outbox in a directory, and begins one where there is none. It
// is closed by [Outbox.Close].
func Open(fsys vfs.FS, dir string, opts Options) (*Outbox, segment.Recovery, error) {
	opts.EnsureDefaults()
	log, rec, err := segment.Open(fsys, dir, segment.Options{
		Kind: kind, Version: Format, SegmentBytes: opts.SegmentBytes, ReadOnly: opts.ReadOnly, Salt: opts.Salt, Synced: opts.Synced,
	})
	if err != nil {
		return nil, rec, fmt.Errorf("opening the outbox: %w", err)
	}
	o, err := New(log, opts)
	if err != nil {
		return nil, rec, errors.Join(err, log.Close())
	}
	return o, rec, nil
}
