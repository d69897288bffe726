package scenario

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestResult is what came of one test of a rule file.
type TestResult struct {
	Test *rules.Test
	// Rows are what was expected and what happened, side by side, by time.
	Rows []TestRow
	// Refused are events of the test that the engine did not take, and why.
	Refused []string
	// Traces say what the rules and keys of rows that differ did, event by
	// event.
	Traces []TestTrace

	run *testRun
}

// TestRow is an expectation and what fulfils it. One of the two is nil where
// nothing happened, or nothing was expected.
type TestRow struct {
	At       event.Duration
	Expected *rules.Expect
	Got      *Outcome
	Differs  []string // what of Got is not as Expected names it: "key", "summary", "label site"
}

// OK reports whether what was expected happened.
func (r *TestRow) OK() bool { return r.Expected != nil && r.Got != nil && len(r.Differs) == 0 }

// Outcome is a change of an alert, or a derived event.
type Outcome struct {
	At      event.Duration // since the start of the test
	Rule    string
	What    string // "raised", "cleared" or "emitted"
	Key     event.Value
	KeyText string
	Labels  []alerting.Label
	Summary string
	Reason  string
	Emit    []event.Entry
	To      []string // the sinks that it goes to
	ToAll   bool     // it goes to every sink, whatever they are
}

// TestTrace is what one rule did.
type TestTrace struct {
	Rule string
	Key  string // empty: for all keys
	Text string
}

// Passed reports whether everything was as expected.
func (r *TestResult) Passed() bool {
	for i := range r.Rows {
		if !r.Rows[i].OK() {
			return false
		}
	}
	return len(r.Refused) == 0
}

// RunTest runs one test of a rule set on an engine of its own, in virtual time:
// events come in the order of their arrival, and event time then moves to the
// end of the test.
func RunTest(set *rules.Set, t *rules.Test) (*TestResult, error) {
	run, err := newTestRun(set, t)
	if err != nil {
		return nil, err
	}
	r := &TestResult{Test: t, run: run}
	got, refused, err := run.outcomes()
	if err != nil {
		return nil, err
	}
	r.Refused = refused
	r.Rows = compare(t.Expect, got)
	if r.Passed() {
		return r, nil
	}
	r.Traces, err = run.traces(r.Rows)
	return r, err
}

// testRun is a test as records of a log.
type testRun struct {
	set      *rules.Set
	test     *rules.Test
	standIns map[string]engine.StandIn
	events   []rules.TestEvent // in the order of their arrival
	records  []event.Record    // what brings the rules, then the events, then the end
	times    []event.Time      // when the event of each record happened
	end      event.Time
}

func newTestRun(set *rules.Set, t *rules.Test) (*testRun, error) {
	set = set.For(t)
	r := &testRun{set: set, test: t, standIns: map[string]engine.StandIn{}}
	r.add(event.Record{Kind: event.KindRuleSet, Payload: []byte(set.Hash)})
	streams := map[string]*testStream{}
	r.events = t.All()
	for _, s := range set.Streams {
		given := slices.ContainsFunc(r.events, func(e rules.TestEvent) bool { return e.Stream == s.Name })
		if s.Producer == "" && (given || s.LateOf == nil) { // late events that a test does not give have the time of their stream
			// Every source is up from the start, as in production.
			r.standIns[s.Name] = engine.StandIn{Stream: s.Name, Format: "json", Time: r.time}
			r.add(event.Record{Kind: event.KindSourceUp, Source: s.Name, Arrival: rules.TestStart})
			streams[s.Name] = newTestStream(s)
		}
	}
	for _, e := range r.events {
		s := streams[e.Stream]
		if s == nil {
			return nil, fmt.Errorf("test %s: there is no stream %s", t.Name, e.Stream)
		}
		r.add(s.record(e))
		r.times[len(r.times)-1] = rules.TestStart.Add(e.At)
	}
	// What asks for steadiness is due only when its time has passed, and each
	// level of rules is one smallest unit behind the one below: so that all that
	// is due at the end is decided, event time goes just beyond it.
	r.end = rules.TestStart.Add(t.End())
	r.add(event.Record{Kind: event.KindEnd, Arrival: r.end.Add(event.Duration(1 + set.Levels))})
	return r, nil
}

