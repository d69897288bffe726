package event

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

// values are one or more of each kind, all different for Equal.
var values = []Value{
	Missing, Null, Bool(false), Bool(true),
	Int(0), Int(1), Int(-1), Int(math.MaxInt64), Int(math.MinInt64),
	Uint(math.MaxInt64 + 1), Uint(math.MaxUint64),
	Double(0.5), Double(-1e300), Double(math.Inf(1)), Double(math.Inf(-1)), Double(math.MaxFloat64), Double(1 << 65),
	String(""), String("a"), String("caf\u00e9"), String("a\x00b"), Bytes([]byte{}), Bytes([]byte("a")),
	Timestamp(0), Timestamp(MaxTime), Timestamp(1), DurationOf(0), DurationOf(1), DurationOf(-1),
	List(nil), List([]Value{Int(1)}), List([]Value{Int(1), Null}), List([]Value{List(nil)}),
	Map(nil), Map([]Entry{{"a", Int(1)}}), Map([]Entry{{"a", Int(2)}}), Map([]Entry{{"b", Int(1)}}),
	Map([]Entry{{"a", Int(1)}, {"b", Map([]Entry{{"c", String("d")}})}}),
}

func TestValueSize(t *testing.T) {
	if n := unsafe.Sizeof(Value{}); n != 16 {
		t.Errorf("a value has %d bytes", n)
	}
}

func TestEqual(t *testing.T) {
	for i, v := range values {
		for j, w := range values {
			if got := v.Equal(w); got != (i == j) {
				t.Errorf("%s %s == %s %s is %v", v.Kind(), v.Text(), w.Kind(), w.Text(), got)
			}
		}
		if !v.Clone().Equal(v) {
			t.Errorf("%s: the copy is not equal", v.Text())
		}
	}
	for _, same := range [][]Value{
		{Int(1), Uint(1), Double(1)},
		{Int(0), Uint(0), Double(0), Double(math.Copysign(0, -1))},
		{Uint(1 << 63), Double(1 << 63)},
		{Int(math.MinInt64), Double(-1 << 63)},
		{List([]Value{Int(1)}), List([]Value{Double(1)})},
		{Map([]Entry{{"a", Int(1)}, {"b", Null}}), Map([]Entry{{"b", Null}, {"a", Uint(1)}})},
	} {
		for _, v := range same {
			for _, w := range same {
				if !v.Equal(w) {
					t.Errorf("%s %s is not %s %s", v.Kind(), v.Text(), w.Kind(), w.Text())
				}
			}
		}
	}
	for _, differ := range [][2]Value{
		{Double(math.NaN()), Double(math.NaN())},
		{Uint(math.MaxUint64), Double(1 << 64)}, // the double is one more
		{Int(math.MaxInt64), Double(1 << 63)},
		{Int(1<<53 + 1), Double(1 << 53)},
		{String("1"), Int(1)}, {Bool(true), Int(1)}, {Timestamp(1), Int(1)}, {DurationOf(1), Timestamp(1)}, {String("a"), Bytes([]byte("a"))},
		{Map([]Entry{{"a", Int(1)}}), Map([]Entry{{"a", Int(1)}, {"b", Int(1)}})},
	} {
		if differ[0].Equal(differ[1]) || differ[1].Equal(differ[0]) {
			t.Errorf("%s is %s", differ[0].Text(), differ[1].Text())
		}
	}
}

func TestIs(t *testing.T) {
	for _, v := range values {
		for k := range kindNames {
			if got, want := v.Is(Kind(k)), v.Kind() == Kind(k); got != want {
				t.Errorf("%s %s is a %s: %v", v.Kind(), v.Text(), Kind(k), got)
			}
		}
	}
}

// A word differs wherever one byte of a text of up to eight does, at either end of
// a longer one, and never between equal ones.
func TestWord(t *testing.T) {
	for n := range 20 {
		text := strings.Repeat("a", n)
		if got, want := String(strings.Clone(text)).Word(), String(text).Word(); got != want {
			t.Errorf("%q has the words %x and %x", text, got, want)
		}
		for i := range n {
			other := text[:i] + "b" + text[i+1:]
			if i >= 8 && i < n-8 {
				continue
			}
			if String(text).Word() == String(other).Word() {
				t.Errorf("%q and %q have the same word", text, other)
			}
		}
	}
	if a, b := String("01234567"), String("76543210"); a.Word() == b.Word() {
		t.Errorf("%q and %q have the same word", a.AsString(), b.AsString())
	}
}

