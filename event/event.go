package event

// Event is one thing that happened: a time, a place in the log, and the values
// of those fields that the loaded rules use.
type Event struct {
	Time   Time
	Pos    Position // of its log record; of the last source event involved, for a derived event
	Schema *Schema  // says which field each slot holds
	Slots  []Value  // one per field of Schema; may be shorter, the rest is missing
	More   *Details // nil where it has none of them
}

// Details is what few of the events have that rules keep, of which there may be
// millions.
type Details struct {
	Origin *Origin // nil for an event from a source
	Topic  string  // MQTT topic or its like; empty where the source has none
	Raw    []byte  // the payload, until the event is judged (longer where evidence keeps every field)
}

// add gives an event those details that are not empty.
func (e *Event) add(d Details) {
	if d.Origin != nil || d.Topic != "" || d.Raw != nil {
		more := d // else each d would be on the heap, whether or not it has any
		e.More = &more
	}
}

// Origin returns the tail of a derived event's place in the order, nil for an
// event from a source.
func (e *Event) Origin() *Origin {
	if e.More == nil {
		return nil
	}
	return e.More.Origin
}

// Topic returns the MQTT topic or its like, empty where the source has none.
func (e *Event) Topic() string {
	if e.More == nil {
		return ""
	}
	return e.More.Topic
}

// Raw returns the payload, as long as the event has it.
func (e *Event) Raw() []byte {
	if e.More == nil {
		return nil
	}
	return e.More.Raw
}

// Slot returns the value in slot i, [Missing] where the event has none.
func (e *Event) Slot(i int) Value {
	if i < len(e.Slots) {
		return e.Slots[i]
	}
	return Value{}
}

// Get returns the value of a field by name, [Missing] where nobody uses the
// field. It is for output and tests; rules use slots.
func (e *Event) Get(name string) Value {
	if i, ok := e.Schema.index[name]; ok {
		return e.Slot(i)
	}
	return Value{}
}
