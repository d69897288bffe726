package nfa

import (
	"fmt"
	"strings"

	"github.com/cepd/cepd/event"
)

// Op says what a [Node] of a pattern is.
type Op uint8

// The kinds of nodes.
const (
	OpStep     Op = iota // NAME: takes one event
	OpNot                // !NAME: an event that must not come
	OpSequence           // ( a -> b ): Subs one after another
	OpEither             // ( a | b ): one of Subs
	OpAll                // ( a & b ): all of Subs, in any order
)

// Follow says what may happen while a step waits, and so what stands between
// a step and the one before it.
type Follow uint8

// The contiguities. The first of a sequence has FollowStart.
const (
	FollowStart   Follow = iota // the first of a sequence
	FollowStrict                // => the key's very next event
	FollowRelaxed               // -> events that do not match are skipped
	FollowAny                   // ~> events that match may be skipped too
)

// String returns the operator, the empty text for FollowStart.
func (f Follow) String() string { return [...]string{"", "=>", "->", "~>"}[f] }

// Unlimited is the Max of a count without an upper bound.
const Unlimited = -1

// Node is a part of a pattern. A tree may be built by hand; [Compile] checks
// it as it checks a parsed one.
type Node struct {
	Op     Op
	Name   string  // of a step or negated step
	Subs   []*Node // of a sequence, of branches, of operands
	Follow Follow  // how the node follows the one before it in its sequence

	Counted  bool   // has a count other than ?: its events are a list
	Min, Max int    // 1, 1 where there is no count; Min is at least 1, see Optional; Max may be Unlimited
	Optional bool   // may be left out as a whole: ?, *, [optional]
	Inner    Follow // how repetitions follow each other: relaxed, strict or any
	Greedy   bool
	Until    string         // name of the condition that ends the loop; empty for none
	Gap      event.Duration // between repetitions; zero for none
	Within   event.Duration // after the event before; zero for none

	Offset, End           int // where it stands in the pattern's text, without its options
	UntilOffset, UntilEnd int // where the name after `until` stands
}

// Pattern is a pattern of events as a tree.
type Pattern struct {
	Text string // empty for a tree made by hand
	Root *Node
}

// StepInfo describes a step of a pattern. The same name in different branches
// of `|` is one step.
type StepInfo struct {
	Number      int
	Name        string
	Negated     bool // !NAME: never holds an event
	List        bool // holds a list of events rather than one
	Optional    bool // a match may lack it
	Offset, End int  // of its first mention in the pattern's text
}

// NameInfo is a name in a pattern and where it stands.
type NameInfo struct {
	Name        string
	Offset, End int
}

// SyntaxError is a mistake in the text of a pattern.
type SyntaxError struct {
	Offset, End int    // the bytes of the text that are wrong
	Message     string // what is wrong
	Advice      string // what to write instead; may be empty
}

// Error returns the message and the advice.
func (e *SyntaxError) Error() string {
	if e.Advice == "" {
		return e.Message
	}
	return e.Message + "; " + e.Advice
}

// Issue is something that [Compile] finds in a pattern or its options.
type Issue struct {
	Offset, End int  // the bytes of the pattern's text it is about; both zero for the whole
	Warning     bool // the pattern can be used nevertheless
	Message     string
	Advice      string // what to write instead; may be empty
}

// walk calls visit for n and everything below it, with whether a group around
// it has a count.
func (n *Node) walk(repeated bool, visit func(n *Node, repeated bool)) {
	visit(n, repeated)
	for _, s := range n.Subs {
		s.walk(repeated || n.Counted, visit)
	}
}

// Steps returns the steps of the pattern by number, which is the order in
// which they stand in it.
func (p *Pattern) Steps() []StepInfo {
	var steps []StepInfo
	index := map[string]int{}
	p.Root.walk(false, func(n *Node, repeated bool) {
		if n.Op != OpStep && n.Op != OpNot {
			return
		}
		i, ok := index[n.Name]
		if !ok {
			i = len(steps)
			index[n.Name] = i
			steps = append(steps, StepInfo{Number: i, Name: n.Name, Negated: n.Op == OpNot, Optional: true, Offset: n.Offset, End: n.End})
		}
		steps[i].List = steps[i].List || n.Counted || repeated
	})
	for name := range p.Root.certain() {
		steps[index[name]].Optional = false
	}
	return steps
}

// certain returns the names of the steps that every match of n holds.
func (n *Node) certain() map[string]bool {
	all := map[string]bool{}
	if n.Optional || n.Op == OpNot {
		return all
	}
	if n.Op == OpStep {
		all[n.Name] = true
	}
	for i, s := range n.Subs {
		sub := s.certain()
		if n.Op == OpEither && i > 0 {
			for name := range all {
				if !sub[name] {
					delete(all, name)
				}
			}
			continue
		}
		for name := range sub {
			all[name] = true
		}
	}
	return all
}

// Untils returns the names of the conditions after `until`.
func (p *Pattern) Untils() []NameInfo {
	var names []NameInfo
	p.Root.walk(false, func(n *Node, _ bool) {
		if n.Until != "" {
			names = append(names, NameInfo{n.Until, n.UntilOffset, n.UntilEnd})
		}
	})
	return names
}

// String returns the pattern as text, in one normal form.
func (p *Pattern) String() string {
	var b strings.Builder
	p.Root.print(&b, true)
	return b.String()
}

func (n *Node) print(b *strings.Builder, top bool) {
	between := " "
	switch n.Op {
	case OpStep:
		b.WriteString(n.Name)
	case OpNot:
		b.WriteString("!" + n.Name)
	case OpEither:
		between = " | "
	case OpAll:
		between = " & "
	}
	// Parentheses can be left out around the whole, unless something is said
	// of it, and around branches, which nothing can be said of.
	bare := top && n.Op != OpAll && n.suffix() == ""
	if n.Subs != nil {
		if !bare {
			b.WriteByte('(')
		}
		for i, s := range n.Subs {
			if i > 0 {
				b.WriteString(between)
			}
			if n.Op == OpSequence && i > 0 {
				b.WriteString(s.Follow.String() + " ")
			}
			s.print(b, n.Op == OpEither && s.Op == OpSequence)
		}
		if !bare {
			b.WriteByte(')')
		}
	}
	b.WriteString(n.suffix())
}

// suffix returns the count and the options of n as text.
func (n *Node) suffix() string {
	var options []string
	add := func(set bool, option string) {
		if set {
			options = append(options, option)
		}
	}
	add(n.Inner == FollowStrict, "strict")
	add(n.Inner == FollowAny, "any")
	add(n.Greedy, "greedy")
	add(n.Optional && n.Counted && (n.Min != 1 || n.Max != Unlimited), "optional")
	add(n.Until != "", "until "+n.Until)
	add(n.Gap != 0, "gap "+event.FormatDuration(n.Gap))
	add(n.Within != 0, "within "+event.FormatDuration(n.Within))
	if options == nil {
		return n.count()
	}
	return n.count() + "[" + strings.Join(options, ", ") + "]"
}

func (n *Node) count() string {
	switch {
	case !n.Counted && n.Optional:
		return "?"
	case !n.Counted:
		return ""
	case n.Max == Unlimited && n.Min == 1 && n.Optional:
		return "*"
	case n.Max == Unlimited && n.Min == 1:
		return "+"
	case n.Max == Unlimited:
		return fmt.Sprintf("{%d,}", n.Min)
	case n.Max == n.Min:
		return fmt.Sprintf("{%d}", n.Min)
	}
	return fmt.Sprintf("{%d,%d}", n.Min, n.Max)
}
