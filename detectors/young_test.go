package detectors

import (
	"flag"
	"fmt"
	"math"
	"testing"

	"github.com/cepd/cepd/event"
)

var youngTable = flag.Bool("young", false, "print how auto does on short series, all steps and shapes")

// youngShapes are series without faults, in deviations of their noise. They wander
// with what they keep of the value before.
var youngShapes = []struct {
	name  string
	keeps float64
	next  func(i int, r *random) float64
}{
	{"noise", 0, func(_ int, r *random) float64 { return r.normal() }},
	{"season", 0, func(i int, r *random) float64 { return 6*math.Sin(2*math.Pi*float64(i)/48) + r.normal() }},
	{"heavy", 0, func(_ int, r *random) float64 { return r.normal() * math.Exp(0.5*r.normal()) }},
	{"wander", 0.9, func(_ int, r *random) float64 { return r.normal() }},
	{"constant", 0, func(_ int, _ *random) float64 { return 0 }},
	{"unit", 0, func(_ int, r *random) float64 { return math.Round(2*r.float()-1) / 100 }},
}

// youngFaults are what may happen then, in the same measure.
var youngFaults = []struct {
	name   string
	values int
	change func(x, held float64) float64
}{
	{"spike 8", 1, func(x, _ float64) float64 { return x + 8 }},
	{"spike 12", 1, func(x, _ float64) float64 { return x + 12 }},
	{"spike 20", 1, func(x, _ float64) float64 { return x + 20 }},
	{"three 12", 3, func(x, _ float64) float64 { return x - 12 }},
	{"shift 10", 40, func(x, _ float64) float64 { return x + 10 }},
	{"stuck", 60, func(_, held float64) float64 { return held }},
}

func (r *random) normal() float64 {
	return math.Sqrt(-2*math.Log(1-r.float())) * math.Cos(2*math.Pi*r.float())
}

// youngRuns is how many series there are of a kind.
const youngRuns = 12

// young counts in how many series of a kind the fault was found that comes after n
// values, and the false alarms before it.
func young(t *testing.T, shape, fault, n int, step event.Duration) (found, wrong int) {
	t.Helper()
	s, f := youngShapes[shape], youngFaults[fault]
	for seed := range youngRuns {
		d, err := New("auto", Config{})
		if err != nil {
			t.Fatal(err)
		}
		r := random(seed*977 + shape*31 + n)
		last, held, hit := 0.0, 0.0, false
		for i := range n + f.values + 4 {
			last = s.keeps*last + s.next(i, &r)
			x := math.Round((100+last)*100) / 100
			if i >= n && i < n+f.values {
				x = f.change(x, held)
			}
			held = x
			switch rings := d.Step(event.Time(i)*event.Time(step), []float64{x}).Anomaly; {
			case rings && i < n:
				wrong++
			case rings:
				hit = true
			}
		}
		if hit {
			found++
		}
	}
	return found, wrong
}

// TestYoung holds auto to what a user expects of a series of a few hundred values:
// what is plain to see is told, and what is usual is not.
func TestYoung(t *testing.T) {
	number := func(name string) int {
		for i, s := range youngShapes {
			if s.name == name {
				return i
			}
		}
		for i, f := range youngFaults {
			if f.name == name {
				return i
			}
		}
		t.Fatal(name)
		return 0
	}
	wrong := 0
	for _, c := range []struct {
		shape, fault string
		n            int
		step         event.Duration
		least        int // of youngRuns
	}{
		{"noise", "spike 20", 120, 60e9, 8}, {"noise", "spike 20", 300, 1e9, 11}, {"noise", "spike 12", 300, 1e9, 7},
		{"noise", "spike 8", 300, 60e9, 8}, {"noise", "spike 12", 300, 60e9, 11}, {"noise", "three 12", 300, 60e9, 11},
		{"noise", "shift 10", 300, 60e9, 11}, {"noise", "spike 8", 600, 60e9, 11}, {"noise", "spike 12", 300, 300e9, 11},
		{"noise", "spike 12", 60, 3600e9, 8}, {"noise", "shift 10", 120, 3600e9, 11},
		{"season", "spike 20", 300, 60e9, 10}, {"season", "spike 12", 600, 60e9, 9}, {"season", "spike 20", 120, 3600e9, 10},
		{"heavy", "spike 20", 300, 60e9, 9}, {"wander", "spike 20", 300, 60e9, 10}, {"wander", "spike 12", 120, 3600e9, 9},
		{"noise", "stuck", 60, 1e9, 11}, {"noise", "stuck", 300, 60e9, 11}, {"season", "stuck", 120, 3600e9, 11},
		{"constant", "spike 8", 60, 60e9, 12}, {"constant", "shift 10", 120, 1e9, 12},
		{"unit", "spike 8", 60, 60e9, 12}, {"unit", "spike 8", 120, 1e9, 12},
	} {
		found, falsely := young(t, number(c.shape), number(c.fault), c.n, c.step)
		wrong += falsely
		if found < c.least {
			t.Errorf("%s, %s after %d values, step %v: found in %d of %d series, want %d", c.shape, c.fault, c.n, c.step, found, youngRuns, c.least)
		}
	}
	if wrong > 2 {
		t.Errorf("%d false alarms before the faults", wrong)
	}
}

// TestYoungTable prints all cases: -young.
func TestYoungTable(t *testing.T) {
	if !*youngTable {
		t.Skip("how auto does on short series: -young")
	}
	lengths := []int{60, 120, 300, 600, 1200}
	for _, step := range []event.Duration{1e9, 60e9, 300e9, 3600e9} {
		for si, s := range youngShapes {
			line := fmt.Sprintf("%6s %-8s", event.FormatDuration(step), s.name)
			falses := make([]int, len(lengths))
			for fi, f := range youngFaults {
				line += "  " + f.name
				for li, n := range lengths {
					found, wrong := young(t, si, fi, n, step)
					line += fmt.Sprintf(" %2d", found)
					falses[li] += wrong
				}
			}
			t.Log(line, " false", falses)
		}
	}
}
