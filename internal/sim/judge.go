package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state"
)

// rulesBefore and rulesAfter are the rules of every life: of each kind one. The
// rule on heartbeats goes by the clock of arrival, which a crash moves; all
// others by the times of events.
const rulesBefore = `
streams:
  telemetry: {source: plant, topic: "t/{device}", time: e.ts, watermark: {lag: 5s, idle: 0s}, fields: {n: int, ts: timestamp, temp: double, vib: double}}
  beats: {source: plant, topic: "beat/{device}", fields: {n: int}}
rules:
  - name: hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    clear: e.temp < 75
    for: 2s
    alert: {summary: "${key} is at ${e.temp}"}
  - name: failing
    from: telemetry
    by: e.device
    pattern: hot -> shaking
    define: {hot: e.temp > 85, shaking: e.vib > 2}
    within: 20s
    alert: {summary: "${key} shakes at ${shaking.vib}"}
  - name: mean
    from: telemetry
    by: e.device
    window: {tumbling: 10s}
    when: avg(e.temp) > 80
    clear: avg(e.temp) < 80
    alert: {summary: "${key} was at ${avg(e.temp)}"}
  - name: over
    from: telemetry
    by: e.device
    when: e.temp > 95
    emit: {device: e.device, temp: e.temp}
    emit_to: ops
  - name: again
    from: over
    by: e.device
    when: e.temp > 98
    alert: {summary: "${key} is far over"}
  - name: mute
    from: beats
    by: e.device
    absent: {for: 20s}
    alert: {summary: "${key} is mute"}
`

var rulesAfter = strings.NewReplacer("e.temp > 80", "e.temp > 82", "name: failing", "name: falling").Replace(rulesBefore)

var texts = map[string]string{keep(rulesBefore): rulesBefore, keep(rulesAfter): rulesAfter}

// byClock is the rule that goes by the clock of arrival.
const byClock = "mute"

// ownAlerts begins the names of what goes by connections, which are others where
// nothing fails.
const ownAlerts = "cepd:"

// compiled returns rules by their hash. They are immutable, and compiled once.
var compiled = func() func(hash string) (*rules.Set, error) {
	var mu sync.Mutex
	sets := map[string]*rules.Set{}
	return func(hash string) (*rules.Set, error) {
		mu.Lock()
		defer mu.Unlock()
		if sets[hash] == nil {
			set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(texts[hash])}}, rules.Options{
				Own: &rules.Own{Sources: []string{"plant"}, SourceDown: 5 * time.Second},
			})
			if !report.OK() {
				return nil, errors.New(report.String())
			}
			sets[hash] = set
		}
		return sets[hash], nil
	}
}()

var sinkNames = []string{"log", "ops"}

// receiver is a sink that knows a delivery again by its id.
type receiver struct {
	seen   map[string]bool
	marked map[string]bool  // what is known, durably, to have been seen
	got    []notify.Message // each once, in the order in which they came first
}

func newReceiver() *receiver { return &receiver{seen: map[string]bool{}, marked: map[string]bool{}} }

// noted takes note of marks that are durable now.
func (w *world) noted(marks []confirmed) {
	for _, c := range marks {
		w.sinks[c.sink].marked[c.id] = true
	}
}

// Notify is never called: the simulation delivers by itself.
func (r *receiver) Notify(context.Context, notify.Delivery) error {
	return errors.New("the dispatcher does not run")
}

func (r *receiver) take(d notify.Delivery) {
	if !r.seen[d.ID] {
		r.seen[d.ID] = true
		r.got = append(r.got, d.Message)
	}
}

// remember takes note of a record that is in the log.
func (w *world) remember(r event.Record) {
	w.shadow = append(w.shadow, r)
	for i := range w.story {
		if m := &w.story[i]; r.Kind == event.KindMessage && m.payload == string(r.Payload) && m.topic == r.Topic {
			w.logged[m.id] = true
		}
	}
}

