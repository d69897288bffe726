package faults_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"text/tabwriter"

	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/detectors/faults"
	"github.com/cepd/cepd/event"
)

var short = flag.Bool("short-series", false, "series of a few hundred values, for -table")

// atFirst is how many values of a series are counted apart.
const atFirst = 1000

// rate counts the false alarms of series with one step.
type rate struct {
	series, early, late int
	days                float64 // after the first values
}

func (r *rate) add(s *faults.Series, rows []int) {
	r.series++
	r.days += float64(max(0, len(s.Values)-atFirst)) * s.Step.Hours() / 24
	for _, row := range rows {
		var one faults.Tally
		one.Add(s, []int{row})
		switch {
		case one.False == 0:
		case row < atFirst:
			r.early++
		default:
			r.late++
		}
	}
}

// TestFalseAlarms prints how often auto is wrong, by step: -table -seeds 600.
func TestFalseAlarms(t *testing.T) {
	if !*table {
		t.Skip("how often auto is wrong: -table")
	}
	rates := map[event.Duration]*rate{}
	var all faults.Tally
	for seed := uint64(1); seed <= *seeds; seed++ {
		s := faults.Make(seed)
		if *short {
			s = faults.Short(seed)
		}
		rows := alarms(t, "auto", &s)
		all.Add(&s, rows)
		if rates[s.Step] == nil {
			rates[s.Step] = &rate{}
		}
		rates[s.Step].add(&s, rows)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintf(out, "F1 %.3f, found %d of %d, %.2f false a series\n", all.F1(), all.Found, all.Faults, float64(all.False)/float64(all.Series))
	fmt.Fprintln(out, "step\tseries\tfalse at first, a series\tthen, a day")
	for _, step := range slices.Sorted(maps.Keys(rates)) {
		r := rates[step]
		fmt.Fprintf(out, "%v\t%d\t%.2f\t%.4f\n", event.FormatDuration(step), r.series, float64(r.early)/float64(r.series), float64(r.late)/max(r.days, 1e-9))
	}
}

// TestShortSeries holds auto, on series of a few hundred values, to finding more
// than the simple detectors that judge as early, or about as much with far fewer
// false alarms.
func TestShortSeries(t *testing.T) {
	tally := func(method string) (all faults.Tally) {
		for seed := uint64(1); seed <= 200; seed++ {
			s := faults.Short(seed)
			all.Add(&s, alarms(t, method, &s))
		}
		t.Logf("%s: F1 %.3f, found %d of %d, %d false", method, all.F1(), all.Found, all.Faults, all.False)
		return all
	}
	auto := tally("auto")
	for _, method := range []string{"ewma", "median", "ses", "novelty", "dspot"} {
		if simple := tally(method); auto.F1() <= simple.F1() {
			t.Errorf("F1: auto %.3f, %s %.3f", auto.F1(), method, simple.F1())
		}
	}
	if rate := tally("rate"); auto.F1() < rate.F1()-0.05 || auto.False > rate.False*2/3 {
		t.Errorf("auto: F1 %.3f, %d false; rate: F1 %.3f, %d false", auto.F1(), auto.False, rate.F1(), rate.False)
	}
}

// alarms returns the rows of a series that a method takes for anomalies.
func alarms(t *testing.T, method string, s *faults.Series) []int {
	t.Helper()
	d, err := detectors.New(method, detectors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var rows []int
	x := make([]float64, 1)
	for i, at := range s.Times {
		x[0] = s.Values[i]
		if d.Step(at, x).Anomaly {
			rows = append(rows, i)
		}
	}
	return rows
}
