package nfa

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
)

// The oracle finds the matches of a pattern by trying everything, straight
// from the meaning of the constructs and with no notion of a state. For every
// event it asks what a match that begins there could take next; a part of the
// pattern is a function that calls what follows once for every way in which it
// can go. It knows no step windows and no limits.
//
// Events are those of the scenario tests: sets of letters, and a step is its
// own first letter.
type oracle struct {
	pattern *Pattern
	events  []scenarioEvent
	options Options
	found   map[string]*found
	alive   map[int]map[int]bool // by first event: after which events some run waits
	calls   int
}

// found is a match as a list of (event, step).
type found struct {
	taken []taken
	after int        // the event at which it completes
	at    event.Time // or the time, for a trailing negation
	timed bool
}

type taken struct {
	event int
	step  string
}

// at is a place in the trying: the next event to look at and what was taken.
type at struct {
	next  int
	taken []taken
	dead  bool // killed by the event that was taken last, so it can only complete
	seen  bool // the next event has been looked at, so it is too late to complete with the last
}

// start says how a part begins.
type start struct {
	follow Follow
	nots   []string // that kill while it waits to begin
	keep   []string // steps of greedy loops before it, none of which may match while it waits
	once   []string // the same, for its first event only
	until  []string
	leave  []func(at) // what else may be done instead of beginning
	twin   bool       // but only with the first event
	inner  Follow
	head   bool
}

type goOn func(p at, s start)

func (o *oracle) is(k int, step string) bool {
	return strings.IndexByte(o.events[k].letters, step[0]) >= 0
}

func (o *oracle) any(k int, steps []string) bool {
	return slices.ContainsFunc(steps, func(s string) bool { return o.is(k, s) })
}

// wait calls then for every event that a step can take, and leave before every
// event that it may be left at. plain is the step, stop what ends its loop.
func (o *oracle) wait(p at, s start, step string, stop []string, twin bool, then func(at)) {
	o.calls++
	if p.dead {
		for _, l := range s.leave {
			l(p)
		}
		return
	}
	o.waits(p, p.next-1)
	for k := p.next; k <= len(o.events); k++ {
		inFirst := k == p.next || !twin
		if inFirst {
			for _, l := range s.leave {
				l(at{next: k, taken: p.taken, seen: p.seen})
			}
		}
		if k == len(o.events) {
			return
		}
		if o.late(p, k) {
			return
		}
		if inFirst && o.any(k, s.keep) || k == p.next && o.any(k, s.once) {
			return
		}
		killed := len(p.taken) > 0 && o.any(k, s.nots)
		if o.is(k, step) && !o.any(k, stop) {
			then(at{next: k + 1, taken: append(slices.Clone(p.taken), taken{k, step}), dead: killed})
		}
		if killed || s.follow == FollowStrict || s.follow == FollowRelaxed && o.is(k, step) || o.any(k, s.until) {
			return
		}
		if len(p.taken) == 0 {
			return // every event may begin a match; the caller tries them
		}
		o.waits(p, k)
	}
}

// waits notes that a run is open after event k.
func (o *oracle) waits(p at, k int) {
	if len(p.taken) == 0 {
		return
	}
	first := p.taken[0].event
	if o.alive[first] == nil {
		o.alive[first] = map[int]bool{}
	}
	o.alive[first][k] = true
}

func (o *oracle) late(p at, k int) bool {
	return o.options.Within > 0 && len(p.taken) > 0 && o.events[k].time >= o.deadline(p)
}

func (o *oracle) deadline(p at) event.Time {
	if o.options.Within == 0 {
		return event.MaxTime
	}
	return o.events[p.taken[0].event].time.Add(o.options.Within)
}

