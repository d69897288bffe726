package rules

import (
	"cmp"
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// TestStart is the event time at which every test begins.
var TestStart = event.Time(946_684_800_000_000_000) // 2000-01-01T00:00:00Z

// Test is one entry of `tests` of a rule file: events, and what the rules make
// of them. Times are counted from [TestStart].
type Test struct {
	Name   string
	File   string // where it stands, for messages
	Line   int
	Series []*Series
	Events []TestEvent    // of `events`, as they are written
	Until  event.Duration // how far event time goes after the last event; 0: no further
	Expect []*Expect      // as they are written

	tables     map[string]*expr.Table // in place of those of the files
	tablesNode *node
	set        *Set // the rules over these tables, see [Set.For]
}

// Series makes events at equal distances.
type Series struct {
	Line    int
	Stream  string
	Start   event.Duration // of the first event
	Every   event.Duration
	Held    bool // all of it arrives together, at Arrives
	Arrives event.Duration
	Set     []event.Entry // fields that are the same in every event
	Fields  []SeriesField
}

// SeriesField is a field that has a sample for each event of its series.
type SeriesField struct {
	Name    string
	Samples Samples
}

// TestEvent is one event of a test. Fields are values as YAML and JSON have
// them: what a stream makes of them by their declared types is seen when the
// test runs.
type TestEvent struct {
	At      event.Duration
	Arrives event.Duration // At, where nothing else is written
	Stream  string
	Fields  []event.Entry
}

// Expect is one entry of `expect`: a change of an alert or, where Alert is
// empty, a derived event. What it does not name is missing or nil, and any
// value will do.
type Expect struct {
	Line    int
	At      event.Duration
	Rule    string
	Alert   string        // "raised" or "cleared"
	Key     event.Value   // of a key with several parts, a map of those that are named
	Labels  []event.Entry // whose values are texts
	Summary event.Value   // text
	Timeout event.Value   // true or false
	Emit    []event.Entry
	To      []string // sinks; nil: any, empty: none
}

// All returns the events of a test, those of its series among them, in the
// order in which they arrive. Those that arrive together come series first, each
// as they are written.
func (t *Test) All() []TestEvent {
	var out []TestEvent
	for _, s := range t.Series {
		out = append(out, s.Expand()...)
	}
	out = append(out, t.Events...)
	slices.SortStableFunc(out, func(a, b TestEvent) int { return cmp.Compare(a.Arrives, b.Arrives) })
	return out
}

// End returns the latest time of a test: of an event, of an arrival, or `until`.
func (t *Test) End() event.Duration {
	end := t.Until
	for _, s := range t.Series {
		for _, f := range s.Fields {
			for i := range f.Samples.All() {
				end = max(end, s.at(i), s.arrival(i))
			}
		}
	}
	for _, e := range t.Events {
		end = max(end, e.At, e.Arrives)
	}
	return end
}

func (s *Series) at(i int) event.Duration { return s.Start + event.Duration(i)*s.Every }

func (s *Series) arrival(i int) event.Duration {
	if s.Held {
		return s.Arrives
	}
	return s.at(i)
}

// Expand returns the events of a series. A sample makes one event together
// with those of the other fields at the same time; where all are missing,
// there is no event.
func (s *Series) Expand() []TestEvent {
	n := 0
	for _, f := range s.Fields {
		n = max(n, f.Samples.Len())
	}
	all := make([]TestEvent, n)
	size := len(s.Set) + len(s.Fields)
	for _, f := range s.Fields {
		for i, v := range f.Samples.All() {
			if all[i].Fields == nil {
				all[i] = TestEvent{At: s.at(i), Arrives: s.arrival(i), Stream: s.Stream, Fields: append(make([]event.Entry, 0, size), s.Set...)}
			}
			all[i].Fields = append(all[i].Fields, event.Entry{Name: f.Name, Value: v})
		}
	}
	return slices.DeleteFunc(all, func(e TestEvent) bool { return e.Fields == nil })
}
