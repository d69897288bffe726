package window

import (
	"cmp"
	"math"
	"math/big"
	"slices"

	"github.com/cepd/cepd/event"
)

// oracle answers windows in the obvious way: it keeps every event that was
// taken, and computes each answer from all events of its window.
type oracle struct {
	spec     *Spec
	now      event.Time
	taken    []taken
	sessions []*session
	tick     event.Time
}

type taken struct {
	stamp
	args []event.Value
}

type session struct {
	from, to event.Time // time of the first and last event
	answered bool
}

func newOracle(s *Spec) *oracle {
	return &oracle{spec: s, now: event.MinTime, tick: event.MaxTime}
}

// windows returns the ends of all windows that t lies in, by trying all.
func (o *oracle) windows(t event.Time) (bounds [][2]event.Time) {
	a := o.spec.Assigner
	every := a.Every
	switch a.Kind {
	case Cron:
		return [][2]event.Time{{a.Ticks.Prev(t), a.Ticks.Next(t)}}
	case Session:
		for _, s := range o.sessions {
			if s.from <= t && t <= s.to {
				return [][2]event.Time{{s.from, s.to.Add(a.Gap)}}
			}
		}
		return nil
	case Counted:
		return nil
	case Tumbling:
		every = a.Size
	}
	for k := (t-event.Time(a.Size+a.Offset))/event.Time(every) - 2; k <= t/event.Time(every)+1; k++ {
		if start := event.Time(a.Offset) + k*event.Time(every); start <= t && t < start.Add(a.Size) {
			bounds = append(bounds, [2]event.Time{start, start.Add(a.Size)})
		}
	}
	return bounds
}

func (o *oracle) within(start, end event.Time) (in []taken) {
	for _, e := range o.taken {
		if start <= e.t && e.t < end {
			in = append(in, e)
		}
	}
	return in
}

// open returns all windows with events that end after o.now, by end.
func (o *oracle) open() (bounds [][2]event.Time) {
	for _, e := range o.taken {
		for _, b := range o.windows(e.t) {
			if b[1] > o.now && !slices.Contains(bounds, b) {
				bounds = append(bounds, b)
			}
		}
	}
	slices.SortFunc(bounds, func(a, b [2]event.Time) int { return cmp.Compare(a[1], b[1]) })
	return bounds
}

func (o *oracle) session(t event.Time) *session {
	for _, s := range o.sessions {
		if s.from <= t && t <= s.to {
			return s
		}
	}
	return nil
}

func (o *oracle) add(now event.Time, e taken) (Outcome, []Result) {
	o.now = now
	switch o.spec.Assigner.Kind {
	case Counted:
		return o.addCounted(e)
	case Session:
		return o.addSession(e)
	}
	bounds := o.windows(e.t)
	if len(bounds) == 0 {
		return Outside, nil
	}
	if bounds[len(bounds)-1][1].Add(o.spec.Lateness) <= now {
		return TooLate, nil
	}
	o.taken = append(o.taken, e)
	var out []Result
	for _, b := range bounds {
		if b[1] <= now && b[1].Add(o.spec.Lateness) > now {
			in := o.within(b[0], b[1])
			out = append(out, o.result(in, Result{Start: b[0], End: b[1], At: now, Update: len(in) > 1}))
		}
	}
	o.ask(e.t)
	return Taken, out
}

// ask asks for an early answer if the event lies in the window that closes next.
func (o *oracle) ask(t event.Time) {
	if b := o.open(); o.spec.Early > 0 && o.tick == event.MaxTime && len(b) > 0 && b[0][0] <= t {
		o.tick = (o.now/event.Time(o.spec.Early) + 1) * event.Time(o.spec.Early)
	}
}

func (o *oracle) addCounted(e taken) (Outcome, []Result) {
	o.taken = append(o.taken, e)
	n, a := len(o.taken), o.spec.Assigner
	if n <= o.countedEnd(n-1)-a.N {
		return Outside, nil
	}
	if o.spec.Early > 0 && o.tick == event.MaxTime {
		o.tick = (o.now/event.Time(o.spec.Early) + 1) * event.Time(o.spec.Early)
	}
	if n < a.N || (n-a.N)%a.Step != 0 {
		return Taken, nil
	}
	return Taken, []Result{o.result(o.taken[n-a.N:], Result{At: o.now})}
}

// countedEnd returns the end of the first window that covers an event of number
// i or later and ends after it.
func (o *oracle) countedEnd(i int) int {
	end := o.spec.Assigner.N
	for end <= i {
		end += o.spec.Assigner.Step
	}
	return end
}

