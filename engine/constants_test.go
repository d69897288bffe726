package engine

import (
	"math"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// TestConstants holds the table to a list, with texts that have the same words or
// lengths, and numbers that have the words of texts.
func TestConstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.Custom(func(t *rapid.T) event.Value {
			if rapid.Bool().Draw(t, "int") {
				return event.Int(rapid.SampledFrom([]int64{0, 1, -1, 'a', math.MinInt64, rapid.Int64Range(-50, 50).Draw(t, "n"), int64(event.String("ab").Word())}).Draw(t, "number"))
			}
			// All that is between the ends of a text is in no word.
			return event.String(rapid.SampledFrom([]string{"", "01234567", "S"}).Draw(t, "head") + rapid.StringN(0, 3, -1).Draw(t, "middle") + rapid.SampledFrom([]string{"", "89abcdef"}).Draw(t, "tail"))
		})
		var table constants
		var filed []event.Value // at i what has i + 1
		find := func(v event.Value) int32 {
			for i, w := range filed {
				if v.Equal(w) {
					return int32(i + 1)
				}
			}
			return 0
		}
		for _, v := range rapid.SliceOf(drawn).Draw(t, "filed") {
			to := table.file(v)
			if want := find(v); *to != want {
				t.Fatalf("%s has %d, want %d", v.Text(), *to, want)
			}
			if *to == 0 {
				filed = append(filed, v)
				*to = int32(len(filed))
			}
		}
		asked := append(filed, rapid.SliceOf(drawn).Draw(t, "asked")...)
		for _, v := range asked {
			if v.Is(event.KindString) {
				v = event.String(strings.Clone(v.AsString())) // equal wherever it lies
			}
			values := []event.Value{v}
			if v.Is(event.KindInt) && v.AsInt() >= 0 {
				values = append(values, event.Uint(v.AsUint()), event.Double(float64(v.AsInt())))
			}
			for _, v := range values {
				if got, ok := table.find(v); got != find(v) || !ok {
					t.Fatalf("%s %s has %d, %v, want %d", v.Kind(), v.Text(), got, ok, find(v))
				}
			}
		}
	})
	var table constants
	*table.file(event.Int(3)) = 1
	for _, v := range []event.Value{event.Double(3.5), event.Double(math.NaN()), event.Double(math.Inf(1)), event.Double(1e300), event.Uint(math.MaxUint64), event.String("3")} {
		if n, ok := table.find(v); n != 0 || !ok {
			t.Errorf("%s %s has %d, %v", v.Kind(), v.Text(), n, ok)
		}
	}
	for _, v := range []event.Value{event.Missing, event.Null, event.Bool(true), event.Timestamp(3), event.Bytes([]byte("a")), event.List(nil)} {
		if _, ok := table.find(v); ok {
			t.Errorf("%s %s may equal a constant", v.Kind(), v.Text())
		}
	}
}
