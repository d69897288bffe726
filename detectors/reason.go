package detectors

import (
	"math"
	"strconv"
)

// Cause is why a score is what it is.
type Cause uint8

// The causes.
const (
	CauseNone      Cause = iota // nothing remarkable
	CauseWarmup                 // A: the share learned
	CauseNotNumber              // the observation is not a number
	CauseDeviation              // A: observed, B: expected
	CauseNovel                  // A: observed, B: the nearest earlier value
	CauseSequence               // A: one time in so many after what came before
	CauseShape                  // A: distance to the nearest earlier stretch, B: usual
	CauseShift                  // A: mean now, B: mean before
	CauseTail                   // A: observed, B: threshold
	CauseRate                   // A: change per second, B: usual or limit
	CauseIsolated               // few values of the past lie near
	CauseDisplaced              // A: values that it moves, B: the share of the channel in that, in percent
	CauseRelation               // A: distance of the channels from their usual relation
	CauseRange                  // A: observed, B: limit
	CauseStuck                  // A: seconds without a change, B: usual seconds
	CauseGap                    // A: seconds of silence, B: usual seconds
)

// Reason says why a score is what it is. It holds numbers, and becomes words
// when it is printed, so that it costs nothing where nobody reads it.
type Reason struct {
	Cause  Cause
	A, B   float64
	Member string // the member of an ensemble whose reason this is
}

// String returns the reason in words.
func (r Reason) String() string { return string(r.Append(nil)) }

// Append appends the reason in words to dst.
func (r Reason) Append(dst []byte) []byte {
	if r.Member != "" && r.Cause > CauseNotNumber {
		dst = append(append(dst, r.Member...), ": "...)
	}
	return append(dst, r.words(number(r.A), number(r.B))...)
}

// words says the reason; a and b are its numbers.
func (r Reason) words(a, b string) string {
	switch r.Cause {
	case CauseNone:
		return "nothing unusual"
	case CauseWarmup:
		return "learning, " + strconv.Itoa(int(100*r.A)) + " % done"
	case CauseNotNumber:
		return "the value is not a number"
	case CauseDeviation:
		if r.A < r.B {
			return a + " is below the expected " + b
		}
		return a + " is above the expected " + b
	case CauseNovel:
		return a + " was never seen; the nearest earlier value is " + b
	case CauseSequence:
		return "after what came before, such a value comes one time in " + a
	case CauseShape:
		return "no earlier stretch looks like this: distance " + a + ", of which one in fifty is over " + b
	case CauseShift:
		return "the mean has moved from " + b + " to " + a
	case CauseTail:
		return a + " is past the threshold " + b
	case CauseRange:
		return a + " is outside of the range that ends at " + b
	case CauseRate:
		return "a change of " + a + " per second, compared with " + b
	case CauseStuck:
		return "no change for " + a + " s; the longest time before was " + b + " s"
	case CauseGap:
		return "silence for " + a + " s; usually a value comes every " + b + " s"
	case CauseIsolated:
		return "few values of the past lie near"
	case CauseDisplaced:
		return "it stands apart from some " + a + " earlier values each"
	case CauseRelation:
		return "the channels do not go together as usual: distance " + a
	}
	return ""
}

// number prints with six significant digits.
func number(x float64) string {
	if math.IsNaN(x) {
		return "?"
	}
	return strconv.FormatFloat(x, 'g', 6, 64)
}

// state visits the numbers; the member is known from its place.
func (r *Reason) state(c *codec, member string) {
	k := uint8(r.Cause)
	c.byte(&k)
	r.Cause = Cause(k)
	c.floats(&r.A, &r.B)
	if c.reading {
		r.Member = ""
		if r.Cause != CauseNone {
			r.Member = member
		}
	}
}
