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
	s.count(r)
	stream, to := r.output, s.sinks(r)
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
		fields = s.kept.entries(len(spec.Fields))
	}
	for _, f := range spec.Fields {
		v, err := f.Value.Value(&s.frame)
		if err != nil {
			s.evalError(r.Name, err)
			continue
		}
		v = s.kept.value(v)
		if e != nil {
			if slot, ok := stream.Schema.Slot(f.Name); ok {
				e.Slots[slot] = v
			}
		}
		if puts {
			fields = append(fields, event.Entry{Name: f.Name, Value: v})
		}
	}
	key, ordinal := ks.key, s.env.emitted
	if !ks.filed() { // it shares the batch's memory
		key = s.kept.text(key)
	}
	s.env.emitted++
	if e != nil {
		e.More = &event.Details{Origin: &event.Origin{Rule: r.Name, Key: key, Ordinal: ordinal}}
		s.out.derived = append(s.out.derived, derived{event: e, stream: stream, quiet: s.quiet})
	}
	if puts {
		s.out.emitted = append(s.out.emitted, alerting.Derived{
			Rule: r.Name, Key: key, KeyNames: r.KeyNames, Time: at, Position: pos, Fields: fields, To: to,
			Issuer: s.out.emits.issuer, Ordinal: ordinal,
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

// keptMemory hands out the memory of what is emitted from larger pieces, each of
// which goes when nobody holds anything of it: a minute that ends the windows of
// all keys emits as many events as there are keys.
type keptMemory struct {
	fields []event.Entry // the last piece, as far as it is used
	texts  []byte        // the same of texts
}

// The sizes of pieces. An event that is held for long holds its pieces.
const (
	keptFields = 128  // 4 kB
	keptTexts  = 2048 // bytes
)

// entries returns an empty list with room for n.
func (k *keptMemory) entries(n int) []event.Entry {
	from := len(k.fields)
	if from+n > cap(k.fields) {
		k.fields, from = make([]event.Entry, 0, max(keptFields, n)), 0
	}
	k.fields = k.fields[:from+n]
	return k.fields[from : from : from+n]
}

// room sees to it that a text of n bytes fits into the piece.
func (k *keptMemory) room(n int) {
	if len(k.texts)+n > cap(k.texts) {
		k.texts = make([]byte, 0, max(keptTexts, n))
	}
}

// since returns what was appended to the piece of texts from somewhere on.
// It never changes.
func (k *keptMemory) since(from int) string { return event.StringOf(k.texts[from:]).AsString() }

// text returns a copy of a text. A long one has memory of its own.
func (k *keptMemory) text(s string) string {
	if len(s) > keptTexts/8 {
		return strings.Clone(s)
	}
	k.room(len(s))
	from := len(k.texts)
	k.texts = append(k.texts, s...)
	return k.since(from)
}

// value returns a value that shares no memory with a payload.
func (k *keptMemory) value(v event.Value) event.Value {
	if v.Kind() == event.KindString {
		return event.String(k.text(v.AsString()))
	}
	return v.Clone()
}
