package ingest

import (
	"context"
	"errors"

	"github.com/cepd/cepd/event"
)

var (
	// ErrClosed is returned by Read after Close.
	ErrClosed = errors.New("the source is closed")
	// ErrNotConnected says that a source has no connection now. A source
	// that keeps a connection restores it by itself.
	ErrNotConnected = errors.New("not connected")
)

// Source delivers records. See the package comment for who may call what.
type Source interface {
	// Read returns the next records, at least one. The error is [io.EOF] when
	// the source has ended, [ErrClosed] after Close, and ctx.Err() when ctx is
	// cancelled, in which case nothing is lost and Read may be called again.
	// Any other error is final.
	Read(ctx context.Context) (Batch, error)
	// Close ends the source and lets Read return. Messages that are not
	// acknowledged yet are not: a source with a memory sends them again.
	Close() error
}

// Batch is what one Read returns. The payloads belong to the reader: the
// source does not use their memory again before Free.
type Batch struct {
	Records []event.Record     // without Pos, which the log assigns
	Ack     func(err error)    // called once, in order of reading; never nil
	Where   func(i int) string // says where record i was, for people: "readings.csv:12"; nil if the source cannot say
	// Free, if not nil, may be called once by the goroutine that reads, when
	// nothing refers to Records and their payloads any more: the source uses their
	// memory for later batches.
	Free func()
	// Spent, if not nil, may be called once, by any goroutine, when nothing refers to
	// Records any more, whatever becomes of their payloads: the source uses that
	// memory for later batches.
	Spent func()
}

// Locate says where record i of the batch came from: the place that the source
// gives, else the name of the source and the topic.
func (b Batch) Locate(i int) string {
	if b.Where != nil {
		return b.Where(i)
	}
	r := &b.Records[i]
	if r.Topic == "" {
		return r.Source
	}
	return r.Source + " " + r.Topic
}

// NoAck is the Ack of a batch whose source does not care.
func NoAck(error) {}
