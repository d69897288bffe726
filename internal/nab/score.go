package nab

import (
	"math"
	"slices"
)

// Profile weighs what a detector gets right and wrong.
type Profile struct {
	Name               string
	Hit, False, Missed float64
}

// Profiles are those of the benchmark: the standard one, and the ones that
// punish false alarms and missed windows more.
var Profiles = []Profile{{"standard", 1, 0.11, 1}, {"low FP", 1, 0.22, 1}, {"low FN", 1, 0.11, 2}}

// Result is the score of one detector under one profile, at the threshold that
// serves it best over the whole corpus.
type Result struct {
	Score     float64
	Threshold float64
	Hits      int // windows
	Windows   int
	False     int // rows over the threshold outside of windows
}

// cell is a scored row: what an alarm there is worth.
type cell struct {
	score, worth float64
	window       int // over the corpus, or -1
}

// sigmoid falls from 1, long before the end of a window, over 0 at its end to -1.
func sigmoid(y float64) float64 {
	if y > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*y)) - 1
}

// Score scores the rows of every series, in the same order.
func Score(all []*Series, scores [][]float64, p Profile) Result {
	var cells []cell
	windows := 0
	for i, s := range all {
		cells = s.cells(cells, scores[i], windows)
		windows += len(s.Windows)
	}
	slices.SortStableFunc(cells, func(a, b cell) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	return sweep(cells, windows, p)
}

// cells appends the scored rows of s. An alarm in a window is worth the more the
// earlier it is; one outside costs the more the farther it is from the window
// before.
func (s *Series) cells(dst []cell, scores []float64, base int) []cell {
	best := sigmoid(-1)
	next, last := 0, -1
	for i := range s.Times {
		for next < len(s.Windows) && i > s.Windows[next].Last {
			last = next
			next++
		}
		c := cell{score: scores[i], window: -1, worth: -1}
		if next < len(s.Windows) && i >= s.Windows[next].First {
			w := s.Windows[next]
			c.window = base + next
			c.worth = sigmoid(-float64(w.Last-i+1)/float64(w.Last-w.First+1)) / best
		} else if last >= 0 {
			w := s.Windows[last]
			c.worth = sigmoid(float64(i-w.Last) / float64(w.Last-w.First))
		}
		if i >= s.probation() {
			dst = append(dst, c)
		}
	}
	return dst
}

// sweep lowers the threshold from the highest score on, and keeps the best sum. Of
// several alarms in a window the best one counts.
func sweep(cells []cell, windows int, p Profile) Result {
	sum := -p.Missed * float64(windows)
	best := Result{Windows: windows, Threshold: math.Inf(1)}
	bestSum := sum
	reward := make([]float64, windows)
	hit := make([]bool, windows)
	hits, wrong := 0, 0
	for i := 0; i < len(cells); {
		threshold := cells[i].score
		for ; i < len(cells) && cells[i].score == threshold; i++ {
			c := cells[i]
			if c.window < 0 {
				sum += p.False * c.worth
				wrong++
				continue
			}
			if !hit[c.window] {
				hit[c.window] = true
				hits++
				sum += p.Missed
			}
			if c.worth > reward[c.window] {
				sum += p.Hit * (c.worth - reward[c.window])
				reward[c.window] = c.worth
			}
		}
		if sum > bestSum {
			bestSum, best.Threshold, best.Hits, best.False = sum, threshold, hits, wrong
		}
	}
	worst, perfect := -p.Missed*float64(windows), p.Hit*float64(windows)
	best.Score = 100 * (bestSum - worst) / (perfect - worst)
	return best
}
