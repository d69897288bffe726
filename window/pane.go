package window

import "github.com/cepd/cepd/event"

// stamp is the place of an event.
type stamp struct {
	t   event.Time
	pos event.Position
}

// fold is what is known of some events: how many there are, the first and the
// last, and a partial of each aggregate.
type fold struct {
	n           int64
	first, last stamp
	parts       []partial // nil for an aggregate that is walked
}

// pane is the fold of the events of one pane, or of a whole session.
type pane struct {
	start, end event.Time
	open       bool // its window waits for its end; not for multi
	answered   bool // its window has had a final answer; not for multi
	fold
}

// parts returns new partials of a sweep: those that are walked are only kept in
// panes.
func (s *Spec) parts() []partial {
	parts := make([]partial, len(s.Aggregates))
	for i, a := range s.Aggregates {
		if a.Kind != Collect {
			parts[i] = kinds[a.Kind].make()
		}
	}
	return parts
}

func (f *fold) reset() {
	f.n, f.first, f.last = 0, stamp{}, stamp{}
	for _, p := range f.parts {
		if p != nil {
			p.reset()
		}
	}
}

// add folds an event. Of events of one time, the one that comes later is the
// later one: those in order come by position, and a late one after all others.
func (f *fold) add(at stamp, args []event.Value, out *Out) {
	if f.n == 0 || at.t < f.first.t {
		f.first = at
	}
	if f.n == 0 || at.t >= f.last.t {
		f.last = at
	}
	f.n++
	for i, p := range f.parts {
		x := &args[i]
		if !x.Is(event.KindDouble) {
			if !x.IsMissing() && !x.Is(event.KindNull) {
				p.add(at.t, *x)
			}
			continue
		}
		d := x.AsDouble()
		if d-d != 0 { // NaN or infinite
			out.Skipped++
			continue
		}
		switch p := p.(type) { // what most numbers go to
		case *avg:
			p.addDouble(d)
		case *sum:
			p.addDouble(d)
		case *extreme:
			p.addDouble(d)
		default:
			p.add(at.t, *x)
		}
	}
}

// merge adds what is known of the events of g. Those of one of the two folds
// must all lie before, or all after, those of the other.
func (f *fold) merge(g *fold) {
	if g.n == 0 {
		return
	}
	if f.n == 0 || g.first.t < f.first.t {
		f.first = g.first
	}
	if f.n == 0 || g.last.t >= f.last.t {
		f.last = g.last
	}
	f.n += g.n
	for i, p := range f.parts {
		if p != nil {
			p.merge(g.parts[i])
		}
	}
}

// answer appends the result of the window [r.Start, r.End) over f to out.
func (s *Spec) answer(f *fold, r Result, out *Out) {
	r.Events, r.First, r.Last = f.n, f.first.pos, f.last.pos
	if s.Assigner.Kind == Counted {
		r.Start, r.End = f.first.t, f.last.t
	}
	from := len(out.values)
	for i, p := range f.parts {
		v, reason := p.read(&s.Aggregates[i])
		if reason != 0 {
			v = event.Missing
		}
		out.values, out.reasons = append(out.values, v), append(out.reasons, reason)
	}
	to := len(out.values)
	r.Values, r.Reasons = out.values[from:to:to], out.reasons[from:to:to]
	out.Results = append(out.Results, r)
}
