package window

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// valueForms draw values of one sort; a list is of one or two sorts.
var valueForms = []func(t *rapid.T) event.Value{
	func(t *rapid.T) event.Value { return event.Int(rapid.Int64Range(-50, 50).Draw(t, "int")) },
	func(t *rapid.T) event.Value { return event.Int(rapid.Int64().Draw(t, "large")) },
	func(t *rapid.T) event.Value { return event.Uint(rapid.Uint64().Draw(t, "uint")) },
	func(t *rapid.T) event.Value { return event.Double(rapid.Float64Range(-1e6, 1e6).Draw(t, "double")) },
	func(t *rapid.T) event.Value { return event.Double(rapid.Float64().Draw(t, "any double")) },
	func(t *rapid.T) event.Value {
		return event.String(rapid.SampledFrom([]string{"a", "b", "ab", ""}).Draw(t, "text"))
	},
	func(t *rapid.T) event.Value {
		return event.DurationOf(event.Duration(rapid.Int64Range(-9, 9).Draw(t, "duration")))
	},
	func(t *rapid.T) event.Value {
		return event.Timestamp(event.Time(rapid.Int64Range(0, 9).Draw(t, "time")))
	},
	func(t *rapid.T) event.Value { return event.Bool(rapid.Bool().Draw(t, "bool")) },
	func(t *rapid.T) event.Value { return event.List([]event.Value{event.Int(1)}) },
}

// TestMerge folds values of all types at once, and in parts that are written,
// read and merged in any grouping; the answer and its reason are the same.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agg := rapid.SampledFrom(everyKind).Draw(t, "aggregate")
		forms := []int{rapid.IntRange(0, 9).Draw(t, "form"), rapid.IntRange(0, 9).Draw(t, "form")}
		n := rapid.SampledFrom([]int{0, 1, 2, 3, 8, 30, 400}).Draw(t, "n")
		at := event.Time(rapid.Int64Range(-5, 5).Draw(t, "at"))
		whole := kinds[agg.Kind].make()
		parts := []partial{kinds[agg.Kind].make()}
		for range n {
			v := valueForms[forms[rapid.IntRange(0, 1).Draw(t, "which")]](t)
			if rapid.IntRange(0, 5).Draw(t, "pane") == 0 {
				parts = append(parts, kinds[agg.Kind].make())
				at++
			}
			at += event.Time(rapid.Int64Range(0, 1).Draw(t, "gap")) * second
			whole.add(at, v)
			parts[len(parts)-1].add(at, v)
		}
		for i, p := range parts {
			b := p.appendBinary(nil)
			r := event.NewReader(b)
			parts[i] = kinds[agg.Kind].make()
			parts[i].load(r)
			if r.Err() != nil || r.Len() != 0 || !bytes.Equal(parts[i].appendBinary(nil), b) {
				t.Fatalf("%v: %x reads as %x: %v", agg, b, parts[i].appendBinary(nil), r.Err())
			}
		}
		for len(parts) > 1 {
			i := rapid.IntRange(0, len(parts)-2).Draw(t, "join")
			if rapid.Bool().Draw(t, "backwards") && agg.Kind != Min && agg.Kind != Max {
				parts[i+1].merge(parts[i])
				parts[i] = parts[i+1]
			} else {
				parts[i].merge(parts[i+1])
			}
			parts = slices.Delete(parts, i+1, i+2)
		}
		got, gotReason := parts[0].read(&agg)
		want, wantReason := whole.read(&agg)
		overflow := gotReason == ReasonOverflow || wantReason == ReasonOverflow // of doubles: may be met on one way only
		if gotReason != wantReason && !overflow || gotReason == 0 && wantReason == 0 && !close(got, want, forms) {
			t.Fatalf("%v: merged %s (%v), at once %s (%v)", agg, got.Text(), gotReason, want.Text(), wantReason)
		}
	})
}

// close compares decimals to seven digits. Sums of doubles of any size are off
// by more where they cancel out.
func close(v, w event.Value, forms []int) bool {
	if v.Kind() == event.KindDouble && slices.ContainsFunc(forms, func(f int) bool { return f == 1 || f == 2 || f == 4 }) {
		return true
	}
	return alike(v, w)
}

func fold1(k Kind, vs ...event.Value) partial {
	p := kinds[k].make()
	for i, v := range vs {
		p.add(event.Time(i)*second, v)
	}
	return p
}

