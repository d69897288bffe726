package rules

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWaits: what a rule over several streams waits for, also by way of others.
func TestWaits(t *testing.T) {
	set, report := Load([]File{{"rules.yaml", []byte(`
streams:
  a: {time: e.ts}
  b: {time: e.ts, watermark: {idle: 2m}}
  k: {time: e.ts, watermark: {per: key}, late: l}
  l:
  clocked: {}
rules:
  - {name: one, from: a, emit: {x: e.x}}
  - {name: with-clocked, from: [a, clocked], emit: {x: e.x}}
  - {name: two, from: [a, b], by: e.x, emit: {x: e.x}}
  - {name: derived, from: [one, two], by: e.x, emit: {x: e.x}}
  - {name: keys, from: [k, b], by: e.x, emit: {y: e.y}}
  - {name: after-keys, from: [keys, a], by: e.y, emit: {y: e.y}}
  - {name: silent, from: [k, a], by: e.x, absent: {for: 1m}, emit: {x: e.x}}
`)}}, Options{})
	if !report.OK() {
		t.Fatal(report)
	}
	got := map[string][]Wait{}
	for _, r := range set.Rules {
		got[r.Name] = set.Waits(r)
	}
	a, b := Wait{Stream: "a", For: 30 * time.Second}, Wait{Stream: "b", For: 2 * time.Minute}
	want := map[string][]Wait{
		"one": nil, "with-clocked": nil, "two": {a, b}, "derived": {a, b},
		"keys":       {b, {Stream: "k", PerKey: true}},
		"after-keys": {a, {Stream: "keys", For: 30 * time.Second}},
		"silent":     {a, {Stream: "k", For: 30 * time.Second}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
