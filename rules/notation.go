package rules

import (
	"fmt"
	"iter"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/cepd/cepd/event"
)

// Samples are the values of one field of a series, in promtool's notation:
//
//	5           one sample
//	5x3         5, and three more like it
//	1+2x3       1, and three more, each 2 more than the one before: 1 3 5 7
//	1-2x3       likewise, each 2 less
//	'on'x3      a text in single or double quotes, and three more like it
//	truex3      true, false and null are written as they are
//	_           no sample; _x3 is three times none
//
// with blanks between. There is no escape in a text: one that holds a quote
// stands in quotes of the other kind.
type Samples []Run

// Run is one item of [Samples]: a value that is repeated, or goes up or down
// by the same amount.
type Run struct {
	N int // number of samples

	first, step event.Value // step is Missing where there is none
	a, b        int64       // first and step as numbers of 10^-places, where exact
	places      int
	exact       bool
}

// maxSamples bounds the samples of one field: a day of seconds. A test that
// needs more is one for `cepd replay`.
const maxSamples = 100_000

// Len returns the number of samples, missing ones too.
func (s Samples) Len() int {
	n := 0
	for _, r := range s {
		n += r.N
	}
	return n
}

// All returns each sample with its number; missing ones are left out.
func (s Samples) All() iter.Seq2[int, event.Value] {
	return func(yield func(int, event.Value) bool) {
		at := 0
		for _, r := range s {
			for i := range r.N {
				if v := r.at(i); !v.IsMissing() && !yield(at+i, v) {
					return
				}
			}
			at += r.N
		}
	}
}

// at returns a sample of the run. Steps are counted from the first sample, and
// in decimals where that is exact: 0+0.1x3 ends in 0.3.
func (r *Run) at(i int) event.Value {
	switch {
	case r.step.IsMissing():
		return r.first
	case r.exact && r.places == 0:
		return event.Int(r.a + int64(i)*r.b)
	case r.exact:
		return event.Double(float64(r.a+int64(i)*r.b) / math.Pow10(r.places))
	}
	first, _ := r.first.Number()
	step, _ := r.step.Number()
	return event.Double(first + float64(float64(i)*step))
}

// item finds the parts of one item: a number with a step, a word or a text,
// and how often it is repeated.
var item = regexp.MustCompile(`^(?:([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?:([+-])((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))?|(_|true|false|null)|('[^']*'|"[^"]*"))(?:x([0-9]+))?$`)

// notationError is a mistake in the notation of samples, and where it stands.
type notationError struct {
	from, to        int
	message, advice string
	word            bool // a text without quotes, it seems
}

// parseSamples reads samples. wheres says where in text each item stands.
func parseSamples(text string) (samples Samples, wheres [][2]int, bad *notationError) {
	for at := 0; ; {
		for at < len(text) && isBlank(text[at]) {
			at++
		}
		if at == len(text) {
			break
		}
		end := itemEnd(text, at)
		run, bad := parseRun(text[at:end])
		if bad == nil && samples.Len()+run.N > maxSamples {
			bad = &notationError{message: fmt.Sprintf("a series has at most %d samples", maxSamples), advice: "replay a recording instead"}
		}
		if bad != nil {
			bad.from, bad.to = at, end
			return nil, nil, bad
		}
		samples = append(samples, run)
		wheres = append(wheres, [2]int{at, end})
		at = end
	}
	if len(samples) == 0 {
		return nil, nil, &notationError{to: len(text), message: "a series needs a sample", advice: "write values with blanks between, such as 60x5 90"}
	}
	return samples, wheres, nil
}

// itemEnd returns where the item ends that begins at a place: at the next blank
// outside of quotes.
func itemEnd(text string, at int) int {
	quote := byte(0)
	for ; at < len(text); at++ {
		switch c := text[at]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case isBlank(c):
			return at
		case c == '\'' || c == '"':
			quote = c
		}
	}
	return at
}

