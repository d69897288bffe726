package detectors

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

// column reads a file of one number a line, with or without a header.
func column(t *testing.T, name string) []float64 {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []float64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, err := strconv.ParseFloat(strings.TrimSpace(lines.Text()), 64); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// near wants got within a relative tolerance of want.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
		t.Errorf("%s: got %.13g, want %.13g", what, got, want)
	}
}

// TestEWMAgainstRiver compares with the doctests of EWMean and EWVar in River.
func TestEWMAgainstRiver(t *testing.T) {
	means := []float64{1, 2, 3.5, 3.75, 4.875, 6.4375, 6.71875, 7.859375, 9.4296875}
	vars := []float64{0, 1, 2.75, 1.4375, 1.984375, 3.43359375, 1.7958984375, 2.198974609375, 3.56536865234375}
	var w ewmean
	for i, x := range []float64{1, 3, 5, 4, 6, 8, 7, 9, 11} {
		w.add(x, 0.5)
		near(t, "mean", w.mean, means[i], 1e-12)
		near(t, "variance", w.var_, vars[i], 1e-12)
	}
}

// fit runs a smoother over a series, and returns it with its forecasts and the sum
// of their squared errors. The values of the start have no forecast, but R counts
// those of the second season.
func fit(h *smoother, x []float64) (forecasts []float64, sse float64) {
	if h.kind >= additive { // start with the first two seasons, then go back one
		h.first = slices.Clone(x[:2*h.period])
		h.decompose()
		h.started, h.first = true, nil
		x = x[h.period:]
	}
	for _, v := range x {
		if h.started {
			e := h.expect()
			forecasts = append(forecasts, e)
			sse += (v - e) * (v - e)
		}
		h.add(v)
	}
	return forecasts, sse
}

// TestSmoothingAgainstR compares with HoltWinters of R 4.2.2, with the parameters
// fixed or those that its optimiser found.
func TestSmoothingAgainstR(t *testing.T) {
	const tight = 1e-9 // R printed ten digits
	co2, air := column(t, "co2.csv"), column(t, "AirPassengers.csv")

	h := &smoother{kind: additive, alpha: .5, beta: .01, gamma: .5, period: 12}
	xhat, sse := fit(h, co2)
	near(t, "co2 level", h.level, 364.743789041, tight)
	near(t, "co2 trend", h.trend, .1251996489, tight)
	near(t, "co2 s1", h.season[h.at], .2320877432, tight)
	near(t, "co2 s12", h.season[(h.at+11)%12], -.5611558795, tight)
	near(t, "co2 sse", sse, 43.2068613, 1e-8)
	for i, want := range []float64{315.6196207, 316.4634469, 317.2812594} {
		near(t, "co2 forecast", xhat[i], want, tight)
	}
	near(t, "co2 last forecast", xhat[len(xhat)-1], 363.7105326, tight)

	h = &smoother{kind: additive, alpha: .5126484436, beta: .009497669046, gamma: .472886788, period: 12}
	_, sse = fit(h, co2)
	near(t, "co2 optimal sse", sse, 43.12986137, 1e-8)

	h = &smoother{kind: multiplicative, alpha: .3, beta: .1, gamma: .6, period: 12}
	xhat, sse = fit(h, air)
	near(t, "air level", h.level, 488.7002538652, tight)
	near(t, "air trend", h.trend, 3.7536436340, tight)
	near(t, "air s1", h.season[h.at], .9102741838, tight)
	near(t, "air s12", h.season[(h.at+11)%12], .8849707113, tight)
	near(t, "air sse", sse, 19406.2894, 1e-8)
	for i, want := range []float64{111.0818087, 122.5236581, 137.8630970} {
		near(t, "air forecast", xhat[i], want, tight)
	}
	near(t, "air next", h.expect(), 448.2680696, tight)

	h = &smoother{kind: withTrend, alpha: 1, beta: .77090636}
	fit(h, column(t, "uspop.csv"))
	near(t, "uspop level", h.level, 203.2, tight)
	near(t, "uspop trend", h.trend, 24.29043569, 1e-8) // beta has eight digits

	h = &smoother{kind: levelOnly, alpha: .25}
	_, sse = fit(h, column(t, "Nile.csv"))
	near(t, "Nile level", h.level, 803.8939882, tight)
	near(t, "Nile sse", sse, 2038891.315, 1e-8)
}

// TestStreamingStart makes sure that a smoother fed value by value ends where R
// does.
func TestStreamingStart(t *testing.T) {
	h := &smoother{kind: additive, alpha: .5, beta: .01, gamma: .5, period: 12}
	for _, v := range column(t, "co2.csv") {
		h.add(v)
	}
	near(t, "level", h.level, 364.743789041, 2e-10)
	near(t, "s1", h.season[h.at], .2320877432, 2e-10)
}

