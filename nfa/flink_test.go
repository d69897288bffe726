package nfa

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
)

// The cases of testdata/flink say what Apache Flink CEP answered. See the
// README there for where the answers come from and which are left out.

type flinkStep struct {
	Name        string      `json:"name"`
	Group       []flinkStep `json:"group"`
	Contiguity  string      `json:"contiguity"`
	Where       *string     `json:"where"`
	Optional    bool        `json:"optional"`
	Times       []*int      `json:"times"`
	Greedy      bool        `json:"greedy"`
	Inner       string      `json:"inner"`
	Until       *string     `json:"until"`
	StepWindow  *int        `json:"step_window_ms"`
	TimesWindow *int        `json:"times_window_ms"`
	first       bool
}

type flinkCase struct {
	ID      string      `json:"id"`
	Pattern []flinkStep `json:"pattern"`
	Within  *int        `json:"within_ms"`
	Skip    struct {
		Strategy string  `json:"strategy"`
		Step     *string `json:"step"`
	} `json:"skip"`
	Events       []map[string]any   `json:"events"`
	AdvanceAfter *int               `json:"advance_after"`
	Matches      []map[string][]int `json:"expected_by_step"`
	Timeouts     []struct {
		Steps map[string][]int `json:"steps"`
		At    int              `json:"timeout_ts"`
	} `json:"expected_timeouts_detail"`
	Error *string  `json:"expected_error"`
	Flink *string  `json:"flink_error"`
	Tags  []string `json:"tags"`

	// Of the event-time cases.
	Time    string           `json:"time"`
	Key     *string          `json:"key"`
	Feed    []map[string]any `json:"feed"`
	TieSort *string          `json:"tie_sort"`
	Late    []int            `json:"expected_late"`
}

var flinkFollow = map[string]Follow{
	"begin": FollowStart, "next": FollowStrict, "followed_by": FollowRelaxed, "followed_by_any": FollowAny,
	"not_next": FollowStrict, "not_followed_by": FollowRelaxed,
}

var flinkInner = map[string]Follow{
	"": FollowRelaxed, "relaxed": FollowRelaxed, "consecutive": FollowStrict, "allow_combinations": FollowAny,
}

// flinkPattern is a case's pattern in our terms.
type flinkPattern struct {
	*Pattern
	names map[string]string // of Flink to ours, since Flink's need not be identifiers
	back  map[string]string
	preds map[string]Predicate
	exprs []expr
}

func (c *flinkCase) pattern() *flinkPattern {
	p := &flinkPattern{names: map[string]string{}, back: map[string]string{}, preds: map[string]Predicate{}}
	p.number(c.Pattern)
	c.Pattern[0].first = true
	p.Pattern = &Pattern{Root: p.sequence(c.Pattern)}
	return p
}

func (p *flinkPattern) number(steps []flinkStep) {
	for _, s := range steps {
		if s.Group != nil {
			p.number(s.Group)
			continue
		}
		name := fmt.Sprintf("x%d", len(p.names))
		p.names[s.Name], p.back[name] = name, s.Name
	}
}

func (p *flinkPattern) sequence(steps []flinkStep) *Node {
	n := &Node{Op: OpSequence, Min: 1, Max: 1, Inner: FollowRelaxed}
	for _, s := range steps {
		n.Subs = append(n.Subs, p.item(s))
	}
	return n
}

func (p *flinkPattern) predicate(name, where string) {
	p.preds[name] = Predicate{ID: len(p.exprs), Linked: strings.Contains(where, "m[")}
	p.exprs = append(p.exprs, parseExpr(where))
}

func (p *flinkPattern) item(s flinkStep) *Node {
	n := &Node{Op: OpStep, Min: 1, Max: 1, Inner: FollowRelaxed}
	if s.Group != nil {
		n = p.sequence(s.Group)
	} else {
		n.Name = p.names[s.Name]
		where := "true"
		if s.Where != nil {
			where = *s.Where
		}
		p.predicate(n.Name, where)
	}
	n.Follow = flinkFollow[s.Contiguity]
	if strings.HasPrefix(s.Contiguity, "not_") {
		n.Op = OpNot
	}
	if s.StepWindow != nil && s.Times == nil && !s.first { // Flink ignores the others
		n.Within = event.Duration(*s.StepWindow) * time.Millisecond
	}
	if s.Times != nil {
		n.Counted, n.Min, n.Max = true, *s.Times[0], Unlimited
		if s.Times[1] != nil {
			n.Max = *s.Times[1]
		}
		n.Inner = flinkInner[s.Inner]
	}
	n.Optional, n.Greedy = s.Optional, s.Greedy
	if s.Until != nil {
		n.Until = fmt.Sprintf("u%d", len(p.exprs))
		p.predicate(n.Until, *s.Until)
	}
	if s.TimesWindow != nil {
		n.Gap = event.Duration(*s.TimesWindow) * time.Millisecond
	}
	return n
}

