package nfa

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cepd/cepd/event"
)

// maxStates bounds a program. Counts within counts multiply, so the text of a
// pattern says little about the size of its program.
const maxStates = 20000

// Compile checks a pattern and compiles it. The program is nil if any of the
// issues is an error. Issues are sorted by where they are.
func Compile(p *Pattern, o Options) (*Prog, []Issue) {
	check := &checker{o: o}
	check.check(p)
	var prog *Prog
	if !check.failed {
		prog = build(p, o)
		switch {
		case prog == nil:
			check.errorf(nil, "use smaller counts, or loops with conditions on the number of events", "the pattern is too large: its counts multiply to more than %d states, or leave too many ways open", maxStates)
		case prog.waitsForEver() && o.Within == 0:
			check.warnf(nil, "say within", "a partial match may wait for ever, until limits.runs drops it")
		}
	}
	slices.SortStableFunc(check.issues, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.End, b.End))
	})
	return prog, check.issues
}

// build compiles a pattern that has been checked, nil if it is too large.
func build(p *Pattern, o Options) *Prog {
	prog := &Prog{
		root: p.Root, steps: p.Steps(),
		within: o.Within, skip: o.Skip, skipTo: -1, order: o.Order, maxRuns: o.MaxRuns, timeout: o.Timeout,
	}
	if prog.maxRuns <= 0 {
		prog.maxRuns = DefaultMaxRuns
	}
	c := &compiler{prog: prog, preds: map[string]cond{}, steps: map[string]int{}, stop: map[int]*state{}}
	for _, s := range prog.steps {
		c.steps[s.Name] = s.Number
		if s.Name == o.SkipTo {
			prog.skipTo = s.Number
		}
		c.predicate(s.Name, o.Predicates[s.Name])
	}
	for _, u := range p.Untils() {
		c.predicate(u.Name, o.Predicates[u.Name])
	}
	prog.aggregates(o)
	p.Root.walk(false, func(n *Node, _ bool) {
		prog.grouped = prog.grouped || n.Max == Unlimited && n.Op != OpStep
	})
	c.compile(p.Root)
	if c.full || !prog.flatten() {
		return nil
	}
	if prog.compactable() {
		prog.compact = prog.determine()
	}
	return prog
}

// aggregates lays out the states of the aggregates over each step.
func (p *Prog) aggregates(o Options) {
	p.stepAggs = make([][]int, len(p.steps))
	p.stepVals = make([]int, len(p.steps))
	for i, step := range o.AggregateSteps {
		p.aggs = append(p.aggs, aggregate{step, p.stepVals[step], o.AggregateWidths[i]})
		p.stepAggs[step] = append(p.stepAggs[step], i)
		p.stepVals[step] += o.AggregateWidths[i]
	}
}

// predicate gives the condition of a name its place in the program.
func (c *compiler) predicate(name string, q Predicate) {
	if _, ok := c.preds[name]; ok {
		return
	}
	var all cond
	c.prog.ungated = c.prog.ungated || q.Linked && !q.Gated
	if q.Gated {
		all = append(all, clause{c.literal(name, Predicate{ID: q.Gate})})
	}
	c.preds[name] = append(all, clause{c.literal(name, Predicate{ID: q.ID, Linked: q.Linked})})
}

func (c *compiler) literal(name string, q Predicate) literal {
	c.prog.preds = append(c.prog.preds, q)
	c.prog.labels = append(c.prog.labels, name)
	return literal(2 * (len(c.prog.preds) - 1))
}

// A state is a place where a run waits. What it may do with the next event are
// its edges, each with a condition over the event and the run's history:
//
//	take     accept the event and go on to another state
//	ignore   skip the event, and stay or go to a state that waits
//	proceed  go on to another state and look at the same event there
//
// A run takes and ignores along every edge that it can reach by proceeding,
// and so branches. The compiler goes through the tree once, from the outside
// in; what follows a part is a [next], asked for its entry states when the
// part is left. So a part knows what comes after it and never what came before,
// but for an [entry].
type state struct {
	id     int
	kind   stateKind
	step   int // that it waits for; -1 for none
	edges  []edge
	window event.Duration // from the last event taken; 0: none
}

type stateKind uint8

const (
	stateNormal  stateKind = iota
	stateStart             // where runs begin; no run waits there
	stateFinal             // a match
	stateStop              // a negated step's event came
	statePending           // a match once time is over
)

// waits reports whether runs can be in a state between two events.
func (k stateKind) waits() bool { return k == stateNormal || k == statePending }

type action uint8

const (
	actTake action = iota
	actIgnore
	actProceed
)

type edge struct {
	act  action
	cond cond
	to   *state
	step int // taken, or that stops the run
}

