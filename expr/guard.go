package expr

import (
	"slices"

	"github.com/cepd/cepd/event"
)

// Guard is what must be so for a condition to hold: a field of the event equals
// one of some constants, texts or whole numbers. An event whose field is another
// text or number is one for which the condition is false, without an error. So
// an index of guards finds the conditions that an event can meet.
//
// Whole numbers so great that a double equals several of them are constants of
// guards only where the field is an int.
type Guard struct {
	Slot   int
	Values []event.Value // of kind string or int
}

// Guard returns the condition's guard, nil if it has none.
func (p *Program) Guard() *Guard { return p.guard }

// equalGuard returns the guard of a comparison of two values.
func equalGuard(op compareOp, a, b code) *Guard {
	if op != opEqual || a.slot == 0 || !b.constant {
		return nil
	}
	return guardOf(a, b.value())
}

// inGuard returns the guard of a value that is one of a list.
func inGuard(a, list code) *Guard {
	if a.slot == 0 || !list.constant {
		return nil
	}
	return guardOf(a, list.value().AsList()...)
}

// guardOf returns the guard of a field that is one of some constants.
func guardOf(field code, values ...event.Value) *Guard {
	for _, v := range values {
		whole := v.Kind() == event.KindInt && (field.form == formInt || isExact(v.AsInt()))
		if !whole && v.Kind() != event.KindString {
			return nil
		}
	}
	return &Guard{field.slot - 1, values}
}

// both returns the guard of a conjunction: one will do, and the narrower one is
// better.
func (g *Guard) both(h *Guard) *Guard {
	if g == nil || h != nil && len(h.Values) < len(g.Values) {
		return h
	}
	return g
}

// either returns the guard of a disjunction.
func (g *Guard) either(h *Guard) *Guard {
	if g == nil || h == nil || g.Slot != h.Slot {
		return nil
	}
	return &Guard{g.Slot, slices.Concat(g.Values, h.Values)}
}
