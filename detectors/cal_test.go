package detectors

import (
	"math"
	"testing"

	"github.com/cepd/cepd/event"
)

// TestScoreMeansTheSame: on any series, about one value in a hundred scores 0.99,
// and one in ten 0.9, about. The memories (novelty, shapes) say less on series that
// repeat themselves: the more is remembered, the nearer is the nearest.
func TestScoreMeansTheSame(t *testing.T) {
	shapes := map[string]func(i int, u float64) float64{
		"uniform": func(_ int, u float64) float64 { return u },
		"heavy":   func(_ int, u float64) float64 { return 1 / math.Sqrt(u+1e-9) },
		"wave":    func(i int, u float64) float64 { return math.Sin(float64(i)/30) + 0.2*u },
		"swell":   func(i int, u float64) float64 { return 1e6 + 1e3*u*math.Sin(float64(i)/700) },
	}
	for name, next := range shapes {
		for _, method := range []string{"auto", "ewma", "median", "ses", "holt", "t2", "dspot", "rate"} {
			d, err := New(method, Config{Learn: LearnAlways})
			if err != nil {
				t.Fatal(err)
			}
			const n = 20000
			chance := random(21)
			tenth, hundredth, judged := 0, 0, 0
			for i := range n {
				s := d.Step(event.Time(i)*300e9, []float64{next(i, chance.float())})
				if i < 3000 {
					continue
				}
				judged++
				if s.Score >= 0.9 {
					tenth++
				}
				if s.Score >= 0.99 {
					hundredth++
				}
			}
			a, b := float64(tenth)/float64(judged), float64(hundredth)/float64(judged)
			t.Logf("%-8s %-8s %.3f %.4f", name, method, a, b)
			if a < 0.05 || a > 0.16 || b < 0.0005 || b > 0.02 {
				t.Errorf("%s on %s: %.3f of the scores are over 0.9, and %.4f over 0.99", method, name, a, b)
			}
		}
	}
}
