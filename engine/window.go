package engine

import (
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/window"
)

// newWindows returns what a rule with a window keeps of one key.
func newWindows(w *rules.Window) *window.State {
	ws := window.NewState(w.Spec)
	ws.Baselines = newBaselines(w)
	return ws
}

// newBaselines returns the baselines of one key by number of the computation, nil
// for those that are none; nil without any.
func newBaselines(w *rules.Window) (all []*window.Baseline) {
	for i, c := range w.Compute {
		if c.Baseline == nil {
			continue
		}
		if all == nil {
			all = make([]*window.Baseline, len(w.Compute))
		}
		all[i] = &window.Baseline{}
	}
	return all
}

// argument is what an aggregate takes of an event.
type argument struct {
	rules.Argument
	every bool       // it counts every event
	plain bool       // it takes a field as it stands
	field plainField // this one
}

func newArguments(all []rules.Argument) []argument {
	list := make([]argument, len(all))
	for i, a := range all {
		list[i] = argument{Argument: a, every: a.Filter == nil && a.Value == nil}
		if a.Filter == nil && a.Value != nil {
			f := newPlainField(a.Value)
			list[i].field, list[i].plain = f, f.kind != event.KindMissing
		}
	}
	return list
}

// joins reports whether all that the rule does with most events of a stream is to
// fold fields of theirs into a window that is open.
func (r *rulePlan) joins(stream int) bool {
	in := r.inputs[stream]
	if in == nil || r.Window == nil || in.Where >= 0 || r.Idle > 0 {
		return false
	}
	return !slices.ContainsFunc(r.args[stream], func(a argument) bool { return !a.every && !a.plain })
}

// join folds an event into the windows of a key, one rule after the other, as long as
// that answers none, and returns the rules that are left.
func (s *Shard) join(t *table, ks *keyState, it *item, rules []int32) (left []int32) {
	for i, rule := range rules {
		r := t.rules[rule]
		if !r.joining[it.stream] {
			if r.inputs[it.stream] == nil {
				continue
			}
			return rules[i:]
		}
		st := ks.look(int(rule))
		ws := st.window()
		if ws == nil || !s.fields(r.args[it.stream], it.event) {
			return rules[i:]
		}
		if j := t.lane.journal; st.changed != j.gen {
			t.touch(ks, int(rule))
		}
		if e := it.event; !ws.Join(it.at, e.Time, e.Pos, s.args, &s.windows) {
			if it.at != e.Time || !r.Window.Spec.OnlyOpens() {
				return rules[i:]
			}
			ws.Add(it.at, e.Time, e.Pos, s.args, &s.windows)
			t.lane.arm(ks, int(rule), timerWindow, ws.Deadline())
		}
		if s.windows.Skipped > 0 {
			s.skipped(r)
		}
	}
	return nil
}

// fields finds what aggregates take of an event, where these are fields that it has.
func (s *Shard) fields(all []argument, e *event.Event) bool {
	s.args = slices.Grow(s.args[:0], len(all))[:len(all)]
	for i := range all {
		a, ok := &all[i], true
		if a.every {
			s.args[i] = event.Bool(true)
		} else if s.args[i], ok = a.field.of(e); !ok {
			return false
		}
	}
	return true
}

// stepWindow folds an event into the windows of a key.
func (s *Shard) stepWindow(l *lane, ks *keyState, rule int, it *item) {
	r, ws := ks.table.rules[rule], ks.look(rule).window()
	if ws == nil {
		ws = s.spareWindow(ks.table, rule)
	}
	args := s.arguments(r.args[it.stream])
	if ws.Add(it.at, it.event.Time, it.event.Pos, args, &s.windows) == window.TooLate {
		s.out.stats.Late.add(it.event.Schema.Stream(), "", 1)
	}
	s.setWindow(l, ks, rule, r, ws, it.at)
}

// skipped counts the values that were left out because they are not finite.
func (s *Shard) skipped(r *rulePlan) {
	s.out.stats.EvalErrors.add(r.Name, "not_finite", int64(s.windows.Skipped))
	s.windows.Reset()
}

// arguments evaluates what the aggregates take of the event at hand.
func (s *Shard) arguments(all []argument) []event.Value {
	s.args = s.args[:0]
	for i := range all {
		s.args = append(s.args, s.argument(&all[i].Argument))
	}
	return s.args
}

// argument evaluates one. An event that lacks a field is skipped, as in any
// aggregate; what fails for another reason is counted.
func (s *Shard) argument(a *rules.Argument) event.Value {
	if a.Filter != nil {
		ok, err := a.Filter.Bool(&s.frame)
		s.argumentError(err)
		if !ok {
			return event.Missing
		}
	}
	if a.Value == nil {
		return event.Bool(true)
	}
	v, err := a.Value.Value(&s.frame)
	if err != nil {
		s.argumentError(err)
		return event.Missing
	}
	return v
}

func (s *Shard) argumentError(err error) {
	if err != nil && !isNoField(err) {
		s.evalError(s.env.rule.Name, err)
	}
}

// expireWindow answers the windows of a key that end now.
func (s *Shard) expireWindow(l *lane, ks *keyState, rule int, now event.Time) {
	if g := ks.table.lingering[rule]; g != nil && g.until <= now && len(g.keys) > 0 {
		s.lingered(l, now) // before this window is gone too
	}
	if ws := ks.look(rule).window(); ws != nil {
		ws.Advance(now, &s.windows)
		s.setWindow(l, ks, rule, ks.table.rules[rule], ws, now)
	}
}

