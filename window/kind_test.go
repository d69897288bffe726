package window

import (
	"testing"

	"github.com/cepd/cepd/event"
)

// TestKindTypes: what an aggregate takes, and of which type it is then.
func TestKindTypes(t *testing.T) {
	const no = event.Type(255)
	types := []event.Type{event.TypeAny, event.TypeBool, event.TypeInt, event.TypeUint, event.TypeDouble, event.TypeString,
		event.TypeTimestamp, event.TypeDuration, event.TypeList}
	a, b, i, u, d, s, ts, du, l := types[0], types[1], types[2], types[3], types[4], types[5], types[6], types[7], types[8]
	tests := map[Kind][]event.Type{ // by type of the argument, as in types
		Count:    {i, i, i, i, i, i, i, i, i},
		Sum:      {a, no, i, u, d, no, no, du, no},
		Avg:      {d, no, d, d, d, no, no, no, no},
		Min:      {a, no, i, u, d, s, ts, du, no},
		Max:      {a, no, i, u, d, s, ts, du, no},
		First:    {a, b, i, u, d, s, ts, du, l},
		Last:     {a, b, i, u, d, s, ts, du, l},
		Stddev:   {d, no, d, d, d, no, no, no, no},
		Variance: {d, no, d, d, d, no, no, no, no},
		Median:   {d, no, d, d, d, no, no, no, no},
		Quantile: {d, no, d, d, d, no, no, no, no},
		Distinct: {i, i, i, i, i, i, i, i, no},
		Rate:     {d, no, d, d, d, no, no, no, no},
		Delta:    {a, no, i, i, d, no, no, no, no},
		Slope:    {d, no, d, d, d, no, no, no, no},
		TopK:     {l, l, l, l, l, l, l, l, no},
		Collect:  {l, l, l, l, l, l, l, l, l},
	}
	for k := Count; k <= Collect; k++ {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("%v is read as %v, %v", k, got, ok)
		}
		for j, arg := range types {
			want := tests[k][j]
			got, ok := k.Result(arg)
			if !ok && want != no || ok && got != want {
				t.Errorf("%v of %v is %v (%v), want %v", k, arg, got, ok, want)
			}
		}
	}
	if _, ok := ParseKind("mode"); ok {
		t.Error("mode is no aggregate")
	}
}