// part tries a step or group with its count.
func (o *oracle) part(n *Node, p at, s start, final bool, after []string, out goOn) {
	if n.Greedy && n.Min != n.Max && !final {
		plain := out
		out = func(q at, t start) {
			// The event that leaves must not be one that the loop takes. If the
			// pattern is over, that event would be the loop's own.
			if q.next < len(o.events) && n.Until != "" && o.is(q.next, n.Until) {
				plain(q, t)
				return
			}
			t.keep = append(slices.Clone(t.keep), n.Name)
			plain(q, t)
		}
	}
	o.rounds(n, 1, p, s, final, after, out)
}

// rounds tries round i and what comes after it.
func (o *oracle) rounds(n *Node, i int, p at, s start, final bool, after []string, out goOn) {
	mayEnd := i > n.Min || i == 1 && n.Optional
	own := s.until
	if n.Until != "" {
		own = append(slices.Clone(s.until), n.Until)
	}
	t := s
	if i > 1 {
		t = start{follow: n.Inner, until: own, head: s.head, inner: s.inner, twin: s.twin, nots: s.nots, keep: s.keep, once: s.once}
		if n.Op == OpStep && s.head {
			t.follow = s.inner
		}
		if n.Op == OpStep {
			t.nots = append(slices.Clone(t.nots), after...)
		}
	}
	if mayEnd {
		nots := t.nots
		if i > 1 {
			nots = s.nots
		}
		keep, once := t.keep, append(slices.Clone(t.keep), t.once...)
		t.leave = append(slices.Clone(t.leave), func(q at) {
			hold := once
			if q.next > p.next {
				hold = keep
			}
			out(q, start{nots: nots, once: hold})
		})
	}
	more := func(q at, u start) {
		if i == n.Max {
			out(q, u)
			return
		}
		if n.Op != OpStep && n.Max == Unlimited && i > n.Min {
			// As in Flink, what a greedy loop at the end of a group holds back
			// is decided when the group begins to loop, not by later rounds.
			u.keep = s.keep
		}
		// What stood before the repeat is of no concern to later rounds.
		v := start{until: s.until, head: s.head, inner: s.inner, twin: s.twin, nots: u.nots, keep: u.keep, once: u.once}
		o.rounds(n, i+1, q, v, final, after, out)
	}
	if n.Op == OpStep {
		twin := mayEnd || t.twin
		o.wait(p, t, n.Name, own, twin, func(q at) { more(q, start{}) })
		return
	}
	t.until = own
	o.body(n, p, t, final && i == n.Max, more)
}

// body tries the inside of a group.
func (o *oracle) body(n *Node, p at, s start, final bool, out goOn) {
	s.head, s.inner, s.twin = true, n.Inner, n.Optional
	if n.Op == OpSequence && n.Subs[0].Op == OpSequence {
		s.follow = FollowStrict
	}
	leave := func(q at, t start) {
		t.nots = nil
		out(q, t)
	}
	o.branches(n, p, s, final, leave)
}

func (o *oracle) branches(n *Node, p at, s start, final bool, out goOn) {
	if n.Op == OpSequence {
		o.sequence(n.Subs, p, s, final, out)
		return
	}
	s.head = false
	if n.Op == OpEither {
		for _, b := range n.Subs {
			o.branches(b, p, s, final, out)
		}
		return
	}
	for _, order := range permutations(len(n.Subs)) {
		var subs []*Node
		for i, j := range order {
			x := *n.Subs[j]
			if i > 0 {
				x.Follow = FollowRelaxed
			}
			subs = append(subs, &x)
		}
		o.sequence(subs, p, s, final, out)
	}
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for i := 0; i <= len(p); i++ {
			all = append(all, slices.Insert(slices.Clone(p), i, n-1))
		}
	}
	return all
}

