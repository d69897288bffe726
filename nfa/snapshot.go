package nfa

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cepd/cepd/event"
)

// The encoding of a run machine, all numbers varints:
//
//	version           one byte
//	streams           count, names
//	nodes             count; each: previous node + 1 or 0, step, flags,
//	                  stream and event if it is not that of the node before,
//	                  the values of aggregates that can still be asked for
//	buckets           count; each: state, count of runs, their last nodes
//	waiting matches   count; each: last node, end
//
// A node stands behind all that it leads back to, and once however many runs
// share it. The order of nodes follows from their content, so equal machines
// have equal bytes whatever became of them before.

// snapshotVersion is the first byte.
const snapshotVersion = 1

const (
	flagGiven    = 1 << iota // the chain has been given as a match
	flagSameAs               // the event is that of the node before
	flagValues               // the values of aggregates follow
	flagsUnknown = ^byte(1<<iota - 1)
)

// AppendBinary implements [Machine].
func (m *runMachine) AppendBinary(dst []byte) []byte {
	m.deflate()
	all := *m
	all.inflate(&scratch{})
	return all.runs.appendBinary(dst)
}

func (m *runSet) appendBinary(dst []byte) []byte {
	w := &writer{m: m}
	w.collect()
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, uint64(len(w.streams)))
	for _, s := range w.streams {
		dst = event.AppendText(dst, s)
	}
	dst = w.appendNodes(dst)
	dst = binary.AppendUvarint(dst, uint64(len(m.buckets)))
	for _, b := range m.buckets {
		dst = binary.AppendUvarint(dst, uint64(b.state))
		dst = binary.AppendUvarint(dst, uint64(len(b.runs)))
		for _, r := range b.runs {
			dst = binary.AppendUvarint(dst, uint64(r.last.child))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.waiting)))
	for _, w := range m.waiting {
		dst = binary.AppendUvarint(dst, uint64(w.last.child))
		dst = binary.AppendVarint(dst, int64(w.end))
	}
	return dst
}

// writer numbers the nodes of a machine. A number is in child while mark is
// the epoch.
type writer struct {
	m       *runSet
	nodes   []*node
	valued  []bool // by number: its values can be asked for
	streams []string
}

func (w *writer) collect() {
	w.m.tick()
	w.m.heads(func(n *node) {
		for ; n != nil && n.mark != w.m.epoch; n = n.prev() {
			n.mark = w.m.epoch
			w.nodes = append(w.nodes, n)
		}
	})
	slices.SortFunc(w.nodes, func(a, b *node) int { return compareFirst(a.event, b.event) })
	for from := 0; from < len(w.nodes); {
		to := from + 1
		for to < len(w.nodes) && w.nodes[to].event == w.nodes[from].event {
			to++
		}
		// What the nodes of one event lead back to is earlier and numbered.
		slices.SortFunc(w.nodes[from:to], func(a, b *node) int {
			return cmp.Or(cmp.Compare(number(a.prev()), number(b.prev())), cmp.Compare(a.step, b.step))
		})
		for i, n := range w.nodes[from:to] {
			n.child = uint32(from + i)
		}
		if s := w.nodes[from].event.Schema.Stream(); !slices.Contains(w.streams, s) {
			w.streams = append(w.streams, s)
		}
		from = to
	}
	w.valued = make([]bool, len(w.nodes))
	w.m.heads(func(n *node) {
		for step, aggs := range w.m.prog.stepAggs {
			if len(aggs) == 0 {
				continue
			}
			if last := n.find(step); last != nil {
				w.valued[last.child] = true
			}
		}
	})
}

// number returns a node's number + 1, 0 for none.
func number(n *node) uint32 {
	if n == nil {
		return 0
	}
	return n.child + 1
}

func (w *writer) appendNodes(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(w.nodes)))
	for i, n := range w.nodes {
		dst = binary.AppendUvarint(dst, uint64(number(n.prev())))
		dst = binary.AppendUvarint(dst, uint64(n.step))
		flags, same := byte(0), i > 0 && n.event == w.nodes[i-1].event
		if n.given {
			flags |= flagGiven
		}
		if same {
			flags |= flagSameAs
		}
		if w.valued[i] {
			flags |= flagValues
		}
		dst = append(dst, flags)
		if !same {
			dst = binary.AppendUvarint(dst, uint64(slices.Index(w.streams, n.event.Schema.Stream())))
			dst = n.event.AppendBinary(dst)
		}
		if w.valued[i] {
			for _, v := range n.extra.values {
				dst = v.AppendBinary(dst)
			}
		}
	}
	return dst
}

// ReadMachine reads what AppendBinary wrote for a program of the same
// [Prog.Shape]. schema returns the schema of the events that are kept of a
// stream, nil for a stream that the rule does not know.
func ReadMachine(p *Prog, r *event.Reader, schema func(stream string) *event.Schema) (Machine, error) {
	d := &reader{Reader: r, m: &runSet{prog: p}}
	version := r.Byte()
	if r.Err() == nil && version != snapshotVersion && version != compactVersion {
		return nil, fmt.Errorf("reading runs: version %d is not known", version)
	}
	d.readStreams(schema)
	var m Machine
	if d.ok() {
		if version == compactVersion {
			m = d.readCompact(p)
		} else {
			d.readNodes()
			d.readRuns()
			m = d.m.machine()
		}
	}
	if d.err == nil && r.Err() != nil {
		d.err = r.Err()
	}
	if d.err != nil {
		return nil, fmt.Errorf("reading runs: %w", d.err)
	}
	return m, nil
}