// entry is what a part is told about the place at which it begins.
type entry struct {
	follow Follow
	nots   []not // negated steps that kill the run while the part waits to begin
	guard  cond  // of every edge of the first state: a greedy loop before it
	until  []cond
	head   bool   // the part is the first of a group
	inner  Follow // the group's own, which the repetitions of its first step follow
	twin   bool   // the group may be left out, so its first state must not be waited in
	again  bool   // the part is compiled for a round of a group other than its last
}

// not is a negated step and its condition.
type not struct {
	step int
	cond cond
}

// next is what follows a part of the pattern. It is compiled once for each
// way in which it is entered.
type next struct {
	final bool // the match is complete
	made  map[string][]*state
	build func(in entry) []*state
}

func (n *next) enter(in entry) []*state {
	key := fmt.Sprint(in.nots, in.guard)
	if s, ok := n.made[key]; ok {
		return s
	}
	s := n.build(in)
	n.made[key] = s
	return s
}

func then(build func(in entry) []*state) *next {
	return &next{made: map[string][]*state{}, build: build}
}

// compiler builds the states of one program.
type compiler struct {
	prog  *Prog
	preds map[string]cond
	steps map[string]int
	stop  map[int]*state // by negated step
	end   *state
	full  bool // maxStates was reached
}

func (c *compiler) state(kind stateKind, step int) *state {
	s := &state{id: len(c.prog.states), kind: kind, step: step}
	if len(c.prog.states) >= maxStates {
		c.full = true
		return s
	}
	c.prog.states = append(c.prog.states, s)
	return s
}

func (s *state) add(act action, on cond, step int, to ...*state) {
	for _, t := range to {
		s.edges = append(s.edges, edge{act, on, t, step})
	}
}

// compile builds the whole program for a pattern.
func (c *compiler) compile(root *Node) {
	start := c.state(stateStart, -1)
	c.end = c.state(stateFinal, -1)
	end := then(func(entry) []*state { return []*state{c.end} })
	end.final = true
	start.add(actProceed, nil, -1, c.branches(root, entry{follow: FollowStrict}, end)...)
}

// part compiles a node with its count and returns the states it begins with.
// after are the negated steps that stand directly behind it.
func (c *compiler) part(n *Node, in entry, out *next, after []not) []*state {
	if c.full {
		return nil
	}
	switch {
	case n.Op == OpNot && in.follow == FollowStrict:
		return c.notNext(n, in, out)
	case n.Op == OpNot:
		return c.notFollowed(n, in, out)
	}
	r := c.repeatOf(n, in, out, after)
	switch {
	case n.Max == Unlimited && n.Op == OpStep:
		return c.times(r, n.Min, n.Min, then(func(entry) []*state { return []*state{c.loop(r)} }))
	case n.Max == Unlimited:
		return c.times(r, n.Min, n.Min, c.groupLoop(r))
	}
	return c.times(r, n.Min, n.Max, r.out)
}

// notNext is => !x: the very next event must not be x.
func (c *compiler) notNext(n *Node, in entry, out *next) []*state {
	x := c.negated(n)
	s := c.state(stateNormal, -1)
	s.window = n.Within
	c.stops(s, in.guard, append(in.nots, x))
	if out.final {
		s.add(actIgnore, in.guard.and(x.cond.not()), -1, c.end)
	} else {
		s.add(actProceed, in.guard.and(x.cond.not()), -1, out.enter(entry{})...)
	}
	return []*state{s}
}

// notFollowed is -> !x. In the middle it is a condition on the states that
// wait for what follows; at the end it is a state of its own, which waits for
// time to run out.
func (c *compiler) notFollowed(n *Node, in entry, out *next) []*state {
	nots := append(slices.Clone(in.nots), c.negated(n))
	if !out.final {
		return out.enter(entry{nots: nots, guard: in.guard})
	}
	s := c.state(statePending, -1)
	s.window = n.Within
	c.stops(s, in.guard, nots)
	var none cond
	for _, x := range nots {
		none = none.and(x.cond.not())
	}
	s.add(actIgnore, in.guard.and(none), -1, s)
	return []*state{s}
}

func (c *compiler) negated(n *Node) not { return not{c.steps[n.Name], c.preds[n.Name]} }

// stops lets the events of negated steps kill a run that waits in s.
func (c *compiler) stops(s *state, guard cond, nots []not) {
	for _, x := range nots {
		if c.stop[x.step] == nil {
			c.stop[x.step] = c.state(stateStop, x.step)
		}
		s.add(actProceed, guard.and(x.cond), x.step, c.stop[x.step])
	}
}

// repeat is a part under compilation: what is repeated, and how.
type repeat struct {
	*Node
	in    entry
	own   []cond // its until and those around it
	take  cond   // of a step, with every until around it
	plain cond   // of a step, without
	until cond   // its own; nil for none
	after []not
	out   *next // what follows, guarded where the repeat is greedy
	early *next // what follows an event of `until`; out where there is none
}