func (c *flinkCase) options(p *flinkPattern) Options {
	o := Options{Order: OrderStart, Predicates: p.preds, MaxRuns: 1 << 20, Timeout: true}
	if c.Within != nil {
		o.Within = event.Duration(*c.Within) * time.Millisecond
	}
	o.Skip = map[string]Skip{"no_skip": SkipNone, "skip_to_next": SkipToNext, "skip_past_last_event": SkipPastLast,
		"skip_to_first": SkipToFirst, "skip_to_last": SkipToLast}[c.Skip.Strategy]
	if c.Skip.Step != nil {
		o.SkipTo = p.names[*c.Skip.Step]
	}
	return o
}

// leftOut says why a case is not run; README.md of the data has the reasons.
func (c *flinkCase) leftOut() string {
	switch {
	case loopsOnNothing(c.Pattern):
		return "an unbounded loop whose body can be empty"
	case c.Error != nil || c.Flink != nil:
		return "Flink fails there"
	case slices.Contains(c.Tags, "unordered_ts"):
		return "decreasing timestamps fed past the event-time order"
	case slices.Contains(c.Tags, "watermark_reset_on_restore"):
		return "the watermark is not restored"
	}
	return ""
}

func canBeEmpty(s flinkStep) bool {
	return strings.HasPrefix(s.Contiguity, "not_") || s.Optional ||
		s.Group != nil && !slices.ContainsFunc(s.Group, func(t flinkStep) bool { return !canBeEmpty(t) })
}

func loopsOnNothing(steps []flinkStep) bool {
	return slices.ContainsFunc(steps, func(s flinkStep) bool {
		if s.Group == nil {
			return false
		}
		unbounded := s.Times != nil && s.Times[1] == nil
		return unbounded && !slices.ContainsFunc(s.Group, func(t flinkStep) bool { return !canBeEmpty(t) }) || loopsOnNothing(s.Group)
	})
}

// flinkEnv asks the evaluator. The partition of an event's position is its
// number in the case.
type flinkEnv struct {
	p      *flinkPattern
	prog   *Prog
	events []map[string]any
	at     *event.Event
}

func (v *flinkEnv) fields(e *event.Event) map[string]any { return v.events[e.Pos.Partition] }

func (v *flinkEnv) Holds(pred int) bool { return v.p.exprs[pred].holds(vars{"e": v.fields(v.at)}) }

func (v *flinkEnv) HoldAll(preds []int, asked uint64) uint64 { return holdAll(v, preds, asked) }

func (v *flinkEnv) Linked(pred int, h *History) bool {
	accepted := func(name string) []any {
		var list []any
		step := slices.Index(v.prog.StepNames(), v.p.names[name])
		for i := range h.Count(step) {
			list = append(list, any(v.fields(h.At(step, i))))
		}
		return list
	}
	return v.p.exprs[pred].holds(vars{"e": v.fields(v.at), "m": accepted})
}

func (v *flinkEnv) Fold(int, []event.Value) {}
func (v *flinkEnv) Keep() *event.Event      { return v.at }

func ms(n int) event.Time { return event.Time(n) * event.Time(time.Millisecond) }

// stepsOf prints a match by its steps' event numbers.
func stepsOf(m *Match, names []string, back map[string]string) string {
	by := map[string][]int{}
	for step, e := range m.All() {
		name := back[names[step]]
		by[name] = append(by[name], int(e.Pos.Partition))
	}
	return printSteps(by)
}

