package window

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/cepd/cepd/event"
)

func compile(t testing.TB, o Options) *Spec {
	t.Helper()
	s, issues := Compile(o)
	if issues != nil {
		t.Fatalf("%+v", issues)
	}
	return s
}

func aggregates(ks ...Kind) (as []Aggregate) {
	for _, k := range ks {
		as = append(as, Aggregate{Kind: k, Q: 0.99, K: 10})
	}
	return as
}

// feed judges n events, 100 every ten seconds, and returns the number of answers.
func feed(s *State, from, n int, args []event.Value, out *Out) (answers int) {
	for i := from; i < from+n; i++ {
		at := event.Time(i) * second / 10
		out.Reset()
		if s.Deadline() <= at {
			s.Advance(at, out)
		}
		for k := range args {
			args[k] = event.Double(float64(i * 7 % 1000))
		}
		s.Add(at, at, event.Position{Seq: uint64(i)}, args, out)
		answers += len(out.Results)
	}
	return answers
}

// BenchmarkAdd sweeps the length of the window over one length of a pane: the
// cost of an event should hardly grow with it.
func BenchmarkAdd(b *testing.B) {
	sets := []struct {
		name string
		aggs []Aggregate
	}{
		{"five", aggregates(Count, Sum, Avg, Min, Max)},
		{"stddev", aggregates(Stddev)},
		{"quantile", aggregates(Quantile)},
		{"distinct", aggregates(Distinct)},
		{"topk", aggregates(TopK)},
		{"collect", aggregates(Collect)},
	}
	for _, set := range sets {
		for _, size := range []event.Duration{10e9, 60e9, 3600e9} {
			b.Run(fmt.Sprintf("%s/%s-every-10s", set.name, event.FormatDuration(size)), func(b *testing.B) {
				s := NewState(compile(b, Options{Assigner: Assigner{Kind: Sliding, Size: size, Every: 10e9}, Aggregates: set.aggs}))
				args := make([]event.Value, len(set.aggs))
				var out Out
				from := 40_000 // more than the longest window, so that it is full
				feed(s, 0, from, args, &out)
				b.ReportAllocs()
				for b.Loop() {
					feed(s, from, 1000, args, &out)
					from += 1000
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/event")
			})
		}
	}
}

// BenchmarkLate feeds late events, each of which has thirty windows answered
// again, of 360 panes each.
func BenchmarkLate(b *testing.B) {
	s := NewState(compile(b, Options{Assigner: Assigner{Kind: Sliding, Size: 3600e9, Every: 10e9}, Lateness: 300e9,
		Aggregates: aggregates(Count, Sum, Avg, Min, Max)}))
	args := make([]event.Value, 5)
	var out Out
	feed(s, 0, 40_000, args, &out)
	now := 4000 * second
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		s.Add(now, now-100*second, event.Position{Seq: 1}, args, &out)
	}
	b.ReportMetric(float64(len(out.Results)), "answers/event")
}

// BenchmarkKeys measures the memory of a key: one tumbling window of three
// aggregates, others, and a long sliding one of 360 panes.
func BenchmarkKeys(b *testing.B) {
	specs := []Options{
		{Assigner: Assigner{Kind: Tumbling, Size: 60e9}, Aggregates: aggregates(Count, Avg, Max)},
		{Assigner: Assigner{Kind: Session, Gap: 60e9}, Aggregates: aggregates(Count, Avg, Max)},
		{Assigner: Assigner{Kind: Tumbling, Size: 60e9}, Aggregates: aggregates(Quantile)},
		{Assigner: Assigner{Kind: Sliding, Size: 60e9, Every: 10e9}, Aggregates: aggregates(Count, Avg, Max)},
		{Assigner: Assigner{Kind: Sliding, Size: 3600e9, Every: 10e9}, Aggregates: aggregates(Count, Avg, Max)},
	}
	for _, o := range specs {
		spec := compile(b, o)
		keys, until := 100_000, 59*second
		if o.Assigner.Size == 3600e9 {
			keys, until = 100, 7200*second
		}
		b.Run(spec.String(), func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				states := make([]*State, keys)
				var out Out
				args := []event.Value{event.Int(1), event.Double(2), event.Double(3)}[:len(o.Aggregates)]
				stored := 0
				for i := range states {
					states[i] = NewState(spec)
					for at := event.Time(0); at < until; at += 5 * second {
						out.Reset()
						states[i].Advance(at, &out)
						states[i].Add(at, at, event.Position{Seq: 1}, args, &out)
					}
					stored += len(states[i].AppendBinary(nil))
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(keys), "B/key")
				b.ReportMetric(float64(after.HeapObjects-before.HeapObjects)/float64(keys), "objects/key")
				b.ReportMetric(float64(stored)/float64(keys), "stored-B/key")
				runtime.KeepAlive(states)
			}
		})
	}
}
