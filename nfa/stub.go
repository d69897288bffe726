package nfa

import "github.com/cepd/cepd/event"

type scratch struct{}
type node struct{}

// History is what a run or a match has accepted, by step.
type History struct {
	prog *Prog
	last *node
}

// Count returns the number of events that a step has accepted.
func (h *History) Count(step int) int { return 0 }

// At returns event i of a step, from 0 up to Count.
func (h *History) At(step, i int) *event.Event { return nil }

// Aggregate returns the state of an aggregate, nil where its step has accepted
// nothing. It must not be changed.
func (h *History) Aggregate(agg int) []event.Value { return nil }

// Events returns the events of a step, in order.
func (h *History) Events(step int) []*event.Event { return nil }

// Steps returns the numbers of the steps that have accepted an event, in
// ascending order.
func (h *History) Steps() []int { return nil }

// Len returns the number of accepted events.
func (h *History) Len() int { return 0 }

// First returns the first accepted event.
func (h *History) First() *event.Event { return nil }

// Last returns the last accepted event.
func (h *History) Last() *event.Event { return nil }

// Parse reads the text of a pattern. An error is a [*SyntaxError].
func Parse(text string) (*Pattern, error) { return nil, nil }

// Steps returns the steps of the pattern by number, which is the order in
// which they stand in it.
func (p *Pattern) Steps() []StepInfo { return nil }

// Untils returns the names of the conditions after `until`.
func (p *Pattern) Untils() []NameInfo { return nil }

// String returns the pattern as text, in one normal form.
func (p *Pattern) String() string { return "" }

// Prog is a compiled pattern. It is immutable.
type Prog struct{}

// Compile checks a pattern and compiles it. The program is nil if any of the
// issues is an error.
func Compile(p *Pattern, o Options) (*Prog, []Issue) { return nil, nil }

// String lists the program.
func (p *Prog) String() string { return "" }

// Shape returns a text that is the same for two programs exactly if the one's
// machines can be read by the other. Thresholds and lengths of time are no
// part of it.
func (p *Prog) Shape() string { return "" }

// StepNames returns the names of the steps by number.
func (p *Prog) StepNames() []string { return nil }

// Mermaid draws the program as a Mermaid state diagram. condition returns the
// text of a step's or `until` condition; nil leaves them out.
func (p *Prog) Mermaid(condition func(name string) string) string { return "" }

// DOT draws the program for Graphviz.
func (p *Prog) DOT(condition func(name string) string) string { return "" }

// Machine holds the open runs of one key.
type Machine struct{}

// NewMachine returns a machine without runs. A key without runs needs none: a
// caller may step one empty machine for all such keys, and give it away to the
// key once it is no longer [Machine.Empty].
func NewMachine(p *Prog) *Machine { return nil }

// Step moves the runs over an event, whose time no later event may precede.
// The caller has advanced the machine to the event's time before.
func (m *Machine) Step(e *event.Event, env Env, out *Result) {}

// Advance ends what ends up to and including time t: runs past their window,
// and trailing negations that held until their deadline.
func (m *Machine) Advance(t event.Time, out *Result) {}

// Deadline returns the earliest time at which Advance would change something,
// [event.MaxTime] if there is none.
func (m *Machine) Deadline() event.Time { return event.MaxTime }

// Empty reports whether there is nothing to remember.
func (m *Machine) Empty() bool { return true }

// Runs returns the number of open runs, with matches that wait for them.
func (m *Machine) Runs() int { return 0 }

// AppendBinary appends an exact encoding of the machine to dst.
func (m *Machine) AppendBinary(dst []byte) []byte { return dst }

// ReadMachine reads what AppendBinary wrote for a program of the same
// [Prog.Shape]. schema returns the schema of the events that are kept of a
// stream, nil for a stream that the rule does not know.
func ReadMachine(p *Prog, r *event.Reader, schema func(stream string) *event.Schema) (*Machine, error) {
	return nil, nil
}
