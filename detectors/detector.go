package detectors

import (
	"fmt"
	"slices"
	"time"

	"github.com/cepd/cepd/event"
)

// Detector judges the observations of one series, in the order of their coming.
type Detector interface {
	// Step judges the observation x, made at t, and learns from it. x holds one
	// number per channel and is not kept.
	Step(t event.Time, x []float64) Score
	// Due is the time at which [Detector.Advance] has something to judge,
	// [event.MaxTime] if there is nothing: the end of the stretch that a
	// resampling detector gathers.
	Due() event.Time
	// Advance judges the stretch that ends at or before t. Without it a stretch
	// is judged when the first observation after it comes.
	Advance(t event.Time) Score
	// Hold says that whoever watches takes the present for an anomaly, until
	// Hold says otherwise: a detector with [LearnCalm] then learns as little from
	// it as from what it takes for one itself. It is no part of the state.
	Hold(on bool)
	// Parts appends what each member of the detector said of the last
	// observation. A detector without members appends nothing.
	Parts(dst []Part) []Part
	// AppendBinary appends the state of the detector to dst.
	AppendBinary(dst []byte) []byte
	// ReadBinary replaces the state by what AppendBinary wrote, of a detector of
	// the same method and configuration.
	ReadBinary(r *event.Reader) error
	// Size is the memory that the state takes, in bytes.
	Size() int
}

// Score is what a detector says of one observation.
type Score struct {
	// Score is one minus the tail probability of the observation under the
	// detector's own history: 0 is as usual as can be, 0.999 is seen once in a
	// thousand. It is 0 while the detector warms up.
	Score float64
	// Anomaly is the detector's verdict: the score passed its threshold, and it
	// did not say so a short while ago already.
	Anomaly bool
	// Over says that the score passed the threshold, also where the verdict is
	// quiet.
	Over bool
	// Lasts says that the anomaly which was told goes on: the score is still over
	// the threshold, or the value has not come back half of the way to what was
	// usual before. What has lasted for too long is the new normal; see
	// [Config.Learn].
	Lasts bool
	// Judged says whether this observation completed a judgment; false while a
	// resampling detector gathers, and for an observation that is not a number.
	Judged bool
	// Expected, Lower and Upper say what would have been normal; NaN where the
	// detector has no such notion. Of several channels, they are those of Channel.
	Expected, Lower, Upper float64
	// Value is what was judged: the observation, or what it was resampled to.
	Value float64
	// Direction is where the observation lies from what was expected.
	Direction Direction
	// Channel is the channel that contributed most; 0 with a single one.
	Channel int
	// Warmup is how far the detector has warmed up; 1 is ready.
	Warmup float64
	// Reason says why, in words, when it is printed.
	Reason Reason
}

// Part is what one member of a detector said of the last observation.
type Part struct {
	Name   string
	Score  float64 // as [Score.Score]
	Reason Reason
}

// Direction is where an observation lies from what was expected.
type Direction int8

// The directions. Both doubles as "no direction" in a Score.
const (
	Both Direction = 0
	Up   Direction = 1
	Down Direction = -1
)

