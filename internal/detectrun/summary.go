package detectrun

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/cepd/cepd/event"
)

// mostListed bounds the anomalies that a summary lists.
const mostListed = 20

// Summary writes in words what was seen.
func (r *Result) Summary(w io.Writer) {
	n := len(r.Points)
	if n == 0 {
		fmt.Fprintln(w, "no rows")
		return
	}
	first, last := r.Points[0].Time, r.Points[n-1].Time
	fmt.Fprintf(w, "%s: %s of %s, %s to %s", r.Method, count(n, "value", "values"), strings.Join(r.Columns, ", "), first, last)
	if n > 1 {
		fmt.Fprintf(w, ", a value every %s", event.FormatDuration((last.Sub(first) / event.Duration(n-1)).Round(1e6)))
	}
	fmt.Fprintln(w)
	if r.Skipped > 0 {
		fmt.Fprintf(w, "%s without a time left out\n", count(r.Skipped, "row", "rows"))
	}
	if r.Untimed {
		fmt.Fprintln(w, "no column of times was found: rows count as a second apart; name one with --time")
	}
	if r.Late > 0 {
		fmt.Fprintf(w, "%s not later than the one before: is this one series, in order?\n", count(r.Late, "row is", "rows are"))
	}
	if r.Blank > 0 {
		fmt.Fprintf(w, "%s without a number not judged\n", count(r.Blank, "row", "rows"))
	}
	if done := r.warmup(); done < 1 {
		fmt.Fprintf(w, "still warming up: %.0f %% done\n", 100*done)
	}
	found := r.Anomalies()
	fmt.Fprintln(w, count(found, "anomaly", "anomalies"))
	listed := 0
	for _, p := range r.Points {
		if !p.Anomaly {
			continue
		}
		if listed == mostListed {
			fmt.Fprintf(w, "  and %d more\n", found-listed)
			break
		}
		listed++
		name := ""
		if len(r.Columns) > 1 {
			name = r.Columns[p.Channel] + " "
		}
		fmt.Fprintf(w, "  %s  %s%g  score %.6g  %s\n", p.Time, name, p.Value, p.Score.Score, p.Reason)
	}
}

// warmup is the progress of the warm-up at the last value that was judged: where
// values are resampled, few rows are.
func (r *Result) warmup() float64 {
	for i := len(r.Points) - 1; i >= 0; i-- {
		if p := &r.Points[i]; p.Judged {
			return p.Warmup
		}
	}
	return 0
}

const plotRows = 16

// Plot draws the first column with characters: '*' values, ':' the band around
// what was expected, and a row of '^' under the anomalies.
func (r *Result) Plot(w io.Writer, width int) {
	width = max(width-12, 20)
	n := len(r.Points)
	if n == 0 {
		return
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, p := range r.Points {
		if v := p.Values[0]; v-v == 0 {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if lo > hi {
		return
	}
	if lo == hi {
		lo, hi = lo-1, hi+1
	}
	width = min(width, n)
	grid := make([][]byte, plotRows)
	for i := range grid {
		grid[i] = []byte(strings.Repeat(" ", width))
	}
	marks := []byte(strings.Repeat(" ", width))
	row := func(v float64) int {
		return plotRows - 1 - int(min(max((v-lo)/(hi-lo), 0), 1)*(plotRows-1)+0.5)
	}
	line := func(col int, from, to float64, c byte) {
		if from-from != 0 || to-to != 0 {
			return
		}
		for y := row(to); y <= row(from); y++ {
			grid[y][col] = c
		}
	}
	for col := range width {
		part := r.Points[col*n/width : (col+1)*n/width]
		least, most, lower, upper := math.NaN(), math.NaN(), math.NaN(), math.NaN()
		for _, p := range part {
			if v := p.Values[0]; v-v == 0 {
				least, most = min(v, or(least, v)), max(v, or(most, v))
			}
			if p.Channel == 0 {
				lower, upper = or(p.Lower, lower), or(p.Upper, upper)
			}
			if p.Anomaly {
				marks[col] = '^'
			}
		}
		line(col, lower, upper, ':')
		line(col, least, most, '*')
	}
	for i, l := range grid {
		label := ""
		switch i {
		case 0:
			label = fmt.Sprintf("%.4g", hi)
		case plotRows - 1:
			label = fmt.Sprintf("%.4g", lo)
		}
		fmt.Fprintf(w, "%10s |%s\n", label, strings.TrimRight(string(l), " "))
	}
	fmt.Fprintf(w, "%10s |%s\n", "anomalies", strings.TrimRight(string(marks), " "))
}

// or is v, or other where v is not a number.
func or(v, other float64) float64 {
	if v-v != 0 {
		return other
	}
	return v
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
