package event

import (
	"fmt"
	"slices"
	"strings"
)

// Type is what a stream declares of a field.
type Type uint8

// The types of fields. TypeAny is a field whose type each event decides.
const (
	TypeAny Type = iota
	TypeBool
	TypeInt
	TypeUint
	TypeDouble
	TypeString
	TypeTimestamp
	TypeDuration
	TypeList
	TypeMap
)

var typeNames = [...]string{"any", "bool", "int", "uint", "double", "string", "timestamp", "duration", "list", "map"}

// String returns the name that rule files use.
func (t Type) String() string { return typeNames[t] }

// ParseType returns the type of that name.
func ParseType(name string) (Type, error) {
	if i := slices.Index(typeNames[:], name); i >= 0 {
		return Type(i), nil
	}
	return TypeAny, fmt.Errorf("unknown type %q; types are %s", name, strings.Join(typeNames[:], ", "))
}

// Field is a field and its declared type.
type Field struct {
	Name string
	Type Type
}

// Schema numbers the fields of one stream that are used, in order of first
// use. It grows while rules are compiled and must not change afterwards.
//
// A schema made by [Schema.Project] numbers the fields that one rule keeps of
// the stream's events.
type Schema struct {
	stream   string
	declared []Field // nil where the stream is dynamic
	fields   []Field // by slot
	index    map[string]int
	base     *Schema // of a projection
	from     []int   // slot in base, by slot
	topic    bool    // events that a projection keeps have their topic
}

// NewSchema returns the schema of a stream. With declared nil, the stream is
// dynamic: it has any field, of type any.
func NewSchema(stream string, declared []Field) *Schema {
	return &Schema{stream: stream, declared: declared, index: map[string]int{}}
}

// Project returns a new schema over the same stream for what one rule keeps of
// its events. Fields used through it are used in s too.
func (s *Schema) Project() *Schema {
	return &Schema{stream: s.stream, declared: s.declared, index: map[string]int{}, base: s}
}

// Stream returns the name of the stream.
func (s *Schema) Stream() string { return s.stream }

// Dynamic reports whether events may hold fields that are not declared.
func (s *Schema) Dynamic() bool { return s.declared == nil }

// Declared returns the declared fields, in the order of the declaration; nil
// where the stream is dynamic.
func (s *Schema) Declared() []Field { return s.declared }

// Lookup returns the type of a field, and whether events may have it.
func (s *Schema) Lookup(name string) (Type, bool) {
	for _, f := range s.declared {
		if f.Name == name {
			return f.Type, true
		}
	}
	return TypeAny, s.Dynamic()
}

// Use returns the slot of a field, giving it one if it has none, and false
// where events cannot have the field.
func (s *Schema) Use(name string) (slot int, ok bool) {
	if i, ok := s.index[name]; ok {
		return i, true
	}
	t, ok := s.Lookup(name)
	if !ok {
		return 0, false
	}
	i := len(s.fields)
	s.fields = append(s.fields, Field{name, t})
	s.index[name] = i
	if s.base != nil {
		at, _ := s.base.Use(name)
		s.from = append(s.from, at)
	}
	return i, true
}

// UseTopic says that what is kept of an event by the projection s has its topic,
// which otherwise it has not: of a million keys that would be a million topics.
func (s *Schema) UseTopic() { s.topic = true }

// KeepsTopic reports whether [Schema.UseTopic] was called.
func (s *Schema) KeepsTopic() bool { return s.topic }

// Fields returns the fields in use, by slot.
func (s *Schema) Fields() []Field { return s.fields }

// Keep returns a copy of e, an event of the base schema, that holds the fields
// of the projection s and shares no memory with e's payload. With raw, it
// keeps a copy of the payload as well. Texts remembers what it copies.
func (s *Schema) Keep(e *Event, raw bool, texts *Texts) *Event {
	k := newEvent(len(s.from))
	k.Time, k.Pos, k.Schema = e.Time, e.Pos, s
	for i, at := range s.from {
		if at < len(e.Slots) {
			k.Slots[i] = texts.keep(e.Slots[at])
		}
	}
	if e.More != nil && (raw || s.topic || e.More.Origin != nil) {
		s.keepDetails(k, e.More, raw)
	}
	return k
}

func (s *Schema) keepDetails(k *Event, more *Details, raw bool) {
	kept := Details{Origin: more.Origin}
	if s.topic {
		kept.Topic = more.Topic
	}
	if raw {
		kept.Raw = slices.Clone(more.Raw)
	}
	k.add(kept)
}

// newEvent returns an event with so many slots, in one piece of memory where
// they are few, as of events that are kept they mostly are.
func newEvent(slots int) *Event {
	switch slots {
	case 0:
		return &Event{}
	case 1:
		k := &struct {
			Event
			slots [1]Value
		}{}
		k.Slots = k.slots[:]
		return &k.Event
	case 2:
		k := &struct {
			Event
			slots [2]Value
		}{}
		k.Slots = k.slots[:]
		return &k.Event
	case 3:
		k := &struct {
			Event
			slots [3]Value
		}{}
		k.Slots = k.slots[:]
		return &k.Event
	case 4:
		k := &struct {
			Event
			slots [4]Value
		}{}
		k.Slots = k.slots[:]
		return &k.Event
	}
	return &Event{Slots: make([]Value, slots)}
}

// Slot returns the slot of a field, and false where nobody uses it.
func (s *Schema) Slot(name string) (slot int, ok bool) {
	slot, ok = s.index[name]
	return slot, ok
}
