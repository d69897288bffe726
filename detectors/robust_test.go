package detectors

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

// each runs a test on every method.
func each(t *testing.T, cfg Config, f func(t *testing.T, d Detector)) {
	for _, doc := range Methods() {
		t.Run(doc.Name, func(t *testing.T) {
			d, err := New(doc.Name, cfg)
			if err != nil {
				t.Fatal(err)
			}
			f(t, d)
		})
	}
}

// wave is a series with a season, noise and a spike now and then.
func wave(n int) []float64 {
	chance := random(7)
	x := make([]float64, n)
	for i := range x {
		x[i] = 50 + 10*math.Sin(2*math.Pi*float64(i)/288) + chance.float()
		if i%997 == 996 {
			x[i] += 40
		}
	}
	return x
}

const minute = event.Time(60e9)

func TestConstantSeriesIsCalm(t *testing.T) {
	for _, level := range []float64{0, 45, 21.5, 1e9, -3.25} {
		each(t, Config{}, func(t *testing.T, d Detector) {
			for i := range 3000 {
				if s := d.Step(event.Time(i)*5*minute, []float64{level}); s.Anomaly {
					t.Fatalf("level %v, value %d: an anomaly: %v", level, i, s.Reason)
				}
			}
		})
	}
}

// TestOneUnitAfterConstant: a step of one unit of the last place, after a long
// constant history, is no anomaly (aws/random-cut-forest-by-aws#400). Range, which
// is told its limits by what it saw, and change detectors see it for good reason
// when it stays.
func TestOneUnitAfterConstant(t *testing.T) {
	for _, c := range []struct{ level, unit float64 }{{2, 1}, {2, -1}, {21.5, 0.1}, {1e6, 1}, {float64(float32(20.1)), float64(math.Nextafter32(20.1, 30)) - float64(float32(20.1))}} {
		each(t, Config{}, func(t *testing.T, d Detector) {
			for i := range 2000 {
				x := c.level
				if i > 1500 && i%50 == 0 {
					x += c.unit
				}
				if s := d.Step(event.Time(i)*5*minute, []float64{x}); s.Anomaly {
					t.Fatalf("%+v, value %d: an anomaly: %v", c, i, s.Reason)
				}
			}
		})
	}
}

// TestBigStepAfterConstant: what is far off is found by every method that is
// asked for such a thing.
func TestBigStepAfterConstant(t *testing.T) {
	for _, method := range []string{"auto", "ewma", "median", "quantile", "ses", "range", "rate", "novelty", "dspot", "cusum"} {
		x := make([]float64, 1500)
		for i := range x {
			x[i] = 20
			if i >= 1200 && i < 1215 {
				x[i] = 80
			}
		}
		found := false
		for _, row := range alarms(t, method, Config{}, x) {
			found = found || row >= 1200 && row < 1220
		}
		if !found {
			t.Errorf("%s: 15 values of 80 after 1200 of 20 were not found", method)
		}
	}
}

// TestNonsense: what is not a number is not judged, and changes nothing; a clock
// that jumps and values beyond all measure do no harm.
func TestNonsense(t *testing.T) {
	nan := math.NaN()
	each(t, Config{}, func(t *testing.T, d Detector) {
		at := event.Time(0)
		for i, x := range wave(2500) {
			at += 5 * minute
			switch {
			case i%101 == 100:
				before := d.AppendBinary(nil)
				for _, bad := range []float64{nan, math.Inf(1), math.Inf(-1)} {
					if s := d.Step(at, []float64{bad}); s.Judged || s.Anomaly {
						t.Fatalf("%v was judged", bad)
					}
				}
				if d.Step(at, nil); !bytes.Equal(before, d.AppendBinary(nil)) {
					t.Fatal("what is not a number changed the state")
				}
			case i == 600:
				at += 1e6 * minute
			case i == 1200:
				at -= 2e6 * minute
			case i == 1300:
				at = event.MaxTime - 1e12
			case i == 1301:
				at = event.MinTime + 1e12
			case i == 1302:
				at = 0
			case i == 1500:
				x = 1e300
			case i == 1501:
				x = -1e300
			}
			s := d.Step(at, []float64{x})
			if !(s.Score >= 0 && s.Score <= 1) || math.IsNaN(s.Warmup) || s.Warmup < 0 || s.Warmup > 1 {
				t.Fatalf("value %d: score %v, warm-up %v", i, s.Score, s.Warmup)
			}
			if s.Reason.String() == "" {
				t.Fatalf("value %d has no reason", i)
			}
		}
	})
}

// TestGaps: a hole in a series means what was said of it, for every method.
func TestGaps(t *testing.T) {
	for _, gap := range []Gap{GapIgnore, GapBreak, GapAlarm} {
		each(t, Config{Gap: gap, Quiet: -1}, func(t *testing.T, d Detector) {
			at := event.Time(0)
			for i, x := range wave(1400) {
				at += 5 * minute
				if i == 1200 {
					at += 40 * 60 * minute
				}
				s := d.Step(at, []float64{x})
				told := s.Anomaly && s.Reason.Cause == CauseGap
				if want := gap == GapAlarm && i == 1200 && s.Warmup == 1; told != want && !strings.Contains(t.Name(), "missing") {
					t.Fatalf("%v, value %d: anomaly %t, %v", gap, i, s.Anomaly, s.Reason)
				}
			}
		})
	}
}

