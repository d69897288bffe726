package outbox

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

var errDisk = errors.New("the disk says no")

// flaky is a log whose next appends may fail.
type flaky struct {
	memory
	failing bool
}

func (f *flaky) Append(group [][]byte) (uint64, error) {
	if f.failing {
		return 0, errDisk
	}
	return f.memory.Append(group)
}

// entry is a message in the plainest outbox that there could be.
type entry struct {
	id     string
	number int
}

// model is that outbox: lists and maps.
type model struct {
	known   map[string]bool
	waits   map[string][]entry // by sink
	letters []string           // "sink id number reason"
	firing  map[string]string  // id of the raise, by alert
}

func (m *model) take(sink string, i int) entry {
	e := m.waits[sink][i]
	m.waits[sink] = slices.Delete(slices.Clone(m.waits[sink]), i, i+1)
	return e
}

// An outbox does what the plainest one would do, whatever fails and however
// often it is opened anew.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, checkModel)
}

func checkModel(t *rapid.T) {
	sinks := []string{"a", "b", "c"}
	log := &flaky{}
	now := time.Unix(1e9, 0)
	opts := Options{MarksEvery: -1, extent: 200, Now: func() time.Time { return now }}
	o := reopen(t, log, opts, sinks)
	m := &model{known: map[string]bool{}, waits: map[string][]entry{}, firing: map[string]string{}}
	sink := rapid.SampledFrom(sinks)
	position := uint64(0)
	fresh := 1000
	again := rapid.Bool().Draw(t, "ids come again")
	waiting := func(t *rapid.T) (string, int, notify.Entry) {
		s := sink.Draw(t, "sink")
		if len(m.waits[s]) == 0 {
			t.Skip()
		}
		i := rapid.IntRange(0, len(m.waits[s])-1).Draw(t, "entry")
		es, err := o.Read(s, 0, i+1)
		if err != nil || len(es) != i+1 {
			t.Fatalf("%d of %d entries, %v", len(es), i+1, err)
		}
		return s, i, es[i]
	}
	t.Repeat(map[string]func(*rapid.T){
		"forget": func(*rapid.T) { // nothing that is added once comes again
			if again {
				t.Skip()
			}
			o.Forget(event.Position{Seq: position})
		},
		"append": func(t *rapid.T) {
			position++
			var ms []notify.Message
			for range rapid.IntRange(0, 4).Draw(t, "messages") {
				ms = append(ms, drawMessage(t, append(sinks, "gone"), again, &fresh))
			}
			log.failing = rapid.IntRange(0, 9).Draw(t, "luck") == 0
			err := o.Append(event.Position{Seq: position}, ms)
			if log.failing && err != nil {
				log.failing = false
				return
			}
			log.failing = false
			if err != nil {
				t.Fatal(err)
			}
			for _, msg := range ms {
				m.append(msg)
			}
		},
		"sent": func(t *rapid.T) {
			s, i, e := waiting(t)
			now = now.Add(time.Second)
			if err := o.Sent(s, e.Seq, notify.Note{}); err != nil {
				t.Fatal(err)
			}
			m.take(s, i)
		},
		"bury": func(t *rapid.T) {
			s, i, e := waiting(t)
			if err := o.Bury(s, notify.Failure{Reason: notify.ReasonClient}, e); err != nil {
				t.Fatal(err)
			}
			got := m.take(s, i)
			m.letters = append(m.letters, fmt.Sprintln(s, got.id, got.number, notify.ReasonClient))
		},
		"retry": func(t *rapid.T) {
			ls, err := o.DeadLetters(0, 1000)
			if err != nil || len(ls) == 0 {
				t.Skip()
			}
			i := rapid.IntRange(0, len(ls)-1).Draw(t, "letter")
			n, err := o.Retry([]uint64{ls[i].Seq})
			if err != nil {
				t.Fatal(err)
			}
			d := ls[i].Delivery
			if want := d.Sink != "gone"; (n == 1) != want {
				t.Fatalf("%d letters to %s are tried again", n, d.Sink)
			}
			if n == 1 {
				m.waits[d.Sink] = append(m.waits[d.Sink], entry{d.Identity(), d.Repeat})
				m.letters = slices.Delete(m.letters, i, i+1)
			}
		},
		"purge": func(t *rapid.T) {
			ls, err := o.DeadLetters(0, 1)
			if err != nil || len(ls) == 0 {
				t.Skip()
			}
			if n, err := o.Purge([]uint64{ls[0].Seq, ls[0].Seq}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			m.letters = m.letters[1:]
		},
		"open anew": func(t *rapid.T) {
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			o = reopen(t, log, opts, sinks)
		},
		"carry": func(t *rapid.T) {
			if len(o.extents) == 0 {
				t.Skip()
			}
			o.writing.Lock()
			defer o.writing.Unlock()
			if err := o.carry(o.extents[0], keepAll); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "whole") {
				if err := o.carryIDs(o.extents[0]); err != nil {
					t.Fatal(err)
				}
				o.pop()
				if err := o.truncate(); err != nil {
					t.Fatal(err)
				}
			}
		},
		"": func(t *rapid.T) { m.compare(t, o, sinks) },
	})
}