func (o *oracle) addSession(e taken) (Outcome, []Result) {
	gap := o.spec.Assigner.Gap
	joined := &session{from: e.t, to: e.t}
	var rest []*session
	for _, s := range o.sessions {
		if s.from < e.t.Add(gap) && e.t < s.to.Add(gap) {
			joined.from, joined.to = min(joined.from, s.from), max(joined.to, s.to)
			joined.answered = joined.answered || s.answered
		} else {
			rest = append(rest, s)
		}
	}
	end := joined.to.Add(gap)
	if end.Add(o.spec.Lateness) <= o.now {
		return TooLate, nil
	}
	o.sessions = append(rest, joined)
	o.taken = append(o.taken, e)
	if end > o.now {
		o.ask(e.t)
		return Taken, nil
	}
	r := o.result(o.within(joined.from, end), Result{Start: joined.from, End: end, At: o.now, Update: joined.answered})
	joined.answered = true
	return Taken, []Result{r}
}

func (o *oracle) advance(to event.Time) (out []Result) {
	for {
		next := event.MaxTime
		b := o.open()
		if len(b) > 0 && o.spec.Assigner.Kind != Counted {
			next = b[0][1]
		}
		switch {
		case len(b) > 0 && o.spec.Assigner.Kind != Counted && next <= to && next <= o.tick:
			r := Result{Start: b[0][0], End: next, At: next}
			if s := o.session(r.Start); s != nil {
				r.Update, s.answered = s.answered, true
			}
			out = append(out, o.result(o.within(r.Start, next), r))
			o.now = next
		case o.tick <= to && o.tick != event.MaxTime:
			out = append(out, o.early(b)...)
			o.now, o.tick = o.tick, event.MaxTime
		default:
			o.now = to
			o.forget()
			return out
		}
	}
}

func (o *oracle) early(b [][2]event.Time) []Result {
	if o.spec.Assigner.Kind == Counted {
		n := len(o.taken)
		end := o.countedEnd(n)
		if in := o.taken[min(n, max(0, end-o.spec.Assigner.N)):]; len(in) > 0 {
			return []Result{o.result(in, Result{At: o.tick, Early: true})}
		}
		return nil
	}
	if len(b) == 0 {
		return nil
	}
	r := Result{Start: b[0][0], End: b[0][1], At: o.tick, Early: true}
	if s := o.session(r.Start); s != nil {
		r.Update = s.answered
	}
	return []Result{o.result(o.within(r.Start, r.End), r)}
}

// forget takes away what no late event can reach, so that it cannot join.
func (o *oracle) forget() {
	if o.spec.Assigner.Kind != Session {
		return
	}
	gone := func(s *session) bool { return s.to.Add(o.spec.Assigner.Gap).Add(o.spec.Lateness) <= o.now }
	for _, s := range o.sessions {
		if gone(s) {
			o.taken = slices.DeleteFunc(o.taken, func(e taken) bool { return s.from <= e.t && e.t <= s.to })
		}
	}
	o.sessions = slices.DeleteFunc(o.sessions, gone)
}

func (o *oracle) result(in []taken, r Result) Result {
	byTime := slices.Clone(in)
	slices.SortStableFunc(byTime, func(a, b taken) int { return cmp.Compare(a.t, b.t) })
	r.Events = int64(len(in))
	first, last := byTime[0], byTime[len(byTime)-1]
	r.First, r.Last = first.pos, last.pos
	if o.spec.Assigner.Kind == Counted {
		r.Start, r.End = first.t, last.t
	}
	for i, a := range o.spec.Aggregates {
		var vs []timed
		for _, e := range byTime {
			if v := e.args[i]; !v.IsMissing() && v.Kind() != event.KindNull && !isOdd(v) {
				vs = append(vs, timed{e.t, v})
			}
		}
		v, reason := obvious(a, vs)
		r.Values, r.Reasons = append(r.Values, v), append(r.Reasons, reason)
	}
	return r
}

func isOdd(v event.Value) bool {
	return v.Kind() == event.KindDouble && (math.IsNaN(v.AsDouble()) || math.IsInf(v.AsDouble(), 0))
}

type timed struct {
	t event.Time
	v event.Value
}

