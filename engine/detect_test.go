package engine

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// judgeSeries runs a rule with a detector over rows of named values, a minute
// apart, and returns what came out.
func judgeSeries(t *testing.T, rule string, rows []map[string]float64) Output {
	t.Helper()
	text := "streams: {t: {source: in, time: e.ts, watermark: {lag: 0s}}}\nrules:\n  - {name: odd, from: t, " + rule + "}\n"
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(text)}}, rules.Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	start := mustTime(t, "2026-03-02T00:00:00Z")
	records := []event.Record{{Kind: event.KindRuleSet}}
	for i, row := range rows {
		at := start.Add(event.Duration(i) * 60e9)
		payload := fmt.Appendf(nil, `{"ts":"%s"`, at)
		for _, name := range slices.Sorted(func(yield func(string) bool) {
			for name := range row {
				if !yield(name) {
					return
				}
			}
		}) {
			payload = fmt.Appendf(payload, `,"%s":%g`, name, row[name])
		}
		records = append(records, event.Record{Kind: event.KindMessage, Source: "in", Arrival: at, Payload: append(payload, '}')})
	}
	for i := range records {
		records[i].Pos = event.Position{Seq: uint64(i + 1)}
	}
	e := New(Config{Emitted: true, Load: func(string) (*rules.Set, error) { return set, nil }})
	return e.Step(Input{Records: records})
}

// field returns a field of what was emitted or kept; missing where it is not there.
func field(fields []event.Entry, name string) event.Value {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return event.Missing
}

// noisy returns n values around a level.
func noisy(n int, level float64, name string) []map[string]float64 {
	rng := rand.New(rand.NewSource(1))
	rows := make([]map[string]float64, n)
	for i := range rows {
		rows[i] = map[string]float64{name: math.Round(100*(level+0.1*rng.NormFloat64())) / 100}
	}
	return rows
}

// TestDetectEvidence: the alert's evidence says what was judged, why, and which
// members of the ensemble saw what.
func TestDetectEvidence(t *testing.T) {
	rows := noisy(1000, 5, "x")
	rows[990]["x"] = 50
	out := judgeSeries(t, `detect: {value: e.x}, alert: {summary: "${value} ${expected} ${reason}"}`, rows)
	if len(out.Transitions) != 2 || out.Transitions[0].Change != alerting.Raised || out.Transitions[1].Change != alerting.Cleared {
		t.Fatalf("got %d changes, want a raise and a clear: %+v", len(out.Transitions), out.Transitions)
	}
	raised := out.Transitions[0]
	if len(raised.Evidence) != 2 || raised.Evidence[1].Name != "detect" {
		t.Fatalf("evidence: %+v", raised.Evidence)
	}
	e := raised.Evidence[1].Events[0]
	slot := func(i int) event.Value { return e.Slots[i] }
	if v := slot(rules.DetValue).AsDouble(); v != 50 && v != rows[991]["x"] && v != rows[992]["x"] {
		t.Errorf("value %v", v)
	}
	if slot(rules.DetScore).AsDouble() < 0.999 || !slot(rules.DetAnomaly).AsBool() {
		t.Errorf("score %v, anomaly %v", slot(rules.DetScore), slot(rules.DetAnomaly))
	}
	if !strings.Contains(slot(rules.DetReason).AsString(), "50") {
		t.Errorf("reason %q", slot(rules.DetReason).AsString())
	}
	if members := slot(rules.DetMembers).AsList(); len(members) < 1 || !strings.Contains(raised.Summary, slot(rules.DetReason).AsString()) {
		t.Errorf("members %v, summary %q", members, raised.Summary)
	}
}

// TestDetectSeveral: channels that stop to go together are an anomaly, and the
// alert says which one is to blame.
func TestDetectSeveral(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	rows := make([]map[string]float64, 600)
	for i := range rows {
		a := 10 + 5*math.Sin(float64(i)/20)
		rows[i] = map[string]float64{"flow": a + 0.1*rng.NormFloat64(), "power": 3*a + 0.1*rng.NormFloat64(), "bar": 2 + 0.1*rng.NormFloat64()}
	}
	for i := 500; i < 520; i++ {
		rows[i]["bar"] = 4
	}
	delete(rows[100], "flow") // a channel that is missing keeps its last value
	for _, method := range []string{"auto", "t2"} {
		out := judgeSeries(t, `detect: {value: [e.flow, e.power, e.bar], method: `+method+`}, alert: {summary: "${channel}"}`, rows)
		raised := slices.IndexFunc(out.Transitions, func(tr alerting.Transition) bool {
			return tr.Change == alerting.Raised && tr.Summary == "bar" && tr.Position.Seq >= 502 && tr.Position.Seq < 525
		})
		if raised < 0 {
			t.Errorf("%s: no alert says that bar is to blame: %+v", method, out.Transitions)
		}
	}
}

// TestDetectCalm: what is usual is not learned while the rule's alert fires, also
// where its condition is not the detector's own.
func TestDetectCalm(t *testing.T) {
	rows := noisy(400, 5, "x")
	for i := 300; i < 340; i++ {
		rows[i]["x"]++ // not enough for the detector
	}
	expected := func(learn, when string) float64 {
		out := judgeSeries(t, `detect: {value: e.x, method: ewma, learn: `+learn+`, with: {alpha: 0.2, threshold: 0.99999999}}, when: `+when+
			`, emit: {expected: expected}, alert: {}`, rows[:340])
		var last float64
		for _, d := range out.Emitted {
			last, _ = field(d.Fields, "expected").Number()
		}
		return last
	}
	if got := expected("calm", "value > 5.5"); got > 5.3 { // the value that raised it was learned
		t.Errorf("calm: expected %v while the alert fires, want what was before", got)
	}
	if got := expected("always", "value > 5.5"); got < 5.9 {
		t.Errorf("always: expected %v, want what is now", got)
	}
}

// TestDetectWarmup: there is no verdict before `warmup` is over, and none from
// values that are no numbers.
func TestDetectWarmup(t *testing.T) {
	rows := noisy(300, 5, "x")
	rows[200]["x"], rows[250]["x"] = 50, 50
	out := judgeSeries(t, `detect: {value: e.x, method: range, with: {high: 10}, warmup: 4h}, alert: {}`, rows)
	if len(out.Transitions) == 0 || out.Transitions[0].Position.Seq != 252 {
		t.Errorf("got %+v, want the first alert at the second spike", out.Transitions)
	}
	for i := range rows {
		delete(rows[i], "x")
	}
	out = judgeSeries(t, `detect: {value: e.x}, emit: {score: score}, alert: {}`, rows)
	if len(out.Transitions)+len(out.Emitted) != 0 || len(out.Stats.EvalErrors) != 0 {
		t.Errorf("without values: %+v", out)
	}
}
