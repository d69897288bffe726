package engine

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/cepd/cepd/rules"
)

// blockedRules are rules over a stream whose keys have a time of their own and one
// without, for which those keys wait, and which keep few keys: which of them go
// depends on the order in which they are judged.
const blockedRules = `
streams:
  t: {source: in, topic: "p/{site}/{d}", time: e.ts, watermark: {lag: 1s, per: key IDLE}}
  w: {source: other, time: e.ts, watermark: {lag: 2s, idle: 20s}}
rules:
  - {name: few-runs, from: [t, w], by: e.k, pattern: a -> b, define: {a: {from: t, where: e.x > 40}, b: {from: t, where: e.x < 30}}, within: 9s, limits: {keys: 1}, timeout: {alert: {summary: "${a.x}"}}, emit: {x: b.x}, alert: {summary: "${a.x} ${b.x}"}}
  - {name: few-acks, from: [t, w], by: e.k, pattern: a -> !b, define: {a: {from: t, where: e.x > 60}, b: {from: w, where: e.x > 20}}, within: 5s, limits: {keys: 1}, alert: {summary: "${a.x}"}}
  - {name: more-acks, from: [t, w], by: e.k, pattern: a -> !b -> c, define: {a: {from: t, where: e.x > 50}, b: {from: w, where: e.x > 50}, c: {from: t, where: e.x > 20}}, within: 12s, limits: {keys: 1, idle: 9s}, alert: {summary: "${a.x}"}}
`

// TestBlockedKeys: the order in which keys go on that waited for a stream without
// keys does not depend on what was noted of them when, and so not on restarts.
func TestBlockedKeys(t *testing.T) {
	evicted := int64(0)
	for i := range int64(23) {
		seed := i
		if i >= 20 { // what came of keys that went on was due already, and waited for the next record
			seed = []int64{220, 332, 471}[i-20]
		}
		rng := rand.New(rand.NewSource(seed))
		var sets []*rules.Set
		idle := []string{"", ", idle: 8s"}[rng.Intn(2)]
		for i := range 3 {
			text := strings.ReplaceAll(blockedRules, " IDLE", idle)
			for range i {
				text = vary(rng, text)
			}
			set, report := rules.Load([]rules.File{{Name: "blocked.yaml", Data: []byte(text)}}, rules.Options{})
			if !report.OK() {
				t.Fatal(report)
			}
			sets = append(sets, set)
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			want := allAlike(t, sets, mixedStory(rng, sets, 300), rng)
			evicted += want.counts.Evictions.Total("")
		})
	}
	if evicted < 1000 {
		t.Errorf("%d keys were evicted; too few to say anything", evicted)
	}
}
