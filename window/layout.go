package window

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/cepd/cepd/event"
)

// layout says how what belongs together lies in one piece of memory. Where there
// are many keys, what an event takes is mostly waiting for the pieces that the
// windows of its key lie in:
//
//	state   State | list of one pane | pane
//	pane    pane | partial of the first aggregate | of the second | … | list of partials
//
// More panes have a piece each.
type layout struct {
	state, pane reflect.Type
	fresh       reflect.Value // a pane without events
	list, first uintptr       // where in a state's memory
	partials    []uintptr     // where in that of a pane
	parts       uintptr       // the same of their list
}

func (s *Spec) layOut() layout {
	n := len(s.Aggregates)
	fields := []reflect.Type{reflect.TypeFor[pane]()}
	for _, a := range s.Aggregates {
		fields = append(fields, reflect.TypeOf(kinds[a.Kind].make()).Elem())
	}
	fields = append(fields, reflect.ArrayOf(n, reflect.TypeFor[partial]()))
	l := layout{pane: structOf(fields...)}
	l.state = structOf(reflect.TypeFor[State](), reflect.TypeFor[[1]*pane](), l.pane)
	l.list, l.first = l.state.Field(1).Offset, l.state.Field(2).Offset
	l.fresh = reflect.New(l.pane).Elem()
	for i, a := range s.Aggregates {
		l.partials = append(l.partials, l.pane.Field(1+i).Offset)
		l.fresh.Field(1 + i).Set(reflect.ValueOf(kinds[a.Kind].make()).Elem())
	}
	l.parts = l.pane.Field(1 + n).Offset
	return l
}

func structOf(types ...reflect.Type) reflect.Type {
	fields := make([]reflect.StructField, len(types))
	for i, t := range types {
		fields[i] = reflect.StructField{Name: fmt.Sprint("F", i), Type: t}
	}
	return reflect.StructOf(fields)
}

// StateType is the type of the memory that [Spec.Init] takes, which begins with a
// [State].
func (s *Spec) StateType() reflect.Type { return s.layout.state }

// NewState returns a state without windows. A key without windows needs none.
func NewState(s *Spec) *State {
	st := (*State)(reflect.New(s.layout.state).UnsafePointer())
	s.Init(st)
	return st
}

// Init makes a state without windows of one that lies at the beginning of memory
// of [Spec.StateType].
func (s *Spec) Init(st *State) {
	p, l := unsafe.Pointer(st), &s.layout
	*st = State{spec: s, early: event.MaxTime}
	list := (*[1]*pane)(unsafe.Add(p, l.list))
	*list = [1]*pane{}
	st.panes = list[:0]
	st.spare = s.paneAt(unsafe.Add(p, l.first))
}

// newPane returns a pane without events.
func (s *Spec) newPane() *pane { return s.paneAt(reflect.New(s.layout.pane).UnsafePointer()) }

// paneAt makes a pane without events in its memory.
func (s *Spec) paneAt(at unsafe.Pointer) *pane {
	l := &s.layout
	reflect.NewAt(l.pane, at).Elem().Set(l.fresh)
	p := (*pane)(at)
	p.parts = unsafe.Slice((*partial)(unsafe.Add(at, l.parts)), len(l.partials))
	for i, from := range l.partials {
		p.parts[i] = kinds[s.Aggregates[i].Kind].lies(unsafe.Add(at, from))
	}
	return p
}

// lies returns the partial of type T that lies somewhere.
func lies[T any, P interface {
	*T
	partial
}](p unsafe.Pointer) partial {
	return P((*T)(p))
}
