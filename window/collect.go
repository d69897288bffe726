package window

import (
	"encoding/binary"
	"sort"

	"github.com/cepd/cepd/event"
)

// collect lists values in the order of their events. It keeps up to twice as
// many as it shows, so that the oldest are dropped many at a time.
type collect struct{ items []item }

type item struct {
	t event.Time
	v event.Value
}

func (l *collect) len() int { return len(l.items) }

func (l *collect) add(t event.Time, x event.Value) {
	l.items = append(l.items, item{t, x.Clone()})
	if i := len(l.items) - 1; i > 0 && l.items[i-1].t > t {
		late := l.items[i]
		at := sort.Search(i, func(j int) bool { return l.items[j].t > t })
		copy(l.items[at+1:], l.items[at:i])
		l.items[at] = late
	}
	l.bound()
}

func (l *collect) bound() {
	if n := len(l.items); n >= 2*MaxCollect {
		kept := copy(l.items, l.items[n-MaxCollect:])
		clear(l.items[kept:])
		l.items = l.items[:kept]
	}
}

func (l *collect) merge(o partial) {
	p := o.(*collect)
	if len(p.items) == 0 {
		return
	}
	if n := len(l.items); n > 0 && l.items[n-1].t > p.items[0].t {
		items := make([]item, 0, n+len(p.items))
		l.items = append(append(items, p.items...), l.items...)
	} else {
		l.items = append(l.items, p.items...)
	}
	for len(l.items) >= 2*MaxCollect {
		l.bound()
	}
}

// shown returns the items of the list, without those that are too old.
func (l *collect) shown() []item { return l.items[max(0, len(l.items)-MaxCollect):] }

func (l *collect) read(*Aggregate) (event.Value, Reason) {
	list := make([]event.Value, 0, min(len(l.items), MaxCollect))
	for _, it := range l.shown() {
		list = append(list, it.v)
	}
	return event.List(list), 0
}

func (l *collect) reset() {
	clear(l.items)
	l.items = l.items[:0]
}

func (l *collect) appendBinary(dst []byte) []byte {
	shown := l.shown()
	dst = binary.AppendUvarint(dst, uint64(len(shown)))
	for _, it := range shown {
		dst = it.v.AppendBinary(appendTime(dst, it.t))
	}
	return dst
}

func (l *collect) load(r *event.Reader) {
	for range r.Count() {
		l.add(event.Time(r.Varint()), r.Value())
	}
}
