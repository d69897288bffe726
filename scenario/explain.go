package scenario

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/window"
)

// Graph returns the pattern of a rule as a picture: "text" for the compiled
// program and its conditions, "mermaid" or "dot" for a drawing. Of a rule
// without a pattern, "text" says what it looks for.
func Graph(set *rules.Set, rule, format string) (string, error) {
	r, err := findRule(set, rule)
	if err != nil {
		return "", err
	}
	text := format == "" || format == "text"
	switch {
	case r.Pattern == nil && text:
		return describe(r), nil
	case r.Pattern == nil:
		return "", fmt.Errorf("rule %s has no pattern, and so no drawing; the format text says what it looks for", rule)
	case text:
		return listing(r), nil
	}
	switch format {
	case "mermaid":
		return r.Pattern.Prog.Mermaid(conditions(r)), nil
	case "dot":
		return r.Pattern.Prog.DOT(conditions(r)), nil
	}
	return "", fmt.Errorf("unknown format %q; formats are text, mermaid, dot", format)
}

// conditions returns a function from a name of the rule's `define` to the text
// of its condition.
func conditions(r *rules.Rule) func(name string) string {
	return func(name string) string {
		i := slices.Index(r.Pattern.Predicates, name)
		if i < 0 {
			return ""
		}
		for _, in := range r.Inputs {
			if c := in.Plain[i]; c >= 0 {
				return in.Stream.Conditions[c].Source()
			}
			if p := in.Linked[i]; p != nil {
				return p.Source()
			}
		}
		return ""
	}
}

func findRule(set *rules.Set, name string) (*rules.Rule, error) {
	var names []string
	for _, r := range set.Rules {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("there is no rule %q; rules are %s", name, strings.Join(names, ", "))
}

// Explain replays events and writes, event by event, what one rule did with
// each of them and why: what its runs took, skipped or died of, and what its
// alert decided. key, where it is not empty, is the text of the only key to
// show.
func Explain(ctx context.Context, o Options, rule, key string, w io.Writer) (Summary, error) {
	r, err := findRule(o.Rules, rule)
	if err != nil {
		return Summary{}, err
	}
	x := &explainer{rule: r, key: key, w: w, time: event.Time.String, until: event.MaxTime}
	o.Shards, o.tracer, o.Print = 1, x, discard{}
	o.BatchRecords = 1 // what is said of a late event stands where it came
	if o.Stream == "" {
		o.Stream = StreamOf(o.Rules, rule)
	}
	sum, err := Replay(ctx, o)
	if err == nil {
		err = x.err
	}
	if err == nil && key != "" && !x.seen {
		err = x.noKey()
	}
	return sum, err
}

// maxKeys is how many of the keys that there are a message names.
const maxKeys = 10

// noKey is the error about a key that no event has.
func (x *explainer) noKey() error {
	if len(x.keys) == 0 {
		return fmt.Errorf("no event reaches rule %s", x.rule.Name)
	}
	keys := slices.Sorted(maps.Keys(x.keys))
	more := ""
	if len(keys) > maxKeys {
		keys, more = keys[:maxKeys], ", and others"
	}
	return fmt.Errorf("no event of rule %s has the key %q; there are %s%s", x.rule.Name, x.key, strings.Join(keys, ", "), more)
}

// explainer writes what one rule does. It implements [engine.Tracer].
type explainer struct {
	rule  *rules.Rule
	key   string
	w     io.Writer
	time  func(event.Time) string // how times are printed
	until event.Time              // nothing is said about later events
	err   error                   // the first of writing
	event *event.Event
	quiet bool // nothing was written about the event at hand
	late  bool // the event at hand is later than until
	other bool // the event at hand is not to be shown

	failures []failure       // on the event at hand, not yet said
	seen     bool            // the key to show has come
	keys     map[string]bool // that came; at most maxKeys + 1
}

// discard is a printer that prints nothing.
type discard struct{}

func (discard) Alert(*alerting.Transition) error { return nil }
func (discard) Match(*engine.Match) error        { return nil }
func (discard) Derived(*alerting.Derived) error  { return nil }

func (x *explainer) wants(rule, key string) bool {
	return rule == x.rule.Name && !x.late && (x.key == "" || event.KeyText(key) == x.key)
}

func (x *explainer) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(x.w, format, args...); err != nil && x.err == nil {
		x.err = err
	}
	x.quiet = false
}