// setWindow judges the answers, keeps the state as long as it has something to
// remember, and arms its next deadline.
func (s *Shard) setWindow(l *lane, ks *keyState, rule int, r *rulePlan, ws *window.State, now event.Time) {
	for i := range s.windows.Results {
		s.judgeWindow(l, ks, rule, r, ws, &s.windows.Results[i])
	}
	s.skipped(r)
	known := ks.look(rule).window()
	l.arm(ks, rule, timerWindow, ws.Deadline())
	switch {
	case known == nil && ws.Empty():
		s.putWindow(ks.table, rule, ws)
	case known == nil:
		ks.at(rule).kept = ws
	case ws.Empty() && !l.linger(ks, rule, now):
		ks.at(rule).kept = nil
		s.putWindow(ks.table, rule, ws)
	}
}

// maxSpareWindows is how many states without windows a shard keeps, a few
// hundred bytes each.
const maxSpareWindows = 8192

// spareWindow returns a state without windows. Those of keys whose windows have
// closed are used again: where each key sends one event in a window, every event
// needs one.
func (s *Shard) spareWindow(t *table, rule int) *window.State {
	spares := t.spareWindows[rule]
	n := len(spares)
	if n == 0 {
		return newWindows(t.rules[rule].Window)
	}
	ws := spares[n-1]
	spares[n-1], t.spareWindows[rule] = nil, spares[:n-1]
	s.spareWindows--
	return ws
}

// putWindow takes back a state without windows.
func (s *Shard) putWindow(t *table, rule int, ws *window.State) {
	if s.spareWindows < maxSpareWindows {
		s.spareWindows++
		t.spareWindows[rule] = append(t.spareWindows[rule], ws)
	}
}

// judgeWindow judges one answer of a window.
func (s *Shard) judgeWindow(l *lane, ks *keyState, rule int, r *rulePlan, ws *window.State, res *window.Result) {
	live := s.frame.Event
	s.frame.Event, s.frame.Key = nil, s.keyOf(ks)
	learned := s.variables(r.Window, ws, res)
	w := r.Window
	last := res.Last
	if res.Update && live != nil {
		last = live.Pos // the late event is what it rests on
	}
	holds := w.When == nil || s.asks(w.When)
	if s.options.tracer != nil {
		s.options.tracer.Answered(r.Name, ks.key, res, s.frame.Vars, holds)
	}
	if holds && r.Emit != nil {
		s.emit(r, ks, r.Emit, res.At, last)
	}
	a := ks.look(rule).alert
	if r.Alert != nil && (holds || a != nil || r.policy().Remembers()) {
		if a == nil {
			a = &alertState{}
		}
		clears := !holds && (w.Clear == nil || s.asks(w.Clear))
		a.hear(s, l, res.At)
		d := s.decided(ks, r.policyOf(ks, a).Level(&a.Instance, holds, clears, res.At))
		of := grounds{first: res.First, last: last, atEnd: l.atEnd(res.At)}
		if d.Change != 0 || a.Phase == alerting.Pending || r.policy().Remembers() {
			of.event = s.keepResult(w, res)
			a.kept = of.event
		}
		s.judged(l, ks, rule, alertMain, a, d, of)
	}
	if !res.Early && !res.Update { // a window counts once for what is usual
		frozen := a != nil && a.Phase == alerting.Firing
		for i, x := range learned {
			if f, ok := x.Number(); ok {
				ws.Baselines[i].Learn(w.Compute[i].Baseline, res.Start, f, frozen)
			}
		}
	}
	s.frame.Event, s.frame.Vars = live, nil
}

// asks evaluates a condition on the frame.
func (s *Shard) asks(p *expr.Program) bool {
	ok, err := p.Bool(&s.frame)
	if err != nil {
		s.evalError(s.env.rule.Name, err)
	}
	return ok
}

// variables fills the frame with what expressions about a result see. It
// returns what the baselines are to learn, by number of the computation;
// missing where there is nothing.
func (s *Shard) variables(w *rules.Window, ws *window.State, res *window.Result) []event.Value {
	n := len(w.Vars.Fields())
	s.vars = append(s.vars[:0], make([]event.Value, n)...)
	s.frame.Vars = s.vars
	s.vars[w.Start], s.vars[w.End] = event.Timestamp(res.Start), event.Timestamp(res.End)
	for i, v := range w.Aggregates {
		s.vars[v] = res.Values[i]
	}
	s.learned = append(s.learned[:0], make([]event.Value, len(w.Compute))...)
	for i, c := range w.Compute {
		v, err := c.Value.Value(&s.frame)
		if err != nil {
			continue // it is counted where it is read
		}
		if c.Baseline == nil {
			s.vars[c.Var] = v
			continue
		}
		s.learned[i] = v
		if usual, ok := ws.Baselines[i].Usual(c.Baseline, res.Start); ok {
			s.vars[c.Var] = event.Double(usual)
		}
	}
	return s.learned
}

// keepResult keeps a result as an event.
func (s *Shard) keepResult(w *rules.Window, res *window.Result) *event.Event {
	e := &event.Event{Time: res.At, Pos: res.Last, Schema: w.Vars, Slots: make([]event.Value, len(s.vars))}
	for i, v := range s.vars {
		e.Slots[i] = v.Clone()
	}
	return e
}