// machine returns the machine of a set of runs.
func (m *runSet) machine() *runMachine {
	all := &runMachine{prog: m.prog, runs: m}
	all.settle(&scratch{})
	all.deflate()
	return all
}

type reader struct {
	*event.Reader
	m       *runSet
	err     error // what is wrong beside the encoding
	schemas []*event.Schema
	nodes   []*node
	roots   []*event.Event // by node, the first event of its chain
}

func (d *reader) ok() bool { return d.err == nil && d.Err() == nil }

func (d *reader) bad(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *reader) readStreams(schema func(stream string) *event.Schema) {
	for range d.Count() {
		name := d.Text()
		s := schema(name)
		if s == nil && d.ok() {
			d.bad("events of stream %q, which the rule does not read", name)
		}
		d.schemas = append(d.schemas, s)
	}
}

func (d *reader) readNodes() {
	for i := range d.Count() {
		before, step, flags := d.Uvarint(), d.Uvarint(), d.Byte()
		switch {
		case !d.ok():
			return
		case before > uint64(i), step >= uint64(len(d.m.prog.steps)), flags&flagsUnknown != 0, i == 0 && flags&flagSameAs != 0:
			d.bad("event %d: previous %d, step %d, flags %#x", i, before, step, flags)
			return
		}
		var prev *node
		if before > 0 {
			prev = d.nodes[before-1]
		}
		e := d.readEvent(i, flags)
		if !d.ok() {
			return
		}
		if prev != nil && event.Compare(prev.event, e) >= 0 {
			d.bad("event %d is not later than the one before", i)
			return
		}
		n := d.m.prog.extend(prev, int(step), e)
		n.given = flags&flagGiven != 0
		d.readValues(n, flags)
		d.nodes = append(d.nodes, n)
		root := e
		if prev != nil {
			root = d.roots[before-1]
		}
		d.roots = append(d.roots, root)
	}
}

func (d *reader) readEvent(i int, flags byte) *event.Event {
	if flags&flagSameAs != 0 {
		return d.nodes[i-1].event
	}
	s := d.Uvarint()
	if s >= uint64(len(d.schemas)) {
		d.bad("event %d is of stream %d", i, s)
		return nil
	}
	e := d.Event(d.schemas[s])
	if d.ok() && i > 0 && event.Compare(d.nodes[i-1].event, e) >= 0 {
		d.bad("event %d is out of order", i)
	}
	return e
}

func (d *reader) readValues(n *node, flags byte) {
	if flags&flagValues == 0 {
		return
	}
	values := make([]event.Value, d.m.prog.stepVals[n.step])
	for i := range values {
		values[i] = d.Value()
	}
	if n.extra == nil {
		n.extra = &extra{}
	}
	n.extra.values = values
}

// run reads the last node of a run.
func (d *reader) run() run {
	i := d.Uvarint()
	if !d.ok() || i >= uint64(len(d.nodes)) {
		d.bad("a run ends in event %d", i)
		return run{}
	}
	r := run{d.nodes[i], d.roots[i]}
	for step, aggs := range d.m.prog.stepAggs {
		if len(aggs) == 0 {
			continue
		}
		if n := r.last.find(step); n != nil && (n.extra == nil || n.extra.values == nil) {
			d.bad("event %d lacks its aggregates", i)
		}
	}
	return r
}

func (d *reader) readRuns() {
	m := d.m
	for range d.Count() {
		state, runs := d.Uvarint(), d.Count()
		if !d.ok() {
			return
		}
		if state >= uint64(len(m.prog.states)) || !m.prog.states[state].kind.waits() || runs == 0 ||
			len(m.buckets) > 0 && state <= uint64(m.buckets[len(m.buckets)-1].state) {
			d.bad("%d runs in state %d", runs, state)
			return
		}
		b := bucket{state: uint32(state), byLast: true}
		for i := range runs {
			r := d.run()
			if !d.ok() {
				return
			}
			if i > 0 {
				p := b.runs[i-1]
				if event.Compare(p.first, r.first) > 0 {
					d.bad("runs in state %d are out of order", state)
					return
				}
				b.byLast = b.byLast && p.last.event.Time <= r.last.event.Time
			}
			b.runs = append(b.runs, r)
		}
		m.count += uint32(runs)
		m.tidy(&b)
		m.buckets = append(m.buckets, b)
	}
	for range d.Count() {
		w := waiting{run: d.run(), end: event.Time(d.Varint())}
		if !d.ok() {
			return
		}
		if n := len(m.waiting); n > 0 && compareWaiting(m.waiting[n-1], w) > 0 {
			d.bad("waiting matches are out of order")
			return
		}
		m.waiting = append(m.waiting, w)
	}
}
