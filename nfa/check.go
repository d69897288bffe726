package nfa

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cepd/cepd/event"
)

// maxOperands bounds (a & b & c …), which has a state for every set of
// operands that are still to come, and a run for every order that is open.
const maxOperands = 5

// maxSteps bounds the steps of a pattern.
const maxSteps = 500

// checker collects what is wrong with a pattern.
type checker struct {
	o      Options
	issues []Issue
	failed bool
}

func (c *checker) errorf(n *Node, advice, format string, args ...any) {
	c.failed = true
	c.report(n, false, advice, format, args...)
}

func (c *checker) warnf(n *Node, advice, format string, args ...any) {
	c.report(n, true, advice, format, args...)
}

func (c *checker) report(n *Node, warning bool, advice, format string, args ...any) {
	i := Issue{Warning: warning, Message: fmt.Sprintf(format, args...), Advice: advice}
	if n != nil {
		i.Offset, i.End = n.Offset, n.End
	}
	c.issues = append(c.issues, i)
}

// check goes through the tree once for each kind of mistake.
func (c *checker) check(p *Pattern) {
	steps := p.Steps()
	if len(steps) > maxSteps {
		c.errorf(nil, "split it into several rules", "the pattern has more than %d steps", maxSteps)
	}
	c.names(p.Root)
	p.Root.walk(false, func(n *Node, _ bool) { c.node(n) })
	c.place(p.Root, nil, true)
	c.target(steps)
	c.windows(p.Root)
	if p.Root.canBeEmpty() {
		c.warnf(nil, "make one of its steps mandatory", "every step can be left out; the pattern never matches with no event at all")
	}
}

// names checks that every name is defined and stands once in every branch. It
// returns the steps of n.
func (c *checker) names(n *Node) map[string]*Node {
	all := map[string]*Node{}
	if n.Op == OpStep || n.Op == OpNot {
		if _, ok := c.o.Predicates[n.Name]; !ok {
			c.errorf(n, c.define(n.Name), "step %s is not defined", n.Name)
		}
		all[n.Name] = n
	}
	if n.Until != "" {
		if _, ok := c.o.Predicates[n.Until]; !ok {
			c.errorf(&Node{Offset: n.UntilOffset, End: n.UntilEnd}, c.define(n.Until), "%s, after until, is not defined", n.Until)
		}
	}
	for _, s := range n.Subs {
		sub := c.names(s)
		for _, name := range sortedNames(sub) {
			switch m, twice := all[name]; {
			case twice && n.Op != OpEither:
				c.errorf(sub[name], "give the second one a name of its own, with the same condition", "step %s stands twice", name)
			case twice && m.Op != sub[name].Op:
				c.errorf(sub[name], "give it a name of its own, with the same condition", "step %s is negated in one branch only", name)
			}
			all[name] = sub[name]
		}
	}
	return all
}

func sortedNames(m map[string]*Node) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(m[a].Offset, m[b].Offset), cmp.Compare(a, b)) })
	return names
}

// define advises on a name that is not defined.
func (c *checker) define(name string) string {
	var near []string
	for other := range c.o.Predicates {
		if closeTo(name, other) {
			near = append(near, other)
		}
	}
	if near == nil {
		return fmt.Sprintf("add it to define: `%s: CONDITION`", name)
	}
	slices.Sort(near)
	return fmt.Sprintf("add it to define, or write %s", near[0])
}

// closeTo reports whether two names differ by one letter, or by two that have
// changed places.
func closeTo(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	j := 0
	for j < len(a)-i && a[len(a)-1-j] == b[len(b)-1-j] {
		j++
	}
	rest := len(a) - i - j
	if len(b) > len(a) {
		return len(b) == len(a)+1 && rest == 0
	}
	return rest == 1 || rest == 2 && a[i] == b[i+1] && a[i+1] == b[i]
}

// node checks what can be said of one node alone.
func (c *checker) node(n *Node) {
	switch {
	case n.Op != OpStep && n.Op != OpNot && len(n.Subs) == 0:
		c.errorf(n, "", "a group without steps")
	case n.Op == OpAll && len(n.Subs) < 2:
		c.errorf(n, "", "& needs two operands")
	case n.Op == OpAll && len(n.Subs) > maxOperands:
		c.errorf(n, "split it, or count the events in the condition of one repeated step", "& has more than %d operands", maxOperands)
	case n.Min < 1 || n.Max != Unlimited && n.Max < n.Min || n.Within < 0 || n.Gap < 0:
		c.errorf(n, "", "the count or window makes no sense")
	}
	if n.Op == OpNot {
		c.not(n)
		return
	}
	for _, s := range n.Subs {
		if s.Op == OpNot && n.Op == OpAll {
			c.errorf(s, "say when it must not come: (a & b) -> !c -> d", "a negated step cannot be an operand of &")
		}
	}
	if n.Op == OpSequence && len(n.Subs) > 0 && n.Subs[0].Op == OpNot {
		c.errorf(n.Subs[0], "begin with the step after which it must not come", "a negated step cannot begin a sequence")
	}
	c.options(n)
}