func (r *testRun) add(rec event.Record) {
	rec.Pos = event.Position{Seq: uint64(len(r.records) + 1)}
	r.records = append(r.records, rec)
	r.times = append(r.times, rec.Arrival)
}

// position returns that of an event, by its number.
func (r *testRun) position(i int) event.Position {
	return r.records[len(r.records)-1-len(r.events)+i].Pos // the last record is the end
}

// time returns when the event of a record happened.
func (r *testRun) time(at event.Position) event.Time { return r.times[at.Seq-1] }

// testStream makes messages of a stream's events.
type testStream struct {
	name  string
	time  string   // the field that holds the event's time, where `time` is just that
	topic string   // as a template; empty for none
	names []string // of what the topic captures
}

func newTestStream(s *rules.Stream) *testStream {
	out := &testStream{name: s.Name}
	if s.Time != nil {
		if name, ok := strings.CutPrefix(strings.TrimSpace(s.Time.Source()), "e."); ok {
			if t, ok := s.Schema.Lookup(name); ok && (t == event.TypeTimestamp || t == event.TypeAny || t == event.TypeString) {
				out.time = name
			}
		}
	}
	if s.Topic != nil {
		out.topic, out.names = s.Topic.String(), s.Topic.Names()
	}
	return out
}

// record returns the message of an event. The field that its time would be read
// from, and the topic that fields would be captured from, are filled in, so
// that rules can read them.
func (s *testStream) record(e rules.TestEvent) event.Record {
	at := rules.TestStart.Add(e.At)
	fields := e.Fields
	if s.time != "" && !slices.ContainsFunc(fields, func(f event.Entry) bool { return f.Name == s.time }) {
		fields = append(slices.Clip(fields), event.Entry{Name: s.time, Value: event.Timestamp(at)})
	}
	return event.Record{
		Kind: event.KindMessage, Source: s.name, Arrival: rules.TestStart.Add(e.Arrives), Topic: s.fill(e.Fields),
		Payload: event.AppendObject(nil, fields),
	}
}

// fill returns the topic with what it captures, empty if the event does not
// have all of that.
func (s *testStream) fill(fields []event.Entry) string {
	topic := s.topic
	for _, name := range s.names {
		i := slices.IndexFunc(fields, func(f event.Entry) bool { return f.Name == name })
		if i < 0 {
			return ""
		}
		text := fields[i].Value.Text()
		topic = strings.ReplaceAll(strings.ReplaceAll(topic, "{"+name+"}", text), "{"+name+"...}", text)
	}
	return topic
}

func (r *testRun) engine(tracer engine.Tracer) *engine.Engine {
	return engine.New(engine.Config{
		Load:     func(string) (*rules.Set, error) { return r.set, nil },
		StandIns: r.standIns,
		Emitted:  slices.ContainsFunc(r.test.Expect, func(x *rules.Expect) bool { return x.Alert == "" }),
		Tracer:   tracer,
	})
}

// tell runs the records, one by one, so that a tracer hears of each in order.
func (r *testRun) tell(tracer engine.Tracer) {
	e := r.engine(tracer)
	for i := range r.records {
		e.Step(engine.Input{Records: r.records[i : i+1]})
	}
}

// outcomes runs the records and returns what happened, by time, rule and key.
func (r *testRun) outcomes() (got []*Outcome, refused []string, err error) {
	out := r.engine(nil).Step(engine.Input{Records: r.records})
	if out.Reload != nil && out.Reload.Err != nil {
		return nil, nil, out.Reload.Err
	}
	for _, x := range out.Rejects {
		if x.Reason == "max_future" {
			continue // no event without `arrives` is: it was meant
		}
		refused = append(refused, fmt.Sprintf("the event of %s at %s is none: %v", x.Stream, since(r.time(x.Position)), x.Err))
	}
	for i := range out.Transitions {
		if t := &out.Transitions[i]; t.Time <= r.end {
			got = append(got, changeOf(t))
		}
	}
	for i := range out.Emitted {
		if d := &out.Emitted[i]; d.Time <= r.end && r.expectsEmit(d.Rule) {
			got = append(got, derivedOf(d))
		}
	}
	slices.SortStableFunc(got, func(a, b *Outcome) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.KeyText, b.KeyText))
	})
	return got, refused, nil
}

