package detectors

import (
	"math"
	"testing"

	"github.com/cepd/cepd/event"
)

// machine is k channels driven by two hidden causes, each with noise of its own. From
// row broken on, channel 2 no longer follows, though its range stays the usual one.
func machine(n, k, broken int, seed uint64) [][]float64 {
	chance := random(seed)
	normal := func() float64 {
		return math.Sqrt(-2*math.Log(1-chance.float())) * math.Cos(2*math.Pi*chance.float())
	}
	rows := make([][]float64, n)
	slow := 0.0
	for i := range rows {
		slow = 0.98*slow + 0.2*normal()
		wave := math.Sin(2 * math.Pi * float64(i) / 200)
		rows[i] = make([]float64, k)
		for c := range k {
			a, b := math.Sin(float64(c+1)), math.Cos(float64(3*c))
			if c == 2 && i >= broken {
				a, b = -a, -b
			}
			rows[i][c] = float64(10*c) + a*wave + b*slow + 0.1*normal()
		}
	}
	return rows
}

// TestBrokenRelation: what no single channel shows is found by the methods that
// look at all, and they name the channel.
func TestBrokenRelation(t *testing.T) {
	for _, method := range []string{"auto", "t2"} {
		found, early, named := 0, 0, 0
		const runs = 20
		for seed := range uint64(runs) {
			d, err := New(method, Config{Channels: 8})
			if err != nil {
				t.Fatal(err)
			}
			first := true
			for i, x := range machine(2000, 8, 1500, seed+1) {
				s := d.Step(event.Time(i)*60e9, x)
				switch {
				case s.Anomaly && i < 1500:
					early++
				case s.Anomaly && first:
					first = false
					found++
					if s.Channel == 2 {
						named++
					}
				}
			}
		}
		t.Logf("%s: found %d of %d, named %d, %d false alarms", method, found, runs, named, early)
		if found < runs*9/10 || named < runs*3/4 {
			t.Errorf("%s: found %d of %d, and named the channel of %d", method, found, runs, named)
		}
	}
}

// TestManyChannelsRestart: the state of several channels goes over a restart bit by
// bit.
func TestManyChannelsRestart(t *testing.T) {
	for _, method := range []string{"auto", "t2", "half_space"} {
		cfg := Config{Channels: 5}
		d, err := New(method, cfg)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range machine(900, 5, 700, 3) {
			if i%100 == 50 {
				x[3] = math.NaN() // a missing channel keeps its last value
			}
			if i%97 == 0 {
				again, _ := New(method, cfg)
				if err := again.ReadBinary(event.NewReader(d.AppendBinary(nil))); err != nil {
					t.Fatal(err)
				}
				a, b := d.Step(event.Time(i)*1e9, x), again.Step(event.Time(i)*1e9, x)
				if a.Score != b.Score || a.Anomaly != b.Anomaly || a.Channel != b.Channel {
					t.Fatalf("%s, row %d: got %+v, want %+v", method, i, b, a)
				}
				d = again
				continue
			}
			if s := d.Step(event.Time(i)*1e9, x); !(s.Score >= 0 && s.Score <= 1) {
				t.Fatalf("%s, row %d: score %v", method, i, s.Score)
			}
		}
	}
}

// TestFaultsOfMachines: stretches in which three of eight channels are off by some
// deviations are found, one after the other, with few false alarms; what an early
// one was like must not hide the later ones.
func TestFaultsOfMachines(t *testing.T) {
	found, total, wrong, days := 0, 0, 0, 0.0
	for seed := range uint64(6) {
		rows := machine(9000, 8, 9000, seed+1)
		chance := random(seed)
		var first []int
		for f := range 4 {
			first = append(first, 3000+1500*f+int(chance.next()%500))
			for i := first[f]; i < first[f]+60; i++ {
				for c := range 3 {
					rows[i][(2*f+c)%8] += 0.8
				}
			}
		}
		d, err := New("auto", Config{Channels: 8})
		if err != nil {
			t.Fatal(err)
		}
		hit := make([]bool, len(first))
		for i, x := range rows {
			if !d.Step(event.Time(i)*60e9, x).Anomaly {
				continue
			}
			in := false
			for f, at := range first {
				if i >= at && i < at+63 {
					hit[f], in = true, true
				}
			}
			if !in {
				wrong++
			}
		}
		for _, h := range hit {
			total++
			if h {
				found++
			}
		}
		days += float64(len(rows)) / 1440
	}
	t.Logf("%d of %d faults found, %d false alarms in %.0f days", found, total, wrong, days)
	if found < total*8/10 || float64(wrong) > 0.2*days {
		t.Errorf("%d of %d faults found, %d false alarms in %.0f days", found, total, wrong, days)
	}
}

// TestWhatComesAgain: a freezer that defrosts every eight hours is no anomaly each
// time; a door that stays open is one still.
func TestWhatComesAgain(t *testing.T) {
	chance := random(3)
	d, err := New("auto", Config{Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	const perDay, open = 288, 8*288 + 100
	temp, wrong, found := -20.0, 0, false
	for i := range 10 * perDay {
		aim, power := -20.0, 3.0
		if phase := i % 96; phase < 6 {
			aim, power = -20+8*math.Sin(math.Pi*float64(phase)/6), 4
		}
		if i >= open && i < open+12 {
			aim = -9
		}
		temp += 0.6*(aim-temp) + 0.1*chance.normal()
		switch s := d.Step(event.Time(i)*300e9, []float64{temp, power + 0.1*chance.normal()}); {
		case s.Anomaly && i >= open && i < open+15:
			found = true
		case s.Anomaly:
			wrong++
		}
	}
	if wrong > 4 || !found {
		t.Errorf("%d false alarms at 30 defrosts; the open door found: %t", wrong, found)
	}
}

func BenchmarkChannels(b *testing.B) {
	for _, method := range []string{"auto", "t2", "half_space"} {
		b.Run(method+"/38", func(b *testing.B) {
			d, err := New(method, Config{Channels: 38})
			if err != nil {
				b.Fatal(err)
			}
			rows := machine(2000, 38, 2000, 1)
			i := 0
			for b.Loop() {
				d.Step(event.Time(i)*60e9, rows[i%2000])
				i++
			}
			b.ReportMetric(float64(d.Size()), "state-bytes")
		})
	}
}