// TestValues are answers worked out by hand.
func TestValues(t *testing.T) {
	i, u, d, str := event.Int, event.Uint, event.Double, event.String
	big := uint64(math.MaxUint64)
	tests := []struct {
		agg    Aggregate
		vs     []event.Value
		want   event.Value
		reason Reason
	}{
		{Aggregate{Kind: Count}, []event.Value{event.Bool(true), event.Bool(false), i(0)}, i(2), 0},
		{Aggregate{Kind: Sum}, []event.Value{i(math.MaxInt64), i(1)}, event.Missing, ReasonOverflow},
		{Aggregate{Kind: Sum}, []event.Value{i(math.MaxInt64), i(1), i(-2)}, i(math.MaxInt64 - 1), 0}, // fits in the end
		{Aggregate{Kind: Sum}, []event.Value{i(math.MinInt64), i(-1)}, event.Missing, ReasonOverflow},
		{Aggregate{Kind: Sum}, []event.Value{u(big)}, u(big), 0},
		{Aggregate{Kind: Sum}, []event.Value{u(big), u(1)}, event.Missing, ReasonOverflow},
		{Aggregate{Kind: Sum}, []event.Value{u(big), i(-1)}, event.Missing, ReasonOverflow},
		{Aggregate{Kind: Sum}, []event.Value{u(7), i(-9)}, i(-2), 0},
		{Aggregate{Kind: Sum}, []event.Value{i(1), d(0.5)}, d(1.5), 0},
		{Aggregate{Kind: Sum}, []event.Value{d(1e16), d(1), d(-1e16)}, d(1), 0},
		{Aggregate{Kind: Sum}, []event.Value{d(math.MaxFloat64), d(math.MaxFloat64)}, event.Missing, ReasonOverflow},
		{Aggregate{Kind: Sum}, []event.Value{event.DurationOf(3), event.DurationOf(4)}, event.DurationOf(7), 0},
		{Aggregate{Kind: Sum}, []event.Value{event.DurationOf(3), i(4)}, event.Missing, ReasonType},
		{Aggregate{Kind: Sum}, []event.Value{i(1), str("x")}, event.Missing, ReasonType},
		{Aggregate{Kind: Sum}, nil, event.Missing, ReasonEmpty},
		{Aggregate{Kind: Avg}, []event.Value{i(math.MaxInt64), i(math.MaxInt64)}, d(math.MaxInt64), 0},
		{Aggregate{Kind: Avg}, []event.Value{i(math.MinInt64), i(math.MinInt64)}, d(math.MinInt64), 0},
		{Aggregate{Kind: Avg}, []event.Value{event.DurationOf(3)}, event.Missing, ReasonType},
		{Aggregate{Kind: Min}, []event.Value{i(2), d(1.5), u(3)}, d(1.5), 0},
		{Aggregate{Kind: Max}, []event.Value{d(1 << 63), u(1<<63 + 1), i(math.MaxInt64)}, u(1<<63 + 1), 0},
		{Aggregate{Kind: Max}, []event.Value{i(math.MaxInt64 - 1), d(1 << 63), i(math.MaxInt64)}, d(1 << 63), 0},
		{Aggregate{Kind: Min}, []event.Value{d(-1 << 63), i(math.MinInt64)}, d(-1 << 63), 0}, // the first of equals
		{Aggregate{Kind: Min}, []event.Value{str("b"), str("a")}, str("a"), 0},
		{Aggregate{Kind: Min}, []event.Value{str("b"), i(1)}, event.Missing, ReasonType},
		{Aggregate{Kind: Max}, []event.Value{event.Bool(true)}, event.Missing, ReasonType},
		{Aggregate{Kind: First}, []event.Value{str("b"), i(1)}, str("b"), 0},
		{Aggregate{Kind: Last}, []event.Value{str("b"), i(1)}, i(1), 0},
		{Aggregate{Kind: Variance}, []event.Value{i(2), i(4), i(4), i(4), i(5), i(5), i(7), i(9)}, d(4), 0},
		{Aggregate{Kind: Stddev}, []event.Value{i(2), i(4), i(4), i(4), i(5), i(5), i(7), i(9)}, d(2), 0},
		{Aggregate{Kind: Stddev}, []event.Value{i(2)}, d(0), 0},
		{Aggregate{Kind: Stddev}, []event.Value{d(1e200), d(-1e200)}, event.Missing, ReasonOverflow},
		{Aggregate{Kind: Median}, []event.Value{i(3), i(1), i(2), i(10)}, d(2.5), 0},
		{Aggregate{Kind: Quantile, Q: 0}, []event.Value{i(3), i(1)}, d(1), 0},
		{Aggregate{Kind: Quantile, Q: 1}, []event.Value{i(3), i(1)}, d(3), 0},
		{Aggregate{Kind: Quantile, Q: 0.75}, []event.Value{i(1), i(2), i(3), i(4)}, d(3.25), 0},
		{Aggregate{Kind: Distinct}, []event.Value{i(1), d(1), str("1"), u(1), event.Bool(true)}, i(3), 0},
		{Aggregate{Kind: Distinct}, []event.Value{event.List(nil)}, event.Missing, ReasonType},
		{Aggregate{Kind: Rate}, []event.Value{i(10), i(20), i(5), i(6)}, d(16.0 / 3), 0}, // a reset between 20 and 5
		{Aggregate{Kind: Rate}, []event.Value{i(10)}, event.Missing, ReasonEmpty},
		{Aggregate{Kind: Delta}, []event.Value{i(10), i(20), i(5)}, i(-5), 0},
		{Aggregate{Kind: Delta}, []event.Value{u(big), u(big - 3)}, i(-3), 0},
		{Aggregate{Kind: Delta}, []event.Value{i(math.MinInt64), i(math.MaxInt64)}, event.Missing, ReasonOverflow},
		{Aggregate{Kind: Delta}, []event.Value{i(1), d(1.5)}, d(0.5), 0},
		{Aggregate{Kind: Slope}, []event.Value{i(1), i(3), i(5)}, d(2), 0},
		{Aggregate{Kind: Slope}, []event.Value{i(1)}, event.Missing, ReasonEmpty},
		{Aggregate{Kind: Collect}, []event.Value{i(1), str("a")}, event.List([]event.Value{i(1), str("a")}), 0},
	}
	for _, tt := range tests {
		got, reason := fold1(tt.agg.Kind, tt.vs...).read(&tt.agg)
		if reason != tt.reason || reason == 0 && (got.Kind() != tt.want.Kind() || !got.Equal(tt.want)) {
			t.Errorf("%v of %s = %s (%v), want %s (%v)", tt.agg, event.List(tt.vs).Text(), got.Text(), reason, tt.want.Text(), tt.reason)
		}
	}
	top, _ := fold1(TopK, str("b"), str("c"), str("a"), str("b"), str("c"), i(3)).read(&Aggregate{Kind: TopK, K: 3})
	if got, want := top.Text(), `[{"value":"b","count":2},{"value":"c","count":2},{"value":3,"count":1}]`; got != want {
		t.Errorf("topk = %s, want %s", got, want)
	}
}