func TestNumber(t *testing.T) {
	for _, test := range []struct {
		v    Value
		want float64
		ok   bool
	}{{Int(-2), -2, true}, {Uint(math.MaxUint64), 1 << 64, true}, {Double(0.5), 0.5, true}, {String("1"), 0, false}, {Bool(true), 0, false}, {Timestamp(1), 0, false}, {Missing, 0, false}} {
		if f, ok := test.v.Number(); f != test.want || ok != test.ok {
			t.Errorf("%s: got %v %v", test.v.Text(), f, ok)
		}
	}
}

func TestField(t *testing.T) {
	m := Map([]Entry{{"a", Int(1)}, {"b", Null}})
	if got := m.Field("a"); !got.Equal(Int(1)) {
		t.Error(got.Text())
	}
	if !m.Field("c").IsMissing() || m.Field("b").IsMissing() || !Int(1).Field("a").IsMissing() {
		t.Error("only a missing field is missing")
	}
}

// A clone lives on when the payload is gone.
func TestClone(t *testing.T) {
	payload := []byte(`{"a":["x",{"yy":"z"}]}`)
	v := List([]Value{
		StringOf(payload[7:8]), Bytes(payload[7:8]),
		Map([]Entry{{StringOf(payload[12:14]).AsString(), StringOf(payload[17:18])}}),
	})
	want := v.Text()
	c := v.Clone()
	for i := range payload {
		payload[i] = '#'
	}
	if got := c.Text(); got != want || v.Text() == want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		v          Value
		text, json string // json empty: the same
	}{
		{Missing, "?", "null"},
		{Null, "null", ""},
		{Bool(true), "true", ""},
		{Int(math.MinInt64), "-9223372036854775808", ""},
		{Uint(math.MaxUint64), "18446744073709551615", ""},
		{Double(21.5), "21.5", ""},
		{Double(80), "80", ""},
		{Double(1e21), "1e+21", ""},
		{Double(1e-7), "1e-7", ""},
		{Double(-1e-10), "-1e-10", ""},
		{Double(math.NaN()), `"NaN"`, ""},
		{Double(math.Inf(-1)), `"-Infinity"`, ""},
		{Double(math.Inf(1)), `"Infinity"`, ""},
		{String(`say "hi"` + "\n\x01\x7f\xff\u00e9"), `say "hi"` + "\n\x01\x7f\xff\u00e9", `"say \"hi\"\n\u0001\u007f` + "\ufffd\u00e9" + `"`},
		{Bytes([]byte{0xff, 0, 1}), `"/wAB"`, ""},
		{Timestamp(1e9 + 5e8), "1970-01-01T00:00:01.5Z", `"1970-01-01T00:00:01.5Z"`},
		{DurationOf(5400 * 1e9), "1h30m", `"1h30m"`},
		{List([]Value{Int(1), Missing, String("a")}), `[1,null,"a"]`, ""},
		{List(nil), "[]", ""},
		{Map([]Entry{{"a", Int(1)}, {`"`, Map(nil)}}), `{"a":1,"\"":{}}`, ""},
	} {
		if got := test.v.Text(); got != test.text {
			t.Errorf("text %q, want %q", got, test.text)
		}
		want := test.json
		if want == "" {
			want = test.text
		}
		got := string(test.v.AppendJSON([]byte("x")))
		if got != "x"+want || !json.Valid([]byte(got[1:])) {
			t.Errorf("JSON %q, want %q", got[1:], want)
		}
	}
}

// FuzzQuoted holds strings against encoding/json.
func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "\xff\xc3\u2028\U0001f600<>&", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := AppendQuoted(nil, s)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil {
			t.Fatalf("%q: %s: %v", s, quoted, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && back != s || len([]rune(back)) != len([]rune(s)) {
			t.Fatalf("%q: got %q, want %q", s, back, want)
		}
	})
}

// FuzzDouble holds doubles against encoding/json: the same text, which reads
// back as the same number.
func FuzzDouble(f *testing.F) {
	for _, d := range []float64{0, 1, -0.1, 1e21, 1e-6, 1e-7, 123456789012345680000, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e100} {
		f.Add(math.Float64bits(d))
	}
	f.Fuzz(func(t *testing.T, n uint64) {
		d := math.Float64frombits(n)
		if math.IsNaN(d) || math.IsInf(d, 0) {
			return
		}
		got := string(Double(d).AppendJSON(nil))
		want, err := json.Marshal(d)
		if err != nil || got != string(want) {
			t.Fatalf("got %s, encoding/json has %s (%v)", got, want, err)
		}
		if back, err := strconv.ParseFloat(got, 64); err != nil || back != d {
			t.Fatalf("%s reads back as %v", got, back)
		}
	})
}