func (c *compiler) repeatOf(n *Node, in entry, out *next, after []not) *repeat {
	r := &repeat{Node: n, in: in, own: in.until, after: after, out: out, early: out}
	if n.Until != "" {
		r.until = c.preds[n.Until]
		r.own = append(slices.Clone(in.until), r.until)
	}
	if n.Op == OpStep {
		r.plain = c.preds[n.Name]
		r.take = r.plain
		for _, u := range r.own {
			r.take = r.take.and(u.not())
		}
	}
	if n.Greedy && n.Op == OpStep && n.Min != n.Max && !out.final {
		hold := r.take.not()
		r.out = then(func(in entry) []*state {
			in.guard = in.guard.and(hold)
			return out.enter(in)
		})
	}
	return r
}

// leave adds the edges by which a repeat ends before the event at hand.
func (c *compiler) leave(s *state, r *repeat, guard cond, nots []not) {
	if r.out != r.early && r.until != nil {
		s.add(actProceed, guard.and(r.until), -1, r.early.enter(entry{nots: nots})...)
		guard = guard.and(r.until.not())
	}
	s.add(actProceed, guard, -1, r.out.enter(entry{nots: nots})...)
}

// between returns what the repetitions of a step follow.
func (r *repeat) between() Follow {
	if r.in.head && r.Op == OpStep {
		return r.in.inner
	}
	return r.Inner
}

// times compiles a repeat that may end once it has min rounds and goes on to
// last after max.
func (c *compiler) times(r *repeat, min, max int, last *next) []*state {
	for i := max; i > 1; i-- {
		at, more := round{number: i, mayEnd: i > min}, last
		last = then(func(in entry) []*state {
			in.follow, in.until, in.again = r.between(), r.own, r.in.again
			in.head, in.inner, in.twin = r.in.head, r.in.inner, r.in.twin
			return c.round(r, at, in, more)
		})
	}
	return c.round(r, round{number: 1, mayEnd: r.Optional}, r.in, last)
}

// round is one repetition that is counted.
type round struct {
	number int
	mayEnd bool // the repeat may be left before it
}

// round compiles one repetition.
func (c *compiler) round(r *repeat, at round, in entry, out *next) []*state {
	if r.Op == OpStep {
		return []*state{c.single(r, at, in, out)}
	}
	in.again = in.again || at.number != r.Max
	heads := c.body(r, in, out)
	if at.mayEnd {
		for _, h := range heads {
			c.leave(h, r, in.guard, in.nots)
		}
	}
	return heads
}

// single compiles a state that waits for one event. If it may be left for what
// follows, it waits in a second state after it has skipped an event, which
// cannot be left so: the run that left is a branch of its own by then.
func (c *compiler) single(r *repeat, at round, in entry, out *next) *state {
	nots := in.nots
	if at.number > 1 {
		nots = append(slices.Clone(nots), r.after...)
	}
	s := c.state(stateNormal, c.steps[r.Name])
	s.window = r.window(at.number)
	taken := out.enter(entry{})
	s.add(actTake, in.guard.and(r.take), s.step, taken...)
	c.stops(s, in.guard, nots)
	if at.mayEnd {
		c.leave(s, r, in.guard, in.nots)
	}
	skip, ok := c.ignore(r, in)
	if !ok {
		return s
	}
	wait := s
	if at.mayEnd || in.twin {
		wait = c.state(stateNormal, s.step)
		wait.add(actTake, r.take, s.step, taken...)
		wait.add(actIgnore, skip, -1, wait)
		c.stops(wait, nil, nots)
	}
	s.add(actIgnore, in.guard.and(skip), -1, wait)
	return s
}

// window returns how long a run may wait for a round, and with round 0 for one
// more of an unbounded loop. As in Flink, a gap does not bound the wait for the
// last one; where the step stands in a group with a count, that of the group's
// last round.
func (r *repeat) window(round int) event.Duration {
	switch {
	case !r.Counted:
		return r.Within
	case !r.in.again && (round == r.Max || round == 0):
		return 0
	}
	return r.Gap
}

// ignore returns the condition on which a waiting step skips an event, and
// false if it never does.
func (c *compiler) ignore(r *repeat, in entry) (cond, bool) {
	var skip cond
	switch in.follow {
	case FollowRelaxed:
		skip = r.plain.not()
	case FollowAny:
	default:
		return nil, false
	}
	for _, u := range in.until {
		skip = skip.and(u.not())
	}
	return skip, true
}

