package detectors

import (
	"math"

	"github.com/cepd/cepd/event"
)

// resampler hands one value per stretch of time to a detector. A stretch is judged
// by Advance, or else when the first observation after it comes; until then the
// score says that nothing was judged. Empty stretches are holes.
type resampler struct {
	every event.Duration
	by    Reduce
	d     Detector
	begun bool
	start event.Time // of the present stretch
	acc   []float64
	n     []int
}

func newResampler(cfg Config, d Detector) *resampler {
	return &resampler{every: cfg.Every, by: cfg.By, d: d, acc: make([]float64, cfg.Channels), n: make([]int, cfg.Channels)}
}

// Step gathers x, after it has had the stretch before judged, if that is over.
func (r *resampler) Step(t event.Time, x []float64) Score {
	start := t - floorMod(t, event.Time(r.every))
	s := none(Reason{})
	if r.begun && start != r.start {
		s = r.close()
	}
	if !r.begun {
		r.begun, r.start = true, start
		clear(r.acc)
		clear(r.n)
	}
	for i := range r.acc {
		if i < len(x) && x[i]-x[i] == 0 {
			r.gather(i, x[i])
		}
	}
	return s
}

// close has the present stretch judged.
func (r *resampler) close() Score {
	r.begun = false
	return r.d.Step(r.start, r.result())
}

// Due implements [Detector].
func (r *resampler) Due() event.Time {
	if !r.begun {
		return event.MaxTime
	}
	return r.start.Add(r.every)
}

// Advance implements [Detector].
func (r *resampler) Advance(t event.Time) Score {
	if t < r.Due() {
		return none(Reason{})
	}
	return r.close()
}

// Hold implements [Detector].
func (r *resampler) Hold(on bool) { r.d.Hold(on) }

func floorMod(a, b event.Time) event.Time { return ((a % b) + b) % b }

func (r *resampler) gather(i int, x float64) {
	r.n[i]++
	switch {
	case r.n[i] == 1:
		r.acc[i] = x
	case r.by == ReduceAvg:
		r.acc[i] += (x - r.acc[i]) / float64(r.n[i])
	case r.by == ReduceMax:
		r.acc[i] = max(r.acc[i], x)
	case r.by == ReduceMin:
		r.acc[i] = min(r.acc[i], x)
	case r.by == ReduceSum:
		r.acc[i] += x
	default:
		r.acc[i] = x
	}
}

// result is what the present stretch comes to, in place.
func (r *resampler) result() []float64 {
	for i, n := range r.n {
		if r.by == ReduceCount {
			r.acc[i] = float64(n)
		} else if n == 0 {
			r.acc[i] = math.NaN()
		}
	}
	return r.acc
}

// Parts appends what the members said of the last stretch.
func (r *resampler) Parts(dst []Part) []Part { return r.d.Parts(dst) }

// Size is the memory taken.
func (r *resampler) Size() int { return 80 + 16*len(r.acc) + r.d.Size() }

func (r *resampler) state(c *codec) {
	c.bool(&r.begun)
	c.time(&r.start)
	c.array(r.acc)
	c.ints(r.n)
}

// AppendBinary appends the state to dst.
func (r *resampler) AppendBinary(dst []byte) []byte {
	return r.d.AppendBinary(appendState(dst, r.state))
}

// ReadBinary replaces the state.
func (r *resampler) ReadBinary(in *event.Reader) error {
	if err := readState(in, r.state); err != nil {
		return err
	}
	return r.d.ReadBinary(in)
}
