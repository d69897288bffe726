package window

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
)

// frequent counts how often each value occurs, for topk. With more than
// [ExactTopK] different values it keeps the more frequent half and takes the
// count of the best that goes from all others (J. Misra, D. Gries, "Finding
// repeated elements", 1982; merged as in P. K. Agarwal et al., "Mergeable
// summaries", PODS 2012). So a count may be too low, by at most `missed`, which
// is less than one in 500 of all values; a value more frequent than that is
// never lost.
type frequent struct {
	bad    bool
	missed uint64
	counts []counted // sorted by key
}

type counted struct {
	key string // by event.AppendKey
	v   event.Value
	n   uint64
}

func (f *frequent) add(_ event.Time, x event.Value) {
	var buf [64]byte
	key, err := event.AppendKey(buf[:0], x)
	if err != nil {
		f.bad = true
		return
	}
	i, found := slices.BinarySearchFunc(f.counts, key, func(c counted, key []byte) int { return cmp.Compare(c.key, string(key)) })
	if found {
		f.counts[i].n++
		return
	}
	f.counts = slices.Insert(f.counts, i, counted{string(key), x.Clone(), 1})
	f.bound()
}

// bound keeps the state small.
func (f *frequent) bound() {
	if len(f.counts) <= ExactTopK {
		return
	}
	ns := make([]uint64, len(f.counts))
	for i, c := range f.counts {
		ns[i] = c.n
	}
	slices.Sort(ns)
	cut := ns[len(ns)-1-ExactTopK/2]
	f.missed += cut
	f.counts = slices.DeleteFunc(f.counts, func(c counted) bool { return c.n <= cut })
	for i := range f.counts {
		f.counts[i].n -= cut
	}
}

func (f *frequent) merge(o partial) {
	p := o.(*frequent)
	f.bad = f.bad || p.bad
	f.missed += p.missed
	f.counts = union(f.counts, p.counts, func(x, y *counted) int { return strings.Compare(x.key, y.key) }, func(x, y *counted) { x.n += y.n })
	f.bound()
}

// read lists the most frequent values, those of one count from small to large.
// Each is a map of value and count, and where counts may be too low of error,
// by how much at most.
func (f *frequent) read(a *Aggregate) (event.Value, Reason) {
	if f.bad {
		return event.Missing, ReasonType
	}
	best := slices.Clone(f.counts)
	slices.SortFunc(best, func(x, y counted) int {
		if c := cmp.Compare(y.n, x.n); c != 0 {
			return c
		}
		if c, ok := compare(x.v, y.v); ok && c != 0 {
			return c
		}
		return cmp.Compare(x.key, y.key)
	})
	list := make([]event.Value, 0, min(a.K, len(best)))
	for _, c := range best[:cap(list)] {
		entries := []event.Entry{{Name: "value", Value: c.v}, {Name: "count", Value: event.Int(int64(c.n))}}
		if f.missed > 0 {
			entries = append(entries, event.Entry{Name: "error", Value: event.Int(int64(f.missed))})
		}
		list = append(list, event.Map(entries))
	}
	return event.List(list), 0
}

func (f *frequent) reset() {
	clear(f.counts)
	*f = frequent{counts: f.counts[:0]}
}

func (f *frequent) appendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(appendBool(dst, f.bad), f.missed)
	dst = binary.AppendUvarint(dst, uint64(len(f.counts)))
	for _, c := range f.counts {
		dst = binary.AppendUvarint(c.v.AppendBinary(dst), c.n)
	}
	return dst
}

func (f *frequent) load(r *event.Reader) {
	f.bad = readBool(r)
	f.missed = uint64(readCount(r))
	last := ""
	for range r.Count() {
		v := r.Value()
		n := uint64(readCount(r))
		key, err := event.AppendKey(nil, v)
		if err != nil || len(f.counts) > 0 && string(key) <= last || len(f.counts) == ExactTopK {
			f.bad = true
			continue
		}
		last = string(key)
		f.counts = append(f.counts, counted{last, v, n})
	}
}