// Judged implements [engine.Tracer].
func (x *explainer) Judged(rule, key string, e *event.Event, passed bool) {
	if rule == x.rule.Name {
		x.late = e.Time > x.until
		x.note(event.KeyText(key))
	}
	if x.other = !x.wants(rule, key); x.other {
		return
	}
	x.seen = true
	text := event.KeyText(key)
	if text != "" {
		text += "  "
	}
	x.failures = failures(x.rule, key, e)
	x.printf("%s  %s%s\n", x.time(e.Time), text, oneLine(payload(e)))
	if !passed {
		x.printf("    left out: `where` does not hold\n")
	}
	x.event, x.quiet = e, true
}

// note remembers some of the keys that came.
func (x *explainer) note(key string) {
	if x.keys == nil {
		x.keys = map[string]bool{}
	}
	if len(x.keys) <= maxKeys {
		x.keys[strings.Clone(key)] = true
	}
}

// payload returns an event as it came or, of a derived event, which never came,
// its fields.
func payload(e *event.Event) []byte {
	if len(e.Raw()) > 0 {
		return decode.JSON(e.Raw())
	}
	var fields []event.Entry
	for i, f := range e.Schema.Fields() {
		if v := e.Slot(i); !v.IsMissing() {
			fields = append(fields, event.Entry{Name: f.Name, Value: v})
		}
	}
	return event.AppendObject(nil, fields)
}

// Held implements [engine.Tracer].
func (x *explainer) Held(rule, key string, _ *event.Event, holds bool) {
	if !x.wants(rule, key) || x.rule.Absent {
		return
	}
	if holds {
		x.printf("    `when` holds\n")
		return
	}
	x.printf("    `when` does not hold\n")
}

// Scored implements [engine.Tracer].
func (x *explainer) Scored(rule, key string, s *detectors.Score) {
	if !x.wants(rule, key) {
		return
	}
	switch {
	case !s.Judged:
		x.printf("    not judged: %s\n", s.Reason)
		return
	case s.Reason.Cause == detectors.CauseWarmup:
		x.printf("    %s: %s\n", s.Reason, number(s.Value))
		return
	}
	x.printf("    %s scores %.6g", number(s.Value), s.Score)
	if !math.IsNaN(s.Expected) {
		x.printf(", expected %s", number(s.Expected))
	}
	low, high := s.Lower-s.Lower == 0, s.Upper-s.Upper == 0 // neither unknown nor without end
	switch {
	case low && high:
		x.printf(", usual %s to %s", number(s.Lower), number(s.Upper))
	case low:
		x.printf(", usual from %s", number(s.Lower))
	case high:
		x.printf(", usual to %s", number(s.Upper))
	}
	switch {
	case s.Anomaly:
		x.printf(": an anomaly, %s", s.Reason)
	case s.Lasts:
		x.printf(": the anomaly lasts")
	case s.Over:
		x.printf(": over the threshold, but no new anomaly, %s", s.Reason)
	}
	x.printf("\n")
}

// Answered implements [engine.Tracer].
func (x *explainer) Answered(rule, key string, res *window.Result, vars []event.Value, holds bool) {
	if !x.wants(rule, key) || res.At > x.until {
		return
	}
	what := "window"
	switch {
	case res.Early:
		what = "early answer of the window"
	case res.Update:
		what = "new answer of the window"
	}
	x.printf("    %s %s to %s", what, x.time(res.Start), x.time(res.End))
	if res.At != res.End {
		x.printf(", at %s", x.time(res.At))
	}
	sep := ":"
	for i, f := range x.rule.Window.Vars.Fields() {
		if w := x.rule.Window; i == w.Start || i == w.End {
			continue
		}
		text := "none"
		switch v := vars[i]; {
		case v.Kind() == event.KindDouble:
			text = number(v.AsDouble())
		case !v.IsMissing():
			text = oneLine(v.AppendJSON(nil))
		}
		x.printf("%s %s=%s", sep, f.Name, text)
		sep = ","
	}
	x.printf("\n")
	switch {
	case x.rule.Window.When == nil:
	case holds:
		x.printf("    `when` holds\n")
	default:
		x.printf("    `when` does not hold\n")
	}
}

// leftOut says why an event is left out.
var leftOut = [...]string{
	engine.LeftLate:      "too late: the watermark had passed it",
	engine.LeftFuture:    "set aside: its time is further in the future than max_future allows",
	engine.LeftDuplicate: "a duplicate: it came before",
}

// LeftOut implements [engine.Tracer].
func (x *explainer) LeftOut(stream string, e *event.Event, why engine.Left) {
	if e.Time > x.until {
		return
	}
	key, ok := x.keyOf(stream, e)
	if !ok || x.key != "" && key != x.key {
		return
	}
	if key != "" {
		key += "  "
	}
	x.printf("%s  %s%s\n    %s\n", x.time(e.Time), key, oneLine(payload(e)), leftOut[why])
}

