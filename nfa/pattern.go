package nfa

import (
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

	Counted  bool // has a count other than ?: its events are a list
	Min, Max int  // 1, 1 where there is no count; Min is at least 1, see Optional; Max may be Unlimited
	Optional bool // may be left out as a whole: ?, *, [optional]
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
