package expr

import "github.com/cepd/cepd/event"

// Guard is what must be so for a condition to hold: a field of the event equals
// one of some constants, texts or whole numbers. An event whose field is another
// text or number is one for which the condition is false, without an error. So
// an index of guards finds the conditions that an event can meet.
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
	return guardOf(a.slot-1, b.value())
}

// inGuard returns the guard of a value that is one of a list.
func inGuard(a, list code) *Guard {
	if a.slot == 0 || !list.constant {
		return nil
	}
	return guardOf(a.slot-1, list.value().AsList()...)
}

func guardOf(slot int, values ...event.Value) *Guard {
	for _, v := range values {
		if v.Kind() != event.KindString && v.Kind() != event.KindInt {
			return nil
		}
	}
	return &Guard{slot, values}
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
	return guardOf(g.Slot, append(append([]event.Value(nil), g.Values...), h.Values...)...)
}