// loop compiles the state of a step's unbounded repeat once it has its first
// events: it takes more, or is left for what follows. After it has skipped an
// event it waits in a second state, from which the loop cannot be left, since
// the run that left it before that event is another branch.
func (c *compiler) loop(r *repeat) *state {
	s := c.state(stateNormal, c.steps[r.Name])
	s.window = r.window(0)
	c.leave(s, r, nil, nil)
	s.add(actTake, r.take, s.step, s)
	c.stops(s, nil, r.after)
	in := r.in
	in.follow, in.until = r.between(), r.own
	if skip, ok := c.ignore(r, in); ok {
		wait := c.state(stateNormal, s.step)
		wait.add(actTake, r.take, s.step, s)
		wait.add(actIgnore, skip, -1, wait)
		s.add(actIgnore, skip, -1, wait)
		c.stops(wait, nil, r.after)
	}
	return s
}

// groupLoop is what follows the counted rounds of an unbounded group: another
// round, or what follows the group.
func (c *compiler) groupLoop(r *repeat) *next {
	return then(func(in entry) []*state {
		again := c.state(stateNormal, -1)
		back := then(func(entry) []*state { return []*state{again} })
		in.follow, in.again = r.Inner, r.in.again
		heads := c.body(r, in, back)
		for _, h := range heads {
			c.leave(h, r, in.guard, in.nots)
		}
		again.add(actProceed, nil, -1, heads...)
		return heads
	})
}

// body compiles one round of a group.
func (c *compiler) body(r *repeat, in entry, out *next) []*state {
	in.until, in.head, in.inner, in.twin = r.own, true, r.Inner, r.Optional
	if first := r.Subs[0]; r.Op == OpSequence && first.Op == OpSequence {
		in.follow = FollowStrict // as in Flink, where a group that begins a group begins anew
	}
	leave := then(func(e entry) []*state {
		e.nots = nil
		return out.enter(e)
	})
	leave.final = out.final
	return c.branches(r.Node, in, leave)
}

// branches compiles the inside of a group, or the whole pattern.
func (c *compiler) branches(n *Node, in entry, out *next) []*state {
	switch n.Op {
	case OpSequence:
		return c.sequence(n.Subs, in, out)
	case OpAll:
		in.head = false
		return c.all(n.Subs, (1<<len(n.Subs))-1, in, out, map[int]*next{})
	}
	in.head = false
	var heads []*state
	for _, s := range n.Subs {
		heads = append(heads, c.branches(s, in, out)...)
	}
	return heads
}

// sequence compiles items one after another.
func (c *compiler) sequence(items []*Node, in entry, out *next) []*state {
	rest := out
	if len(items) > 1 {
		rest = then(func(e entry) []*state {
			e.follow, e.until, e.again = items[1].Follow, in.until, in.again
			return c.sequence(items[1:], e, out)
		})
	} else if n := items[0]; n.Op == OpNot && in.follow == FollowRelaxed && !(out.final && c.timed(n)) {
		return out.enter(in) // nothing is left to wait for it; see check
	}
	var after []not
	for _, n := range items[1:] {
		if n.Op != OpNot || n.Follow != FollowRelaxed {
			break
		}
		after = append(after, c.negated(n))
	}
	if items[0].Optional && negationAhead(items[1:]) {
		// A run that is waiting for this part must not be killed by what may
		// not come behind it. So it is not left for what follows: that is
		// another run from the start.
		kept := *items[0]
		kept.Optional = false
		skip := entry{nots: in.nots, guard: in.guard}
		return append(c.part(&kept, in, rest, after), rest.enter(skip)...)
	}
	return c.part(items[0], in, rest, after)
}

// negationAhead reports whether a negated step comes next, or behind parts that
// may be left out.
func negationAhead(items []*Node) bool {
	for _, n := range items {
		if n.Op == OpNot || !n.Optional {
			return n.Op == OpNot
		}
	}
	return false
}

// timed reports whether a trailing negated step has a deadline.
func (c *compiler) timed(n *Node) bool { return n.Within > 0 || c.prog.within > 0 }

// all compiles the operands of & that are left, a set of bits: one of them,
// then the others. What follows is the same whatever order the operands
// before came in, so that there is a state per set and not per permutation.
func (c *compiler) all(ops []*Node, left int, in entry, out *next, made map[int]*next) []*state {
	var heads []*state
	for i, n := range ops {
		if left&(1<<i) == 0 {
			continue
		}
		others, rest := left&^(1<<i), out
		if others != 0 {
			if rest = made[others]; rest == nil {
				rest = then(func(e entry) []*state {
					e.follow, e.until, e.again = FollowRelaxed, in.until, in.again
					return c.all(ops, others, e, out, made)
				})
				made[others] = rest
			}
		}
		heads = append(heads, c.part(n, in, rest, nil)...)
	}
	return heads
}