// TestStartsWithAnomaly: a series that begins with an anomaly teaches a wrong
// start, which must be over after some hundred values: then calm values are as calm
// as on a series that began well, and what is far off is found.
//
// The scale of the methods in most shrinks for long after it, so that calm values
// seem to grow.
func TestStartsWithAnomaly(t *testing.T) {
	most := map[string]int{"ewma": 5, "ses": 9, "holt": 9, "t2": 13}
	for _, method := range []string{"auto", "ewma", "median", "quantile", "ses", "holt", "rate", "novelty", "dspot", "knn", "random_cut_forest", "t2"} {
		var calm [2]int
		for start := range calm {
			chance := random(5)
			x := make([]float64, 2500)
			for i := range x {
				x[i] = 20 + chance.float()
				if i < 3*start {
					x[i] = 400
				}
				if i >= 2000 && i < 2015 {
					x[i] = 250
				}
			}
			found := false
			for _, row := range alarms(t, method, Config{}, x) {
				found = found || row >= 2000 && row < 2020
				if row >= 500 && row < 2000 {
					calm[start]++
				}
			}
			if !found {
				t.Errorf("%s: the anomaly after %d odd values at the start was not found", method, 3*start)
			}
		}
		if calm[1] > calm[0]+max(3, most[method]) {
			t.Errorf("%s: %d false alarms after an odd start, %d after a good one", method, calm[1], calm[0])
		}
	}
}

// TestSaysWhatItHas: a method has an expected value and a band where its
// description says so, and only there.
func TestSaysWhatItHas(t *testing.T) {
	for _, doc := range Methods() {
		d, err := New(doc.Name, Config{})
		if err != nil {
			t.Fatal(err)
		}
		expects, band := false, false
		for i, x := range wave(4000) {
			s := d.Step(event.Time(i)*5*minute, []float64{x})
			expects = expects || !math.IsNaN(s.Expected)
			band = band || !math.IsNaN(s.Lower) && !math.IsNaN(s.Upper)
		}
		if expects != doc.Expects || band != doc.Band {
			t.Errorf("%s: expects %t, band %t; its description says %t, %t", doc.Name, expects, band, doc.Expects, doc.Band)
		}
	}
}

// TestRestart: the state goes over a restart bit by bit, at any moment.
func TestRestart(t *testing.T) {
	for _, cfg := range []Config{{}, {Every: 15 * 60e9, By: ReduceMax}, {Direction: Up, Learn: LearnWarmup}} {
		each(t, cfg, func(t *testing.T, d Detector) {
			method := t.Name()[len("TestRestart/"):]
			if i := bytes.IndexByte([]byte(method), '#'); i >= 0 {
				method = method[:i]
			}
			for i, x := range wave(2000) {
				at := event.Time(i) * 5 * minute
				if i%331 == 7 {
					state := d.AppendBinary(nil)
					again, err := New(method, cfg)
					if err != nil {
						t.Fatal(err)
					}
					r := event.NewReader(state)
					if err := again.ReadBinary(r); err != nil || r.Len() != 0 {
						t.Fatalf("value %d: %v, %d bytes left", i, err, r.Len())
					}
					if !bytes.Equal(state, again.AppendBinary(nil)) {
						t.Fatalf("value %d: the state read is another one", i)
					}
					if i%2 == 0 {
						d = again
						continue
					}
					a, b := d.Step(at, []float64{x}), again.Step(at, []float64{x})
					if a.Reason != b.Reason && !(math.IsNaN(a.Reason.A) || math.IsNaN(a.Reason.B)) || a.Score != b.Score || a.Anomaly != b.Anomaly {
						t.Fatalf("value %d: got %+v, want %+v", i, b, a)
					}
					d = again
					continue
				}
				d.Step(at, []float64{x})
			}
		})
	}
}

// TestDamagedState: no bytes make reading panic or take much memory.
func TestDamagedState(t *testing.T) {
	each(t, Config{}, func(t *testing.T, d Detector) {
		for i, x := range wave(700) {
			d.Step(event.Time(i)*5*minute, []float64{x})
		}
		state := d.AppendBinary(nil)
		chance := random(9)
		for range 60 {
			bad := bytes.Clone(state)
			for range 3 {
				bad[chance.next()%uint64(len(bad))] ^= byte(1 << (chance.next() % 8))
			}
			bad = bad[:uint64(len(bad))-chance.next()%2]
			if d.ReadBinary(event.NewReader(bad)) == nil {
				for i, x := range wave(50) {
					d.Step(event.Time(i)*5*minute, []float64{x})
				}
			}
		}
	})
}