// TestSketch holds quantiles of many values to 1 % of the value of that rank,
// for several distributions, whatever the order and the panes.
func TestSketch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	distributions := map[string]func() float64{
		"uniform":     func() float64 { return rng.Float64() * 100 },
		"exponential": func() float64 { return rng.ExpFloat64() },
		"lognormal":   func() float64 { return math.Exp(3 * rng.NormFloat64()) },
		"normal":      func() float64 { return rng.NormFloat64() },
		"integers":    func() float64 { return float64(rng.IntN(10) - 3) },
		"tiny":        func() float64 { return 0x1p-1022 * 1000 * rng.Float64() },
		"huge":        func() float64 { return math.MaxFloat64 * rng.Float64() },
	}
	for name, draw := range distributions {
		var xs []float64
		panes := []*digest{new(digest)}
		for range 20_000 {
			x := draw()
			xs = append(xs, x)
			if rng.IntN(100) == 0 {
				panes = append(panes, new(digest))
			}
			panes[len(panes)-1].add(0, event.Double(x))
		}
		slices.Sort(xs)
		rng.Shuffle(len(panes), func(i, j int) { panes[i], panes[j] = panes[j], panes[i] })
		merged, again := new(digest), new(digest)
		for i := range panes {
			merged.merge(panes[i])
			again.merge(panes[len(panes)-1-i])
		}
		if !bytes.Equal(merged.appendBinary(nil), again.appendBinary(nil)) {
			t.Errorf("%s: the sketch depends on the order of merging", name)
		}
		t.Logf("%s: %d panes, %d bytes", name, len(panes), len(merged.appendBinary(nil)))
		for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
			got := merged.rank(q)
			want := xs[int(q*float64(len(xs)-1))]
			if math.Abs(got-want) > alpha*math.Abs(want)*1.0001+0x1p-1022 {
				t.Errorf("%s: quantile %v is %v, want %v within 1 %%", name, q, got, want)
			}
		}
	}
}

// TestSketchSpan: values that span more than the buckets do lose precision
// below, not above, and the state stays bounded.
func TestSketchSpan(t *testing.T) {
	up, down := new(digest), new(digest)
	for i := -300; i <= 300; i++ {
		up.count(math.Pow(10, float64(i)), 1)
		down.count(math.Pow(10, float64(-i)), 1)
	}
	up.sketched, down.sketched = true, true
	if len(up.pos.counts) != maxBuckets {
		t.Errorf("%d buckets, want %d", len(up.pos.counts), maxBuckets)
	}
	if !bytes.Equal(up.appendBinary(nil), down.appendBinary(nil)) {
		t.Error("what is kept depends on the order of values")
	}
	if n := up.pos.total(); n != 601 {
		t.Errorf("%d values, want 601", n)
	}
	if got := up.rank(0.99); math.Abs(got-1e294) > alpha*1e294 {
		t.Errorf("quantile 0.99 is %v, want 1e294", got)
	}
}

