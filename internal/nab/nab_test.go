package nab

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/cepd/cepd/detectors"
)

var (
	dir     = flag.String("nab", "", "folder of the benchmark; without it the benchmark is skipped")
	methods = flag.String("methods", "", "detectors to run, with commas; all where nothing is said")
)

// TestBenchmark prints the table of every detector, and holds auto to what it has
// reached.
func TestBenchmark(t *testing.T) {
	if *dir == "" {
		t.Skip("SKIPPED: the benchmark's data are not part of this module; say -nab DIR (make nab NAB=DIR)")
	}
	all, err := Load(*dir)
	if err != nil {
		t.Fatal(err)
	}
	rows, days := 0, 0.0
	for _, s := range all {
		rows += len(s.Times)
		days += s.Times[len(s.Times)-1].Sub(s.Times[0]).Hours() / 24
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "detector\tstandard\tlow FP\tlow FN\thits\tfalse rows\tfalse/day\todd half\teven half\tns/event")
	for _, doc := range detectors.Methods() {
		if *methods != "" && !slices.Contains(strings.Split(*methods, ","), doc.Name) {
			continue
		}
		begin := time.Now()
		scores, err := Run(all, doc.Name, detectors.Config{})
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		var results []Result
		for _, p := range Profiles {
			results = append(results, Score(all, scores, p))
		}
		odd, even := halves(all, scores)
		fmt.Fprintf(out, "%s\t%.2f\t%.2f\t%.2f\t%d/%d\t%d\t%.3f\t%.2f\t%.2f\t%d\n", doc.Name, results[0].Score, results[1].Score, results[2].Score,
			results[0].Hits, results[0].Windows, results[0].False, falseAlarms(all, scores)/days, odd, even, took.Nanoseconds()/int64(rows))
		if doc.Name == "auto" && (results[0].Score < 73 || results[1].Score < 64 || results[2].Score < 78) {
			t.Errorf("auto: got %.2f %.2f %.2f, want at least 73 64 78", results[0].Score, results[1].Score, results[2].Score)
		}
	}
	out.Flush()
}

// halves scores every second series alone, standard profile.
func halves(all []*Series, scores [][]float64) (odd, even float64) {
	var s [2][]*Series
	var v [2][][]float64
	for i := range all {
		s[i%2] = append(s[i%2], all[i])
		v[i%2] = append(v[i%2], scores[i])
	}
	return Score(s[0], v[0], Profiles[0]).Score, Score(s[1], v[1], Profiles[0]).Score
}

// falseAlarms counts the alarms outside of windows, also in the part that is not
// scored.
func falseAlarms(all []*Series, scores [][]float64) float64 {
	n := 0
	for i, s := range all {
		for row, v := range scores[i] {
			if v > 0 && !slices.ContainsFunc(s.Windows, func(w Window) bool { return row >= w.First && row <= w.Last }) {
				n++
			}
		}
	}
	return float64(n)
}
