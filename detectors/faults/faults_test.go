package faults_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"
	"text/tabwriter"

	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/detectors/faults"
	"github.com/cepd/cepd/event"
)

var (
	seeds = flag.Uint64("seeds", 40, "how many series to make")
	table = flag.Bool("table", false, "print the table of every detector")
)

func TestSameSeedSameSeries(t *testing.T) {
	for seed := range uint64(20) {
		a, b := faults.Make(seed), faults.Make(seed)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d made two series", seed)
		}
		for _, l := range a.Labels {
			if l.First < len(a.Values)/3 || l.Last >= len(a.Values) || l.First > l.Last {
				t.Fatalf("seed %d: %v in %d values", seed, l, len(a.Values))
			}
		}
	}
}

// tally runs a method over the series of the first seeds.
func tally(t *testing.T, method string) (all faults.Tally, bySteps map[event.Duration]*faults.Tally) {
	bySteps = map[event.Duration]*faults.Tally{}
	for seed := uint64(1); seed <= *seeds; seed++ {
		s := faults.Make(seed)
		rows := alarms(t, method, &s)
		all.Add(&s, rows)
		if bySteps[s.Step] == nil {
			bySteps[s.Step] = &faults.Tally{}
		}
		bySteps[s.Step].Add(&s, rows)
	}
	return all, bySteps
}

// TestAutoBeatsTheSimple holds auto to finding more, with fewer false alarms, than
// the simple detectors, on series that nobody has tuned it to.
func TestAutoBeatsTheSimple(t *testing.T) {
	auto, _ := tally(t, "auto")
	for _, method := range []string{"ewma", "median", "range", "novelty"} {
		simple, _ := tally(t, method)
		if auto.F1() <= simple.F1() {
			t.Errorf("F1: auto %.3f, %s %.3f", auto.F1(), method, simple.F1())
		}
	}
}

// TestTable prints how every detector does: -table -seeds 300.
func TestTable(t *testing.T) {
	if !*table {
		t.Skip("the table of every detector: -table")
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintln(out, "detector\tF1\tfound\tfalse/series\tF1 and false/series by step")
	for _, doc := range detectors.Methods() {
		all, bySteps := tally(t, doc.Name)
		fmt.Fprintf(out, "%s\t%.3f\t%d/%d\t%.2f", doc.Name, all.F1(), all.Found, all.Faults, float64(all.False)/float64(all.Series))
		for _, step := range slices.Sorted(maps.Keys(bySteps)) {
			s := bySteps[step]
			fmt.Fprintf(out, "\t%v %.2f %.2f", step, s.F1(), float64(s.False)/float64(s.Series))
		}
		fmt.Fprintln(out)
	}
}