// obvious computes an aggregate over values in the order of time.
func obvious(a Aggregate, vs []timed) (event.Value, Reason) {
	var xs []float64
	for _, v := range vs {
		x, _ := v.v.Number()
		xs = append(xs, x)
	}
	n := float64(len(vs))
	switch a.Kind {
	case Count:
		k := 0
		for _, v := range vs {
			if v.v.Kind() != event.KindBool || v.v.AsBool() {
				k++
			}
		}
		return event.Int(int64(k)), 0
	case Distinct:
		return event.Int(int64(len(frequencies(vs)))), 0
	case TopK:
		return obviousTop(vs, a.K), 0
	case Collect:
		list := []event.Value{}
		for _, v := range vs {
			list = append(list, v.v)
		}
		return event.List(list), 0
	}
	if len(vs) == 0 {
		return event.Missing, ReasonEmpty
	}
	first, last := vs[0], vs[len(vs)-1]
	switch a.Kind {
	case Sum:
		return obviousSum(vs)
	case Avg:
		return event.Double(bigSum(xs) / n), 0
	case Min, Max:
		best := first.v
		for _, v := range vs {
			if c, _ := compare(v.v, best); c < 0 && a.Kind == Min || c > 0 && a.Kind == Max {
				best = v.v
			}
		}
		return best, 0
	case First:
		return first.v, 0
	case Last:
		return last.v, 0
	case Variance:
		return event.Double(variance(xs)), 0
	case Stddev:
		return event.Double(math.Sqrt(variance(xs))), 0
	case Median:
		return event.Double(obviousQuantile(xs, 0.5)), 0
	case Quantile:
		return event.Double(obviousQuantile(xs, a.Q)), 0
	case Delta:
		if first.v.Kind() == event.KindInt && last.v.Kind() == event.KindInt {
			return event.Int(last.v.AsInt() - first.v.AsInt()), 0
		}
		return event.Double(xs[len(xs)-1] - xs[0]), 0
	}
	if first.t == last.t {
		return event.Missing, ReasonEmpty
	}
	if a.Kind == Rate {
		grown := 0.0
		for i := 1; i < len(xs); i++ {
			grown += growth(xs[i-1], xs[i])
		}
		return event.Double(grown / last.t.Sub(first.t).Seconds()), 0
	}
	return event.Double(obviousSlope(vs, xs)), 0
}

func bigSum(xs []float64) float64 {
	sum := new(big.Float).SetPrec(2000)
	for _, x := range xs {
		sum.Add(sum, big.NewFloat(x))
	}
	f, _ := sum.Float64()
	return f
}

func obviousSum(vs []timed) (event.Value, Reason) {
	whole, frac, double := new(big.Int), []float64{}, false
	for _, v := range vs {
		if v.v.Kind() == event.KindDouble {
			double, frac = true, append(frac, v.v.AsDouble())
		} else {
			whole.Add(whole, big.NewInt(v.v.AsInt()))
		}
	}
	if double {
		f, _ := new(big.Float).SetInt(whole).Float64()
		return event.Double(bigSum(append(frac, f))), 0
	}
	if !whole.IsInt64() {
		return event.Missing, ReasonOverflow
	}
	return event.Int(whole.Int64()), 0
}

func variance(xs []float64) float64 {
	mean := bigSum(xs) / float64(len(xs))
	var squares []float64
	for _, x := range xs {
		squares = append(squares, (x-mean)*(x-mean))
	}
	return bigSum(squares) / float64(len(xs))
}

func obviousQuantile(xs []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(xs))
	rank := q * float64(len(xs)-1)
	low, high := sorted[int(math.Floor(rank))], sorted[int(math.Ceil(rank))]
	return low + (high-low)*(rank-math.Floor(rank))
}

func obviousSlope(vs []timed, xs []float64) float64 {
	var ts []float64
	for _, v := range vs {
		ts = append(ts, v.t.Sub(vs[0].t).Seconds())
	}
	n := float64(len(vs))
	meanT, meanX := bigSum(ts)/n, bigSum(xs)/n
	up, down := 0.0, 0.0
	for i := range ts {
		up += (ts[i] - meanT) * (xs[i] - meanX)
		down += (ts[i] - meanT) * (ts[i] - meanT)
	}
	return up / down
}

type frequency struct {
	v event.Value
	n int64
}

func frequencies(vs []timed) (fs []frequency) {
	for _, v := range vs {
		i := slices.IndexFunc(fs, func(f frequency) bool { return f.v.Equal(v.v) })
		if i < 0 {
			fs = append(fs, frequency{v.v, 1})
		} else {
			fs[i].n++
		}
	}
	return fs
}

func obviousTop(vs []timed, k int) event.Value {
	fs := frequencies(vs)
	slices.SortFunc(fs, func(a, b frequency) int {
		c, _ := compare(a.v, b.v)
		return cmp.Or(cmp.Compare(b.n, a.n), c)
	})
	list := []event.Value{}
	for _, f := range fs[:min(k, len(fs))] {
		list = append(list, event.Map([]event.Entry{{Name: "value", Value: f.v}, {Name: "count", Value: event.Int(f.n)}}))
	}
	return event.List(list)
}
