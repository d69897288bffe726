package window_test

import (
	"fmt"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/window"
)

// The mean of the last minute, every thirty seconds.
func Example() {
	const second = event.Time(1e9)
	spec, issues := window.Compile(window.Options{
		Assigner:   window.Assigner{Kind: window.Sliding, Size: 60e9, Every: 30e9},
		Aggregates: []window.Aggregate{{Kind: window.Count}, {Kind: window.Avg}},
	})
	if issues != nil {
		fmt.Println(issues)
		return
	}
	fmt.Println(spec)
	state := window.NewState(spec)
	var out window.Out
	print := func() {
		for _, r := range out.Results {
			fmt.Println(r.Start, r.End, r.Values[0].AsInt(), r.Values[1].AsDouble())
		}
		out.Reset()
	}
	for i, t := range []event.Time{10 * second, 40 * second, 70 * second} {
		state.Advance(t, &out) // answers what ends at t or before
		print()
		state.Add(t, t, event.Position{Seq: uint64(i + 1)}, []event.Value{event.Bool(true), event.Int(int64(i))}, &out)
		print() // only late events, and windows of a number of events, are answered here
	}
	state.Advance(event.MaxTime, &out)
	print()
	// Output:
	// sliding 1m every 30s: count, avg
	// 1969-12-31T23:59:30Z 1970-01-01T00:00:30Z 1 0
	// 1970-01-01T00:00:00Z 1970-01-01T00:01:00Z 2 0.5
	// 1970-01-01T00:00:30Z 1970-01-01T00:01:30Z 2 1.5
	// 1970-01-01T00:01:00Z 1970-01-01T00:02:00Z 1 2
}
