package rules

import (
	"strings"
	"testing"
)

// TestNotation shows what the notation of samples means. A missing sample is
// printed as _.
func TestNotation(t *testing.T) {
	for _, tt := range []struct{ notation, want string }{
		{"5", "5"},
		{"5 6 7", "5 6 7"},
		{"  5\t6\n7 ", "5 6 7"},
		{"5x0", "5"},
		{"5x3", "5 5 5 5"}, // 5, and three more
		{"1+2x3", "1 3 5 7"},
		{"1-2x3", "1 -1 -3 -5"},
		{"-2+4x3", "-2 2 6 10"},
		{"-2-4x1", "-2 -6"},
		{"+3", "3"},
		{"1 _x3 1", "1 _ _ _ 1"}, // three missing ones
		{"_ 5", "_ 5"},
		{"_x0 5", "5"},
		{"60x2 90x1 60", "60 60 60 90 90 60"},
		{"0+0.1x3", "0 0.1 0.2 0.3"}, // in decimals, not 0.30000000000000004
		{"1.5-0.25x2", "1.5 1.25 1"},
		{"40+0.7x6", "40 40.7 41.4 42.1 42.8 43.5 44.2"},
		{".5x1", "0.5 0.5"},
		{"5.", "5"},
		{"1e3x1", "1000 1000"},
		{"1e-3+1e-3x1", "0.001 0.002"},
		{"1e+2", "100"},
		{"0x10", "0 0 0 0 0 0 0 0 0 0 0"}, // no hexadecimal number
		{"9223372036854775807x1", "9223372036854775807 9223372036854775807"},
		{"18446744073709551615", "18446744073709551615"},
		{"9007199254740993+2x1", "9007199254740993 9007199254740995"}, // exact beyond 2^53
		{"truex1 false", "true true false"},
		{"null", "null"},
		{"'running'x1 'stopped'", `"running" "running" "stopped"`},
		{`"it's on"x1`, `"it's on" "it's on"`},
		{`'say "hi"' ''`, `"say \"hi\"" ""`},
		{"'5'", `"5"`},
	} {
		samples, _, bad := parseSamples(tt.notation)
		if bad != nil {
			t.Errorf("%q: %s", tt.notation, bad.message)
			continue
		}
		if got := samplesText(samples); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.notation, got, tt.want)
		}
	}
}

func samplesText(samples Samples) string {
	texts := make([]string, samples.Len())
	for i := range texts {
		texts[i] = "_"
	}
	for i, v := range samples.All() {
		texts[i] = string(v.AppendJSON(nil))
	}
	return strings.Join(texts, " ")
}

// TestNotationMistakes shows what is said about samples that are none, and
// where.
func TestNotationMistakes(t *testing.T) {
	for _, tt := range []struct{ notation, at, message, advice string }{
		{"", "", "a series needs a sample", "write values with blanks"},
		{"running", "running", "`running` is no sample", `put a text in quotes of its own: "'running'"`},
		{"5 runningx3", "runningx3", "`runningx3` is no sample", "put a text in quotes of its own: 'running'x3"},
		{"5 x3", "x3", "`x3` is no sample", "write it without a blank before: 5x3"},
		{"5x", "5x", "`5x` is no sample", "items are like"},
		{"5*3", "5*3", "`5*3` is no sample", "5x3 is 5 and three more"},
		{"1,2,3", "1,2,3", "`1,2,3` is no sample", "write blanks between samples"},
		{"[1 2]", "[1", "`[1` is no sample", "write blanks between samples"},
		{"1+2", "1+2", "does not say how many samples follow", "write 1+2x3 for three more"},
		{"1 stale", "stale", "there is no `stale`", "write _ for a missing sample"},
		{"NaN", "NaN", "there is no `NaN`", "write _"},
		{"'on", "'on", "the quote ' is not closed", ""},
		{"'on'3", "'on'3", "`'on'3` is no sample", "items are like"},
		{"1e999", "1e999", "beyond what JSON readers take", ""},
		{"1+1e999x3", "1+1e999x3", "beyond what JSON readers take", ""},
		{"1e308+1e308x3", "1e308+1e308x3", "beyond what JSON readers take", ""},
		{"1x100000", "1x100000", "at most 100000 samples", "replay"},
		{"1x99998 1x1", "1x1", "at most 100000 samples", "replay"},
		{"1x99999999999999999999", "1x99999999999999999999", "at most 100000 samples", "replay"},
	} {
		_, _, bad := parseSamples(tt.notation)
		if bad == nil {
			t.Errorf("%q: no mistake", tt.notation)
			continue
		}
		if at := tt.notation[bad.from:bad.to]; at != tt.at || !strings.Contains(bad.message, tt.message) || !strings.Contains(bad.advice, tt.advice) {
			t.Errorf("%q: got %q, %q, %q", tt.notation, at, bad.message, bad.advice)
		}
	}
}

// FuzzNotation checks that any text is either refused with a place inside of
// it, or gives as many samples as it says, none of which is beyond JSON.
func FuzzNotation(f *testing.F) {
	for _, s := range []string{"60x5 90x4", "1+2x3", "0-0.1x9", "'a'x2 \"b\"", "_x3", "true null", "1e300+1e300x9", "x3", "'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		samples, wheres, bad := parseSamples(text)
		if bad != nil {
			if bad.message == "" || bad.from < 0 || bad.to < bad.from || bad.to > len(text) {
				t.Fatalf("%q: %+v", text, bad)
			}
			return
		}
		if len(wheres) != len(samples) || samples.Len() > maxSamples {
			t.Fatalf("%q: %d samples, %d runs, %d places", text, samples.Len(), len(samples), len(wheres))
		}
		last := -1
		for i, v := range samples.All() {
			if f, ok := v.Number(); i <= last || ok && (f != f || f-f != 0) {
				t.Fatalf("%q: sample %d is %v", text, i, v.Text())
			}
			last = i
		}
	})
}
