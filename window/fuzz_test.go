package window

import (
	"bytes"
	"testing"

	"github.com/cepd/cepd/event"
)

// fuzzSpecs are one of each kind of window, with every aggregate.
func fuzzSpecs(t testing.TB) (specs []*Spec) {
	for _, o := range []Options{
		{Assigner: Assigner{Kind: Tumbling, Size: 10e9}, Lateness: 5e9},
		{Assigner: Assigner{Kind: Sliding, Size: 10e9, Every: 4e9}, Early: 3e9, Lateness: 5e9},
		{Assigner: Assigner{Kind: Session, Gap: 5e9}, Lateness: 5e9},
		{Assigner: Assigner{Kind: Counted, N: 5, Step: 2}, Early: 3e9},
		{Assigner: Assigner{Kind: Cron, Ticks: ticks{10 * second, 15 * second, 40 * second}}},
	} {
		o.Aggregates = everyKind
		specs = append(specs, compile(t, o))
	}
	return specs
}

// FuzzReadState gives damaged bytes to ReadState: either it says so, or the
// state is one that can be written, read and used.
func FuzzReadState(f *testing.F) {
	specs := fuzzSpecs(f)
	args := make([]event.Value, len(everyKind))
	for i, spec := range specs {
		s := NewState(spec)
		var out Out
		for n := range 40 {
			at := event.Time(n) * second / 3
			for k := range args {
				args[k] = event.Int(int64(n * n % 17))
			}
			s.Advance(at, &out)
			s.Add(at, at, event.Position{Seq: uint64(n)}, args, &out)
			if n%10 == 5 {
				f.Add(i, s.AppendBinary(nil))
			}
		}
	}
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		if which < 0 || which >= len(specs) {
			return
		}
		s, err := ReadState(specs[which], event.NewReader(data))
		if err != nil {
			return
		}
		b := s.AppendBinary(nil)
		again, err := ReadState(specs[which], event.NewReader(b))
		if err != nil || !bytes.Equal(again.AppendBinary(nil), b) {
			t.Fatalf("%x is read, but what is written then is not: %v", data, err)
		}
		var out Out
		for n := range 20 {
			at := event.Time(n) * 2 * second
			s.Advance(at, &out)
			s.Add(at, at-event.Time(n%3)*second, event.Position{Seq: uint64(n)}, args, &out)
		}
		s.Advance(event.MaxTime, &out)
		s.AppendBinary(nil)
	})
}

// FuzzReadBaseline does the same for baselines.
func FuzzReadBaseline(f *testing.F) {
	spec := &BaselineSpec{History: 7 * 24 * 3600e9, Profile: DayOfWeek}
	var b Baseline
	b.Learn(spec, 5*second, 3, false)
	f.Add(b.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ReadBaseline(spec, event.NewReader(data))
		if err != nil {
			return
		}
		c := b.AppendBinary(nil)
		again, err := ReadBaseline(spec, event.NewReader(c))
		if err != nil || !bytes.Equal(again.AppendBinary(nil), c) {
			t.Fatalf("%x is read, but what is written then is not: %v", data, err)
		}
		b.Learn(spec, 10*second, 3, false)
		b.Usual(spec, 10*second)
	})
}