// TestNoAllocations: a detector that has warmed up allocates nothing.
func TestNoAllocations(t *testing.T) {
	each(t, Config{}, func(t *testing.T, d Detector) {
		xs := wave(16000)
		x := make([]float64, 1)
		i := 0
		for ; i < 14000; i++ {
			x[0] = xs[i]
			d.Step(event.Time(i)*5*minute, x)
		}
		got := testing.AllocsPerRun(1000, func() {
			x[0] = xs[i]
			d.Step(event.Time(i)*5*minute, x)
			i++
		})
		if got > 0 {
			t.Errorf("%v allocations per value", got)
		}
	})
}

// TestMemory holds the sizes that the manual states.
func TestMemory(t *testing.T) {
	limits := map[string]int{"auto": 64 << 10, "novelty": 32 << 10}
	each(t, Config{}, func(t *testing.T, d Detector) {
		for i, x := range wave(8000) {
			d.Step(event.Time(i)*5*minute, []float64{x})
		}
		if most := limits[t.Name()[len("TestMemory/"):]]; most > 0 && d.Size() > most {
			t.Errorf("got %d bytes, want at most %d", d.Size(), most)
		}
	})
}

func TestOptions(t *testing.T) {
	x := make([]float64, 1000)
	chance := random(11)
	for i := range x {
		x[i] = 10 + chance.float()
	}
	x[600], x[800] = 30, -10
	for _, c := range []struct {
		cfg  Config
		want int
	}{
		{Config{Quiet: -1}, 2}, {Config{Quiet: -1, Direction: Up}, 1}, {Config{Quiet: -1, MinAbs: 25}, 0},
		{Config{Quiet: -1, MinRel: 3}, 0}, {Config{Quiet: 300e9}, 1}, {Config{Quiet: -1, Warmup: 700e9}, 1},
	} {
		c.cfg.With = map[string]float64{"threshold": 0.99999, "alpha": 0.05}
		if got := alarms(t, "ewma", c.cfg, x); len(got) != c.want {
			t.Errorf("%+v: got anomalies at %v, want %d", c.cfg, got, c.want)
		}
	}
	var mistakes int
	bad := Config{Channels: 3, With: map[string]float64{"alpha": 2, "beta": 1}, MinAbs: -1, Escalate: 0.5}
	if mistakes = len(bad.Validate("ewma")); mistakes != 5 {
		t.Errorf("got %d mistakes, want 5: %v", mistakes, bad.Validate("ewma"))
	}
}

// TestWhatComesBack: auto tells a spike once, and after some of its like has seen
// it before. What has learned for good before the first tells every one, and nothing
// beside.
func TestWhatComesBack(t *testing.T) {
	for _, c := range []struct {
		learn       Learn
		least, most int
	}{{LearnCalm, 1, 3}, {LearnWarmup, 8, 8}} {
		d, err := New("auto", Config{Learn: c.learn, Warmup: 5 * 3600e9})
		if err != nil {
			t.Fatal(err)
		}
		r := random(4)
		var rows []int
		for i := range 3000 {
			x := 2 + 0.1*r.normal()
			if i >= 500 && i%300 == 0 {
				x += 3
			}
			if d.Step(event.Time(i)*minute, []float64{x}).Anomaly {
				rows = append(rows, i)
			}
		}
		if len(rows) < c.least || len(rows) > c.most || rows[0] < 600 || rows[0] > 602 {
			t.Errorf("%v: anomalies at %v, want %d to %d", c.learn, rows, c.least, c.most)
		}
	}
}

// TestOneSided: auto, which speaks some values after what it saw, keeps apart on
// which side that was.
func TestOneSided(t *testing.T) {
	for _, channels := range []int{1, 2} {
		for _, side := range []Direction{Up, Down} {
			right, wrong := 0, 0
			for seed := range 10 {
				d, err := New("auto", Config{Direction: side, Channels: channels})
				if err != nil {
					t.Fatal(err)
				}
				r := random(seed + 1)
				for i := range 1800 {
					x := []float64{50 + r.normal(), 7 + r.normal()}
					switch {
					case i >= 800 && i < 803:
						x[0] -= 20
					case i >= 1400 && i < 1403:
						x[0] += 20
					}
					if !d.Step(event.Time(i)*minute, x[:channels]).Anomaly {
						continue
					}
					if up := i >= 1400 && i < 1460; up == (side == Up) && (up || i >= 800 && i < 860) {
						right++
					} else {
						wrong++
					}
				}
			}
			if right < 9 || wrong > 1 {
				t.Errorf("%d channels, %v: %d alarms on that side, %d on the other or on none", channels, side, right, wrong)
			}
		}
	}
}

func BenchmarkStep(b *testing.B) {
	xs := wave(1 << 14)
	for _, doc := range Methods() {
		b.Run(doc.Name, func(b *testing.B) {
			d, err := New(doc.Name, Config{})
			if err != nil {
				b.Fatal(err)
			}
			x := make([]float64, 1)
			i := 0
			step := func() {
				x[0] = xs[i&(1<<14-1)]
				d.Step(event.Time(i)*5*minute, x)
				i++
			}
			for range 1 << 14 {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
			b.ReportMetric(float64(d.Size()), "state-bytes")
		})
	}
}
