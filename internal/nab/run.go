package nab

import "github.com/cepd/cepd/detectors"

// Run feeds every series to a fresh detector, and returns for each row the score
// where the verdict is an anomaly, and else 0.
func Run(all []*Series, method string, cfg detectors.Config) ([][]float64, error) {
	out := make([][]float64, len(all))
	for i, s := range all {
		d, err := detectors.New(method, cfg)
		if err != nil {
			return nil, err
		}
		out[i] = make([]float64, len(s.Times))
		x := make([]float64, 1)
		for j, t := range s.Times {
			x[0] = s.Values[j]
			if r := d.Step(t, x); r.Anomaly {
				out[i][j] = r.Score
			}
		}
	}
	return out, nil
}