func (c *checker) not(n *Node) {
	if n.Follow == FollowAny {
		c.errorf(n, "write -> !x, which forbids it as long as the next step waits", "a negated step cannot follow ~>")
	}
	if n.Counted || n.Optional || n.Greedy || n.Until != "" || n.Gap > 0 || n.Inner != FollowRelaxed {
		c.errorf(n, "leave it out", "a negated step takes no option but within")
	}
}

// options checks the options of a step or group.
func (c *checker) options(n *Node) {
	what := "the step"
	if n.Op != OpStep {
		what = "the group"
	}
	single := !n.Counted
	switch {
	case single && n.Inner != FollowRelaxed:
		c.errorf(n, "it says how repetitions follow each other; what stands before the step is said by =>, -> or ~>", "strict and any are for what is repeated, and %s has no count", what)
	case single && n.Greedy:
		c.errorf(n, "leave it out", "greedy is for what is repeated, and %s has no count", what)
	case n.Op != OpStep && n.Greedy:
		c.errorf(n, "make a step in it greedy", "a group cannot be greedy")
	case n.Greedy && n.Inner == FollowAny:
		c.warnf(n, "leave one of them out", "any looks for all combinations, which greedy rules out only in part")
	}
	if n.Until != "" && n.Max != Unlimited {
		c.errorf(n, "write until on +, * or {n,}", "until ends a loop without an upper bound")
	}
	if n.Gap > 0 && (single || n.Op != OpStep) {
		c.errorf(n, "write within, or put gap on a step with a count", "gap bounds the time between the repetitions of one step")
	}
	if n.Within > 0 && n.Optional && n.Op == OpStep {
		c.warnf(n, "make the step mandatory in one branch of | and leave it out in the other",
			"as in Flink, within on a step that may be left out bounds the wait for what follows as well, until an event is skipped")
	}
	if n.Gap > 0 && n.Op == OpStep && n.Counted && (n.Max > 1 || n.Max == Unlimited && n.Min == 1) {
		which := "the last one"
		if n.Max == Unlimited {
			which = "the first one only, and not what the loop takes after it"
		}
		c.warnf(n, fmt.Sprintf("compare times in the condition of %s where it has to: time(e) - time(%s.last()) < duration(\"%s\")", n.Name, n.Name, event.FormatDuration(n.Gap)),
			"as in Flink, gap bounds the wait for %s", map[bool]string{true: which, false: "every repetition but " + which}[n.Max == Unlimited])
	}
	if n.Within > 0 && (!single || n.Op != OpStep) {
		c.errorf(n, "write gap for the time between repetitions", "within, in brackets, is for a step without a count or a negated one")
	}
	if n.Max == Unlimited && n.Op != OpStep && n.bodyCanBeEmpty() {
		c.errorf(n, "make one of its steps mandatory", "an unbounded loop over a group that can be empty")
	}
	if n.Gap > 0 && c.o.Within > 0 && n.Gap > c.o.Within || n.Within > c.o.Within && c.o.Within > 0 {
		c.warnf(n, "make it shorter than that of the pattern", "its window is longer than that of the whole pattern")
	}
}

// place checks what depends on where things stand: n is the inside of a group,
// or the whole pattern, where group is nil. ends says that nothing follows it.
func (c *checker) place(n, group *Node, ends bool) {
	for i, s := range n.Subs {
		last := n.Op != OpSequence || i == len(n.Subs)-1
		switch {
		case n.Op == OpEither && s.Op == OpSequence && !s.Counted && !s.Optional:
			c.place(s, group, ends)
			continue
		case n.Op == OpSequence && i == 0:
			c.first(s, n, group)
		case n.Op == OpSequence && last && s.Op == OpNot:
			c.trailing(s, group, ends)
		}
		if s.Op == OpNot && s.Follow == FollowStrict && !last && n.Op == OpSequence && group == nil && ends &&
			!slices.ContainsFunc(n.Subs[i+1:], func(x *Node) bool { return !x.canBeEmpty() }) {
			c.warnf(s, "make a step behind it mandatory", "all that follows may be left out: as in Flink, the match without it is given at once, unless the event taken last is %s itself", s.Name)
		}
		if s.Greedy && n.Op == OpSequence {
			c.greedy(s, n.Subs[i+1:], ends)
		}
		if s.Subs != nil {
			c.place(s, s, ends && last && n.Op != OpAll && s.Max != Unlimited)
		}
	}
}

