package engine

import (
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// emit makes a derived event and puts it on its way to the rules that read it.
// A field whose expression fails is left out and counted.
func (s *Shard) emit(r *rulePlan, ks *keyState, spec *rules.Emit, at event.Time, pos event.Position) {
	s.out.stats.Emitted.add(r.Name, "", 1)
	stream := s.plan.streams[r.Output.Name]
	if len(stream.keys) == 0 && !s.options.emitted {
		return // nobody reads it
	}
	s.frame.Key = ks.values()
	e := &event.Event{
		Time: at, Pos: pos, Schema: stream.Schema, Slots: make([]event.Value, len(stream.Schema.Fields())),
	}
	var extra []event.Entry
	for _, f := range spec.Fields {
		v, err := f.Value.Value(&s.frame)
		if err != nil {
			s.evalError(r.Name, err)
			continue
		}
		v = v.Clone()
		if slot, ok := stream.Schema.Slot(f.Name); ok {
			e.Slots[slot] = v
		}
		if s.options.emitted {
			extra = append(extra, event.Entry{Name: f.Name, Value: v})
		}
	}
	key := strings.Clone(ks.key)
	e.Origin = &event.Origin{Rule: r.Name, Key: key, Ordinal: s.ordinal(r.Name, key, at, pos)}
	s.out.derived = append(s.out.derived, derived{event: e, stream: stream})
	if s.options.emitted {
		s.out.emitted = append(s.out.emitted, Emitted{
			Rule: r.Name, Key: key, KeyNames: r.KeyNames, Time: at, Position: pos, Fields: extra,
		})
	}
}

// ordinal numbers the events that one rule and key emit at one place in the
// order. They come one right after the other.
func (s *Shard) ordinal(rule, key string, at event.Time, pos event.Position) int {
	if n := len(s.out.derived); n > 0 {
		last := s.out.derived[n-1].event
		if last.Time == at && last.Pos == pos && last.Origin.Rule == rule && last.Origin.Key == key {
			return last.Origin.Ordinal + 1
		}
	}
	return 0
}

// Emitted is a derived event, for sinks and for people.
type Emitted struct {
	Rule     string
	Key      string // encoded
	KeyNames []string
	Time     event.Time
	Position event.Position // of the last source event involved
	Fields   []event.Entry
}