// String returns the word that rule files use.
func (d Direction) String() string {
	switch d {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return "both"
}

// ParseDirection reads up, down or both.
func ParseDirection(s string) (Direction, error) {
	for _, d := range []Direction{Both, Up, Down} {
		if s == d.String() {
			return d, nil
		}
	}
	return Both, fmt.Errorf("%q is not a direction: up, down or both", s)
}

// Learn says what a detector learns from.
type Learn uint8

const (
	// LearnCalm learns from all but what it takes for an anomaly. A change that
	// stays is taken for the new normal after a while; see [Config.Learn].
	LearnCalm Learn = iota
	// LearnAlways learns from everything.
	LearnAlways
	// LearnWarmup learns until it has warmed up, and then holds still.
	LearnWarmup
)

var learnNames = []string{"calm", "always", "warmup"}

// String returns the word that rule files use.
func (l Learn) String() string { return learnNames[l] }

// ParseLearn reads calm, always or warmup.
func ParseLearn(s string) (Learn, error) {
	i := slices.Index(learnNames, s)
	if i < 0 {
		return 0, fmt.Errorf("%q is not a way to learn: calm, always or warmup", s)
	}
	return Learn(i), nil
}

// Gap says what a hole in a series means.
type Gap uint8

const (
	// GapIgnore goes on after a hole as if nothing had been.
	GapIgnore Gap = iota
	// GapBreak forgets the recent past, such as a window of the last values, and
	// keeps what was learned.
	GapBreak
	// GapAlarm takes the first observation after a hole for an anomaly.
	GapAlarm
)

var gapNames = []string{"ignore", "break", "alarm"}

// String returns the word that parameters use.
func (g Gap) String() string { return gapNames[g] }

// ParseGap reads ignore, break or alarm.
func ParseGap(s string) (Gap, error) {
	i := slices.Index(gapNames, s)
	if i < 0 {
		return 0, fmt.Errorf("%q is not what a gap can mean: ignore, break or alarm", s)
	}
	return Gap(i), nil
}

// Reduce says how several observations become one when resampling.
type Reduce uint8

// The ways to resample.
const (
	ReduceAvg Reduce = iota
	ReduceMax
	ReduceMin
	ReduceSum
	ReduceLast
	ReduceCount
)

var reduceNames = []string{"avg", "max", "min", "sum", "last", "count"}

// String returns the word that rule files use.
func (r Reduce) String() string { return reduceNames[r] }

// ParseReduce reads avg, max, min, sum, last or count.
func ParseReduce(s string) (Reduce, error) {
	i := slices.Index(reduceNames, s)
	if i < 0 {
		return 0, fmt.Errorf("%q is not a way to resample: avg, max, min, sum, last or count", s)
	}
	return Reduce(i), nil
}

// Config configures a detector. The zero value is a good one.
type Config struct {
	// Channels is how many numbers an observation has. Default 1.
	Channels int
	// With holds the method's own parameters by name; see [Doc.Params].
	// Durations are in seconds.
	With map[string]float64
	// Season holds the lengths of seasons, as a hint for the methods that know
	// seasons. Default: a day, and a week where there is data for it.
	Season []event.Duration
	// Location is the time zone of seasons: a day with a change of clocks is a
	// day. Default UTC.
	Location *time.Location
	// Direction is the side that anomalies are on. Default both. Observations on
	// the other side score 0.
	Direction Direction
	// MinAbs and MinRel are the least deviation from the expected value for a
	// verdict, as a number and as a share of the expected value. Where a method
	// expects no value, the average of some hundred values stands in. Default 0.
	MinAbs, MinRel float64
	// Quiet is how long the verdict is quiet after an alarm. Default: 100 steps of
	// the series, but not more than two days; negative: not at all. What goes on
	// without a pause of a quarter of it is one event.
	Quiet event.Duration
	// Escalate breaks the quiet: an observation that is so many times as
	// surprising as the last alarm, in orders of magnitude, raises another one.
	// Default 2.
	Escalate float64
	// Learn says what to learn from. With [LearnCalm], the default, what is over
	// the threshold is left out, until that has lasted longer than a quarter of
	// all that was seen (at least 30 observations, at most a week): then it is
	// the new normal. How rare a surprise is, is counted over all the past in any
	// case, and memories of what was seen hold anomalies too.
	Learn Learn
	// Warmup is how long to give no verdict. Default: until the method is ready.
	Warmup event.Duration
	// Every resamples to one value per so much time; By says how. Default: no
	// resampling.
	Every event.Duration
	By    Reduce
	// Gap says what a hole means, and GapAfter how long a hole is. Default:
	// ignore; 10 steps of the series.
	Gap      Gap
	GapAfter event.Duration
	// Seed starts the random choices of the methods that make any.
	Seed uint64
}

// EnsureDefaults fills what was left out.
func (c *Config) EnsureDefaults() {
	if c.Channels == 0 {
		c.Channels = 1
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Escalate == 0 {
		c.Escalate = 2
	}
}

// Validate reports every mistake in the configuration of a method.
func (c *Config) Validate(method string) []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	doc, ok := DocOf(method)
	if !ok {
		bad("there is no detector %q; 'cepd detect --list' shows them", method)
		return errs
	}
	if c.Channels < 1 || c.Channels > maxChannels {
		bad("%d channels; there may be 1 to %d", c.Channels, maxChannels)
	} else if c.Channels > 1 && !doc.Multivariate {
		bad("%s judges one value at a time, not %d; use auto, half_space, random_cut_forest or t2", method, c.Channels)
	}
	for _, name := range sortedKeys(c.With) {
		if p, ok := doc.param(name); !ok {
			bad("%s has no parameter %q; it has %s", method, name, doc.paramNames())
		} else if err := p.Check(c.With[name]); err != nil {
			bad("%s: %w", method, err)
		}
	}
	for _, s := range c.Season {
		if s <= 0 {
			bad("a season of %v; it must be longer than 0", s)
		}
	}
	if !(c.MinAbs >= 0) || !(c.MinRel >= 0) {
		bad("the least deviation must not be negative")
	}
	if !(c.Escalate >= 1) {
		bad("escalate is %v; it must be at least 1", c.Escalate)
	}
	if c.Warmup < 0 || c.Every < 0 || c.GapAfter < 0 {
		bad("warmup, every and gap_after must not be negative")
	}
	return errs
}

// maxChannels bounds the channels of one detector: the state of the
// multivariate methods grows with their square.
const maxChannels = 64

func sortedKeys(m map[string]float64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