// TestDistinctError holds the estimate to its standard error, 1.04/64 = 1.6 %.
func TestDistinctError(t *testing.T) {
	for _, n := range []int{ExactDistinct, ExactDistinct + 1, 2_000, 5_000, 12_000, 50_000, 300_000} {
		var sum, worst float64
		trials := max(3, min(30, 600_000/n))
		for trial := range trials {
			parts := []*distinct{new(distinct), new(distinct)}
			for i := range n {
				v := event.Int(int64(trial*10_000_000 + i))
				if trial%2 == 1 {
					v = event.String(fmt.Sprintf("device-%d-%d", trial, i))
				}
				parts[i%2].add(0, v)
				parts[1].add(0, v) // twice, in one of them or in both
			}
			parts[0].merge(parts[1])
			got, _ := parts[0].read(nil)
			e := float64(got.AsInt())/float64(n) - 1
			sum += e * e
			worst = max(worst, math.Abs(e))
		}
		rms := math.Sqrt(sum / float64(trials))
		t.Logf("%d values: root mean square error %.2f %%, worst %.2f %%", n, 100*rms, 100*worst)
		if n <= ExactDistinct && worst != 0 || rms > 0.025 || worst > 0.065 {
			t.Errorf("%d values: root mean square error %.2f %%, worst %.2f %%", n, 100*rms, 100*worst)
		}
	}
}

// TestFrequent: with many different values counts are too low by no more than
// is said, that is below 1/500 of all, and no frequent value is lost.
func TestFrequent(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	zipf := rand.NewZipf(rng, 1.1, 1, 1_000_000)
	const n = 100_000
	truth := map[int64]int64{}
	merged, part := new(frequent), new(frequent)
	for i := range n {
		v := int64(zipf.Uint64())
		truth[v]++
		part.add(0, event.Int(v))
		if i%7_777 == 0 {
			merged.merge(part)
			part = new(frequent)
		}
	}
	merged.merge(part)
	if merged.missed == 0 || merged.missed > n/(ExactTopK/2) || len(merged.counts) > ExactTopK {
		t.Errorf("counts may miss %d of %d, %d kept", merged.missed, n, len(merged.counts))
	}
	kept := map[int64]bool{}
	for _, c := range merged.counts {
		v := c.v.AsInt()
		kept[v] = true
		if want := truth[v]; int64(c.n) > want || int64(c.n+merged.missed) < want {
			t.Errorf("value %d: count %d, error %d, truth %d", v, c.n, merged.missed, want)
		}
	}
	for v, c := range truth {
		if c > int64(merged.missed) && !kept[v] {
			t.Errorf("value %d, %d times, was lost", v, c)
		}
	}
}

// TestCollect keeps the latest values, also where late ones come in between.
func TestCollect(t *testing.T) {
	list := new(collect)
	for i := range 5 * MaxCollect {
		list.add(event.Time(2*i), event.Int(int64(2*i)))
		if i%3 == 0 {
			list.add(event.Time(2*i-5), event.Int(int64(2*i-5)))
		}
	}
	if len(list.items) >= 2*MaxCollect {
		t.Errorf("%d items kept", len(list.items))
	}
	v, _ := list.read(nil)
	vs := v.AsList()
	if len(vs) != MaxCollect || vs[MaxCollect-1].AsInt() != 2*(5*MaxCollect-1) ||
		!slices.IsSortedFunc(vs, func(a, b event.Value) int { return int(a.AsInt() - b.AsInt()) }) {
		t.Errorf("%d values, not sorted or not the last: %s", len(vs), v.Text())
	}
}

// TestSumOfDoubles holds the sum that is quick to the one that Neumaier describes,
// bit for bit, where numbers are far apart too, and where their sum has no place.
func TestSumOfDoubles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quick, slow := total{}, total{}
		for _, x := range rapid.SliceOfN(rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1e3, 1e3), rapid.SampledFrom([]float64{
			math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 0, math.Copysign(0, -1), 1e16, -1e16, 1,
		})), 1, 20).Draw(t, "numbers") {
			if x-x != 0 {
				continue
			}
			quick.addDouble(x)
			slow.n++
			slow.seen |= seenDouble
			slow.frac.add(x)
			slow.bound()
			if a, b := quick.appendBinary(nil), slow.appendBinary(nil); !bytes.Equal(a, b) {
				t.Fatalf("after %v: %+v, not %+v", x, quick, slow)
			}
		}
	})
}