// sequence tries items one after another. final says that the pattern ends
// behind them.
func (o *oracle) sequence(items []*Node, p at, s start, final bool, out goOn) {
	n, rest := items[0], items[1:]
	next := func(q at, t start) {
		if len(rest) == 0 {
			out(q, t)
			return
		}
		t.follow, t.until = rest[0].Follow, s.until
		o.sequence(rest, q, t, final, out)
	}
	if n.Op == OpNot {
		o.not(n, p, s, final && len(rest) == 0, len(rest) == 0, next)
		return
	}
	var after []string
	for _, x := range rest {
		if x.Op != OpNot || x.Follow != FollowRelaxed {
			break
		}
		after = append(after, x.Name)
	}
	if n.Optional && negationAhead(rest) {
		kept := *n
		kept.Optional = false
		o.part(&kept, p, s, final && len(rest) == 0, after, next)
		next(p, start{nots: s.nots, keep: s.keep, once: s.once})
		return
	}
	o.part(n, p, s, final && len(rest) == 0, after, next)
}

// not tries a negated step.
func (o *oracle) not(n *Node, p at, s start, final, last bool, next goOn) {
	if s.follow == FollowRelaxed {
		switch {
		case final && o.options.Within > 0:
			o.silence(append(slices.Clone(s.nots), n.Name), p, s)
		case last:
			next(p, s)
		default:
			s.nots = append(slices.Clone(s.nots), n.Name)
			next(p, s)
		}
		return
	}
	if !final && len(p.taken) > 0 && !p.seen && !o.is(p.next-1, n.Name) {
		// If all that follows may be left out, the pattern is over with the
		// event that was taken last; as in Flink the negation is about it.
		next(at{next: p.next, taken: p.taken, dead: true}, start{keep: s.keep, once: s.once})
	}
	if p.dead {
		return
	}
	o.waits(p, p.next-1)
	if p.next == len(o.events) || o.late(p, p.next) || o.any(p.next, s.keep) || o.any(p.next, s.once) ||
		o.is(p.next, n.Name) || o.any(p.next, s.nots) {
		return
	}
	if final {
		o.match(&found{taken: p.taken, after: p.next})
		return
	}
	p.seen = true
	next(p, start{})
}

// silence is -> !x at the end: nothing of nots until the window is over.
func (o *oracle) silence(nots []string, p at, s start) {
	if p.dead {
		return
	}
	o.waits(p, p.next-1)
	for k := p.next; k < len(o.events) && !o.late(p, k); k++ {
		if o.any(k, nots) || o.any(k, s.keep) || k == p.next && o.any(k, s.once) {
			return
		}
		o.waits(p, k)
	}
	o.match(&found{taken: p.taken, at: o.deadline(p), timed: true, after: -1})
}

func (o *oracle) match(f *found) {
	if len(f.taken) == 0 {
		return
	}
	key := fmt.Sprint(f.taken)
	if old := o.found[key]; old == nil || o.before(f, old) {
		o.found[key] = f
	}
}

// before reports whether f completes before g.
func (o *oracle) before(f, g *found) bool {
	switch {
	case f.timed && g.timed:
		return f.at < g.at
	case f.timed:
		return f.at <= o.events[g.after].time
	case g.timed:
		return o.events[f.after].time < g.at
	}
	return f.after < g.after
}

// all returns every match, whatever skip says.
func (o *oracle) all() {
	o.found, o.alive = map[string]*found{}, map[int]map[int]bool{}
	for k := range o.events {
		o.branches(o.pattern.Root, at{next: k}, start{follow: FollowStrict}, true, func(q at, s start) {
			// Over with the event taken last, unless a greedy loop would have
			// to be left for it.
			if len(q.taken) == 0 || q.seen || q.next-1 != q.taken[len(q.taken)-1].event {
				return
			}
			last := q.next - 1
			if o.any(last, s.keep) || o.any(last, s.once) {
				return
			}
			o.match(&found{taken: q.taken, after: last})
		})
	}
}

// compare is the order of matches that are given at the same moment.
func (o *oracle) compare(a, b *found) int {
	step := func(name string) int {
		return slices.IndexFunc(o.pattern.Steps(), func(s StepInfo) bool { return s.Name == name })
	}
	return cmp.Or(
		cmp.Compare(a.taken[0].event, b.taken[0].event),
		cmp.Compare(len(b.taken), len(a.taken)),
		slices.CompareFunc(a.taken, b.taken, func(x, y taken) int { return cmp.Compare(x.event, y.event) }),
		slices.CompareFunc(a.taken, b.taken, func(x, y taken) int { return cmp.Compare(step(x.step), step(y.step)) }))
}

