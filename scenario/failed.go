package scenario

import (
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
)

// failures finds the conditions of a rule that fail on an event alone, so that
// what the engine counts can be named: for each, what it is called and its text.
// Those that read what a run has accepted are not judged here.
func failures(r *rules.Rule, key string, e *event.Event) []failure {
	var found []failure
	parts, err := event.DecodeKey(key)
	if err != nil {
		return nil
	}
	frame := expr.Frame{Event: e, Key: parts}
	judge := func(name string, s *rules.Stream, i int) {
		if i < 0 {
			return
		}
		p := s.Conditions[i]
		if _, err := p.Bool(&frame); err != nil {
			found = append(found, failure{name, source(p), reasonOf(err)})
		}
	}
	for _, in := range r.Inputs {
		if in.Stream.Schema != e.Schema {
			continue
		}
		judge("where", in.Stream, in.Where)
		judge("when", in.Stream, in.When)
		judge("clear", in.Stream, in.Clear)
		for i, c := range in.Plain {
			judge(r.Pattern.Predicates[i], in.Stream, c)
		}
	}
	return found
}

// failure is a condition that failed.
type failure struct{ name, source, reason string }

func reasonOf(err error) string {
	if e, ok := err.(*expr.EvalError); ok {
		return e.Reason().String()
	}
	return "other"
}

// failed takes the next condition that failed for a reason from those of the
// event at hand, and says what is known.
func (x *explainer) failed(reason string) string {
	words := strings.ReplaceAll(reason, "_", " ")
	for i, f := range x.failures {
		if f.reason == reason {
			x.failures = append(x.failures[:i:i], x.failures[i+1:]...)
			return "`" + f.name + "` failed: " + words + ", in " + f.source
		}
	}
	return "an expression failed: " + words
}
