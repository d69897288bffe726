package expr

import "github.com/cepd/cepd/event"

// Scope says which names an expression sees and what they mean.
type Scope struct {
	// Event is the schema of `e`, nil where there is no `e`.
	Event *event.Schema
	// Key says what `key` is.
	Key Key
	// NoKey says that there is no `key` yet: in `by` and all that comes before.
	NoKey bool
	// Steps are the steps of the rule's pattern, by number.
	Steps []Step
	// Self is the number of the step whose own condition this is, -1 elsewhere.
	// It is read only where there are steps.
	Self int
	// Linked, where it is not nil, collects the aggregates over steps that the
	// expression asks for, so that they can be kept up event by event. It is
	// set in conditions of a pattern; in `emit` and `alert` it is nil, and
	// aggregates are computed from the lists.
	Linked *Aggregates
	// Tables are constant data that expressions look up by key.
	Tables []*Table
	// Vars are further names: of `let`, or value, score and their kin.
	// Frame.Vars[i] holds the value of Vars[i].
	Vars []Var
	// Window is set in expressions about the results of a window. There is no
	// `e` then, nor any of Vars: Frame.Vars holds the variables of Window.
	Window *WindowScope
}

// Key says what the name `key` means. With no parts it is null; with Single it
// is the one part; else it is an object with the parts as fields.
type Key struct {
	Parts  []event.Field
	Single bool
}

// Step is a step of a pattern as expressions see it.
type Step struct {
	Name string
	// Schemas are the projections of the streams whose events the step may
	// hold; events of a History have one of them.
	Schemas []*event.Schema
	// Live are the schemas of those streams themselves, parallel to Schemas.
	// Arguments of incremental aggregates read events of these.
	Live []*event.Schema
	// List says that the name stands for a list of events.
	List bool
	// Negated says that the step holds no event, and that its name is no
	// variable.
	Negated bool
}

// Var is a further name and its type. A value that is missing is an error when
// it is read.
type Var struct {
	Name string
	Type event.Type
}

// Frame is what an expression sees when it runs. One frame may be used again
// and again; it also holds the scratch space of evaluation.
type Frame struct {
	Event   *event.Event  // `e`
	Key     []event.Value // the parts of `key`
	History History       // what the match or run at hand has accepted
	Vars    []event.Value // by number of Scope.Vars, or of those of Scope.Window

	scratch scratch
}

// History is what a run or a match has accepted.
type History interface {
	// Count returns the number of events that a step holds.
	Count(step int) int
	// At returns the event with index i, from 0, of those that a step holds.
	At(step, i int) *event.Event
	// Aggregate returns the state of an incremental aggregate.
	Aggregate(agg int) []event.Value
}

// Want says what kind of value an expression must have where it stands.
type Want uint8

// What may be wanted. A dynamic expression passes every check when it is
// compiled; its value is checked when it runs.
const (
	WantAny    Want = iota // any value that is not an event
	WantBool               // a condition
	WantTime               // a timestamp, or RFC 3339 text
	WantKey                // a value that can be a part of a key
	WantNumber             // an int, uint or double
)
