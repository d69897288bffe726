package rules

import (
	"testing"
	"time"
)

const testedRules = `streams:
  telemetry: {fields: {device: string, temperature: double}}
rules:
  - name: too-hot
    from: telemetry
    by: e.device
    when: e.temperature > 80
    for: 1m
    alert: {summary: hot}
`

const testsOfRules = `tests:
  - name: hot for a minute
    series: {set: {device: p1}, start: 5s, every: 30s, temperature: 70 90x3 _x2}
    until: 10m
    expect: [{at: 1m35s, rule: too-hot, alert: raised, key: p1}]
`

func loadTests(t *testing.T, files ...File) *Set {
	t.Helper()
	set, report := Load(files, Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	return set
}

// TestTestsChangeNoRule checks that tests are a part of the set's hash, and of
// no rule's shape: to change them restarts nothing.
func TestTestsChangeNoRule(t *testing.T) {
	with := loadTests(t, File{"a.yaml", []byte(testedRules + testsOfRules)})
	without := loadTests(t, File{"a.yaml", []byte(testedRules)})
	if with.Hash == without.Hash {
		t.Error("tests are not in the hash")
	}
	if with.Rules[0].Shape != without.Rules[0].Shape {
		t.Error("tests change a rule's shape")
	}
	if len(without.Tests) != 0 || len(with.Tests) != 1 {
		t.Errorf("%d and %d tests", len(without.Tests), len(with.Tests))
	}
}

// TestTestsOfFile checks that tests may be of rules and the only stream of
// other files, and what is read of them.
func TestTestsOfFile(t *testing.T) {
	set := loadTests(t, File{"rules.yaml", []byte(testedRules)}, File{"tests.yaml", []byte(testsOfRules)})
	x := set.Tests[0]
	if x.File != "tests.yaml" || x.Line != 2 || x.Until != 10*time.Minute || x.End() != 10*time.Minute {
		t.Errorf("got %+v", x)
	}
	events := x.All()
	if len(events) != 5 || events[0].Stream != "telemetry" || events[0].At != 5*time.Second || events[4].At != 125*time.Second {
		t.Errorf("got %+v", events)
	}
	x.Until = 0
	if x.End() != 125*time.Second { // missing samples at the end are no events
		t.Errorf("ends at %v", x.End())
	}
	if again := x.All(); len(again) != len(events) || &again[0] == &events[0] {
		t.Error("events are not made anew")
	}
}
