package outbox

import (
	"errors"
	"fmt"

	"github.com/cepd/cepd/alerting/notify"
)

// readBytes is how many bytes of records, about, a call of Read returns.
const readBytes = 4 << 20

// Read returns entries for a sink; see [notify.Outbox].
func (o *Outbox) Read(sink string, after uint64, limit int) ([]notify.Entry, error) {
	found, err := o.scan(sink, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	out := make([]notify.Entry, 0, len(found))
	for _, f := range found {
		m, err := f.decode()
		if err != nil {
			return nil, err
		}
		out = append(out, notify.Entry{Seq: f.place, At: f.at, Repeat: f.number, Size: f.size, Message: m})
	}
	return out, nil
}

// found is a record and the place that it takes in the queue that was asked for.
type found struct {
	item
	place uint64
}

// decode returns the message of a record.
func (it *item) decode() (notify.Message, error) {
	if it.message != nil {
		return *it.message, nil
	}
	m, err := it.record.message()
	if err != nil {
		return m, fmt.Errorf("record %d of the outbox: %w", it.seq, err)
	}
	return m, nil
}

// encoded returns the message of a record as the log has it.
func (it *item) encoded() []byte {
	if it.body == nil {
		return appendMessage(nil, *it.message)
	}
	return it.body
}

// scan returns the records after a place of a queue that wait in it, in order;
// at most limit of them, and not many more bytes than readBytes.
func (o *Outbox) scan(name string, after uint64, limit int) ([]found, error) {
	var out []found
	size := 0
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queues[name]
	if q == nil {
		return nil, nil
	}
	for n, ok := q.waits.after(after); ok && len(out) < limit && size < readBytes; n, ok = q.waits.after(after) {
		x := o.extentOf(ticket{name, n})
		items := x.items
		if !x.cached {
			var err error
			items, err = o.load(x)
			if x.gone { // meanwhile: what waits is elsewhere
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		start := 0
		if x.cached && q.read.x == x && q.read.after <= after {
			start = q.read.item
		}
		for i := start; i < len(items); i++ {
			t, has := items[i].in(name)
			if !has || t <= after || !q.waits.has(t) {
				continue
			}
			if next, _ := q.waits.after(after); t != next || len(out) == limit || size >= readBytes {
				break // the next one is elsewhere
			}
			out = append(out, found{items[i], t})
			size += items[i].size
			after = t
			q.read = reading{x, i + 1, t}
		}
		if after < n && q.waits.has(n) {
			return nil, fmt.Errorf("place %d of %s is not where it should be, in records %d to %d", n, name, x.first, x.last)
		}
	}
	return out, nil
}

// in returns the place that a record takes in a queue.
func (it *item) in(queue string) (uint64, bool) {
	for _, t := range it.to {
		if t.queue == queue {
			return t.seq, true
		}
	}
	return 0, false
}

// errEnough ends the reading of a log.
var errEnough = errors.New("enough")

// load reads the records of an extent that hold messages. It lets go of o.mu
// while it reads.
func (o *Outbox) load(x *extent) ([]item, error) {
	first, last := x.first, x.last
	o.mu.Unlock()
	defer o.mu.Lock()
	var items []item
	err := o.log.Read(first-1, func(seq uint64, data []byte) error {
		if seq > last {
			return errEnough
		}
		if len(data) > 0 && data[0] == kindMarks {
			return nil
		}
		if len(data) > 0 && data[0] == kindIDs {
			ids, err := readIDs(data)
			items = append(items, item{seq: seq, size: len(data), ids: ids})
			return err
		}
		rec, err := readRecord(append([]byte(nil), data...))
		if err != nil {
			return fmt.Errorf("record %d: %w", seq, err)
		}
		items = append(items, item{seq: seq, size: len(data), record: *rec})
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return items, nil
}

// find returns the records that hold the given places of a queue, as far as
// they wait.
func (o *Outbox) find(name string, places runs) (map[uint64]*item, error) {
	out := map[uint64]*item{}
	for _, r := range places {
		for after := r.first - 1; after < r.last; {
			got, err := o.scan(name, after, int(min(r.last-after, groupRecords)))
			if err != nil {
				return nil, err
			}
			if len(got) == 0 {
				break
			}
			for i := range got {
				if got[i].place <= r.last {
					out[got[i].place] = &got[i].item
				}
			}
			after = got[len(got)-1].place
		}
	}
	return out, nil
}