// recovered looks at what a process has found on the disk: the log has all that
// it had, and the newest snapshot is what its records come to.
func (w *world) recovered(p *process) error {
	w.log("recovered %s to %s", p.log.First(), p.log.Last())
	if w.logID == "" {
		w.logID = p.log.ID()
	}
	if p.log.ID() != w.logID && len(w.shadow) > 0 {
		return fmt.Errorf("the log was %s and is %s", w.logID, p.log.ID())
	}
	w.logID = p.log.ID()
	if int(p.log.Last().Seq) < len(w.shadow) {
		return fmt.Errorf("the log ends at %s, and had %d records", p.log.Last(), len(w.shadow))
	}
	err := p.log.Read(event.Position{}, func(r *event.Record) error {
		switch i := int(r.Pos.Seq) - 1; {
		case i == len(w.shadow):
			w.remember(*r)
		case i > len(w.shadow) || !equal(r, &w.shadow[i]):
			return fmt.Errorf("the record at %s was not what was appended: %+v", r.Pos, *r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	m, ok := p.store.Newest()
	if !ok {
		return nil
	}
	w.counts.restored++
	return w.compare(p.store, m)
}

func equal(a, b *event.Record) bool {
	return a.Pos == b.Pos && a.Kind == b.Kind && a.Flags == b.Flags && a.Arrival == b.Arrival && a.Conn == b.Conn &&
		a.Source == b.Source && a.Topic == b.Topic && bytes.Equal(a.Payload, b.Payload)
}

// reference judges records in one run without a failure.
func (w *world) reference(records []event.Record) (*engine.Engine, []notify.Message, error) {
	e := engine.New(engine.Config{LogID: w.logID, Load: compiled})
	if len(records) == 0 {
		return e, nil, nil
	}
	out := e.Step(engine.Input{Records: slices.Clone(records)})
	if out.Reload != nil && out.Reload.Err != nil {
		return nil, nil, out.Reload.Err
	}
	return e, notify.Messages(out.Transitions, out.Emitted), nil
}

// compare compares a snapshot with the state that the records up to its position
// come to.
func (w *world) compare(store *state.Store, m state.Marker) error {
	e, _, err := w.reference(w.shadow[:m.Position.Seq])
	if err != nil {
		return err
	}
	want := map[string]string{}
	for s, done := e.Snapshot(true), false; !done; {
		var rows []engine.Row
		rows, done = s.Next(1000)
		for _, r := range rows {
			want[string(r.Name)] = string(r.Value)
		}
	}
	for r, err := range store.Rows(m.Epoch) {
		if err != nil {
			return err
		}
		if value, ok := want[string(r.Name)]; !ok || value != string(r.Value) {
			return fmt.Errorf("the snapshot at %s has a row %q of %x; the records up to there give %x, %v", m.Position, r.Name, r.Value, value, ok)
		}
		delete(want, string(r.Name))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		return fmt.Errorf("the snapshot at %s has no row %q", m.Position, name)
	}
	return nil
}

// judge looks back at a whole life.
func (w *world) judge() error {
	for _, m := range w.story {
		if !w.logged[m.id] {
			return fmt.Errorf("message %d is lost", m.id)
		}
	}
	_, all, err := w.reference(w.shadow)
	if err != nil {
		return err
	}
	for _, name := range sinkNames {
		if err := w.judgeSink(name, all); err != nil {
			return fmt.Errorf("sink %s: %w", name, err)
		}
	}
	if w.counts.evicted > 0 { // what was dropped depends on when
		return nil
	}
	return w.judgeStory()
}

// judgeSink compares what a sink got with what the log comes to.
func (w *world) judgeSink(name string, all []notify.Message) error {
	want := map[string]string{}
	for _, m := range all {
		if m.Derived == nil || slices.Contains(m.Derived.To, name) {
			want[m.Identity()] = describe(m)
		}
	}
	firing := map[string]bool{}
	for _, m := range w.sinks[name].got {
		if strings.HasPrefix(m.Rule(), ownAlerts) {
			w.counts.own++
		}
		if want[m.Identity()] != describe(m) {
			return fmt.Errorf("got %s with the id %s, which is %q without a failure", describe(m), m.Identity(), want[m.Identity()])
		}
		delete(want, m.Identity())
		if t := m.Transition; t != nil {
			raised := t.Change == alerting.Raised
			if firing[t.Fingerprint] == raised {
				return fmt.Errorf("got %s out of turn", describe(m))
			}
			firing[t.Fingerprint] = raised
		}
	}
	for _, what := range slices.Sorted(maps.Values(want)) {
		return fmt.Errorf("never got %s", what)
	}
	return nil
}

// describe says what a message says, but for what depends on its place in the
// log.
func describe(m notify.Message) string {
	if d := m.Derived; d != nil {
		return fmt.Sprint(d.Rule, " ", event.KeyText(d.Key), " emitted at ", d.Time, " ", event.Map(d.Fields).Text())
	}
	t := m.Transition
	return fmt.Sprint(t.Rule, " ", event.KeyText(t.Key), " ", t.Change, " at ", t.Time, " ", t.Reason, " ", t.Summary)
}

// judgeStory compares what was told with what the messages come to, each once
// and in order, where nothing fails.
func (w *world) judgeStory() error {
	var records []event.Record
	add := func(r event.Record) {
		r.Pos = event.Position{Seq: uint64(len(records) + 1)}
		records = append(records, r)
	}
	add(event.Record{Kind: event.KindStart, Arrival: start})
	add(event.Record{Kind: event.KindRuleSet, Arrival: start, Payload: []byte(keep(rulesBefore))})
	add(event.Record{Kind: event.KindSourceUp, Arrival: start, Source: "plant", Conn: 1, Flags: event.FlagSession})
	for _, m := range w.story {
		if m.id == w.reload {
			add(event.Record{Kind: event.KindRuleSet, Arrival: m.at, Payload: []byte(keep(rulesAfter))})
		}
		add(event.Record{Kind: event.KindMessage, Arrival: m.at, Source: "plant", Conn: 1, Flags: 1, Topic: m.topic, Payload: []byte(m.payload)})
	}
	_, all, err := w.reference(records)
	if err != nil {
		return err
	}
	want, got := tales(all), tales(w.sinks["ops"].got)
	for what, n := range want {
		if got[what] != n {
			return fmt.Errorf("%q was told %d times, and is told %d times where nothing fails", what, got[what], n)
		}
	}
	for what := range got {
		if want[what] == 0 {
			return fmt.Errorf("%q was told, and is not told where nothing fails", what)
		}
	}
	return nil
}

// tales counts messages by what they say.
func tales(ms []notify.Message) map[string]int {
	out := map[string]int{}
	for _, m := range ms {
		if m.Rule() != byClock && !strings.HasPrefix(m.Rule(), ownAlerts) {
			out[describe(m)]++
		}
	}
	return out
}