// run returns the matches that are given, in order.
func (o *oracle) run() []string {
	o.all()
	var matches []*found
	for _, f := range o.found {
		matches = append(matches, f)
	}
	slices.SortFunc(matches, func(a, b *found) int {
		switch {
		case o.before(a, b):
			return -1
		case o.before(b, a):
			return 1
		}
		return o.compare(a, b)
	})
	var given, waiting []*found
	skipped := func(first int) bool {
		return slices.ContainsFunc(given, func(g *found) bool { return o.skips(g, first) })
	}
	release := func(k int, now event.Time) {
		for len(waiting) > 0 {
			f := waiting[0]
			if !skipped(f.taken[0].event) {
				if o.heldBack(f, k, now, skipped) {
					return
				}
				given = append(given, f)
			}
			waiting = waiting[1:]
		}
	}
	take := func(done []*found, k int, now event.Time) {
		for _, f := range done {
			if skipped(f.taken[0].event) {
				continue
			}
			if o.options.Order == OrderStart && o.options.Skip != SkipNone {
				waiting = append(waiting, f)
				slices.SortFunc(waiting, o.compare)
			} else {
				given = append(given, f)
			}
		}
		release(k, now)
	}
	// Moments: before each event the deadlines up to its time, then the event.
	for k := 0; k <= len(o.events); k++ {
		until := event.MaxTime
		if k < len(o.events) {
			until = o.events[k].time
		}
		for _, d := range o.deadlines(k, until) {
			var done []*found
			for _, f := range matches {
				if f.timed && f.at == d && (k == 0 || o.events[k-1].time < d) {
					done = append(done, f)
				}
			}
			take(done, k-1, d)
		}
		if k < len(o.events) {
			var done []*found
			for _, f := range matches {
				if !f.timed && f.after == k {
					done = append(done, f)
				}
			}
			take(done, k, o.events[k].time)
		}
	}
	var text []string
	for _, f := range given {
		text = append(text, o.print(f))
	}
	return text
}

// deadlines returns the ends of windows before event k and up to a time.
func (o *oracle) deadlines(k int, until event.Time) []event.Time {
	var all []event.Time
	if o.options.Within == 0 {
		return nil
	}
	for i := range min(k, len(o.events)) {
		d := o.events[i].time.Add(o.options.Within)
		if d <= until && (k == 0 || d > o.events[k-1].time) {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// heldBack reports whether an earlier-started run is open after event k, at a
// time.
func (o *oracle) heldBack(f *found, k int, now event.Time, skipped func(int) bool) bool {
	for first := range f.taken[0].event {
		p := at{taken: []taken{{first, ""}}}
		if o.alive[first][k] && !skipped(first) && now < o.deadline(p) {
			return true
		}
	}
	return false
}

// skips reports whether a match skips what began with an event.
func (o *oracle) skips(f *found, first int) bool {
	name := o.options.SkipTo
	switch o.options.Skip {
	case SkipPastLast:
		return first <= f.taken[len(f.taken)-1].event
	case SkipToNext:
		return first <= f.taken[0].event
	case SkipToFirst:
		i := slices.IndexFunc(f.taken, func(t taken) bool { return t.step == name })
		return i >= 0 && first < f.taken[i].event
	case SkipToLast:
		for _, t := range slices.Backward(f.taken) {
			if t.step == name {
				return first < t.event
			}
		}
	}
	return false
}

func (o *oracle) print(f *found) string {
	var words []string
	for _, t := range f.taken {
		words = append(words, fmt.Sprintf("%s=%d", t.step, t.event))
	}
	end := event.Time(0)
	if f.timed {
		end = f.at
	} else {
		end = o.events[f.after].time
	}
	return fmt.Sprintf("%s at %v", strings.Join(words, " "), seconds0(end))
}
