package scenario

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sinkRules = `
streams:
  t: {time: e.ts, fields: {ts: timestamp, d: string, x: double}}
rules:
  - {name: hot, from: t, by: e.d, when: e.x > 80, alert: {summary: hot, to: [ops, chat]}}
  - {name: cold, from: t, by: e.d, when: e.x < 0, alert: {summary: cold}}
  - {name: tried, from: t, by: e.d, when: e.x > 80, mode: shadow, alert: {summary: tried, to: ops}}
  - {name: all, from: t, by: e.d, emit: {x: e.x}, emit_to: warehouse}
  - {name: few, from: all, where: e.x > 80, emit: {x: e.x}}
tests:
  - name: sinks
    series: {set: {d: p1}, every: 10s, x: 90 -1}
    expect:
`

// TestSinks: a test says to which sinks an alert or an event goes.
func TestSinks(t *testing.T) {
	const right = `
      - {at: 0s, rule: hot, alert: raised, to: [chat, ops]}
      - {at: 0s, rule: tried, alert: raised, to: []}
      - {at: 0s, rule: all, emit: {x: 90}, to: warehouse}
      - {at: 0s, rule: few, emit: {x: 90}, to: []}
      - {at: 10s, rule: hot, alert: cleared, to: [ops, chat]}
      - {at: 10s, rule: tried, alert: cleared}
      - {at: 10s, rule: cold, alert: raised}
      - {at: 10s, rule: all, emit: {x: -1}}
`
	passes(t, "right.yaml", sinkRules+right)

	wrong := strings.NewReplacer("to: [chat, ops]", "to: chat", "rule: cold, alert: raised", "rule: cold, alert: raised, to: ops", "to: []", "to: ops").Replace(right)
	rep := runAll(t, loadSet(t, "wrong.yaml", sinkRules+wrong))
	var got bytes.Buffer
	for i := range rep.Results[0].Rows {
		if row := &rep.Results[0].Rows[i]; !row.OK() {
			for _, l := range row.lines() {
				got.WriteString(strings.TrimSpace(l.mark+" "+l.left+" | "+l.right) + "\n")
			}
		}
	}
	want := `~ 0s  few emitted | 0s  few emitted
to: ops |   to: no sink
~ 0s  hot raised | 0s  hot raised  p1
to: chat |   to: ops, chat
~ 0s  tried raised | 0s  tried raised  p1
to: ops |   to: no sink
~ 10s  cold raised | 10s  cold raised  p1
to: ops |   to: every sink: the rule has no ` + "`to`\n"
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
}
