package window

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the files of testdata, which are the manual of windows.
//
//	window KIND [ARGUMENTS]    a new window; the aggregates are the input, as in count sum quantile(0.9)
//	feed                       events, one a line: time, and a value for all aggregates; a time before the watermark is late
//	watermark TIME             advance to it
//	deadline                   when there is something to do
//	restart                    write the state, and read it back
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		var s scenario
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := s.run(d)
			if err != nil {
				return err.Error() + "\n"
			}
			return out
		})
	})
}

type scenario struct {
	spec  *Spec
	state *State
	now   event.Time
	seq   uint64
}

func (s *scenario) run(d *datadriven.TestData) (string, error) {
	var out Out
	var b strings.Builder
	switch d.Cmd {
	case "window":
		return s.window(d)
	case "feed":
		for line := range strings.Lines(d.Input) {
			out.Reset()
			if err := s.feed(strings.Fields(line), &b, &out); err != nil {
				return "", err
			}
			s.print(&b, &out)
		}
	case "watermark":
		s.now = clock(d.CmdArgs[0].Key)
		s.state.Advance(s.now, &out)
		s.print(&b, &out)
	case "deadline":
		return clockText(s.state.Deadline()) + "\n", nil
	case "restart":
		state, err := ReadState(s.spec, event.NewReader(s.state.AppendBinary(nil)))
		if err != nil {
			return "", err
		}
		s.state = state
		return fmt.Sprintf("%d panes\n", s.state.Panes()), nil
	default:
		return "", fmt.Errorf("unknown command %s", d.Cmd)
	}
	if b.Len() == 0 {
		return "no answers\n", nil
	}
	return b.String(), nil
}

func (s *scenario) window(d *datadriven.TestData) (string, error) {
	var o Options
	kind := map[string]AssignerKind{"tumbling": Tumbling, "sliding": Sliding, "session": Session, "count": Counted, "cron": Cron}
	o.Assigner.Kind = kind[d.CmdArgs[0].Key]
	for _, arg := range d.CmdArgs[1:] {
		if err := setOption(&o, arg.Key, arg.Vals); err != nil {
			return "", err
		}
	}
	for _, name := range strings.Fields(d.Input) {
		a, err := parseAggregate(name)
		if err != nil {
			return "", err
		}
		o.Aggregates = append(o.Aggregates, a)
	}
	spec, issues := Compile(o)
	var b strings.Builder
	for _, i := range issues {
		fmt.Fprintf(&b, "%s %d: %s; %s\n", i.Field, i.Aggregate, i.Message, i.Advice)
	}
	if issues != nil {
		return b.String(), nil
	}
	*s = scenario{spec: spec, state: NewState(spec)}
	return spec.String() + "\n", nil
}

func setOption(o *Options, key string, vals []string) error {
	a := &o.Assigner
	switch key {
	case "n":
		a.N, _ = strconv.Atoi(vals[0])
		return nil
	case "step":
		a.Step, _ = strconv.Atoi(vals[0])
		return nil
	case "ticks":
		var ts ticks
		for _, v := range vals {
			ts = append(ts, clock(v))
		}
		a.Ticks, a.Label = ts, strings.Join(vals, " ")
		return nil
	}
	d, err := event.ParseDuration(vals[0])
	target := map[string]*event.Duration{"size": &a.Size, "every": &a.Every, "offset": &a.Offset, "gap": &a.Gap,
		"lateness": &o.Lateness, "early": &o.Early}[key]
	if target == nil {
		return errors.New("unknown option " + key)
	}
	*target = d
	return err
}

func parseAggregate(text string) (Aggregate, error) {
	name, arg, _ := strings.Cut(strings.TrimSuffix(text, ")"), "(")
	k, ok := ParseKind(name)
	if !ok {
		return Aggregate{}, errors.New("unknown aggregate " + name)
	}
	a := Aggregate{Kind: k}
	a.Q, _ = strconv.ParseFloat(arg, 64)
	a.K, _ = strconv.Atoi(arg)
	return a, nil
}

func (s *scenario) feed(fields []string, b *strings.Builder, out *Out) error {
	at := clock(fields[0])
	s.seq++
	if at > s.now {
		s.now = at
		s.state.Advance(at, out)
	}
	v := event.Bool(true)
	if len(fields) > 1 {
		v = parseValue(fields[1])
	}
	outcome := s.state.Add(s.now, at, event.Position{Seq: s.seq}, slices.Repeat([]event.Value{v}, len(s.spec.Aggregates)), out)
	if outcome != Taken {
		fmt.Fprintf(b, "%s %s\n", fields[0], map[Outcome]string{TooLate: "is too late", Outside: "lies in no window"}[outcome])
	}
	return nil
}

func parseValue(s string) event.Value {
	if s == "-" {
		return event.Missing
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return event.Int(i)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return event.Double(f)
	}
	return event.String(s)
}

func (s *scenario) print(b *strings.Builder, out *Out) {
	for _, r := range out.Results {
		fmt.Fprintf(b, "%s: [%s, %s)", clockText(r.At), clockText(r.Start), clockText(r.End))
		if r.Early {
			b.WriteString(" early")
		}
		if r.Update {
			b.WriteString(" update")
		}
		for i, v := range r.Values {
			text := v.Text()
			switch {
			case r.Reasons[i] != 0:
				text = "error:" + r.Reasons[i].String()
			case v.Kind() == event.KindDouble:
				text = fmt.Sprintf("%.6g", v.AsDouble())
			}
			fmt.Fprintf(b, " %s=%s", s.spec.Aggregates[i], text)
		}
		fmt.Fprintf(b, " of %d events %d..%d\n", r.Events, r.First.Seq, r.Last.Seq)
	}
	if out.Skipped > 0 {
		fmt.Fprintf(b, "%d skipped\n", out.Skipped)
	}
}

// clock reads a time such as 1m30s, since the epoch; "end" is the end of time.
func clock(s string) event.Time {
	if s == "end" {
		return event.MaxTime
	}
	d, err := event.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return event.Time(d)
}

func clockText(t event.Time) string {
	switch t {
	case event.MinTime:
		return "-inf"
	case event.MaxTime:
		return "end"
	}
	return event.FormatDuration(event.Duration(t))
}
