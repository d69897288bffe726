package file

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// maxLine is how much of a line is kept. It is more than any decoder accepts,
// so a line that was cut is rejected for its length.
const maxLine = 512 << 10

// errWait says that there is no line without waiting for one.
var errWait = errors.New("nothing without waiting")

// line is a line without its end, and its number in the file.
type line struct {
	text   []byte
	number int
}

// framer says where a record of several lines ends.
type framer interface {
	// frame returns the length of the record at the beginning of b, with its
	// line end, and the number of lines in it. n is 0 if it goes on behind b;
	// at the end of the file nothing is behind b.
	frame(b []byte, atEnd bool) (n, lines int)
}

// lines cuts a file into lines.
//
//	chunk: ....... used ....... | not yet used | free
//	                            from           to
//
// A chunk whose end is reached is left to the batches that hold lines of it,
// and what is not yet used of it is copied to the next one, or to its own
// beginning if nobody holds any.
type lines struct {
	from    reader
	pool    *pool
	chunk   *memory // nil before the first
	at, to  int
	number  int  // of the last line
	started bool // the byte order mark, if any, is behind us
	cutting bool // the rest of a line that is too long is being skipped
	err     error
}

// take adds to b all lines that have been read, but no more than b may have
// records, and reports whether there was any. Each is made of message.
func (l *lines) take(b *batch, most int, message event.Record) bool {
	if l.chunk == nil || l.cutting {
		return false
	}
	had := len(b.records)
	for len(b.records) < most {
		n := bytes.IndexByte(l.chunk.bytes[l.at:l.to], '\n')
		if n < 0 {
			break
		}
		text := l.chunk.bytes[l.at : l.at+n]
		l.at += n + 1
		l.number++
		if n > 0 && text[n-1] == '\r' {
			text = text[:n-1]
		}
		if !blank(text) {
			message.Payload = cut(text)
			b.records = append(b.records, message)
			b.lines = append(b.lines, l.number)
		}
	}
	if len(b.records) == had {
		return false
	}
	b.use(l.chunk)
	return true
}

// blank reports whether there is nothing to read in a line.
func blank(text []byte) bool {
	if len(text) > 0 && text[0] > ' ' {
		return false
	}
	return len(bytes.TrimLeft(text, " \t")) == 0
}

// next returns the next line that is not blank. With dontWait it reads only
// what needs no waiting, that is nothing.
func (l *lines) next(ctx context.Context, dontWait bool, f framer) (line, error) {
	for {
		if n, count := l.frame(f); n > 0 {
			text := l.chunk.bytes[l.at : l.at+n]
			number := l.number + 1
			l.at += n
			l.number += count
			if l.cutting {
				l.cutting = false
				continue
			}
			if text = trimEnd(text); !blank(text) {
				return line{cut(text), number}, nil
			}
			continue
		}
		if l.err != nil {
			return line{}, l.err
		}
		if dontWait {
			return line{}, errWait
		}
		if beginning, ok := l.tooLong(f); ok {
			return beginning, nil
		}
		if err := l.fill(ctx); err != nil {
			return line{}, err
		}
	}
}

// frame finds the record at the beginning of what is not yet used.
func (l *lines) frame(f framer) (n, count int) {
	b := l.rest()
	atEnd := l.err == io.EOF
	if f != nil && !l.cutting {
		return f.frame(b, atEnd)
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1, 1
	}
	if atEnd {
		return len(b), 1
	}
	return 0, 0
}

// rest is what is not yet used of the chunk.
func (l *lines) rest() []byte {
	if l.chunk == nil {
		return nil
	}
	return l.chunk.bytes[l.at:l.to]
}

func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}

// cut returns at most maxLine bytes of b, with no room behind them.
func cut(b []byte) []byte {
	n := min(len(b), maxLine)
	return b[:n:n]
}

// tooLong returns the beginning of a line that is longer than maxLine, and
// lets the rest be skipped. Of a record of several lines it returns the first.
func (l *lines) tooLong(f framer) (line, bool) {
	b := l.rest()
	if len(b) < maxLine {
		return line{}, false
	}
	if l.cutting {
		l.at = l.to
		return line{}, false
	}
	if i := bytes.IndexByte(b, '\n'); f != nil && i >= 0 {
		l.at += i + 1
		l.number++
		return line{cut(trimEnd(b[:i+1])), l.number}, true
	}
	l.at = l.to
	l.cutting = true
	return line{cut(b), l.number + 1}, true
}

// fill reads more.
func (l *lines) fill(ctx context.Context) error {
	if l.chunk == nil || l.to == len(l.chunk.bytes) {
		l.makeRoom()
	}
	n, err := l.from.read(ctx, l.chunk.bytes[l.to:])
	if err == errCancelled {
		return ctx.Err()
	}
	if err == ingest.ErrClosed {
		return err
	}
	l.to += n
	l.err = err
	l.skipMark()
	return nil
}

// makeRoom makes room in the chunk, or gets another.
func (l *lines) makeRoom() {
	rest, old := l.rest(), l.chunk
	size := l.pool.size
	for size < 2*len(rest) {
		size *= 2
	}
	if old == nil || old.users > 1 || size > len(old.bytes) {
		l.chunk = l.pool.get(size)
	}
	l.at, l.to = 0, copy(l.chunk.bytes, rest)
	if old != nil && old != l.chunk {
		l.pool.drop(old)
	}
}

// skipMark passes over a byte order mark at the beginning of the file.
func (l *lines) skipMark() {
	const mark = "\xef\xbb\xbf"
	if l.started {
		return
	}
	b := l.chunk.bytes[:l.to]
	if len(b) < len(mark) && bytes.HasPrefix([]byte(mark), b) && l.err == nil {
		return
	}
	l.started = true
	if bytes.HasPrefix(b, []byte(mark)) {
		l.at = len(mark)
	}
}

var errCancelled = errors.New("cancelled")

// reader reads in a way that can be given up: the read goes on by itself, and
// the next one, which must have the same buffer, gets its result.
type reader struct {
	from    io.Reader
	closed  <-chan struct{}
	pending chan result
}

type result struct {
	n   int
	err error
}

func (r *reader) read(ctx context.Context, b []byte) (int, error) {
	if r.pending == nil {
		pending := make(chan result, 1)
		r.pending = pending
		go func() {
			n, err := r.from.Read(b)
			pending <- result{n, err}
		}()
	}
	select {
	case res := <-r.pending:
		r.pending = nil
		return res.n, res.err
	case <-ctx.Done():
		return 0, errCancelled
	case <-r.closed:
		return 0, ingest.ErrClosed
	}
}
