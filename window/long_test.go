package window

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/cepd/cepd/event"
)

// TestLongWindow slides a window of 360 panes over numbers of very different
// sizes and compares each answer with one computed from all values. Sums must
// not drift, whatever large numbers have passed through the window.
func TestLongWindow(t *testing.T) {
	spec := compile(t, Options{Assigner: Assigner{Kind: Sliding, Size: 3600e9, Every: 10e9},
		Aggregates: aggregates(Sum, Avg, Min, Max, Stddev, Slope, Median, Rate)})
	rng := rand.New(rand.NewPCG(5, 6))
	s := NewState(spec)
	var all []timed
	var out Out
	answers := 0
	for at := event.Time(0); at < 3*3600*second; at += event.Time(rng.IntN(60)) * second {
		out.Reset()
		s.Advance(at, &out)
		for _, r := range out.Results {
			answers++
			var in []timed
			for _, v := range all {
				if r.Start <= v.t && v.t < r.End {
					in = append(in, v)
				}
			}
			for k, a := range spec.Aggregates {
				want, reason := obvious(a, in)
				got := r.Values[k]
				if r.Reasons[k] != reason || reason == 0 && math.Abs(got.AsDouble()-want.AsDouble()) > 1e-9*math.Abs(want.AsDouble()) {
					t.Fatalf("%v of [%v, %v) is %v (%v), want %v (%v)", a, r.Start, r.End, got.Text(), r.Reasons[k], want.Text(), reason)
				}
			}
		}
		x := math.Exp(rng.Float64()*40 - 20)
		all = append(all, timed{at, event.Double(x)})
		args := make([]event.Value, len(spec.Aggregates))
		for k := range args {
			args[k] = event.Double(x)
		}
		s.Add(at, at, event.Position{Seq: 1}, args, &out)
	}
	if answers < 1000 {
		t.Errorf("only %d answers", answers)
	}
}