func printSteps(by map[string][]int) string {
	var parts []string
	for name, at := range by {
		if len(at) > 0 {
			at = slices.Clone(at)
			sort.Ints(at)
			parts = append(parts, fmt.Sprint(name, at))
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}

// reread returns the machine that is read from m's bytes.
func reread(t failer, prog *Prog, m Machine, schema *event.Schema) Machine {
	t.Helper()
	b := m.AppendBinary(nil)
	r := event.NewReader(b)
	read, err := ReadMachine(prog, r, func(string) *event.Schema { return schema })
	if err != nil || r.Len() > 0 {
		t.Fatalf("%v, %d bytes left", err, r.Len())
	}
	if again := read.AppendBinary(nil); !bytes.Equal(b, again) {
		t.Fatalf("written, read and written again is\n%x\nnot\n%x", again, b)
	}
	return read
}

// run feeds a case without watermarks and returns the matches and timeouts.
// With restart, the machine is written and read back after every event.
func (c *flinkCase) run(t *testing.T, p *flinkPattern, prog *Prog, m Machine, restart bool) (matches, timeouts []string) {
	var out Result
	env := &flinkEnv{p: p, prog: prog, events: c.Events}
	schema := event.NewSchema("s", nil)
	var now event.Time
	for i, fields := range c.Events {
		now = ms(int(fields["ts"].(float64)))
		env.at = &event.Event{Time: now, Pos: event.Position{Partition: uint32(i), Seq: uint64(i + 1)}, Schema: schema}
		m.Advance(now, &out)
		m.Step(env.at, env, &out)
		if restart {
			m = reread(t, prog, m, schema)
		}
	}
	if c.AdvanceAfter != nil {
		m.Advance(ms(*c.AdvanceAfter), &out)
	}
	return p.found(prog, &out)
}

// found prints what was found.
func (p *flinkPattern) found(prog *Prog, out *Result) (matches, timeouts []string) {
	for i := range out.Matches {
		matches = append(matches, stepsOf(&out.Matches[i], prog.StepNames(), p.back))
	}
	for i := range out.Timeouts {
		t := &out.Timeouts[i]
		timeouts = append(timeouts, fmt.Sprintf("%s at %d", stepsOf(t, prog.StepNames(), p.back), t.End/event.Time(time.Millisecond)))
	}
	return matches, timeouts
}

func (c *flinkCase) check(t *testing.T) bool {
	p := c.pattern()
	prog, issues := Compile(p.Pattern, c.options(p))
	if prog == nil {
		t.Errorf("%s: %s: %v", c.ID, p.String(), issues)
		return false
	}
	matches, timeouts := c.run(t, p, prog, newRunMachine(prog), false)
	again, timeoutsAgain := c.run(t, p, prog, newRunMachine(prog), true)
	if !slices.Equal(matches, again) || !slices.Equal(timeouts, timeoutsAgain) {
		t.Errorf("%s: %s: with the machine written and read back\n%q\n%q\nwithout\n%q\n%q", c.ID, p.String(), again, timeoutsAgain, matches, timeouts)
	}
	return c.checkCompact(t, p, matches) && c.compare(t, p, matches, timeouts)
}

// checkCompact holds the compact machine to the matches of the run machine. It
// tells of no timeouts, so that the program is one that does not ask for them.
func (c *flinkCase) checkCompact(t *testing.T, p *flinkPattern, want []string) bool {
	o := c.options(p)
	o.Timeout = false
	prog, _ := Compile(p.Pattern, o)
	if !prog.Compact() {
		return true
	}
	flinkCompact++
	got, _ := c.run(t, p, prog, NewMachine(prog), false)
	again, _ := c.run(t, p, prog, NewMachine(prog), true)
	ok := slices.Equal(got, want) && slices.Equal(again, want)
	if !ok {
		t.Errorf("%s: %s: compact\n%q\nwritten and read back\n%q\nwant\n%q\n%s", c.ID, p.String(), got, again, want, c.describe(p))
	}
	return ok
}

// flinkCompact counts the cases that the compact machine ran.
var flinkCompact int

// compare reports whether the matches, each given once, and the timeouts are
// what Flink's are as sets.
func (c *flinkCase) compare(t *testing.T, p *flinkPattern, matches, timeouts []string) bool {
	var want, wantTimeouts []string
	for _, m := range c.Matches {
		want = append(want, printSteps(m))
	}
	for _, m := range c.Timeouts {
		wantTimeouts = append(wantTimeouts, fmt.Sprintf("%s at %d", printSteps(m.Steps), m.At))
	}
	sort.Strings(want)
	want = slices.Compact(want)
	sort.Strings(matches)
	ok := slices.Equal(matches, want)
	if !ok {
		t.Errorf("%s: %s within %v %v\n got %q\nwant %q\n%s", c.ID, p.String(), c.options(p).Within, c.Skip.Strategy, matches, want, c.describe(p))
	}
	if c.Timeouts != nil {
		sort.Strings(wantTimeouts)
		wantTimeouts = slices.Compact(wantTimeouts)
		sort.Strings(timeouts)
		timeouts = slices.Compact(timeouts)
		if !slices.Equal(timeouts, wantTimeouts) {
			t.Errorf("%s: %s within %v %v\n timeouts\n got %q\nwant %q\n%s", c.ID, p.String(), c.options(p).Within, c.Skip.Strategy, timeouts, wantTimeouts, c.describe(p))
			ok = false
		}
	}
	return ok
}

// describe prints the conditions and events of a case.
func (c *flinkCase) describe(p *flinkPattern) string {
	var b strings.Builder
	var walk func(steps []flinkStep)
	walk = func(steps []flinkStep) {
		for _, s := range steps {
			walk(s.Group)
			if s.Where != nil {
				fmt.Fprintf(&b, "  %s (%s): %s\n", p.names[s.Name], s.Name, *s.Where)
			}
			if s.Until != nil {
				fmt.Fprintf(&b, "    until %s\n", *s.Until)
			}
		}
	}
	walk(c.Pattern)
	for i, e := range c.Events {
		fmt.Fprintf(&b, "  %d: ts=%v %v %v\n", i, e["ts"], e["name"], e["price"])
	}
	return b.String()
}

func readFlink(t testing.TB, name string) []*flinkCase {
	data, err := os.ReadFile("testdata/flink/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader = bytes.NewReader(data)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	var cases []*flinkCase
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c := &flinkCase{}
		if err := json.Unmarshal(lines.Bytes(), c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

func TestFlink(t *testing.T) {
	for _, name := range []string{"corpus.jsonl", "random.jsonl.gz"} {
		t.Run(name, func(t *testing.T) {
			ran, failed, out := 0, 0, map[string]int{}
			for _, c := range readFlink(t, name) {
				if why := c.leftOut(); why != "" {
					out[why]++
					continue
				}
				ran++
				if !c.check(t) {
					failed++
				}
			}
			t.Logf("%d cases, %d of all on the compact machine as well, %d disagree; left out %v", ran, flinkCompact, failed, out)
		})
	}
}

// TestFlinkEventTime feeds events with watermarks. Ordering events by time is
// not this package's work, so the test does it; a watermark W of Flink says
// that all events up to and including W were seen.
func TestFlinkEventTime(t *testing.T) {
	ran := 0
	for _, c := range readFlink(t, "eventtime.jsonl") {
		if c.leftOut() == "" {
			ran++
			t.Run(c.ID, c.checkEventTime)
		}
	}
	t.Logf("%d cases", ran)
}

type keyed struct {
	m       Machine
	pending []*event.Event
}

func (c *flinkCase) checkEventTime(t *testing.T) {
	p := c.pattern()
	prog, issues := Compile(p.Pattern, c.options(p))
	if prog == nil {
		t.Fatal(issues)
	}
	var out Result
	env := &flinkEnv{p: p, prog: prog}
	schema := event.NewSchema("s", nil)
	keys := map[any]*keyed{}
	watermark, judged := event.MinTime, uint64(0)
	var late []int
	advance := func(k *keyed, to event.Time) {
		slices.SortStableFunc(k.pending, func(a, b *event.Event) int {
			if a.Time == b.Time && c.TieSort != nil {
				return cmp.Compare(env.fields(a)[*c.TieSort].(float64), env.fields(b)[*c.TieSort].(float64))
			}
			return cmp.Compare(a.Time, b.Time)
		})
		for len(k.pending) > 0 && k.pending[0].Time <= to {
			env.at, k.pending = k.pending[0], k.pending[1:]
			judged++
			env.at.Pos.Seq = judged // as if it had come in this order
			k.m.Advance(env.at.Time, &out)
			k.m.Step(env.at, env, &out)
		}
	}
	for _, f := range c.Feed {
		switch {
		case f["event"] != nil:
			fields := f["event"].(map[string]any)
			env.events = append(env.events, fields)
			e := &event.Event{Time: ms(int(fields["ts"].(float64))), Pos: event.Position{Partition: uint32(len(env.events) - 1)}, Schema: schema}
			key := any(nil)
			if c.Key != nil {
				key = fields[*c.Key]
			}
			if keys[key] == nil {
				keys[key] = &keyed{m: NewMachine(prog)}
			}
			if e.Time <= watermark {
				late = append(late, len(env.events)-1)
				continue
			}
			if c.Time == "processing" { // events of one millisecond are judged together
				advance(keys[key], e.Time-1)
			}
			keys[key].pending = append(keys[key].pending, e)
		case f["snapshot"] != nil:
			for _, k := range keys {
				k.m = reread(t, prog, k.m, schema)
			}
		default:
			w := f["watermark"].(float64)
			switch {
			case w >= 1e18:
				watermark = event.MaxTime - 1
			case w > -1e18:
				watermark = ms(int(w))
			}
			for _, k := range keys {
				advance(k, watermark)
				k.m.Advance(watermark, &out)
			}
		}
	}
	if c.Time == "processing" {
		for _, k := range keys {
			advance(k, event.MaxTime)
		}
	}
	matches, timeouts := p.found(prog, &out)
	c.compare(t, p, matches, timeouts)
	if !slices.Equal(late, c.Late) {
		t.Errorf("late events %v, want %v", late, c.Late)
	}
}
