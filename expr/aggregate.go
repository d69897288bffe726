package expr

import (
	"strconv"

	"cel.dev/cel-go/common/ast"
	"github.com/cepd/cepd/event"
)

// Aggregates are the distinct aggregates over steps that the conditions of one
// rule's pattern ask for: `hot.avg(h, h.vibration)` and its kin. Each has a
// state of a fixed number of values, which begins as missing values and is
// kept by the run. The zero Aggregates is empty and ready to use.
type Aggregates struct {
	list []*aggregate
}

type aggregate struct {
	step int
	kind *aggregateKind
	key  string              // the argument, whatever its variable is called
	text string              // as it was first written
	args []aggregateArgument // one for each stream of the step
}

// An aggregateArgument computes the argument from a live event of one stream.
type aggregateArgument struct {
	schema  *event.Schema
	program *Program
}

// Len returns the number of aggregates.
func (a *Aggregates) Len() int { return len(a.list) }

// Step returns the number of the step whose events aggregate i is over.
func (a *Aggregates) Step(i int) int { return a.list[i].step }

// Width returns the number of values in the state of aggregate i.
func (a *Aggregates) Width(i int) int { return a.list[i].kind.width }

// String returns aggregate i as it was written.
func (a *Aggregates) String(i int) string { return a.list[i].text }

// Fields returns the names of the fields that aggregate i reads of the events of
// a stream, by the stream's own schema.
func (a *Aggregates) Fields(i int, stream *event.Schema) []string {
	for _, arg := range a.list[i].args {
		if arg.schema == stream {
			return arg.program.EventFields()
		}
	}
	return nil
}

// Fold folds the event that its step accepts, f.Event, into the state of
// aggregate i. The event has the stream's own schema. Values that the state
// keeps share no memory with the event's payload.
func (a *Aggregates) Fold(i int, f *Frame, state []event.Value) {
	agg := a.list[i]
	for j := range agg.args {
		if agg.args[j].schema == f.Event.Schema {
			agg.fold(agg.args[j].program, f, state)
			return
		}
	}
}

func (a *aggregate) fold(p *Program, f *Frame, state []event.Value) {
	v, r := p.eval(f)
	if v.Kind() == event.KindString {
		v = v.Clone()
	}
	a.kind.add(state, v, r)
}

// read returns the result of aggregate i from its state.
func (a *Aggregates) read(i int, state []event.Value) (event.Value, Reason) {
	if kind := a.list[i].kind; len(state) >= kind.width {
		return kind.read(state)
	}
	return event.Missing, ReasonOther
}

// find returns the number of the aggregate of a call, adding it if it is new.
// Arguments are compiled against the streams themselves, since an event is
// folded before its projection is kept.
func (a *Aggregates) find(call *aggregateCall, scope *Scope, text string) (int, bool) {
	for i, agg := range a.list {
		if agg.step == call.step && agg.kind == call.kind && agg.key == call.key {
			return i, true
		}
	}
	agg := &aggregate{step: call.step, kind: call.kind, key: call.key, text: text}
	for _, live := range scope.Steps[call.step].Live {
		want := WantAny
		if call.kind.name == "count" {
			want = WantBool
		}
		p, issues := compile(call.text, &Scope{Event: live, NoKey: true, Self: -1, Tables: scope.Tables}, want, options{event: call.variable})
		if len(issues) > 0 {
			return 0, false // a field of some streams of the step only: it is walked
		}
		agg.args = append(agg.args, aggregateArgument{live, p})
	}
	a.list = append(a.list, agg)
	return len(a.list) - 1, true
}

// An aggregateCall is an aggregate as one expression calls it.
type aggregateCall struct {
	kind     *aggregateKind
	step     int // whose events it is over, -1 for another list
	variable string
	arg      ast.Expr
	text     string // of the argument
	key      string // of the argument, whatever the variable is called
	closed   bool   // the argument reads nothing but its variable and tables
}

// extract replaces aggregates that a run can keep up by variables.
func (c *compilation) extract() {
	if c.scope.Linked == nil {
		return
	}
	ast.PreOrderVisit(c.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		call := c.aggregates[e.ID()]
		if call == nil || call.step < 0 || !call.closed {
			return
		}
		text := c.scope.Steps[call.step].Name + "." + call.kind.name + "(" + call.variable + ", " + call.text + ")"
		i, ok := c.scope.Linked.find(call, c.scope, text)
		if !ok {
			return
		}
		name := prefixAggregate + strconv.Itoa(i)
		c.names.visible[name] = variable{varAggregate, c.typeOf(e), i}
		e.SetKindCase(c.fac.NewIdent(0, name))
		c.ast.SetReference(e.ID(), ast.NewIdentReference(name, nil))
	}))
}