// expectsEmit reports whether the test says what a rule emits.
func (r *testRun) expectsEmit(rule string) bool {
	return slices.ContainsFunc(r.test.Expect, func(x *rules.Expect) bool { return x.Rule == rule && x.Alert == "" })
}

func changeOf(t *alerting.Transition) *Outcome {
	o := &Outcome{
		At: t.Time.Sub(rules.TestStart), Rule: t.Rule, What: t.Change.String(),
		Key: alerting.KeyValue(t.Key, t.KeyNames), KeyText: event.KeyText(t.Key),
		Labels: t.Labels, Summary: t.Summary, Reason: t.Reason,
	}
	if !t.Shadow { // of which no sink is told
		o.To, o.ToAll = t.To, len(t.To) == 0
	}
	return o
}

func derivedOf(d *alerting.Derived) *Outcome {
	return &Outcome{
		At: d.Time.Sub(rules.TestStart), Rule: d.Rule, What: emitted,
		Key: alerting.KeyValue(d.Key, d.KeyNames), KeyText: event.KeyText(d.Key), Emit: d.Fields, To: d.To,
	}
}

// emitted is the [Outcome.What] of a derived event.
const emitted = "emitted"

// since prints a time as tests do, counted from their start.
func since(t event.Time) string { return event.FormatDuration(t.Sub(rules.TestStart)) }

// maxTraces bounds the rules and keys whose traces a failing test shows.
const maxTraces = 4

// traces explains the rows that differ, once for each rule and key, up to the
// last of them that is the rule's.
func (r *testRun) traces(rows []TestRow) ([]TestTrace, error) {
	var out []TestTrace
	until := map[string]event.Duration{}
	keyed := map[string]bool{} // rules of which something happened that differs: its keys are shown, and not all
	for i := range rows {
		if row := &rows[i]; !row.OK() && row.Got != nil {
			keyed[row.rule()] = true
		}
	}
	for i := range rows {
		row := &rows[i]
		if row.OK() {
			continue
		}
		t := TestTrace{Rule: row.rule()}
		until[t.Rule] = max(until[t.Rule], row.At)
		if row.Got != nil {
			t.Key = row.Got.KeyText
		} else if t.Key = r.keyText(row.Expected); t.Key == "" && keyed[t.Rule] {
			continue
		}
		if !slices.Contains(out, t) && len(out) < maxTraces {
			out = append(out, t)
		}
	}
	for i := range out {
		t := &out[i]
		var err error
		if t.Text, err = r.trace(t.Rule, t.Key, until[t.Rule]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// left runs the test again and returns which events were left out, and why.
func (r *testRun) left() map[event.Position]engine.Left {
	x := &leftEvents{explainer{rule: &rules.Rule{}, w: io.Discard}, map[event.Position]engine.Left{}}
	r.tell(x)
	return x.found
}

// leftEvents remembers which events were left out.
type leftEvents struct {
	explainer // of no rule: it says nothing
	found     map[event.Position]engine.Left
}

// LeftOut implements [engine.Tracer].
func (x *leftEvents) LeftOut(_ string, e *event.Event, why engine.Left) { x.found[e.Pos] = why }

// keyText returns the text of the key that an expectation names, empty if it
// does not name all of it.
func (r *testRun) keyText(x *rules.Expect) string {
	if x.Key.Kind() != event.KindMap {
		if x.Key.IsMissing() || x.Key.Kind() == event.KindNull {
			return ""
		}
		return x.Key.Text()
	}
	rule, err := findRule(r.set, x.Rule)
	if err != nil {
		return ""
	}
	texts := make([]string, len(rule.KeyNames))
	for i, name := range rule.KeyNames {
		v := x.Key.Field(name)
		if v.IsMissing() {
			return ""
		}
		texts[i] = v.Text()
	}
	return strings.Join(texts, "/")
}

// trace runs the test again and returns what a rule did up to a time.
func (r *testRun) trace(rule, key string, until event.Duration) (string, error) {
	found, err := findRule(r.set, rule)
	if err != nil {
		return fmt.Sprintf("rule %s is off\n", rule), nil
	}
	var b strings.Builder
	x := &explainer{rule: found, key: key, w: &b, time: since, until: rules.TestStart.Add(until)}
	r.tell(x)
	if b.Len() == 0 {
		return "it saw no event\n", nil
	}
	return b.String(), nil
}
