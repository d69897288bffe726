package bench

import (
	"fmt"
	"strings"
)

const tradeStream = `
streams:
  trades:
    time: e.ts
    watermark: {lag: 0s}
    fields: {ts: timestamp, id: int, kind: string, name: string, volume: int, price: double}
rules:
`

// GuardedRules returns a file of n rules, each about the trades of one name.
func GuardedRules(n int) string {
	var b strings.Builder
	b.WriteString(tradeStream)
	for i := range n {
		fmt.Fprintf(&b, "  - {name: r%d, from: trades, by: e.name, when: 'e.name == \"S%s\" && e.price > 1000000.0', alert: {summary: \"${e.price}\"}}\n", i, pad(i, 2))
	}
	return b.String()
}