func reopen(t *rapid.T, log Log, opts Options, sinks []string) *Outbox {
	o, err := New(log, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Sinks(sinks); err != nil {
		t.Fatal(err)
	}
	return o
}

// drawMessage returns a change of one of a few alerts, or an event.
func drawMessage(t *rapid.T, sinks []string, again bool, fresh *int) notify.Message {
	id := fmt.Sprint(rapid.IntRange(0, 200).Draw(t, "id"))
	if !again {
		*fresh++
		id = fmt.Sprint(*fresh)
	}
	to := rapid.SliceOfNDistinct(rapid.SampledFrom(sinks), 0, 3, rapid.ID[string]).Draw(t, "to")
	if rapid.Bool().Draw(t, "event") {
		return notify.Emitted(alerting.Derived{KnownID: id, To: to})
	}
	alert := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "alert")
	return notify.Changed(alerting.Transition{
		ID: id, Fingerprint: alert, Change: alerting.Change(rapid.IntRange(1, 2).Draw(t, "change")), To: to, Repeat: time.Hour,
	})
}

func (m *model) append(msg notify.Message) {
	id, to := msg.Identity(), msg.Sinks()
	if m.known[id] || len(to) == 0 && (msg.Transition == nil || m.firing[msg.Transition.Fingerprint] == "") {
		return
	}
	m.known[id] = true
	told := false
	for _, s := range to {
		if s == "gone" {
			m.letters = append(m.letters, fmt.Sprintln(s, id, 0, notify.ReasonUnknownSink))
			continue
		}
		told = true
		m.waits[s] = append(m.waits[s], entry{id, 0})
	}
	if t := msg.Transition; t != nil {
		delete(m.firing, t.Fingerprint)
		if t.Change == alerting.Raised && told {
			m.firing[t.Fingerprint] = id
		}
	}
}

func (m *model) compare(t *rapid.T, o *Outbox, sinks []string) {
	for _, s := range sinks {
		var got []entry
		for after := uint64(0); ; {
			es, err := o.Read(s, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(es) == 0 {
				break
			}
			for _, e := range es {
				got = append(got, entry{e.Identity(), e.Repeat})
			}
			after = es[len(es)-1].Seq
		}
		if diff := cmp.Diff(m.waits[s], got, cmp.AllowUnexported(entry{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("sink %s (-want +got):\n%s", s, diff)
		}
		if got, want := o.Pending(s), len(m.waits[s]); got != want {
			t.Fatalf("sink %s: %d wait, want %d", s, got, want)
		}
	}
	ls, err := o.DeadLetters(0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range ls {
		got = append(got, fmt.Sprintln(l.Delivery.Sink, l.Delivery.Identity(), l.Delivery.Repeat, l.Reason))
	}
	if diff := cmp.Diff(m.letters, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("dead letters (-want +got):\n%s", diff)
	}
	if got, want := o.Stats().Firing, len(m.firing); got != want {
		t.Fatalf("%d alerts fire, want %d", got, want)
	}
}