// TestOrderStatisticsAgainstR compares with mad, median and quantile(type = 7).
func TestOrderStatisticsAgainstR(t *testing.T) {
	w := newSorted[float64](100)
	for _, v := range column(t, "Nile.csv") {
		w.add(v)
	}
	near(t, "median", quantileOf(w.v, .5), 893.5, 1e-9)
	near(t, "mad", madOf(w.v, 893.5), 179.3946, 1e-9)
	for p, want := range map[float64]float64{.01: 647.07, .05: 697.8, .25: 798.5, .75: 1032.5, .95: 1210.5, .99: 1261.1} {
		near(t, "quantile", quantileOf(w.v, p), want, 1e-9)
	}
	v := []float64{1, 3, 4, 5, 6, 7, 8, 9, 11}
	near(t, "mad of nine", madOf(v, quantileOf(v, .5)), 2.9652, 1e-9)
}

// TestRollingOrder compares the rolling window with sorting anew.
func TestRollingOrder(t *testing.T) {
	const size = 37
	w := newSorted[float64](size)
	chance := random(3)
	var all []float64
	for range 500 {
		x := float64(chance.next() % 20)
		w.add(x)
		all = append(all, x)
		last := slices.Clone(all[max(0, len(all)-size):])
		slices.Sort(last)
		if !slices.Equal(last, w.v) {
			t.Fatalf("got %v, want %v", w.v, last)
		}
		center := quantileOf(last, .5)
		dev := make([]float64, len(last))
		for i, v := range last {
			dev[i] = math.Abs(v - center)
		}
		slices.Sort(dev)
		near(t, "mad", madOf(w.v, center), madScale*quantileOf(dev, .5), 1e-12)
	}
}

// alarms feeds a series, a value a second, and returns the rows of the anomalies.
func alarms(t *testing.T, method string, cfg Config, x []float64) []int {
	t.Helper()
	d, err := New(method, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var rows []int
	for i, v := range x {
		if d.Step(event.Time(i)*1e9, []float64{v}).Anomaly {
			rows = append(rows, i)
		}
	}
	return rows
}

// TestChangesAgainstRiver compares with the indices in River's doctests.
func TestChangesAgainstRiver(t *testing.T) {
	steps, gauss := column(t, "river-steps.txt"), column(t, "river-gauss.txt")
	always := Config{Learn: LearnAlways, Quiet: -1}
	for _, c := range []struct {
		method string
		x      []float64
		want   []int
	}{
		{"page_hinkley", steps, []int{1006}},
		{"adwin", steps, []int{1023}},
		{"cusum", gauss, []int{201, 251}},
	} {
		if got := alarms(t, c.method, always, c.x); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.method, got, c.want)
		}
	}
}

// TestCUSUMRunLength checks the mean time between false alarms with a known mean
// and deviation: 465 values (Montgomery, Statistical Quality Control).
func TestCUSUMRunLength(t *testing.T) {
	chance := random(4)
	normal := func() float64 {
		return math.Sqrt(-2*math.Log(1-chance.float())) * math.Cos(2*math.Pi*chance.float())
	}
	const runs = 4000
	total := 0
	in := input{x: make([]float64, 1), quantum: make([]float64, 1)}
	for range runs {
		m := &cusum{warm: 1, slack: .5, limit: 5, n: 1, sigma: 1}
		for {
			total++
			in.x[0] = normal()
			var o opinion
			if m.judge(&in, &o); o.verdict == yes {
				break
			}
		}
	}
	near(t, "run length", float64(total)/runs, 465, 0.05)
}

// TestConformalIsUniform checks that the p-values of the conformal detector are
// uniform within one percent on exchangeable data.
func TestConformalIsUniform(t *testing.T) {
	d, err := New("knn", Config{With: map[string]float64{"length": 1}, Learn: LearnAlways})
	if err != nil {
		t.Fatal(err)
	}
	chance := random(5)
	var p []float64
	for i := range 60000 {
		s := d.Step(event.Time(i)*1e9, []float64{chance.float() + chance.float()})
		if i > 10000 { // the training set is full, and its beginnings are forgotten
			p = append(p, 1-s.Score)
		}
	}
	slices.Sort(p)
	for i, v := range p {
		if want := float64(i) / float64(len(p)); math.Abs(v-want) > 0.01 {
			t.Fatalf("the %.3f quantile of the p-values is %.3f", want, v)
		}
	}
}