// first checks the first part of a sequence. What begins a group is, as in
// Flink, subject to the group in two ways that surprise.
func (c *checker) first(s, in, group *Node) {
	words := [...]string{FollowStrict: "strict", FollowRelaxed: "relaxed", FollowAny: "any"}
	switch {
	case group == nil && s.Within > 0:
		c.warnf(s, "leave it out", "within says nothing on the first step, which no event comes before")
	case group == nil || in != group:
	case s.Op == OpStep && s.Counted && s.Max != 1 && s.Inner != group.Inner:
		c.warnf(s, fmt.Sprintf("say it of the group, (…)[%s], or put a step before it", words[s.Inner]),
			"the repetitions of the first step of a group follow each other as the rounds of the group do, which is %s", words[group.Inner])
	case s.Op == OpSequence:
		c.warnf(s, "drop the inner parentheses, or put a step before them", "a group that begins a group is strict: its first event must be the very next one")
	}
}

// trailing checks a negated step at the end of a sequence.
func (c *checker) trailing(n, group *Node, ends bool) {
	timed := n.Within > 0 || c.o.Within > 0
	switch {
	case n.Follow != FollowRelaxed:
	case group == nil && !timed:
		c.errorf(n, fmt.Sprintf("say how long: within: 5m in the rule, or -> !%s[within 5m]", n.Name), "the pattern ends in -> !%s, which never ends waiting", n.Name)
	case group != nil && !(ends && timed):
		c.warnf(n, fmt.Sprintf("put -> !%s behind the group", n.Name), "-> !%s at the end of a group forbids nothing, since no step of the group waits behind it", n.Name)
	}
}

// greedy checks a greedy step by what follows it.
func (c *checker) greedy(n *Node, rest []*Node, ends bool) {
	switch {
	case len(rest) == 0 && ends:
		c.warnf(n, "leave it out", "greedy does nothing at the end of a pattern")
	case len(rest) > 0 && rest[0].Optional && rest[0].Op == OpStep:
		c.warnf(n, "make it mandatory, or leave greedy out",
			"behind a greedy loop, leaving out %s is decided by the next event that is not %s", rest[0].Name, n.Name)
	}
}

// target checks the step that skip names.
func (c *checker) target(steps []StepInfo) {
	if c.o.Skip != SkipToFirst && c.o.Skip != SkipToLast {
		return
	}
	i := slices.IndexFunc(steps, func(s StepInfo) bool { return s.Name == c.o.SkipTo })
	if i < 0 {
		c.errorf(nil, "name a step of the pattern", "skip names %s, which is no step of the pattern", c.o.SkipTo)
		return
	}
	at := &Node{Offset: steps[i].Offset, End: steps[i].End}
	switch {
	case steps[i].Negated:
		c.warnf(at, "name a step that matches hold", "skip names %s, which is negated: no match holds it, and nothing is skipped", c.o.SkipTo)
	case steps[i].Optional:
		c.warnf(at, "name a step that every match holds", "skip names %s, which a match may lack; such a match skips nothing", c.o.SkipTo)
	}
}

// windows checks what bounds the life of runs.
func (c *checker) windows(root *Node) {
	bounded := c.o.Within > 0
	root.walk(false, func(n *Node, _ bool) { bounded = bounded || n.Within > 0 || n.Gap > 0 })
	if c.o.Timeout && !bounded {
		c.warnf(nil, "say within, or leave timeout out", "timeout without a window: no partial match is ever ended by time")
	}
}

// canBeEmpty reports whether n can match without an event.
func (n *Node) canBeEmpty() bool {
	return n.Optional || n.Op == OpNot || n.bodyCanBeEmpty()
}

func (n *Node) bodyCanBeEmpty() bool {
	if n.Op == OpEither {
		return slices.ContainsFunc(n.Subs, (*Node).canBeEmpty)
	}
	return len(n.Subs) > 0 && !slices.ContainsFunc(n.Subs, func(s *Node) bool { return !s.canBeEmpty() })
}
