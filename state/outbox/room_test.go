package outbox

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/vfs"
)

func happened(n int, to ...string) notify.Message {
	return notify.Emitted(alerting.Derived{KnownID: fmt.Sprint("e", n), Rule: "r", To: to, Fields: []event.Entry{{Name: "x", Value: event.String(strings.Repeat("x", 100))}}})
}

func fired(n int, to ...string) notify.Message {
	return notify.Changed(alerting.Transition{ID: fmt.Sprint("a", n), Fingerprint: fmt.Sprint(n), Change: alerting.Raised, Summary: strings.Repeat("s", 100), To: to})
}

func begin(t *testing.T, fs vfs.FS, opts Options) *Outbox {
	t.Helper()
	o, _, err := Open(fs, dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Sinks([]string{"up", "down"}); err != nil {
		t.Fatal(err)
	}
	return o
}

// drain confirms all that waits for a sink.
func drain(t *testing.T, o *Outbox, sink string) {
	t.Helper()
	for {
		es, err := o.Read(sink, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(es) == 0 {
			return
		}
		for _, e := range es {
			if err := o.Sent(sink, e.Seq, notify.Note{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// list returns the ids that wait for a sink.
func list(t *testing.T, o *Outbox, sink string) (ids []string) {
	t.Helper()
	for after := uint64(0); ; {
		es, err := o.Read(sink, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(es) == 0 {
			return ids
		}
		for _, e := range es {
			ids = append(ids, e.Identity())
			after = e.Seq
		}
	}
}

// A sink that is down keeps what it is to get, not what all others have got, and
// costs next to no memory.
func TestDeadSinkKeepsLittle(t *testing.T) {
	mem := vfs.NewMem()
	opts := small()
	opts.MaxBytes, opts.SegmentBytes, opts.extent = 64<<20, 64<<10, 8<<10
	o := begin(t, mem, opts)
	var want []string
	for i := range 20_000 {
		m := happened(i, "up")
		if i%50 == 0 {
			m = happened(i, "up", "down")
			want = append(want, m.Identity())
		}
		if err := o.Append(event.Position{Seq: uint64(i + 1)}, []notify.Message{m}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			drain(t, o, "up")
			o.Forget(event.Position{Seq: uint64(i - min(i, 200))})
		}
	}
	drain(t, o, "up")
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	live := int64(len(want)) * 220
	if got := o.Stats().Bytes; got > 4*live+4*opts.SegmentBytes {
		t.Errorf("the outbox takes %d bytes for about %d", got, live)
	}
	for range 2 {
		if got := list(t, o, "down"); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%d wait for the sink that is down, want %d; first %v", len(got), len(want), got[:min(3, len(got))])
		}
		if n := len(o.queues["down"].waits); n != 1 {
			t.Errorf("what waits for the sink that is down is %d runs", n)
		}
		mem.Kill()
		o = begin(t, mem, opts)
	}
}

// An outbox that is full gives up the oldest events, counts them, and keeps all
// changes of alerts.
func TestFullGivesUpEvents(t *testing.T) {
	mem := vfs.NewMem()
	opts := small()
	opts.MaxBytes, opts.SegmentBytes, opts.extent = 256<<10, 16<<10, 4<<10
	o := begin(t, mem, opts)
	events, alerts := 0, []string{}
	for i := range 6000 {
		m := happened(i, "down")
		if i%100 == 0 {
			m = fired(i, "down")
			alerts = append(alerts, m.Identity())
		} else {
			events++
		}
		if err := o.Append(event.Position{Seq: uint64(i + 1)}, []notify.Message{m}); err != nil {
			t.Fatal(err)
		}
		if i < 2000 { // then no snapshot comes to tell what may be forgotten
			o.Forget(event.Position{Seq: uint64(i + 1)})
		}
		if got := o.Stats().Bytes; got > opts.MaxBytes {
			t.Fatalf("after %d messages it takes %d bytes", i, got)
		}
	}
	check := func() {
		t.Helper()
		var kept []string
		left := 0
		last := ""
		for _, id := range list(t, o, "down") {
			if id[0] == 'a' {
				kept = append(kept, id)
			} else {
				left, last = left+1, id
			}
		}
		if strings.Join(kept, " ") != strings.Join(alerts, " ") {
			t.Errorf("kept %d alerts of %d", len(kept), len(alerts))
		}
		if last != "e5999" || left < 100 {
			t.Errorf("%d events are left, up to %s", left, last)
		}
		if lost := o.Stats().Losses[notify.Loss{Sink: "down", Reason: notify.ReasonOutboxFull}]; lost > 0 && lost != uint64(events-left) {
			t.Errorf("%d are counted as given up, and %d are", lost, events-left)
		}
	}
	check()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = begin(t, mem, opts)
	check()
	if err := o.Append(event.Position{Seq: 6001}, []notify.Message{happened(2501, "down")}); err != nil {
		t.Fatal(err)
	}
	check() // it was known
}

// An outbox that is full of alerts makes whoever adds wait, until there is room.
func TestFullOfAlerts(t *testing.T) {
	opts := small()
	opts.MaxBytes, opts.SegmentBytes, opts.extent = 128<<10, 8<<10, 2<<10
	o := begin(t, vfs.NewMem(), opts)
	add := func(i int) error {
		err := o.Append(event.Position{Seq: uint64(i + 1)}, []notify.Message{fired(i, "up", "down")})
		o.Forget(event.Position{Seq: uint64(i + 1)})
		return err
	}
	n := 0
	var err error
	for ; err == nil; n++ {
		err = add(n)
	}
	if n--; !errors.Is(err, ErrFull) || n < 100 {
		t.Fatalf("after %d alerts: %v", n, err)
	}
	for range 3 {
		if err := add(n); !errors.Is(err, ErrFull) {
			t.Fatalf("again: %v", err)
		}
	}
	if up, down := len(list(t, o, "up")), len(list(t, o, "down")); up != n || down != n {
		t.Fatalf("%d and %d wait, want %d", up, down, n)
	}
	drain(t, o, "up")
	drain(t, o, "down")
	for i := range n { // as they fire still, they clear to go
		clear := fired(i, "up")
		clear.Transition.ID, clear.Transition.Change = fmt.Sprint("c", i), alerting.Cleared
		if err := o.Append(event.Position{Seq: uint64(n + i + 1)}, []notify.Message{clear}); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			drain(t, o, "up")
			continue
		}
		o.Forget(event.Position{Seq: uint64(n + i + 1)})
		drain(t, o, "up")
	}
	if err := add(n); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// BenchmarkAppend says what a message costs by the size of its group, on a disk.
func BenchmarkAppend(b *testing.B) {
	for _, group := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("group=", group), func(b *testing.B) {
			o, _, err := Open(vfs.OS(), b.TempDir(), Options{MaxBytes: 1 << 40, MarksEvery: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			n := 0
			ms := make([]notify.Message, group)
			for b.Loop() {
				for i := range ms {
					n++
					ms[i] = happened(n, "up")
				}
				if err := o.Append(event.Position{Seq: uint64(n)}, ms); err != nil {
					b.Fatal(err)
				}
				for i := range ms {
					if err := o.Sent("up", uint64(n-i), notify.Note{}); err != nil {
						b.Fatal(err)
					}
				}
				o.Forget(event.Position{Seq: uint64(n)})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/message")
		})
	}
}

// BenchmarkMemory is the same without a disk.
func BenchmarkMemory(b *testing.B) {
	o := NewMemory(Options{})
	n := 0
	for b.Loop() {
		n++
		if err := o.Append(event.Position{}, []notify.Message{happened(n, "up")}); err != nil {
			b.Fatal(err)
		}
		if es, err := o.Read("up", uint64(n-1), 1); err != nil || len(es) != 1 {
			b.Fatal(len(es), err)
		}
		if err := o.Sent("up", uint64(n), notify.Note{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/message")
}
