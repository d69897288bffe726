package engine

import (
	"strings"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// emit makes a derived event and puts it on its way to the rules that read it.
// A field whose expression fails is left out and counted.
func (s *Shard) emit(r *rulePlan, ks *keyState, spec *rules.Emit, at event.Time, pos event.Position) {
	s.out.stats.Emitted.add(r.Name, "", 1)
	stream := s.plan.streams[r.Output.Name]
	to := s.sinks(r)
	puts := s.options.emitted || len(to) > 0
	if len(stream.keys) == 0 && !puts {
		return // nobody reads it
	}
	s.frame.Key = s.keyOf(ks)
	// What goes to sinks alone needs no event. Those of unordered streams are
	// counted on their way, and move a watermark.
	var e *event.Event
	if len(stream.keys) > 0 || stream.Unordered {
		e = &event.Event{
			Time: at, Pos: pos, Schema: stream.Schema, Slots: make([]event.Value, len(stream.Schema.Fields())),
		}
	}
	var fields []event.Entry
	if puts {
		fields = make([]event.Entry, 0, len(spec.Fields))
	}
	for _, f := range spec.Fields {
		v, err := f.Value.Value(&s.frame)
		if err != nil {
			s.evalError(r.Name, err)
			continue
		}
		v = v.Clone()
		if e != nil {
			if slot, ok := stream.Schema.Slot(f.Name); ok {
				e.Slots[slot] = v
			}
		}
		if puts {
			fields = append(fields, event.Entry{Name: f.Name, Value: v})
		}
	}
	key, ordinal := strings.Clone(ks.key), s.env.emitted
	s.env.emitted++
	if e != nil {
		e.More = &event.Details{Origin: &event.Origin{Rule: r.Name, Key: key, Ordinal: ordinal}}
		s.out.derived = append(s.out.derived, derived{event: e, stream: stream, quiet: s.quiet})
	}
	if puts {
		s.out.emitted = append(s.out.emitted, alerting.Derived{
			ID: alerting.DerivedID(alerting.Identity{
				Log: s.options.logID, Rule: r.Name, Started: s.options.started[r.Name], Key: key, Time: at, Last: pos, Ordinal: ordinal,
			}),
			Rule: r.Name, Key: key, KeyNames: r.KeyNames, Time: at, Position: pos, Fields: fields, To: to,
		})
	}
}

// sinks returns the sinks that what a rule emits now goes to. A rule in shadow
// mode tells nobody, and what a broker had kept is no news.
func (s *Shard) sinks(r *rulePlan) []string {
	if r.Shadow || s.quiet {
		return nil
	}
	return r.EmitTo
}
