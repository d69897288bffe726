package window

import (
	"fmt"
	"reflect"

	"github.com/cepd/cepd/event"
)

// layout says how what belongs together lies in one piece of memory. Where there
// are many keys, what an event takes is mostly waiting for the pieces that the
// windows of its key lie in:
//
//	state   State | list of one pane | pane
//	pane    pane | list of partials | partial of the first aggregate | of the second | …
//
// More panes have a piece each.
type layout struct {
	state, pane reflect.Type
	fresh       reflect.Value // a pane without events
}

func (s *Spec) layOut() layout {
	fields := []reflect.Type{reflect.TypeFor[pane](), reflect.ArrayOf(len(s.Aggregates), reflect.TypeFor[partial]())}
	for _, a := range s.Aggregates {
		fields = append(fields, reflect.TypeOf(kinds[a.Kind].make()).Elem())
	}
	l := layout{pane: structOf(fields...)}
	l.state = structOf(reflect.TypeFor[State](), reflect.TypeFor[[1]*pane](), l.pane)
	l.fresh = reflect.New(l.pane).Elem()
	for i, a := range s.Aggregates {
		l.fresh.Field(2 + i).Set(reflect.ValueOf(kinds[a.Kind].make()).Elem())
	}
	return l
}

func structOf(types ...reflect.Type) reflect.Type {
	fields := make([]reflect.StructField, len(types))
	for i, t := range types {
		fields[i] = reflect.StructField{Name: fmt.Sprint("F", i), Type: t}
	}
	return reflect.StructOf(fields)
}

// NewState returns a state without windows. A key without windows needs none.
func NewState(s *Spec) *State {
	v := reflect.New(s.layout.state).Elem()
	st := v.Field(0).Addr().Interface().(*State)
	st.spec, st.early = s, event.MaxTime
	st.panes = v.Field(1).Addr().Interface().(*[1]*pane)[:0]
	st.spare = s.paneIn(v.Field(2))
	return st
}

// newPane returns a pane without events.
func (s *Spec) newPane() *pane { return s.paneIn(reflect.New(s.layout.pane).Elem()) }

// paneIn makes a pane without events in its memory.
func (s *Spec) paneIn(v reflect.Value) *pane {
	v.Set(s.layout.fresh)
	p := v.Field(0).Addr().Interface().(*pane)
	p.parts = v.Field(1).Slice(0, len(s.Aggregates)).Interface().([]partial)
	for i := range p.parts {
		p.parts[i] = v.Field(2 + i).Addr().Interface().(partial)
	}
	return p
}
