package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cepd/cepd/event"
)

// version is the format of the bytes that [State.AppendBinary] writes.
const version = 1

// ErrVersion is returned for a state of another format.
var ErrVersion = errors.New("window state of another version")

// Flags of a stored state and of a stored pane.
const (
	flagPending  = 1
	flagOpen     = 1
	flagAnswered = 2
)

// AppendBinary appends the state to dst. Equal states give equal bytes.
func (s *State) AppendBinary(dst []byte) []byte {
	flags := byte(0)
	next := event.Time(0)
	if s.pending {
		flags, next = flagPending, s.next
	}
	dst = append(dst, version, flags)
	dst = appendTime(appendTime(appendTime(dst, next), s.early), s.seq)
	if s.spec.multi {
		w := &sweep{from: event.MinTime, pivot: event.MinTime, upTo: event.MinTime}
		if s.sweep != nil {
			w = s.sweep
		}
		dst = appendTime(appendTime(appendTime(dst, w.from), w.pivot), w.upTo)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.panes)))
	for _, p := range s.panes {
		dst = p.appendBinary(dst)
	}
	return dst
}

func (p *pane) appendBinary(dst []byte) []byte {
	flags := byte(0)
	if p.open {
		flags |= flagOpen
	}
	if p.answered {
		flags |= flagAnswered
	}
	dst = appendTime(appendTime(append(dst, flags), p.start), p.end)
	dst = binary.AppendUvarint(dst, uint64(p.n))
	dst = p.first.pos.AppendBinary(appendTime(dst, p.first.t))
	dst = p.last.pos.AppendBinary(appendTime(dst, p.last.t))
	for _, part := range p.parts {
		dst = part.appendBinary(dst)
	}
	return dst
}

// ReadState reads a state that was written under a spec that prints like s.
func ReadState(s *Spec, r *event.Reader) (*State, error) {
	if v := r.Byte(); r.Err() == nil && v != version {
		return nil, fmt.Errorf("%w: %d, not %d", ErrVersion, v, version)
	}
	st := NewState(s)
	st.pending = r.Byte()&flagPending != 0
	st.next, st.early, st.seq = event.Time(r.Varint()), event.Time(r.Varint()), event.Time(r.Varint())
	if s.multi {
		st.sweep = newSweep(s)
		st.sweep.from, st.sweep.pivot, st.sweep.upTo = event.Time(r.Varint()), event.Time(r.Varint()), event.Time(r.Varint())
	}
	n := r.Count()
	for i := 0; i < n && r.Err() == nil; i++ {
		p := st.spare // of the same piece of memory
		if st.spare = nil; p == nil {
			p = s.newPane()
		}
		p.read(r)
		st.panes = append(st.panes, p)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("reading window state: %w", err)
	}
	if err := st.check(); err != nil {
		return nil, fmt.Errorf("reading window state: %w", err)
	}
	return st, nil
}

// read reads a pane into one without events.
func (p *pane) read(r *event.Reader) {
	flags := r.Byte()
	p.open, p.answered = flags&flagOpen != 0, flags&flagAnswered != 0
	p.start, p.end = event.Time(r.Varint()), event.Time(r.Varint())
	p.n = readCount(r)
	p.first = stamp{event.Time(r.Varint()), r.Position()}
	p.last = stamp{event.Time(r.Varint()), r.Position()}
	for _, part := range p.parts {
		part.load(r)
	}
}

// check finds what no state can be: damaged bytes must not lead astray.
func (s *State) check() error {
	for i, p := range s.panes {
		if p.start >= p.end || i > 0 && s.panes[i-1].end > p.start || p.n < 1 || p.first.t > p.last.t {
			return event.ErrEncoding
		}
	}
	if !s.spec.multi {
		pending, next := s.pending, s.next
		if s.reopen(); s.pending != pending || s.pending && s.next != next {
			return event.ErrEncoding
		}
	}
	if s.pending && len(s.panes) == 0 || s.seq < 0 || s.seq > 0 && s.spec.Assigner.Kind != Counted {
		return event.ErrEncoding
	}
	if w := s.sweep; w != nil && (w.from > w.pivot || w.pivot > w.upTo) {
		return event.ErrEncoding
	}
	return nil
}

func appendTime(dst []byte, t event.Time) []byte { return binary.AppendVarint(dst, int64(t)) }

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func readBool(r *event.Reader) bool { return r.Byte() == 1 }

func readReason(r *event.Reader) Reason { return min(Reason(r.Byte()), ReasonOverflow) }

// readCount reads a number of values. What is larger than any is cut, so that
// sums of such numbers stay in range.
func readCount(r *event.Reader) int64 { return int64(min(r.Uvarint(), 1<<48)) }

func readFixed(r *event.Reader) uint64 {
	var b [8]byte
	for i := range b {
		b[i] = r.Byte()
	}
	return binary.LittleEndian.Uint64(b[:])
}

// readDouble reads a number; one that is NaN or infinite, which no state holds,
// becomes 0.
func readDouble(r *event.Reader) float64 {
	f := math.Float64frombits(readFixed(r))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}