func parseRun(text string) (Run, *notationError) {
	m := item.FindStringSubmatch(text)
	if m == nil {
		return Run{}, itemMistake(text)
	}
	r := Run{N: 1}
	if m[6] != "" {
		n, err := strconv.Atoi(m[6])
		if err != nil || n > maxSamples {
			return Run{}, &notationError{message: fmt.Sprintf("a series has at most %d samples", maxSamples), advice: "replay a recording instead"}
		}
		r.N = n + 1
		if m[4] == "_" {
			r.N = n
		}
	}
	ok := true
	switch {
	case m[5] != "":
		r.first = event.String(m[5][1 : len(m[5])-1])
	case m[4] != "":
		r.first = words[m[4]]
	default:
		r.first, ok = parseNumber(m[1])
	}
	if ok && m[3] != "" {
		if r.step, ok = parseNumber(strings.TrimPrefix(m[2], "+") + m[3]); m[6] == "" {
			return Run{}, &notationError{message: fmt.Sprintf("`%s` does not say how many samples follow", text), advice: fmt.Sprintf("write %sx3 for three more", text)}
		}
	}
	if ok {
		r.scale(m[1], strings.TrimPrefix(m[2], "+")+m[3])
		last, _ := r.at(r.N - 1).Number()
		ok = !math.IsInf(last, 0)
	}
	if !ok {
		return Run{}, &notationError{message: fmt.Sprintf("`%s` is a number beyond what JSON readers take", text)}
	}
	return r, nil
}

// words are the values that are written as words.
var words = map[string]event.Value{"_": event.Missing, "true": event.Bool(true), "false": event.Bool(false), "null": event.Null}

// itemMistake says what is wrong with an item.
func itemMistake(text string) *notationError {
	const general = "items are like 5, 5x3, 1+2x3, 'text'x3 or _"
	e := &notationError{message: fmt.Sprintf("`%s` is no sample", text), advice: general}
	word := strings.TrimRight(text, "0123456789")
	switch {
	case strings.ContainsAny(text[:1], `'"`) && strings.Count(text, text[:1])%2 == 1:
		e.message, e.advice = fmt.Sprintf("the quote %c is not closed", text[0]), ""
	case len(text) > 1 && text[0] == 'x' && word == "x":
		e.advice = "write it without a blank before: 5" + text
	case text == "stale" || text == "NaN" || text == "Inf" || text == "+Inf" || text == "-Inf":
		e.message, e.advice = fmt.Sprintf("there is no `%s` in events", text), "write _ for a missing sample"
	case strings.ContainsAny(text, ",;[]"):
		e.advice = "write blanks between samples, and nothing else"
	case strings.Contains(text, "*"):
		e.advice = "repeats are written with x: 5x3 is 5 and three more"
	case plainName.MatchString(strings.TrimSuffix(word, "x")) && strings.HasSuffix(word, "x") && word != text:
		e.word = true
		e.advice = fmt.Sprintf("put a text in quotes of its own: '%s'%s", strings.TrimSuffix(word, "x"), text[len(word)-1:])
	case looseName.MatchString(text) && !strings.ContainsAny(text[:1], "0123456789."):
		e.word = true
		e.advice = fmt.Sprintf("put a text in quotes of its own: \"'%s'\"", text)
	}
	return e
}

// parseNumber reads a number as JSON's decoder does: whole ones stay exact.
func parseNumber(s string) (event.Value, bool) {
	s = strings.TrimPrefix(s, "+")
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return event.Int(i), true
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return event.Uint(u), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || !strings.ContainsAny(s, ".eE") {
		return event.Missing, false
	}
	return event.Double(f), true
}

// scale prepares exact steps, where numbers have few digits enough.
func (r *Run) scale(first, step string) {
	if step == "" {
		return
	}
	r.places = max(decimals(first), decimals(step))
	a, ok := scaled(first, r.places)
	b, okB := scaled(step, r.places)
	if !ok || !okB || math.Abs(float64(a)) > 1<<61 || math.Abs(float64(b))*float64(r.N) > 1<<61 {
		return
	}
	r.a, r.b, r.exact = a, b, true
}

// decimals counts the digits after the point.
func decimals(s string) int {
	if i := strings.IndexByte(s, '.'); i >= 0 {
		return len(s) - i - 1
	}
	return 0
}

// scaled returns a decimal number times 10^places.
func scaled(s string, places int) (int64, bool) {
	s = strings.TrimPrefix(s, "+")
	if len(s)+places > 40 {
		return 0, false
	}
	digits := strings.Replace(s, ".", "", 1) + strings.Repeat("0", places-decimals(s))
	i, err := strconv.ParseInt(digits, 10, 64)
	return i, err == nil
}