// keyOf returns the text of an event's key for the rule, and whether it reads
// the event's stream.
func (x *explainer) keyOf(stream string, e *event.Event) (string, bool) {
	for _, in := range x.rule.Inputs {
		if in.Stream.Name != stream {
			continue
		}
		var texts []string
		frame := expr.Frame{Event: e}
		for _, p := range in.Stream.Keys[in.Key].Parts {
			v, err := p.Value(&frame)
			if err != nil {
				return "", false
			}
			texts = append(texts, v.Text())
		}
		return strings.Join(texts, "/"), true
	}
	return "", false
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

// Failed implements [engine.Tracer].
func (x *explainer) Failed(rule, reason string) {
	if rule == x.rule.Name && !x.other {
		x.printf("    %s\n", x.failed(reason))
	}
}

// decisions say what a reason means to people.
var decisions = map[string]string{
	alerting.ReasonPending:      "the alert is pending: waits for `for`",
	alerting.ReasonPendingOver:  "the alert is pending no more",
	alerting.ReasonFiring:       "the alert fires already",
	alerting.ReasonClearing:     "the alert fires on: waits for `clear_for`",
	alerting.ReasonHeld:         "the alert fires on: `clear` does not hold",
	alerting.ReasonUnless:       "held back, and told when that of `unless` clears",
	alerting.ReasonFlapping:     "held back: the alert flaps",
	alerting.ReasonSettled:      "the alert flaps no more",
	alerting.ReasonOutsideHours: "held back: outside of the hours of `active`",
	alerting.ReasonRetained:     "held back until the next message: this is one that the broker had kept",
	alerting.ReasonUntold:       "nobody was told of it",
}

// Decided implements [engine.Tracer].
func (x *explainer) Decided(rule, key string, d alerting.Decision) {
	if !x.wants(rule, key) || d.Reason == alerting.ReasonQuiet {
		return
	}
	if d.Change != 0 {
		x.printf("    alert %s at %s (%s)\n", d.Change, x.time(d.Time), d.Reason)
		return
	}
	if text := decisions[d.Reason]; text != "" {
		x.printf("    %s\n", text)
		return
	}
	x.printf("    the alert stays as it is (%s)\n", d.Reason)
}

// Run implements [engine.Tracer].
func (x *explainer) Run(rule, key string, t nfa.Trace) {
	if !x.wants(rule, key) {
		return
	}
	names := x.rule.Pattern.Prog.StepNames()
	run := x.describe(t.Run, names)
	step := ""
	if t.Step >= 0 {
		step = names[t.Step]
	}
	tail := ""
	if !t.Complete {
		tail = "; " + wants(t.Wants, names)
	}
	switch t.Change {
	case nfa.ChangeStarted:
		x.printf("    begins a run as %s%s\n", step, tail)
	case nfa.ChangeTaken:
		x.printf("    taken as %s: run %s%s\n", step, run, tail)
	case nfa.ChangeSkipped:
		x.printf("    skipped by run %s%s\n", run, tail)
	case nfa.ChangeDied:
		x.printf("    ends run %s: it may not be skipped here\n", run)
	case nfa.ChangeKilled:
		x.printf("    kills run %s: it is %s\n", run, step)
	case nfa.ChangeMatched:
		x.printf("    match at %s: %s\n", x.time(t.Time), run)
	case nfa.ChangeExpired:
		x.printf("    run %s ran out of time at %s\n", run, x.time(t.Time))
	case nfa.ChangePruned:
		x.printf("    run %s is dropped: a match skips it\n", run)
	case nfa.ChangeEvicted:
		x.printf("    run %s is dropped: the key has too many runs\n", run)
	}
}

// wants says what a run waits for.
func wants(steps []int, names []string) string {
	if len(steps) == 0 {
		return "waits for time to pass"
	}
	texts := make([]string, len(steps))
	for i, s := range steps {
		texts[i] = names[s]
	}
	return "waits for " + strings.Join(texts, " or ")
}

// describe says what a run has accepted: "hot x3 spike since 12:00:00Z".
func (x *explainer) describe(h *nfa.History, names []string) string {
	if h.Len() == 0 {
		return "(nothing)"
	}
	var b strings.Builder
	for _, s := range h.Steps() {
		b.WriteString(names[s])
		if n := h.Count(s); n > 1 {
			fmt.Fprintf(&b, " x%d", n)
		}
		b.WriteByte(' ')
	}
	return b.String() + "since " + x.time(h.First().Time)
}

// oneLine returns a payload as one line of limited length.
func oneLine(raw []byte) string {
	const most = 200
	s := strings.Join(strings.Fields(string(raw)), " ")
	if len(s) > most {
		s = s[:most] + "..."
	}
	return s
}
