package engine

import (
	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/window"
)

// Tracer is told what rules do with events, for `cepd explain`. An engine with
// a tracer has one shard. The memory of keys is used again.
type Tracer interface {
	// Judged says that a rule saw an event of a key, and whether it passed the
	// rule's `where`. What else the rule does with the event follows.
	Judged(rule, key string, e *event.Event, passed bool)
	// Held says whether the rule's `when` holds for the event.
	Held(rule, key string, e *event.Event, holds bool)
	// Answered says what a window of the rule adds up to, as vars that a frame
	// holds, and whether `when` holds. The memory of both is used again.
	Answered(rule, key string, res *window.Result, vars []event.Value, holds bool)
	// Scored says what the rule's detector said of a value, or of a stretch of
	// values. What the rule makes of it follows.
	Scored(rule, key string, s *detectors.Score)
	// Run says what happened to a run of the rule's pattern.
	Run(rule, key string, t nfa.Trace)
	// Decided says what the rule's alert did, and why. A second decision about
	// one change, which changes nothing, says why sinks are not told of it.
	Decided(rule, key string, d alerting.Decision)
	// Failed says that an expression of the rule failed, and why.
	Failed(rule string, reason string)
	// LeftOut says that an event is judged by no rule, or that some keys are
	// without it.
	LeftOut(stream string, e *event.Event, why Left)
}

// Left is a reason for which an event is left out.
type Left uint8

// Why events are left out.
const (
	LeftLate      Left = iota // the watermark had passed it, and no window takes it
	LeftFuture                // it is further in the future than max_future allows
	LeftDuplicate             // it came before
)

// runTracer hands the machine's traces on, with the rule and key at hand.
type runTracer struct {
	to   Tracer
	rule string
	key  string
}

// Trace implements [nfa.Tracer].
func (t *runTracer) Trace(x nfa.Trace) { t.to.Run(t.rule, t.key, x) }

// traceRun prepares the machine's result for a tracer.
func (s *Shard) traceRun(rule, key string) {
	if s.options.tracer != nil {
		s.result.Trace = &runTracer{s.options.tracer, rule, key}
	}
}
